"""What managers see of contact tasks: how they stand, what is overdue, who is away, and the rules of the work."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from app.advising import queries, service
from app.advising.forms import AbsenceForm, RulesForm
from app.advising.placing import one_at_a_time, place_tasks
from app.advising.trading_days import rules_in_force
from app.clients.ownership.queries import able_to_advise
from app.core.clock import today
from app.core.errors import AppError, NotFound
from app.core.extensions import db
from app.core.form_fields import options
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.absences import absences_of, end_absence, note_absence
from app.users.models import Absence, Branch, User
from app.users.sessions import signed_in_user

contact_tasks = Blueprint("contact_tasks", __name__, url_prefix="/contacts")
PERIODS = (7, 30, 90, 365)


@contact_tasks.get("/overview")
@requires(Permission.VIEW_CONTACTS)
def overview() -> str:
    me = signed_in_user()
    days = request.args.get("days", 30, type=int)
    days = days if days in PERIODS else PERIODS[1]
    campaigns = queries.campaigns_with_tasks(me)
    chosen = request.args.get("campaign", type=int)
    chosen = chosen if chosen in {campaign_id for campaign_id, _name in campaigns} else None
    lines = queries.funnels(me, since=today() - timedelta(days=days - 1), campaign_id=chosen)
    return render_template(
        "advising/overview.html",
        lines=lines,
        total=queries.total_funnel(lines),
        days=days,
        periods=PERIODS,
        campaigns=campaigns,
        campaign_id=chosen,
        overdue=queries.waiting_for_decision(me),
        queue=queries.without_adviser(me),
        decides=service.decides(me),
    )


@contact_tasks.post("/tasks/<int:task_id>/<any(another_day, close):verb>")
@requires(Permission.VIEW_CONTACTS)
def decide(task_id: int, verb: str) -> Response:
    """What becomes of an overdue task."""
    task = queries.task_in_scope(task_id, user=signed_in_user())
    with unit_of_work():
        if verb == "close":
            service.close_uncontacted(task=task, actor=signed_in_user())
        else:
            service.give_another_day(task=task, actor=signed_in_user())
    flash(_("Closed as not contacted.") if verb == "close" else _("It will be listed again."), "success")
    return redirect(url_for("contact_tasks.overview"), 303)


# ---- Absences -------------------------------------------------------------------------------------------------------


@contact_tasks.route("/absences", methods=["GET", "POST"])
@requires(Permission.VIEW_CONTACTS)
def absences() -> Any:
    me = signed_in_user()
    form = AbsenceForm()
    people = _people(me)
    form.user.choices = options((person.id, person.name) for person in people)
    form.deputy.choices = options({0: _("Nobody")} | {person.id: person.name for person in _deputies(me)})
    if request.method == "GET" and any(person.id == me.id for person in people):
        form.user.data = me.id
    if form.validate_on_submit():
        try:
            with unit_of_work():
                note_absence(
                    user=db.session.get_one(User, form.user.data),
                    deputy=db.session.get(User, form.deputy.data) if form.deputy.data else None,
                    first_day=form.first_day.data,
                    last_day=form.last_day.data,
                    actor=me,
                )
                one_at_a_time()
                place_tasks()
            flash(_("The absence is noted."), "success")
            return redirect(url_for("contact_tasks.absences"), 303)
        except AppError as refusal:
            flash(str(refusal), "error")
    found = absences_of(_answered_for(me))
    return render_template("advising/absences.html", form=form, absences=found), 422 if form.is_submitted() else 200


@contact_tasks.post("/absences/<int:absence_id>/end")
@requires(Permission.VIEW_CONTACTS)
def end(absence_id: int) -> Response:
    found = db.session.scalar(
        select(Absence).where(Absence.id == absence_id, Absence.user_id.in_(_answered_for(signed_in_user())))
    )
    if found is None:
        raise NotFound
    with unit_of_work():
        end_absence(absence=found, actor=signed_in_user())
        one_at_a_time()
        place_tasks()
    flash(_("The absence is ended; the tasks go back."), "success")
    return redirect(url_for("contact_tasks.absences"), 303)


def _answered_for(me: User) -> Any:
    """The ids of the people whose absences the person may note, as a subquery."""
    whose = queries.answered_for(me, decides=service.decides(me))
    return select(User.id).join(Branch, Branch.id == User.branch_id).where(able_to_advise(), whose)


def _people(me: User) -> list[User]:
    found = select(User).where(User.id.in_(_answered_for(me))).order_by(func.lower(User.name), User.id).limit(1000)
    return list(db.session.scalars(found))


def _deputies(me: User) -> list[User]:
    """Advisers of the same branch or team, and those the person answers for."""
    near = (User.branch_id == me.branch_id) | User.id.in_(_answered_for(me))
    if me.team_id is not None:
        near = near | (User.team_id == me.team_id)
    found = select(User).where(able_to_advise(), near).order_by(func.lower(User.name), User.id).limit(1000)
    return list(db.session.scalars(found))


# ---- Rules ----------------------------------------------------------------------------------------------------------


@contact_tasks.route("/rules", methods=["GET", "POST"])
@requires(Permission.SET_CONTACT_RULES)
def rules() -> Any:
    form = RulesForm()
    if request.method == "GET":
        now = rules_in_force()
        form.daily_cap.data, form.grace_days.data = now.daily_cap, now.grace_days
        form.escalation_days.data = now.escalation_days
        form.holidays.data = "\n".join(day.isoformat() for day in now.holidays)
    elif form.validate_on_submit():
        try:
            with unit_of_work():
                service.change_rules(
                    daily_cap=form.daily_cap.data,
                    grace_days=form.grace_days.data,
                    escalation_days=form.escalation_days.data,
                    holidays=form.closed_days(),
                    actor=signed_in_user(),
                )
            flash(_("The rules are in force, and the lists are made anew."), "success")
            return redirect(url_for("contact_tasks.rules"), 303)
        except AppError as refusal:
            flash(str(refusal), "error")
    return render_template("advising/rules.html", form=form), 422 if form.is_submitted() else 200
