"""The campaign pages: a list, a page per campaign, and its five steps."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from flask import Blueprint, Response, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as AnyResponse

from app.audiences.obstacles import REASON_LABELS
from app.audiences.queries import all_segments
from app.audiences.usage import Use
from app.campaigns import queries, service
from app.campaigns.forms import NewCampaignForm, ScheduleForm, SendBackForm, SetupForm, zone_name
from app.campaigns.guide import next_action, steps
from app.campaigns.models import (
    PURPOSE_LABELS,
    SEGMENT_ROLES,
    STATE_LABELS,
    STATE_TONES,
    Campaign,
    State,
    Step,
    Variant,
)
from app.campaigns.preflight import preflight
from app.campaigns.sending_forms import SendingForm, sending_facts
from app.campaigns.sending_rules import rules_in_force
from app.campaigns.step_kinds import all_words, step_kind, step_kinds, step_of, words_of
from app.campaigns.topics import set_topic
from app.clients.queries import find_client, sees_whole_book
from app.content import starters
from app.content.forms import MessageForm, field_menu, start_from
from app.content.previews import preview_page, refusal_page
from app.content.queries import template_library
from app.content.service import new_content
from app.core.errors import AppError, NotFound
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.core.web import can, sandboxed
from app.users.sessions import signed_in_user

bp = Blueprint("campaigns", __name__, url_prefix="/campaigns")
SETTLED_BY_LAUNCH = {"setup", "audience", "show", "control", "comparison"}
Page = str | AnyResponse | tuple[str, int]

ACTION_LABELS = {
    "campaign.created": _l("Created"),
    "campaign.copied": _l("Copied from another campaign"),
    "campaign.updated": _l("Setup changed"),
    "campaign.audience_changed": _l("Audience changed"),
    "campaign.content_changed": _l("Message changed"),
    "campaign.step_added": _l("Step added"),
    "campaign.step_removed": _l("Step removed"),
    "campaign.step_moved": _l("Order of the steps changed"),
    "campaign.seeds_changed": _l("Seed list changed"),
    "campaign.submitted": _l("Submitted for approval"),
    "campaign.approved": _l("Approved"),
    "campaign.returned": _l("Returned with a reason"),
    "campaign.withdrawn": _l("Taken back to draft"),
    "campaign.scheduled": _l("Scheduled"),
    "campaign.unscheduled": _l("Schedule taken back"),
    "campaign.launched": _l("Launched"),
    "campaign.paused": _l("Paused"),
    "campaign.resumed": _l("Resumed"),
    "campaign.cancelled": _l("Cancelled"),
    "campaign.completed": _l("Completed"),
    "campaign.sending_changed": _l("When and how changed"),
    "campaign.control_changed": _l("Control group changed"),
    "campaign.variant_added": _l("Variant added"),
    "campaign.variant_removed": _l("Variant removed"),
    "campaign.test_changed": _l("Comparison of the variants changed"),
    "campaign.rest_sent": _l("A variant sent to the rest"),
    "campaign.counting_changed": _l("How results are counted changed"),
    "campaign.lead_form_changed": _l("Lead form changed"),
    "campaign.targets_changed": _l("Targets changed"),
    "campaign.held": _l("Held: the audience differs from the approved one"),
    "campaign.audience_accepted": _l("The audience of the launch approved"),
    "campaign.revising": _l("Revision begun"),
    "campaign.clients_checked": _l("Clients checked a second time"),
    "test_sent": _l("Test sent"),
}


@bp.app_context_processor
def words() -> dict[str, Any]:
    """What several campaign templates need."""
    return {
        "campaign_state_labels": STATE_LABELS,
        "campaign_state_tones": STATE_TONES,
        "campaign_purpose_labels": PURPOSE_LABELS,
        "has_endpoint": current_app.view_functions.__contains__,
        "step_kind": step_kind,
        "step_kinds": step_kinds,
        "all_words": all_words,
        "asked_variant": asked_variant,
    }


def segment_uses(segment_ids: Sequence[int]) -> Iterable[Use]:
    """For the segment pages: the campaigns that use these segments."""
    for segment_id, code, name in queries.campaigns_using(segment_ids):
        yield Use(segment_id, name, url_for("campaigns.show", code=code))


def _campaign(code: str) -> Campaign:
    return queries.campaign_by_code(code, viewer=signed_in_user())


def page_of(template: str, campaign: Campaign, **more: Any) -> str:
    """A page of one campaign, with its steps and whether this reader may edit it now."""
    state = State(campaign.state)
    may_edit = can(Permission.EDIT_CAMPAIGNS) and queries.in_own_part(campaign, signed_in_user())
    return render_template(
        f"campaigns/{template}.html",
        campaign=campaign,
        state=state,
        State=State,
        steps=steps(campaign),
        next=next_action(campaign, signed_in_user()),
        may_edit=may_edit,
        editable=may_edit and (state == State.DRAFT or (state == State.REVISING and template not in SETTLED_BY_LAUNCH)),
        **more,
    )


# ---- The list and the campaign --------------------------------------------------------------------------------------


@bp.get("")
@requires(Permission.VIEW_CAMPAIGNS)
def index() -> str:
    filters = {key: request.args.get(key, "").strip() for key in ("search", "state", "tag")}
    page = queries.campaign_page(
        viewer=signed_in_user(),
        **filters,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template(
        "campaigns/index.html",
        page=page,
        filters=filters,
        counts=queries.campaign_counts(viewer=signed_in_user()),
        tags=queries.campaign_tags(viewer=signed_in_user()),
    )


@bp.route("/new", methods=["GET", "POST"])
@requires(Permission.EDIT_CAMPAIGNS)
def create() -> Page:
    form = NewCampaignForm()
    if not form.validate_on_submit():
        return render_template("campaigns/create.html", form=form), 422 if form.errors else 200
    try:
        with unit_of_work():
            campaign = service.create_campaign(**form.facts(), code=form.code.data or None, actor=signed_in_user())
            set_topic(campaign=campaign, topic_id=form.topic_id.data, actor=signed_in_user())
    except AppError as error:
        flash(str(error), "error")
        return render_template("campaigns/create.html", form=form), 422
    return redirect(url_for("campaigns.audience", code=campaign.code))


@bp.get("/<code>")
@requires(Permission.VIEW_CAMPAIGNS)
def show(code: str) -> str:
    campaign = _campaign(code)
    return page_of(
        "show",
        campaign,
        segments={role: queries.segments_of(campaign, role) for role in SEGMENT_ROLES},
        history=queries.history(campaign),
        action_labels=ACTION_LABELS,
        people=queries.people_of(campaign),
    )


# ---- 1 Setup --------------------------------------------------------------------------------------------------------


@bp.route("/<code>/setup", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def setup(code: str) -> Page:
    campaign = _campaign(code)
    form = SetupForm(topic=campaign.topic)
    if request.method == "GET":
        form.fill(campaign)
        return page_of("setup", campaign, form=form)
    return _save_setup(campaign, form)


@requires(Permission.EDIT_CAMPAIGNS)
def _save_setup(campaign: Campaign, form: SetupForm) -> Page:
    if not form.validate_on_submit():
        return page_of("setup", campaign, form=form), 422
    with unit_of_work():
        service.update_campaign(campaign=campaign, **form.facts(), actor=signed_in_user())
        set_topic(campaign=campaign, topic_id=form.topic_id.data, actor=signed_in_user())
    flash(_("The setup is saved."), "success")
    return redirect(url_for("campaigns.setup", code=campaign.code))


# ---- 2 Audience -----------------------------------------------------------------------------------------------------


@bp.get("/<code>/audience")
@requires(Permission.VIEW_CAMPAIGNS)
def audience(code: str) -> str:
    campaign = _campaign(code)
    chosen = {role: queries.segments_of(campaign, role) for role in SEGMENT_ROLES}
    return page_of(
        "audience",
        campaign,
        segments=chosen,
        choices=all_segments(),
        sizes_known=sees_whole_book(signed_in_user()),
        sentences=queries.segment_sentences(chain.from_iterable(chosen.values())),
    )


@bp.post("/<code>/audience")
@requires(Permission.EDIT_CAMPAIGNS)
def change_audience(code: str) -> AnyResponse:
    """Add or remove one segment in one role; the page is read again afterwards."""
    campaign = _campaign(code)
    chosen = {role: queries.segments_of(campaign, role) for role in SEGMENT_ROLES}
    role = request.form.get("role", "")
    if role in chosen:
        added, removed = request.form.get("add", type=int), request.form.get("remove", type=int)
        chosen[role] = [segment for segment in chosen[role] if segment.id not in (added, removed)]
        chosen[role] += [segment for segment in all_segments() if segment.id == added]
        with unit_of_work():
            service.set_segments(campaign=campaign, **chosen, actor=signed_in_user())
    return redirect(url_for("campaigns.audience", code=campaign.code), 303)


@bp.get("/<code>/audience/counts")
@requires(Permission.VIEW_CAMPAIGNS)
def counts(code: str) -> str:
    """A fragment: matched, excluded by reason, left to send to."""
    campaign = _campaign(code)
    return render_template(
        "campaigns/_counts.html",
        counts=queries.audience_preview(campaign, viewer=signed_in_user()),
        partial=not sees_whole_book(signed_in_user()),
        reasons=REASON_LABELS,
        campaign=campaign,
    )


# ---- 3 Message ------------------------------------------------------------------------------------------------------


@bp.route("/<code>/message", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def message(code: str) -> Page:
    """The message of a campaign: the e-mail of the step asked for, or the editor of its first step."""
    campaign = _campaign(code)
    form = MessageForm()
    step = _email_step(campaign)
    if request.method == "POST":
        return _save_message(campaign, step, form)
    if step is None:
        first = campaign.steps[0]
        return redirect(url_for(step_kind(first.channel).endpoint, code=campaign.code, step_id=first.id))
    content = (asked_variant(step) or step).content
    start = start_from(request.args.get("start")) or content or step.content
    if start is not None:
        form.fill(start)
    form.seen.data = str(content.id if content else 0)
    return _message_page(campaign, step, form, started=start is not content)


def asked_variant(step: Step) -> Variant | None:
    """The variant that the address names; None where it is the step itself, which is variant A."""
    words = words_of(step, request.values.get("variant"))
    return words if isinstance(words, Variant) else None


def _email_step(campaign: Campaign) -> Step | None:
    """The e-mail that the address names. Without a name: the first step, where that is an e-mail."""
    step_id = request.values.get("step_id", type=int)
    if step_id is not None:
        return step_of(campaign, step_id, "email")
    return campaign.steps[0] if campaign.steps[0].channel == "email" else None


@requires(Permission.EDIT_CAMPAIGNS)
def _save_message(campaign: Campaign, step: Step | None, form: MessageForm) -> Page:
    if step is None:
        raise NotFound
    if not form.validate_on_submit():
        return _message_page(campaign, step, form), 422
    step_id, variant, words = step.id, asked_variant(step), form.words()
    try:
        with unit_of_work():
            service.set_content(
                campaign=campaign,
                step=step,
                variant=variant,
                format=words["format"],
                subject=words["subject"],
                preheader=words["preheader"],
                source=words["source"],
                actor=signed_in_user(),
                seen_content_id=int(form.seen.data) if form.seen.data.isdecimal() else None,
            )
    except AppError as error:
        flash(str(error), "error")
        campaign = _campaign(campaign.code)
        return _message_page(campaign, step_of(campaign, step_id, "email"), form), error.status
    flash(_("The message is saved."), "success")
    letter = request.values.get("variant")
    return redirect(url_for("campaigns.message", code=campaign.code, step_id=step_id, variant=letter))


def _message_page(campaign: Campaign, step: Step, form: MessageForm, *, started: bool = False) -> str:
    return page_of(
        "message",
        campaign,
        current_step=step,
        form=form,
        fields=field_menu(),
        content=(asked_variant(step) or step).content,
        started=started,
        starters=starters.STARTERS,
        templates=template_library(),
    )


@bp.route("/<code>/message/preview", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def preview(code: str) -> Response:
    """The message as a client would see it: what is stored (GET), or what is in the editor (POST), saving nothing."""
    campaign = _campaign(code)
    number = request.values.get("client_number", "").strip()
    try:
        if request.method == "POST":
            content = new_content(**MessageForm().words(), actor=None)
        elif (step := _email_step(campaign)) is not None and (stored := (asked_variant(step) or step).content):
            content = stored
        else:
            return sandboxed(refusal_page(NotFound(_("There is no message yet."))))
        client = find_client(number, user=signed_in_user()) if number else None
        return sandboxed(preview_page(content, client=client, mode=request.values.get("mode", "")))
    except AppError as error:
        return sandboxed(refusal_page(error))


@bp.post("/<code>/seeds")
@requires(Permission.EDIT_CAMPAIGNS)
def seeds(code: str) -> AnyResponse:
    campaign = _campaign(code)
    emails = request.form.get("emails", "").replace(",", "\n").splitlines()
    try:
        with unit_of_work():
            service.set_seeds(campaign=campaign, emails=emails, actor=signed_in_user())
    except AppError as error:
        flash(str(error), "error")
    else:
        flash(_("The seed list is saved."), "success")
    return redirect(url_for("campaigns.message", code=campaign.code))


# ---- 4 Check and approve --------------------------------------------------------------------------------------------


@bp.get("/<code>/review")
@requires(Permission.VIEW_CAMPAIGNS)
def review(code: str) -> str:
    return _review_page(_campaign(code), SendBackForm())


def _review_page(campaign: Campaign, form: SendBackForm) -> str:
    chosen = {role: queries.segments_of(campaign, role) for role in SEGMENT_ROLES}
    return page_of(
        "review",
        campaign,
        form=form,
        findings=preflight(campaign),
        endpoints={step.id: step_kind(step.channel).endpoint for step in campaign.steps},
        segments=chosen,
        sentences=queries.segment_sentences(chain.from_iterable(chosen.values())),
        **sending_facts(campaign),
        people=queries.people_of(campaign),
        client_number=request.args.get("client_number", "").strip(),
        decides=State(campaign.state) == State.IN_REVIEW
        and can(Permission.APPROVE_CAMPAIGNS)
        and campaign.submitted_by_id != signed_in_user().id,
    )


@bp.post("/<code>/submit")
@requires(Permission.EDIT_CAMPAIGNS)
def submit(code: str) -> AnyResponse:
    campaign = _campaign(code)
    try:
        with unit_of_work():
            service.submit(campaign=campaign, actor=signed_in_user())
    except service.NotReady as error:
        flash(str(error), "error")
    else:
        flash(_("It is with compliance now."), "success")
    return redirect(url_for("campaigns.review", code=code))


@bp.post("/<code>/approve")
@requires(Permission.APPROVE_CAMPAIGNS)
def approve(code: str) -> AnyResponse:
    campaign = _campaign(code)
    with unit_of_work():
        service.approve(campaign=campaign, actor=signed_in_user(), seen=datetime.fromisoformat(request.form["seen"]))
    flash(_("Approved. Marketing may launch it now."), "success")
    return redirect(url_for("campaigns.show", code=campaign.code))


@bp.post("/<code>/send-back")
@requires(Permission.APPROVE_CAMPAIGNS)
def send_back(code: str) -> Page:
    campaign = _campaign(code)
    form = SendBackForm()
    if not form.validate_on_submit():
        return _review_page(campaign, form), 422
    with unit_of_work():
        service.send_back(campaign=campaign, reason=form.reason.data, actor=signed_in_user())
    flash(_("Returned to the author with your reason."), "success")
    return redirect(url_for("campaigns.show", code=campaign.code))


@bp.post("/<code>/withdraw")
@requires(Permission.EDIT_CAMPAIGNS)
def withdraw(code: str) -> AnyResponse:
    return act(code, service.withdraw, _("It is a draft again and can be changed."), "campaigns.show")


# ---- 5 Send and follow ----------------------------------------------------------------------------------------------


@bp.get("/<code>/send")
@requires(Permission.VIEW_CAMPAIGNS)
def send(code: str) -> str:
    return send_page(_campaign(code), ScheduleForm())


def send_page(campaign: Campaign, form: ScheduleForm, *, sending_form: SendingForm | None = None) -> str:
    """The page of when, how and how far it is."""
    ready = State(campaign.state) in (State.APPROVED, State.SCHEDULED) and campaign.launched_at is None
    return page_of(
        "send",
        campaign,
        form=form,
        zone=zone_name(),
        counts=queries.audience_preview(campaign, viewer=signed_in_user()) if ready else None,
        partial=not sees_whole_book(signed_in_user()),
        reasons=REASON_LABELS,
        tolerance=rules_in_force().launch_tolerance,
        **sending_facts(campaign, sending_form),
    )


@bp.post("/<code>/schedule")
@requires(Permission.RUN_CAMPAIGNS)
def schedule(code: str) -> Page:
    campaign = _campaign(code)
    form = ScheduleForm()
    if not form.validate_on_submit():
        return send_page(campaign, form), 422
    try:
        with unit_of_work():
            service.schedule(campaign=campaign, send_at=form.moment(), actor=signed_in_user())
    except AppError as error:
        form.send_at.errors = [str(error)]
        return send_page(_campaign(code), form), error.status
    flash(_("It is scheduled."), "success")
    return redirect(url_for("campaigns.send", code=campaign.code))


@bp.post("/<code>/unschedule")
@requires(Permission.RUN_CAMPAIGNS)
def unschedule(code: str) -> AnyResponse:
    return act(code, service.unschedule, _("The schedule is taken back. The approval stands."))


@bp.post("/<code>/launch")
@requires(Permission.RUN_CAMPAIGNS)
def launch(code: str) -> AnyResponse:
    return act(code, service.launch, _("Launched. The audience is being locked."))


@bp.post("/<code>/pause")
@requires(Permission.RUN_CAMPAIGNS)
def pause(code: str) -> AnyResponse:
    return act(code, service.pause, _("Paused."))


@bp.post("/<code>/resume")
@requires(Permission.RUN_CAMPAIGNS)
def resume(code: str) -> AnyResponse:
    return act(code, service.resume, _("Sending goes on."))


@bp.post("/<code>/cancel")
@requires(Permission.RUN_CAMPAIGNS)
def cancel(code: str) -> AnyResponse:
    return act(code, service.cancel, _("Cancelled. Nothing more leaves."))


@bp.post("/<code>/duplicate")
@requires(Permission.EDIT_CAMPAIGNS)
def duplicate(code: str) -> AnyResponse:
    campaign = _campaign(code)
    with unit_of_work():
        copy = service.duplicate(campaign=campaign, actor=signed_in_user())
    flash(_("This is the copy. Give it a name of its own."), "success")
    return redirect(url_for("campaigns.setup", code=copy.code))


def act(code: str, verb: Callable[..., None], done: str, endpoint: str = "campaigns.send") -> AnyResponse:
    """Do a verb that needs no more than the campaign and who does it; say so; go on."""
    campaign = _campaign(code)
    with unit_of_work():
        verb(campaign=campaign, actor=signed_in_user())
    flash(done, "success")
    return redirect(url_for(endpoint, code=campaign.code))
