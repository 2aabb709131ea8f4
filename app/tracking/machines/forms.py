"""The form of the rules about machines' hits."""

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import DecimalField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange

from app.tracking.machines.rules import Rules

_LONGEST = 200_000


class MachineRulesForm(FlaskForm):  # type: ignore[misc]
    """Lists have one entry a line."""

    too_fast_seconds = DecimalField(
        _l("Too fast for a person (seconds after sending)"),
        [InputRequired(_l("Enter a number.")), NumberRange(0, 3600, _l("Enter 0 to 3600 seconds."))],
        description=_l("0 switches this rule off."),
    )
    all_links_seconds = DecimalField(
        _l("All links of a message within (seconds)"),
        [InputRequired(_l("Enter a number.")), NumberRange(0, 600, _l("Enter 0 to 600 seconds."))],
        description=_l("For messages with two or more links. 0 switches this rule off."),
    )
    agents = TextAreaField(
        _l("Programs"),
        [Length(max=_LONGEST)],
        description=_l("One a line, as they name themselves (user agent); * stands for anything."),
    )
    networks = TextAreaField(
        _l("Networks"),
        [Length(max=_LONGEST)],
        description=_l("One a line, such as 192.0.2.0/24. Vendors of mail gateways publish theirs."),
    )

    def fill(self, rules: Rules) -> None:
        self.too_fast_seconds.data, self.all_links_seconds.data = rules.too_fast_seconds, rules.all_links_seconds
        self.agents.data, self.networks.data = "\n".join(rules.agents), "\n".join(rules.networks)

    def facts(self) -> dict[str, Any]:
        """The arguments of `change_machine_rules`."""
        return {
            "agents": (self.agents.data or "").splitlines(),
            "networks": (self.networks.data or "").splitlines(),
            "too_fast_seconds": float(self.too_fast_seconds.data),
            "all_links_seconds": float(self.all_links_seconds.data),
        }
