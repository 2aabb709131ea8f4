"""Forms of sign-in, profile, staff, branches and keys. The service judges; forms only read."""

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    HiddenField,
    IntegerField,
    PasswordField,
    SelectChoice,
    SelectField,
    StringField,
    ValidationError,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from app.core.errors import AppError
from app.core.extensions import LANGUAGES
from app.core.form_fields import CheckboxesField, options
from app.core.permissions import ROLE_LABELS
from app.users import passwords, service, teams
from app.users.models import API_RESOURCES, User
from app.users.queries import BranchLine, TeamLine

# Which field a refusal of the service belongs to.
FIELDS: Mapping[type[AppError], str] = {
    service.InvalidEmail: "email",
    service.EmailTaken: "email",
    service.NameMissing: "name",
    service.NoRole: "roles",
    service.MakerIsChecker: "roles",
    service.LastAdministrator: "roles",
    service.WrongPassword: "present",
    service.SamePassword: "new",
    passwords.ShortPassword: "new",
    passwords.LongPassword: "new",
    passwords.WeakPassword: "new",
    service.BranchCodeTaken: "code",
    service.BranchCodeMissing: "code",
    service.BranchLoop: "parent",
    service.HeadOfficeStays: "parent",
    service.BadCapacity: "capacity",
    teams.LeaderWithoutTeam: "leads_team",
    teams.TeamNameMissing: "name",
    teams.TeamNameTaken: "name",
    teams.TeamLoop: "parent",
}

_INDENT = "\N{EM SPACE}"  # an option keeps no plain ones


def show_refusal(form: FlaskForm, error: AppError) -> None:
    """Put the service's sentence under the field it is about; pass on an error that is about none."""
    name = FIELDS.get(type(error))
    if name is None or name not in form:
        raise error
    form[name].errors = [*form[name].errors, str(error)]


def branch_choices(lines: list[BranchLine]) -> list[SelectChoice]:
    """The tree for a select, indented."""
    return [
        SelectChoice(line.branch.id, f"{_INDENT * line.depth}{line.branch.name} ({line.branch.code})") for line in lines
    ]


def team_choices(lines: list[TeamLine], nothing: object) -> list[SelectChoice]:
    """The tree of teams for a select, indented; 0 is none."""
    return [
        SelectChoice(0, nothing),
        *(SelectChoice(line.team.id, f"{_INDENT * line.depth}{line.team.name}") for line in lines),
    ]


class SignInForm(FlaskForm):  # type: ignore[misc]
    email = EmailField(_l("E-mail address"), [InputRequired(_l("Enter your e-mail address."))])
    password = PasswordField(_l("Password"), [InputRequired(_l("Enter your password.")), Length(max=1000)])
    next = HiddenField()


class ProfileForm(FlaskForm):  # type: ignore[misc]
    name = StringField(_l("Name"), [InputRequired(_l("Enter your name.")), Length(max=100)])
    language = SelectField(_l("Language"), choices=options(LANGUAGES))


class PasswordForm(FlaskForm):  # type: ignore[misc]
    present = PasswordField(_l("Present password"), [InputRequired(_l("Enter your present password."))])
    new = PasswordField(
        _l("New password"),
        [InputRequired(_l("Enter a new password."))],
        description=_l("At least 12 characters. Four unrelated words are good and easy to keep in mind."),
    )
    again = PasswordField(_l("New password once more"), [InputRequired(_l("Enter the new password once more."))])

    def validate_again(self, field: Any) -> None:
        if field.data != self.new.data:
            raise ValidationError(_l("This differs from the new password above."))


class StaffForm(FlaskForm):  # type: ignore[misc]
    name = StringField(_l("Name"), [InputRequired(_l("Enter a name.")), Length(max=100)])
    email = EmailField(_l("E-mail address"), [InputRequired(_l("Enter an e-mail address.")), Length(max=254)])
    roles = CheckboxesField(
        _l("Roles"),
        choices=[SelectChoice(role.value, label) for role, label in ROLE_LABELS.items()],
        description=_l("Nobody is both marketing officer and compliance checker."),
    )
    branch = SelectField(_l("Branch"), coerce=int, description=_l("They see the clients of this branch and below it."))
    active = BooleanField(_l("May sign in"), default=True)
    team = SelectField(_l("Team"), coerce=int, default=0)
    leads_team = BooleanField(
        _l("Leads the team"),
        description=_l("They see the clients of every member of the team and of the teams below it."),
    )
    capacity = IntegerField(
        _l("Clients they may own"),
        [Optional(), NumberRange(min=0, max=service.MAX_CAPACITY, message=_l("A whole number is needed."))],
        description=_l("Empty: as the firm has set for all."),
    )
    marketing_post = BooleanField(
        _l("Marketing post"),
        default=True,
        description=_l("Not for counter, compliance and IT staff: they get no targets, tasks or clients."),
    )
    registration_number = StringField(
        _l("Registration number"),
        [Length(max=100)],
        description=_l("Of a registered investment adviser; empty for others."),
    )
    registration_until = DateField(
        _l("Registration valid until"),
        [Optional()],
        description=_l("Afterwards no task that recommends a product. Empty: without an end."),
    )

    def fill(self, user: User) -> None:
        self.capacity.data, self.marketing_post.data = user.client_capacity, user.marketing_post
        self.registration_number.data = user.registration_number
        self.registration_until.data = user.registration_until
        if self.team:
            self.team.data, self.leads_team.data = user.team_id or 0, user.leads_team
        self.name.data, self.email.data = user.name, user.email
        self.roles.data, self.branch.data, self.active.data = list(user.roles), user.branch_id, user.active


class BranchForm(FlaskForm):  # type: ignore[misc]
    name = StringField(_l("Name"), [InputRequired(_l("Enter a name.")), Length(max=100)])
    code = StringField(
        _l("Code"),
        [InputRequired(_l("Enter a code.")), Length(max=30)],
        description=_l("As in the files you import, such as SH01."),
    )
    parent = SelectField(_l("Belongs to"), coerce=int)


API_RESOURCE_LABELS = dict(
    zip(
        API_RESOURCES,
        (
            _l("Report account openings"),
            _l("Read clients, contact data masked"),
            _l("Read contact data unmasked (with “Read clients”)"),
            _l("Read, write and freeze segments"),
            _l("Read the reports of campaigns"),
        ),
        strict=True,
    )
)


class TeamForm(FlaskForm):  # type: ignore[misc]
    """A team; its members and leaders are chosen once it is there."""

    name = StringField(_l("Name"), [InputRequired(_l("Enter a name.")), Length(max=teams.MAX_NAME)])
    parent = SelectField(_l("Belongs to"), coerce=int)
    members = CheckboxesField(_l("Members"), coerce=int)
    leaders = CheckboxesField(
        _l("Who leads it"),
        coerce=int,
        description=_l("Who leads it sees the clients of every member and of the teams below it."),
    )


class ApiKeyForm(FlaskForm):  # type: ignore[misc]
    name = StringField(
        _l("Name of the new key"),
        [InputRequired(_l("Enter a name.")), Length(max=100)],
        description=_l("The system that will use it, such as Core banking."),
    )
    resources = CheckboxesField(
        _l("What it is for"),
        [InputRequired(_l("Choose what the key is for."))],
        choices=options(API_RESOURCE_LABELS),
        default=["account-openings"],
        description=_l("It reads the clients that you may see, and ends when your own account does."),
    )
