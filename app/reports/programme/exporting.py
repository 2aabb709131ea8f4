"""The programme and the comparison as files, with the manners of `reports.exports`."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from flask_babel import gettext as _

from app.core.spreadsheet_files import Cell
from app.reports.programme.queries import COUNTED, Compared, Grouping, Part, Programme
from app.reports.programme.words import GROUPING_LABELS, part_name, split_result
from app.reports.response import Outcome
from app.reports.words import OUTCOME_LABELS

COMPARED = (Outcome.TARGETED, Outcome.DELIVERED, Outcome.OPENED, Outcome.CLICKED, Outcome.ACCOUNTS_OPENED)


def programme_head(grouping: Grouping) -> list[str]:
    labels = [str(OUTCOME_LABELS[outcome]) for outcome in COUNTED]
    return [str(GROUPING_LABELS[grouping]), _("Campaigns"), *labels, _("Account openings"), _("Claimed by several")]


def programme_lines(found: Programme, grouping: Grouping) -> Iterator[list[Cell]]:
    """The parts, then all together, then each campaign."""
    for part in found.parts:
        yield _part_line(part_name(grouping, part.key), part)
    yield _part_line(_("All campaigns"), found.total)
    for campaign, part in found.lines:
        yield _part_line(f"{campaign.code} {campaign.name}", part)


def programme_notes() -> Iterator[list[Cell]]:
    yield [_("Figure"), _("What it counts"), None]
    yield [_("All campaigns"), _("Each client and each account opening once, however many campaigns reached it."), None]
    yield [_("Claimed by several"), _("Account openings that more than one of the campaigns claims."), None]


def _part_line(name: str, part: Part) -> list[Cell]:
    counts = [part.count(outcome) for outcome in COUNTED]
    return [name, len(part.campaigns), *counts, len(part.openings), len(part.shared)]


def comparison_head() -> list[str]:
    labels = [str(OUTCOME_LABELS[outcome]) for outcome in COMPARED]
    lift, incremental = _("Absolute lift"), _("Incremental accounts")
    return [
        _("Campaign"),
        _("Split check"),
        *labels,
        _("Treated"),
        _("Treated, accounts opened"),
        _("Control group"),
        _("Control group, accounts opened"),
        *_with_ends(lift),
        *_with_ends(_("Relative lift")),
        *_with_ends(incremental),
        _("Cost"),
        _("Cost per incremental account"),
    ]


def comparison_lines(found: Sequence[Compared]) -> Iterator[list[Cell]]:
    """Lifts are shares from 0 to 1 (0.02: two percentage points); empty without a control group."""
    for one in found:
        effect = one.effect
        line: list[Cell] = [f"{one.campaign.code} {one.campaign.name}", split_result(effect.split if effect else None)]
        line += [one.row.count(outcome) for outcome in COMPARED]
        if effect is None:
            yield [*line, *[None] * 15]
            continue
        whole, lift = effect.whole, effect.whole.lift
        line += [whole.treated, whole.opened, whole.control, whole.control_opened]
        if lift is None:
            line += [None] * 9
        else:
            line += [lift.absolute, lift.low, lift.high, lift.relative, lift.relative_low, lift.relative_high]
            ends = (lift.incremental, lift.incremental_low, lift.incremental_high)
            line += [Decimal(f"{end:.2f}") for end in ends]
        yield [*line, effect.cost, effect.cost_per_incremental]


def comparison_notes() -> Iterator[list[Cell]]:
    yield [_("Figure"), _("What it counts"), None]
    yield [
        _("Split check"),
        _("Whether the groups are as large as they were drawn (chi-square). Where it failed, trust no comparison."),
        None,
    ]
    yield [
        _("Absolute lift"),
        _(
            "Share of the treated who opened an account less that of the control group, with its 95 % Newcombe hybrid "
            "score interval. R. G. Newcombe (1998), Statist. Med. 17:873-890."
        ),
        None,
    ]
    yield [_("Relative lift"), _("The same as a share of the control group's rate; interval by MOVER-R."), None]
    yield [_("Incremental accounts"), _("Absolute lift times the treated clients."), None]


def _with_ends(label: str) -> list[str]:
    return [label, _("%(share)s, low", share=label), _("%(share)s, high", share=label)]
