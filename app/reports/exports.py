"""The report and its client lists as files: CSV and Excel, numbers as numbers, formulas neutralised.

Every file says who made it and when. Contact data is masked as on screen.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import tzinfo
from decimal import Decimal

from flask_babel import gettext as _

from app.campaigns.models import Campaign
from app.clients.masking import mask_email, mask_mobile
from app.core.spreadsheet_files import Cell, FineShare, Line, Table
from app.delivery.accounts.words import channel_label
from app.reports.effect.breakdown import breakdown
from app.reports.effect.effects import Effect
from app.reports.effect.report import CampaignEffect
from app.reports.effect.words import JUDGEMENTS, effect_definitions, headline, split_warning
from app.reports.queries import ClientLine
from app.reports.response import COLUMNS, DENOMINATORS, FURTHER, Outcome, Response, Row
from app.reports.words import OUTCOME_LABELS, definition, denominator, reason_label
from app.users.models import User

HAPPENED = (
    Outcome.OPENED,
    Outcome.CLICKED,
    Outcome.REPLIED,
    Outcome.CONTACT_RESULTS,
    Outcome.UNSUBSCRIBED,
    Outcome.BOUNCED,
    Outcome.COMPLAINED,
    Outcome.ACCOUNTS_OPENED,
)
"""The columns of a client list after "sent": when each of them happened."""


def table_head(effect: CampaignEffect | None = None) -> list[str]:
    """Segment, then per figure its count and - but for the first - its rate with both ends of the interval; what the
    treated brought and cost; with a control group the comparison of both groups."""
    head = [_("Segment")]
    for outcome in (*COLUMNS, *FURTHER):
        label = str(OUTCOME_LABELS[outcome])
        head.append(label)
        if outcome in DENOMINATORS:
            share = f"{label}, {denominator(outcome)}"
            head += [share, _("%(share)s, low", share=share), _("%(share)s, high", share=share)]
    if effect is not None:
        head += _brought_head() + (_effect_head() if effect.strata.has_control else [])
    return head


def _brought_head() -> list[str]:
    effective, of = _("Effective accounts"), _("of %(figure)s", figure=_("Treated group").lower())
    share = f"{effective}, {of}"
    return [
        _("Treated group"),
        _("Treated clients who opened an account"),
        *(effective, share, _("%(share)s, low", share=share), _("%(share)s, high", share=share)),
        _("Assets brought in"),
        _("Cost"),
        _("Cost per account"),
        _("Cost per effective account"),
    ]


def _brought_cells(one: Effect) -> list[Cell]:
    return [
        one.treated,
        one.opened,
        one.effective,
        *(_fine(share) for share in (one.effective_share, *(one.effective_interval or (None, None)))),
        one.brought_in,
        *(_cents(amount) for amount in (one.cost, one.cost_per_account, one.cost_per_effective)),
    ]


def _cents(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(Decimal("0.01"))


def _effect_head() -> list[str]:
    lift, relative, accounts = _("Absolute lift"), _("Relative lift"), _("Incremental accounts")
    return [
        _("Control group"),
        _("Control clients who opened an account"),
        *(lift, _("%(share)s, low", share=lift), _("%(share)s, high", share=lift)),
        *(relative, _("%(share)s, low", share=relative), _("%(share)s, high", share=relative)),
        _("Absolute lift, drawn in"),
        *(accounts, _("%(share)s, low", share=accounts), _("%(share)s, high", share=accounts)),
        _("p-value, corrected for many segments"),
        _("Verdict"),
    ]


def _effect_cells(one: Effect) -> list[Cell]:
    lift = None if one.too_few else one.lift
    points = (lift.absolute, lift.low, lift.high) if lift else (None,) * 3
    relative = (lift.relative, lift.relative_low, lift.relative_high) if lift else (None,) * 3
    accounts: list[Cell] = (
        [round(lift.incremental), round(lift.incremental_low), round(lift.incremental_high)] if lift else [None] * 3
    )
    p = one.p if one.corrected is None else one.corrected
    return [
        one.control,
        one.control_opened,
        *(_fine(share) for share in (*points, *relative, one.drawn_in if lift else None)),
        *accounts,
        None if p is None or lift is None else f"{p:.4f}",
        str(JUDGEMENTS[one.judgement]),
    ]


def _fine(share: float | None) -> Cell:
    """An interval without an upper end has none in the file."""
    return FineShare(share) if share is not None and math.isfinite(share) else None


def chart_columns(head: Sequence[str]) -> list[int]:
    """The columns that the Excel file draws: who opened an account, and the lift where there is one."""
    wanted = (str(OUTCOME_LABELS[Outcome.ACCOUNTS_OPENED]), _("Incremental accounts"))
    return [head.index(label) for label in wanted if label in head]


def table_lines(response: Response, effect: CampaignEffect | None = None) -> Iterator[list[Cell]]:
    """One line per row of the report; rates are shares from 0 to 1, empty where there is nothing to divide by."""
    for row in response.rows:
        line: list[Cell] = [row.name]
        for outcome in (*COLUMNS, *FURTHER):
            line.append(row.count(outcome))
            if outcome in DENOMINATORS:
                rate = row.rate(outcome)
                line += [rate.share, *(rate.interval or (None, None))]
        if effect is not None:
            one = effect.whole if row.segment_id is None else effect.segment(row.segment_id)
            if one is not None:
                line += _brought_cells(one) + (_effect_cells(one) if effect.strata.has_control else [])
        yield line


def broken_down(campaign: Campaign, response: Response, viewer: User | None) -> Iterator[Table]:
    """The report by channel, variant, branch, adviser and tier, as at sending; those without any lines are left out."""
    if response.channels:
        rows = [replace(row, name=channel_label(row.name)) for row in response.channels]
        yield Table(_("Channel"), _part_head(_("Channel")), [_part_cells(row) for row in rows])
    labels = {"variant": _("Variant"), "branch": _("Branch"), "adviser": _("Adviser"), "tier": _("Tier")}
    for dimension, label in labels.items():
        found = breakdown(campaign, dimension, viewer=viewer, shown=None)
        if found.lines:
            head = _part_head(label) + _brought_head() + (_effect_head() if found.has_control else [])
            lines = [
                _part_cells(row) + _brought_cells(one) + (_effect_cells(one) if found.has_control else [])
                for row, one in found.lines
            ]
            yield Table(label, head, lines)


def _part_head(label: str) -> list[str]:
    head = [label]
    for outcome in COLUMNS:
        head.append(str(OUTCOME_LABELS[outcome]))
        if outcome in DENOMINATORS:
            head.append(f"{OUTCOME_LABELS[outcome]}, {denominator(outcome)}")
    return head


def _part_cells(row: Row) -> list[Cell]:
    cells: list[Cell] = [row.name]
    for outcome in COLUMNS:
        cells.append(row.count(outcome))
        if outcome in DENOMINATORS:
            cells.append(row.rate(outcome).share)
    return cells


def client_head() -> list[str]:
    return [
        _("Client no."),
        _("Name"),
        _("E-mail"),
        _("Mobile"),
        _("Branch"),
        _("Adviser"),
        str(OUTCOME_LABELS[Outcome.SENT]),
        *(str(OUTCOME_LABELS[outcome]) for outcome in HAPPENED),
        _("Reason"),
    ]


def client_cells(line: ClientLine, zone: tzinfo) -> list[Cell]:
    """One client as shown: masked, times in the reader's zone (written without a locale: a list may be long)."""
    at = dict(line.happened)
    times = (line.sent_at, *(at.get(outcome) for outcome in HAPPENED))
    return [
        line.number,
        line.name,
        mask_email(line.email),
        mask_mobile(line.mobile),
        line.branch,
        line.adviser,
        *(f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S}" if time else None for time in times),
        reason_label(line.reason) if line.reason else None,
    ]


def definitions(response: Response, campaign: Campaign, effect: CampaignEffect | None = None) -> Iterator[Line]:
    """The notes sheet: what each figure counts, of what, and how the intervals are made."""
    yield [_("Figure"), _("What it counts"), _("Rate")]
    for outcome in (*COLUMNS, *FURTHER):
        yield [
            str(OUTCOME_LABELS[outcome]),
            definition(outcome, campaign=campaign, delivery=response.delivery),
            denominator(outcome),
        ]
    yield [
        _("Intervals"),
        _("95 % Wilson score intervals. E. B. Wilson (1927), J. Am. Stat. Assoc. 22:209-212."),
        None,
    ]
    if effect is not None:
        yield [_("Verdict"), headline(effect), None]
        yield from _effect_notes(effect)
    yield [_("Attribution window"), _("%(days)s days", days=campaign.window_days), None]
    yield [_("Matched"), response.matched, None]
    for reason, clients in response.exclusions.items():
        yield [_("Excluded: %(reason)s", reason=reason_label(reason)), clients, None]
    for reason, clients in response.skipped.items():
        yield [_("Skipped: %(reason)s", reason=reason_label(reason)), clients, None]


def _effect_notes(effect: CampaignEffect) -> Iterator[Line]:
    """What the treated brought and cost, and how the comparison of both groups was made."""
    for label, words in effect_definitions():
        yield [label, words, None]
    if effect.split is not None:
        yield [_("Split check"), split_warning(effect) or _("Passed."), None]
    if effect.cost is not None:
        yield [_("Cost"), f"{effect.cost:,.2f}", None]
    if effect.assets.brought_in:
        yield [_("Assets brought in"), f"{effect.assets.brought_in:,.2f}", None]
    for method, found in ((_("bootstrap"), effect.assets.bootstrap), (_("Welch"), effect.assets.welch)):
        if found is not None:
            ends = (found.incremental, found.incremental_low, found.incremental_high)
            amount, low, high = (f"{end:,.0f}" for end in ends)
            words = _("%(amount)s (%(low)s to %(high)s, 95 %% confidence)", amount=amount, low=low, high=high)
            yield [_("Incremental assets, %(method)s", method=method), words, None]
