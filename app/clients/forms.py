"""Forms of the client pages."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Regexp

from app.core.form_fields import options

CHANNEL_LABELS = {"email": _l("E-mail"), "sms": _l("SMS"), "call": _l("Calls")}
# What a client's will may be about: marketing on a channel, or a matter beside the channels.
MATTER_LABELS = {
    "email": _l("Marketing by e-mail"),
    "sms": _l("Marketing by SMS"),
    "call": _l("Marketing calls"),
    "personalisation": _l("Personalised marketing"),
    "partner": _l("Data passed to a partner"),
}
# What the evidence of a client's will is about: the same, and what clients state on the preference page.
STATEMENT_LABELS = {
    **MATTER_LABELS,
    "topic": _l("Topic"),
    "pause": _l("Pause of marketing"),
    "language": _l("Language"),
}
TYPE_LABELS = {
    "text": _l("Text"),
    "choice": _l("Choice"),
    "multichoice": _l("Several choices"),
    "number": _l("Number"),
    "money": _l("Amount"),
    "date": _l("Date"),
    "yesno": _l("Yes or no"),
}
SOURCE_LABELS = {
    "in person": _l("In person, at the branch"),
    "telephone": _l("By telephone"),
    "letter": _l("By letter or form"),
    "e-mail": _l("By e-mail"),
    "other": _l("Otherwise"),
}


STATEMENT_SOURCES = {
    **SOURCE_LABELS,
    "preference page": _l("On the preference page"),
    "one-click": _l("One-click unsubscribe"),
    "page": _l("On the unsubscribe page"),
}


class UploadForm(FlaskForm):  # type: ignore[misc]
    file = FileField(
        _l("File"),
        validators=[FileRequired(_l("Please choose a file."))],
        description=_l("CSV, TSV or Excel (.xlsx), up to 500 MB. The first row names the columns."),
    )


class ConsentForm(FlaskForm):  # type: ignore[misc]
    matter = SelectField(_l("About"), choices=options(MATTER_LABELS))
    granted = RadioField(
        _l("The client"),
        choices=options({"yes": _l("agrees"), "no": _l("does not want it")}),
        default="no",
        validators=[InputRequired(_l("Please choose one."))],
    )
    source = SelectField(_l("How the client said so"), choices=options(SOURCE_LABELS))
    wording = TextAreaField(
        _l("What was said or signed"),
        validators=[
            InputRequired(_l("Please write down what the client said or signed; it is the evidence.")),
            Length(max=2000),
        ],
        description=_l("The client’s words, or the name and date of the form. Kept as evidence."),
    )


class ReasonForm(FlaskForm):  # type: ignore[misc]
    reason = StringField(
        _l("Reason"),
        validators=[InputRequired(_l("Please give a reason; it is kept in the audit trail.")), Length(max=500)],
    )


class SuppressForm(FlaskForm):  # type: ignore[misc]
    channel = SelectField(_l("Channel"), choices=options(CHANNEL_LABELS))
    addresses = TextAreaField(
        _l("Addresses or mobile numbers"),
        validators=[InputRequired(_l("Please enter at least one.")), Length(max=200_000)],
        description=_l("One a line."),
    )
    reason = StringField(
        _l("Reason"),
        validators=[InputRequired(_l("Please give a reason; it is kept in the audit trail.")), Length(max=500)],
    )


EDITOR_LABELS = {
    "staff": _l("Everyone who edits clients"),
    "managers": _l("Managers and officers"),
    "feeds": _l("Feeds and imports only"),
}


class EditFieldForm(FlaskForm):  # type: ignore[misc]
    label = StringField(
        _l("Name"),
        validators=[InputRequired(_l("Please enter a name.")), Length(max=80)],
        description=_l("What people read."),
    )
    description = StringField(
        _l("Description"),
        validators=[Length(max=300)],
        description=_l("What is meant, for those who fill it in."),
    )
    edited_by = SelectField(_l("Who may fill it in by hand"), choices=options(EDITOR_LABELS))
    choices = TextAreaField(
        _l("Choices"),
        validators=[Length(max=60_000)],
        description=_l("One a line, in the order they are offered. A choice that clients have cannot be taken away."),
    )

    @property
    def listedoptions(self) -> list[str]:
        return [line.strip() for line in (self.choices.data or "").splitlines() if line.strip()]


class FieldForm(EditFieldForm):
    key = StringField(
        _l("Key"),
        validators=[
            InputRequired(_l("Please enter a key.")),
            Regexp(
                r"^[a-z][a-z0-9_]{0,39}$",
                message=_l("A key starts with a letter and has up to 40 small letters, digits and underscores."),
            ),
        ],
        description=_l("What messages and files use, such as risk_score. It cannot be changed later."),
    )
    type = SelectField(_l("Type"), choices=options(TYPE_LABELS))
