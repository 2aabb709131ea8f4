"""The page on which a leaver's access, clients and other things are passed on, step by step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from wtforms import SelectChoice

from app.clients.classes.queries import class_choices
from app.clients.ownership import queries, service
from app.clients.ownership.by_tier import hand_over_or_order
from app.clients.ownership.forms import (
    EndForm,
    HandOverForm,
    PassOnForm,
    TierPlanForm,
    people,
    tier_field,
    tier_plan_form,
)
from app.clients.ownership.handing_over import belongings_of, pass_on, possible_successors, transfer_or_order
from app.clients.ownership.loads import loads_of
from app.clients.ownership.views import chosen_advisers, moved_words, ownership
from app.core.errors import AppError, NotFound
from app.core.permissions import Permission, allows, requires
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from app.users.queries import contains
from app.users.service import close_account, freeze_user, unfreeze_user
from app.users.sessions import signed_in_user


@ownership.get("/staff/<int:user_id>/hand-over")
@requires(Permission.MANAGE_OWNERSHIP)
def hand_over(user_id: int) -> Any:
    return _hand_over_page(_leaver(user_id), None)


def _leaver(user_id: int) -> User:
    """Somebody in the reach of the person. Only an administrator deals with staff who do more than advise."""
    leaver = queries.user_in_reach(user_id, user=signed_in_user())
    if not allows(signed_in_user(), Permission.ADMINISTER) and not (
        set(leaver.roles) == {"adviser"} and contains(signed_in_user().branch, leaver.branch)
    ):
        raise NotFound
    return leaver


def _hand_over_page(leaver: User, form: HandOverForm | None, plan: TierPlanForm | None = None) -> str:
    me = signed_in_user()
    parts = queries.owned_parts(leaver, user=me)
    return render_template(
        "clients/ownership/hand_over.html",
        leaver=leaver,
        lines=_tier_lines(parts),
        plan=plan or _plan_form(leaver, parts),
        seen=sum(part.number for part in parts),
        left=queries.roles_left(leaver.id),
        form=form or _hand_over_form(leaver, parts),
        shares_form=_hand_over_form(leaver, parts),
        freeze_form=EndForm(prefix="freeze"),
        things=[(kind, number, _pass_on_form(kind, leaver)) for kind, number in belongings_of(leaver.id)],
    )


@dataclass(frozen=True, slots=True)
class TierLine:
    """A tier of the leaver's clients: the field of the plan that asks about it, and how many in which branch."""

    field: str
    label: str
    branches: list[queries.Belonging]

    @property
    def number(self) -> int:
        return sum(part.number for part in self.branches)


def _tier_lines(parts: list[queries.Belonging]) -> list[TierLine]:
    """The best tier first; a code that the model no longer has, and clients without a tier, last."""
    labels = dict(class_choices("aum_tier"))
    order = {code: place for place, code in enumerate(labels)}
    tiers = sorted({part.tier for part in parts}, key=lambda tier: (tier is None, order.get(tier or "", len(order))))
    return [
        TierLine(
            tier_field(tier),
            labels.get(tier, tier) if tier else _("No tier"),
            [part for part in parts if part.tier == tier],
        )
        for tier in tiers
    ]


def _plan_form(leaver: User, parts: list[queries.Belonging]) -> TierPlanForm:
    heirs = [person for person in queries.advisers_in_reach(signed_in_user()) if person.id != leaver.id]
    choices = [
        SelectChoice("", _("Stay with %(name)s for now", name=leaver.name)),
        SelectChoice("pool", _("The pool")),
        *(
            SelectChoice(
                str(load.adviser.id),
                _(
                    "%(name)s (%(branch)s): %(owned)s of %(capacity)s",
                    name=load.adviser.name,
                    branch=load.adviser.branch.name,
                    owned=load.owned,
                    capacity=load.capacity,
                ),
            )
            for load in loads_of(heirs)
        ),
    ]
    return tier_plan_form(sorted({part.tier for part in parts}, key=str), choices)


def _hand_over_form(leaver: User, parts: list[queries.Belonging]) -> HandOverForm:
    form = HandOverForm()
    branches = {part.branch_id: part.branch for part in parts}
    numbers = {key: sum(part.number for part in parts if part.branch_id == key) for key in branches}
    whole = f"owner:{leaver.id}"
    form.part.choices = [SelectChoice(whole, _("All of them (%(number)s)", number=sum(numbers.values())))]
    if len(branches) > 1:
        form.part.choices += [
            SelectChoice(f"{whole}:branch:{key}", f"{name} ({numbers[key]})") for key, name in branches.items()
        ]
    form.to.choices = people(
        [adviser for adviser in queries.advisers_in_reach(signed_in_user()) if adviser.id != leaver.id]
    )
    return form


def _pass_on_form(kind: Any, leaver: User) -> PassOnForm:
    form = PassOnForm(prefix=kind.key.replace(" ", "-"))
    form.successor.choices = people(possible_successors(kind, leaver=leaver, actor=signed_in_user()))
    return form


@ownership.post("/staff/<int:user_id>/hand-over/clients")
@requires(Permission.MANAGE_OWNERSHIP)
def hand_over_clients(user_id: int) -> Any:
    leaver = _leaver(user_id)
    form = _hand_over_form(leaver, queries.owned_parts(leaver, user=signed_in_user()))
    if not form.validate():
        return _hand_over_page(leaver, form), 422
    try:
        with unit_of_work():
            moved = transfer_or_order(
                words=form.part.data, to=chosen_advisers(form.to.data), reason=form.reason.data, actor=signed_in_user()
            )
    except AppError as error:
        form.to.errors = [*form.to.errors, str(error)]
        return _hand_over_page(leaver, form), 422
    flash(moved_words(moved), "success")
    return redirect(url_for(".hand_over", user_id=user_id))


@ownership.post("/staff/<int:user_id>/hand-over/tiers")
@requires(Permission.MANAGE_OWNERSHIP)
def hand_over_by_tier(user_id: int) -> Any:
    leaver = _leaver(user_id)
    form = _plan_form(leaver, queries.owned_parts(leaver, user=signed_in_user()))
    if not form.validate():
        return _hand_over_page(leaver, None, form), 422
    advisers = {str(adviser.id): adviser for adviser in queries.advisers_in_reach(signed_in_user())}
    plan = {tier: advisers.get(choice) for tier, choice in form.choices().items()}
    try:
        with unit_of_work():
            moved = hand_over_or_order(leaver=leaver, plan=plan, reason=form.reason.data, actor=signed_in_user())
    except AppError as error:
        form.refusal = str(error)
        return _hand_over_page(leaver, None, form), 422
    flash(moved_words(moved), "success")
    return redirect(url_for(".hand_over", user_id=user_id))


@ownership.post("/staff/<int:user_id>/hand-over/shares")
@requires(Permission.MANAGE_OWNERSHIP)
def hand_over_shares(user_id: int) -> Any:
    leaver = _leaver(user_id)
    ids = request.form.getlist("to", type=int)
    return _done(
        leaver,
        lambda: service.hand_over_shares_and_credits(
            leaver=leaver, to=chosen_advisers(ids), reason=request.form.get("reason", ""), actor=signed_in_user()
        ),
        _("Shares and credits are passed on."),
    )


@ownership.post("/staff/<int:user_id>/hand-over/things/<kind>")
@requires(Permission.MANAGE_OWNERSHIP)
def hand_over_things(user_id: int, kind: str) -> Any:
    leaver = _leaver(user_id)
    successor = queries.user_in_reach(
        request.form.get(f"{kind.replace(' ', '-')}-successor", 0, type=int), user=signed_in_user()
    )
    return _done(
        leaver,
        lambda: pass_on(key=kind, leaver=leaver, successor=successor, actor=signed_in_user()),
        _("They belong to %(name)s now.", name=successor.name),
    )


@ownership.post("/staff/<int:user_id>/freeze")
@requires(Permission.MANAGE_OWNERSHIP)
def freeze(user_id: int) -> Any:
    leaver = _leaver(user_id)
    reason = request.form.get("freeze-reason", "")
    return _done(
        leaver,
        lambda: freeze_user(user=leaver, reason=reason, actor=signed_in_user()),
        _("%(name)s is signed out everywhere and cannot sign in.", name=leaver.name),
    )


@ownership.post("/staff/<int:user_id>/unfreeze")
@requires(Permission.MANAGE_OWNERSHIP)
def unfreeze(user_id: int) -> Any:
    leaver = _leaver(user_id)
    return _done(
        leaver,
        lambda: unfreeze_user(user=leaver, actor=signed_in_user()),
        _("%(name)s can sign in again.", name=leaver.name),
    )


@ownership.post("/staff/<int:user_id>/close")
@requires(Permission.MANAGE_OWNERSHIP)
def close(user_id: int) -> Any:
    leaver = _leaver(user_id)
    return _done(
        leaver,
        lambda: close_account(user=leaver, actor=signed_in_user()),
        _("The account of %(name)s is closed.", name=leaver.name),
    )


def _done(leaver: User, verb: Callable[[], object], sentence: str) -> Any:
    """Do one step of the hand-over and come back to its page, with its success or its refusal."""
    user_id = leaver.id
    try:
        with unit_of_work():
            verb()
    except AppError as error:
        flash(str(error), "error")
    else:
        flash(sentence, "success")
    return redirect(url_for(".hand_over", user_id=user_id))
