"""Forms of ownership. What may be chosen depends on who asks, so the views fill the choices."""

from collections.abc import Sequence
from typing import Any

from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    DecimalField,
    IntegerField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from app.clients.ownership.loads import AdviserLoad
from app.clients.ownership.service import MAX_REASON
from app.core.form_fields import CheckboxesField
from app.users.models import User
from app.users.service import MAX_CAPACITY

MAX_NUMBERS = 5_000


def people(users: Sequence[User]) -> list[SelectChoice]:
    return [SelectChoice(user.id, f"{user.name} ({user.branch.name})") for user in users]


def people_with_room(loads: Sequence[AdviserLoad]) -> list[SelectChoice]:
    """Advisers with what they own against what they can."""
    return [
        SelectChoice(
            load.adviser.id,
            _(
                "%(name)s (%(branch)s): %(owned)s of %(capacity)s clients",
                name=load.adviser.name,
                branch=load.adviser.branch.name,
                owned=format_decimal(load.owned),
                capacity=format_decimal(load.capacity),
            ),
        )
        for load in loads
    ]


def _reason() -> Any:
    return StringField(
        _l("Reason"),
        [InputRequired(_l("Please say why; it is kept in the history of the client.")), Length(max=MAX_REASON)],
    )


def _advisers(label: object) -> Any:
    return CheckboxesField(
        label,
        coerce=int,
        description=_l("Among several, the clients are dealt so that each gets as many, rich and poor alike."),
    )


class AssignForm(FlaskForm):  # type: ignore[misc]
    """One client: `what` says which of the verbs."""

    what = RadioField(
        _l("What to do"),
        choices=[
            SelectChoice("assign", _l("Make the adviser the owner")),
            SelectChoice("share", _l("Share the client with the adviser")),
            SelectChoice("credit", _l("Credit the adviser with the client")),
        ],
        default="assign",
    )
    adviser = SelectField(_l("Adviser"), coerce=int)
    reason = _reason()


class EndForm(FlaskForm):  # type: ignore[misc]
    reason = _reason()


class TransferForm(FlaskForm):  # type: ignore[misc]
    clients = SelectField(_l("Which clients"))
    numbers = TextAreaField(
        _l("Client numbers"),
        [Optional(), Length(max=400_000)],
        description=_l(
            "One a line, at most %(most)s, where a list of client numbers is chosen above.", most=MAX_NUMBERS
        ),
    )
    to = _advisers(_l("Hand over to"))
    reason = _reason()

    def listed(self) -> list[str]:
        """The numbers typed, each once."""
        words = (self.numbers.data or "").replace("\x00", "").replace(",", "\n").split("\n")
        return list(dict.fromkeys(word.strip() for word in words if word.strip()))


class AllotForm(FlaskForm):  # type: ignore[misc]
    branch = SelectField(_l("Branch and below"), coerce=int)
    across = RadioField(
        _l("To whom"),
        choices=[
            SelectChoice("own", _l("Advisers of the client’s own branch")),
            SelectChoice("all", _l("Any adviser of the branch chosen and below it")),
        ],
        default="own",
    )
    minimum = DecimalField(
        _l("Total assets of at least"), [Optional(), NumberRange(min=0, max=10**15)], description=_l("Empty: everyone.")
    )


class HandOverForm(FlaskForm):  # type: ignore[misc]
    part = SelectField(_l("Which clients"))
    to = _advisers(_l("Successors"))
    reason = _reason()


class TierPlanForm(FlaskForm):  # type: ignore[misc]
    """Who takes over each tier of a leaver's clients; `tier_plan_form` adds a field for each tier."""

    reason = _reason()
    refusal: str | None = None  # why the plan as a whole cannot be done

    def choices(self) -> dict[str | None, str]:
        """The tiers to hand over (None: clients without one) with "pool" or the id of an adviser."""
        return {
            field.short_name.removeprefix(TIER) or None: field.data
            for field in self
            if field.short_name.startswith(TIER) and field.data
        }


TIER = "tier_"


def tier_field(tier: str | None) -> str:
    """The name of the field that asks about a tier."""
    return f"{TIER}{tier or ''}"


def tier_plan_form(tiers: Sequence[str | None], choices: Sequence[SelectChoice]) -> TierPlanForm:
    fields = {tier_field(tier): SelectField(_l("To whom"), choices=list(choices), default="") for tier in tiers}
    made: TierPlanForm = type("PlanOfTiers", (TierPlanForm,), fields)(prefix="plan")
    return made


class PassOnForm(FlaskForm):  # type: ignore[misc]
    successor = SelectField(_l("Successor"), coerce=int)


class CapacityForm(FlaskForm):  # type: ignore[misc]
    capacity = IntegerField(
        _l("Clients an adviser may own"),
        [InputRequired(_l("Enter a number.")), NumberRange(min=1, max=MAX_CAPACITY)],
        description=_l("Where the post of the adviser does not say otherwise."),
    )
