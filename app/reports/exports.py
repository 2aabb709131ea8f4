"""The report and its client lists as files: CSV and Excel, numbers as numbers, formulas neutralised.

Every file says who made it and when. Contact data is masked as on screen.
"""

from collections.abc import Iterator
from datetime import tzinfo

from flask_babel import gettext as _

from app.campaigns.models import Campaign
from app.clients.masking import mask_email, mask_mobile
from app.core.spreadsheet_files import Cell, Line
from app.reports.queries import ClientLine
from app.reports.response import COLUMNS, DENOMINATORS, FURTHER, Outcome, Response
from app.reports.words import OUTCOME_LABELS, definition, denominator, reason_label

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


def table_head() -> list[str]:
    """Segment, then per figure its count and - but for the first - its rate with both ends of the interval."""
    head = [_("Segment")]
    for outcome in (*COLUMNS, *FURTHER):
        label = str(OUTCOME_LABELS[outcome])
        head.append(label)
        if outcome in DENOMINATORS:
            share = f"{label}, {denominator(outcome)}"
            head += [share, _("%(share)s, low", share=share), _("%(share)s, high", share=share)]
    return head


def table_lines(response: Response) -> Iterator[list[Cell]]:
    """One line per row of the report; rates are shares from 0 to 1, empty where there is nothing to divide by."""
    for row in response.rows:
        line: list[Cell] = [row.name]
        for outcome in (*COLUMNS, *FURTHER):
            line.append(row.count(outcome))
            if outcome in DENOMINATORS:
                rate = row.rate(outcome)
                line += [rate.share, *(rate.interval or (None, None))]
        yield line


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


def definitions(response: Response, campaign: Campaign) -> Iterator[Line]:
    """The notes sheet: what each figure counts, of what, and how the intervals are made."""
    yield [_("Figure"), _("What it counts"), _("Rate")]
    for outcome in (*COLUMNS, *FURTHER):
        yield [
            str(OUTCOME_LABELS[outcome]),
            definition(outcome, receipts=response.receipts),
            denominator(outcome),
        ]
    yield [
        _("Intervals"),
        _("95 %% Wilson score intervals. E. B. Wilson (1927), J. Am. Stat. Assoc. 22:209-212."),
        None,
    ]
    yield [_("Attribution window"), _("%(days)s days", days=campaign.window_days), None]
    yield [_("Matched"), response.matched, None]
    for reason, clients in response.exclusions.items():
        yield [_("Excluded: %(reason)s", reason=reason_label(reason)), clients, None]
    for reason, clients in response.skipped.items():
        yield [_("Skipped: %(reason)s", reason=reason_label(reason)), clients, None]
