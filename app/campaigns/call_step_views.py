"""The page on which the script of a call or visit is written."""

from collections.abc import Iterator

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from app.campaigns.call_step import CALL, script_segments, set_script
from app.campaigns.models import Campaign, Step
from app.campaigns.queries import campaign_by_code
from app.campaigns.step_kinds import step_of
from app.campaigns.views import Page, asked_variant, bp, page_of
from app.content.calls.models import CallScript
from app.content.calls.service import MAX_OBJECTIONS
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

SPARE_ROWS = 3


@bp.route("/<code>/script", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def script(code: str) -> Page:
    """The script of the step in the address (`step_id`)."""
    campaign = campaign_by_code(code, viewer=signed_in_user())
    step = step_of(campaign, request.values.get("step_id", 0, type=int), CALL)
    if request.method == "POST":
        return _save(campaign, step)
    stored = (asked_variant(step) or step).call_script
    typed = _typed_before(stored or step.call_script)
    typed["seen"] = str(stored.id if stored else 0)
    return _script_page(campaign, step, typed)


@requires(Permission.EDIT_CAMPAIGNS)
def _save(campaign: Campaign, step: Step) -> Page:
    typed, step_id = request.form, step.id
    try:
        with unit_of_work():
            set_script(
                campaign=campaign,
                step=step,
                variant=asked_variant(step),
                kind=typed.get("kind", ""),
                goal=typed.get("goal", ""),
                words=typed.get("words", ""),
                parts={segment_id: typed.get(f"part-{segment_id}", "") for segment_id in script_segments(campaign)},
                objections=list(_objections(typed)),
                actor=signed_in_user(),
                seen_script_id=typed.get("seen", type=int),
            )
    except AppError as error:
        flash(str(error), "error")
        campaign = campaign_by_code(campaign.code, viewer=signed_in_user())
        return _script_page(campaign, step_of(campaign, step_id, CALL), typed), error.status
    flash(_("The script is saved."), "success")
    letter = request.values.get("variant")
    return redirect(url_for("campaigns.script", code=campaign.code, step_id=step_id, variant=letter))


def _objections(typed: MultiDict[str, str]) -> Iterator[tuple[str, str]]:
    answers = typed.getlist("answer")
    for number, objection in enumerate(typed.getlist("objection")[: MAX_OBJECTIONS + 1]):
        yield objection, answers[number] if number < len(answers) else ""


def _typed_before(stored: CallScript | None) -> MultiDict[str, str]:
    """The stored script as the form would have sent it."""
    if stored is None:
        return MultiDict([("kind", "call")])
    typed: MultiDict[str, str] = MultiDict(
        [("kind", stored.kind), ("goal", stored.goal), ("words", stored.words), ("seen", str(stored.id))]
    )
    for part in stored.parts:
        typed.add(f"part-{part['segment_id']}", part["words"])
    for pair in stored.objections:
        typed.add("objection", pair["objection"])
        typed.add("answer", pair["answer"])
    return typed


def _script_page(campaign: Campaign, step: Step, typed: MultiDict[str, str]) -> str:
    pairs = [*_objections(typed), *[("", "")] * SPARE_ROWS][:MAX_OBJECTIONS]
    names = {link.segment_id: link.segment.name for link in campaign.segments}
    return page_of(
        "script",
        campaign,
        current_step=step,
        step=step,
        words=asked_variant(step) or step,
        typed=typed,
        pairs=pairs,
        segments=[(segment_id, names[segment_id]) for segment_id in script_segments(campaign)],
    )
