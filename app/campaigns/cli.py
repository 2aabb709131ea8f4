"""`flask campaigns`: the life of a campaign without a browser."""

import json
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app.audiences.models import Segment
from app.audiences.queries import segment_named
from app.campaigns import queries, service
from app.campaigns.experiments.control import expected_split
from app.campaigns.experiments.service import set_control
from app.campaigns.models import PURPOSES, Campaign, State
from app.core.commands import sentences
from app.core.extensions import db
from app.core.permissions import Permission, require
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from app.users.queries import find_user

campaigns_cli = AppGroup("campaigns", help="E-mail campaigns, from draft to launch.")

_as = click.option("--as", "email", required=True, metavar="EMAIL", help="The member of staff who does it.")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


def _person(email: str, permission: Permission) -> User:
    user = find_user(email)
    if user is None or not user.active:
        raise click.ClickException(f"There is no active member of staff with the address {email}.")
    require(user, permission)
    return user


def _tell(campaign: Campaign) -> None:
    click.echo("\t".join((campaign.code, State(campaign.state).value, campaign.name)))


@campaigns_cli.command("list")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only those in this state.")
def list_campaigns(state: str | None) -> None:
    """Each campaign, newest first: code, state and name, with tabs between."""
    query = select(Campaign).order_by(Campaign.id.desc())
    if state:
        query = query.where(Campaign.state == state)
    for campaign in db.session.scalars(query.execution_options(yield_per=500)):
        _tell(campaign)


@campaigns_cli.command("create")
@click.option("--from", "plan", type=_file, help="A JSON file with the same names as these options.")
@click.option("--name")
@click.option("--code", help="Without it: the next of this year.")
@click.option("--purpose", type=click.Choice(PURPOSES))
@click.option("--tag", "tags", multiple=True)
@click.option("--window-days", type=int, help="Openings within these days count as a result (default 30).")
@click.option("--control", type=float, metavar="PERCENT", help="So many percent are drawn and not contacted.")
@click.option("--include", multiple=True, metavar="SEGMENT", help="Send to this segment; may be repeated.")
@click.option("--exclude", multiple=True, metavar="SEGMENT", help="But not to this one.")
@click.option("--report", multiple=True, metavar="SEGMENT", help="Show the response of this one as well.")
@click.option("--subject")
@click.option("--preheader")
@click.option("--content", type=_file, help="The body: a file ending in .mjml or .html.")
@click.option("--seed", "seeds", multiple=True, metavar="EMAIL", help="Staff who get the real send too.")
@click.option("--submit", is_flag=True, help="Hand it to compliance at once.")
@_as
def create(plan: Path | None, submit: bool, email: str, **options: Any) -> None:
    """Make a campaign from options, or from a JSON file whose values the options override."""
    facts = _plan(plan) | {key: value for key, value in options.items() if value}
    if not facts.get("name"):
        raise click.UsageError("A campaign needs a name: --name, or “name” in the file.")
    with sentences(), unit_of_work():
        actor = _person(email, Permission.EDIT_CAMPAIGNS)
        campaign = service.create_campaign(
            name=facts["name"],
            code=facts.get("code"),
            purpose=facts.get("purpose", "marketing"),
            tags=facts.get("tags", ()),
            window_days=facts.get("window_days", 30),
            actor=actor,
        )
        service.set_segments(
            campaign=campaign,
            include=_segments(facts, "include"),
            exclude=_segments(facts, "exclude"),
            report=_segments(facts, "report"),
            actor=actor,
        )
        if facts.get("control"):
            set_control(campaign=campaign, percent=float(facts["control"]), segments={}, actor=actor)
        if facts.get("content"):
            body = Path(facts["content"])
            service.set_content(
                campaign=campaign,
                format="mjml" if body.suffix == ".mjml" else "html",
                subject=facts.get("subject", ""),
                preheader=facts.get("preheader", ""),
                source=body.read_text(encoding="utf-8-sig"),
                actor=actor,
            )
        service.set_seeds(campaign=campaign, emails=facts.get("seeds", ()), actor=actor)
        if submit:
            service.submit(campaign=campaign, actor=actor)
    _tell(campaign)


def _plan(file: Path | None) -> dict[str, Any]:
    """The JSON file's values. A relative content file is looked for beside it."""
    if file is None:
        return {}
    try:
        facts = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise click.ClickException(f"{file} is not JSON: {error}") from error
    if not isinstance(facts, dict):
        raise click.ClickException(f"{file} must hold one JSON object.")
    known = {param.name for param in create.params} - {"plan", "submit", "email"}
    unknown = sorted(set(facts) - known)
    if unknown:
        raise click.ClickException(f"{file} has an unknown name: {unknown[0]}. Known are {', '.join(sorted(known))}.")
    if type(facts.get("control", 0)) not in (int, float):
        raise click.ClickException(f"“control” in {file} must be a number.")
    for name in ("include", "exclude", "report", "tags", "seeds"):
        if not isinstance(facts.get(name, []), list):
            raise click.ClickException(f"“{name}” in {file} must be a list.")
    if "content" in facts:
        facts["content"] = str(file.parent / facts["content"])
        if not Path(facts["content"]).is_file():
            raise click.ClickException(f"There is no file {facts['content']}.")
    return facts


def _segments(facts: dict[str, Any], role: str) -> list[Segment]:
    return [segment_named(name) for name in facts.get(role, ())]


@campaigns_cli.command("submit")
@click.argument("code")
@_as
def submit_campaign(code: str, email: str) -> None:
    """Hand a draft to compliance."""
    with sentences(), unit_of_work():
        actor = _person(email, Permission.EDIT_CAMPAIGNS)
        campaign = queries.campaign_by_code(code, viewer=actor)
        service.submit(campaign=campaign, actor=actor)
    _tell(campaign)


@campaigns_cli.command("approve")
@click.argument("code")
@_as
def approve(code: str, email: str) -> None:
    """Approve a submitted campaign, as somebody other than its author."""
    with sentences(), unit_of_work():
        actor = _person(email, Permission.APPROVE_CAMPAIGNS)
        campaign = queries.campaign_by_code(code, viewer=actor)
        service.approve(campaign=campaign, actor=actor)
    _tell(campaign)


@campaigns_cli.command("launch")
@click.argument("code")
@_as
def launch(code: str, email: str) -> None:
    """Start sending an approved campaign. The workers do the rest."""
    with sentences(), unit_of_work():
        actor = _person(email, Permission.RUN_CAMPAIGNS)
        campaign = queries.campaign_by_code(code, viewer=actor)
        service.launch(campaign=campaign, actor=actor)
    _tell(campaign)


@campaigns_cli.command("status")
@click.argument("code")
def status(code: str) -> None:
    """Where a campaign stands, as JSON; before the launch with the size of its audience as of now."""
    with sentences():
        campaign = queries.campaign_by_code(code, viewer=None)
        times = {
            name: moment and moment.isoformat()
            for name in ("submitted_at", "approved_at", "send_at", "launched_at", "finished_at")
            if (moment := getattr(campaign, name)) is not None
        }
        facts: dict[str, Any] = {"code": campaign.code, "name": campaign.name, "state": campaign.state, **times}
        if campaign.launched_at is None:
            counts = queries.audience_preview(campaign)
            split = expected_split(campaign, counts.eligible)
            facts |= {"matched": counts.matched, "excluded": counts.exclusions, "eligible": counts.eligible}
            facts |= {"treated": split.treated, "control": split.control}
    click.echo(json.dumps(facts, ensure_ascii=False))
