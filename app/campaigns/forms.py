"""Forms of the campaign pages. The service judges; forms only read."""

from datetime import UTC, datetime
from typing import Any

from flask_babel import get_timezone, to_utc
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import DateTimeLocalField, IntegerField, SelectChoice, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange

from app.campaigns.models import PURPOSE_LABELS, Campaign
from app.clients.preferences.models import Topic
from app.clients.preferences.queries import topic_name, topics
from app.core.form_fields import options


class SetupForm(FlaskForm):  # type: ignore[misc]
    name = StringField(_l("Name"), [InputRequired(_l("Enter a name.")), Length(max=200)])
    purpose = SelectField(
        _l("Purpose"),
        choices=options(PURPOSE_LABELS),
        description=_l(
            "Marketing needs each client's consent. Service messages and statutory notices hold no promotion."
        ),
    )
    tags = StringField(_l("Tags"), [Length(max=400)], description=_l("Separated by commas, such as: fund, spring."))
    topic_id = SelectField(
        _l("Topic"),
        coerce=lambda value: int(value) if value else None,
        description=_l("Who refused the topic on the preference page does not get the campaign."),
    )
    window_days = IntegerField(
        _l("Attribution window (days)"),
        [InputRequired(_l("Enter a number of days.")), NumberRange(1, 365, _l("Enter 1 to 365 days."))],
        default=30,
        description=_l("An account opened within these days after the message counts as a result of it."),
    )

    def __init__(self, *args: Any, topic: Topic | None = None, **kwargs: Any) -> None:
        """`topic` is the one that the campaign has now: it may be archived, and stays on offer."""
        super().__init__(*args, **kwargs)
        offered = list(topics())
        if topic is not None and topic not in offered:
            offered.append(topic)
        self.topic_id.choices = [SelectChoice("", _l("None"))] + [
            SelectChoice(str(one.id), topic_name(one)) for one in offered
        ]

    def fill(self, campaign: Campaign) -> None:
        self.name.data, self.purpose.data = campaign.name, campaign.purpose
        self.topic_id.data = campaign.topic_id
        self.tags.data, self.window_days.data = ", ".join(campaign.tags), campaign.window_days

    def facts(self) -> dict[str, Any]:
        """The arguments that the verbs of the service take."""
        return {
            "name": self.name.data,
            "purpose": self.purpose.data,
            "tags": (self.tags.data or "").replace("，", ",").split(","),
            "window_days": self.window_days.data,
        }


class NewCampaignForm(SetupForm):
    code = StringField(
        _l("Code"),
        [Length(max=40)],
        description=_l("Leave it empty to get the next one of this year, such as 2026-0007."),
    )


class ScheduleForm(FlaskForm):  # type: ignore[misc]
    send_at = DateTimeLocalField(_l("Date and time"), [InputRequired(_l("Choose a date and a time."))])

    def moment(self) -> datetime:
        """The chosen time, aware, in UTC; it was entered in the reader's zone."""
        naive: datetime = to_utc(self.send_at.data)
        return naive.replace(tzinfo=UTC)


class SendBackForm(FlaskForm):  # type: ignore[misc]
    reason = TextAreaField(_l("What has to change"), [InputRequired(_l("Say what has to change.")), Length(max=2000)])


def zone_name() -> str:
    """The name of the reader's time zone."""
    return str(get_timezone())
