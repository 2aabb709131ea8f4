"""`flask reports`: the response of a campaign on the command line."""

import json
from typing import Any

import click
from flask.cli import AppGroup

from app.campaigns.models import Campaign
from app.campaigns.queries import campaign_by_code
from app.core.errors import AppError
from app.reports.response import COLUMNS, Response, Row, campaign_response

reports_cli = AppGroup("reports", help="What campaigns brought.")


@reports_cli.command("show")
@click.argument("code")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def show(code: str, as_json: bool) -> None:
    """Print the response of the campaign CODE, the whole audience first, then each segment (unique clients)."""
    try:
        campaign = campaign_by_code(code, viewer=None)
    except AppError:
        raise click.ClickException(f"There is no campaign {code}.") from None
    response = campaign_response(campaign)
    if as_json:
        click.echo(json.dumps(response_json(campaign, response), ensure_ascii=False))
    else:
        click.echo(response_table(response))


def row_json(row: Row) -> dict[str, Any]:
    """One row of the report: its name and the count of unique clients for each figure."""
    return {"name": row.name} | {outcome.value: row.count(outcome) for outcome in COLUMNS}


def response_json(campaign: Campaign, response: Response) -> dict[str, Any]:
    """The whole report: `total` is the whole audience, `segments` are in the campaign's order."""
    return {
        "campaign": campaign.name,
        "code": campaign.code,
        "total": row_json(response.total),
        "segments": [row_json(row) for row in response.segments],
    }


def response_table(response: Response) -> str:
    """The report in columns for a terminal."""
    head = ["", *(outcome.value.replace("_", " ") for outcome in COLUMNS)]
    lines = [[row.name, *(f"{row.count(outcome):,}" for outcome in COLUMNS)] for row in response.rows]
    widths = [max(len(line[position]) for line in [head, *lines]) for position in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if position == 0 else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [head, *lines]
    )
