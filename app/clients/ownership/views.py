"""Pages of ownership: the pool, the load of advisers, transfers, leavers, and the panel on the page of a client."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from wtforms import SelectChoice

from app.clients.classes.queries import class_choices
from app.clients.masking import mask_account, mask_name
from app.clients.models import Client
from app.clients.ownership import queries, service
from app.clients.ownership.allotting import order_allotment
from app.clients.ownership.forms import (
    MAX_NUMBERS,
    AllotForm,
    AssignForm,
    CapacityForm,
    EndForm,
    HandOverForm,
    PassOnForm,
    TransferForm,
    people,
)
from app.clients.ownership.handing_over import (
    belongings_of,
    clients_numbered,
    open_jobs,
    pass_on,
    possible_successors,
    selections,
    transfer_or_order,
)
from app.clients.queries import find_client
from app.core.errors import AppError, NotFound
from app.core.permissions import Permission, allows, requires
from app.core.unit_of_work import unit_of_work
from app.users.forms import branch_choices
from app.users.models import User
from app.users.queries import branch_in_scope, branch_tree, contains
from app.users.service import close_account, freeze_user, unfreeze_user
from app.users.sessions import signed_in_user

ownership = Blueprint("ownership", __name__)


def _role_labels() -> dict[str, str]:
    return {"owner": _("Owner"), "second": _("Second adviser"), "credit": _("Credited")}


# ---- The pool -------------------------------------------------------------------------------------------------------


@ownership.get("/pool")
@requires(Permission.VIEW_POOL)
def pool() -> Any:
    filters = queries.PoolFilters(
        search=request.args.get("search", "").strip(), branch=request.args.get("branch", "").strip()
    )
    form = _allot_form() if allows(signed_in_user(), Permission.MANAGE_OWNERSHIP) else None
    return _pool_page(filters, form)


def _pool_page(filters: queries.PoolFilters, form: AllotForm | None) -> str:
    me = signed_in_user()
    return render_template(
        "clients/ownership/pool.html",
        page=queries.pool_page(user=me, filters=filters, after=request.args.get("after", type=int)),
        count=queries.pool_count(user=me, filters=filters),
        filters=filters,
        branches=branch_tree(me.branch),
        form=form,
        jobs=open_jobs() if form else [],
        load=queries.load_of(me) if allows(me, Permission.CLAIM_CLIENTS) else None,
        masked_number=mask_account,
        masked_name=mask_name,
        tiers=dict(class_choices("aum_tier")),
    )


@ownership.post("/pool/<int:client_id>/claim")
@requires(Permission.CLAIM_CLIENTS)
def claim(client_id: int) -> Any:
    try:
        with unit_of_work():
            client = service.claim(client_id=client_id, actor=signed_in_user())
    except service.AlreadyOwned as refusal:
        flash(str(refusal), "error")
        return redirect(url_for(".pool"))
    flash(_("The client is yours now."), "success")
    return redirect(url_for("clients.show", number=client.number))


@ownership.post("/pool/allot")
@requires(Permission.MANAGE_OWNERSHIP)
def allot() -> Any:
    form = _allot_form()
    if not form.validate():
        return _pool_page(queries.PoolFilters(), form), 422
    with unit_of_work():
        order_allotment(
            branch=branch_in_scope(form.branch.data, actor=signed_in_user()),
            across=form.across.data == "all",
            minimum=form.minimum.data,
            reason=_("Allotted from the pool"),
            actor=signed_in_user(),
        )
    flash(_("The pool is being allotted; this page tells how far it has come."), "success")
    return redirect(url_for(".pool"))


def _allot_form() -> AllotForm:
    form = AllotForm()
    form.branch.choices = branch_choices(branch_tree(signed_in_user().branch))
    return form


# ---- Advisers and what they look after ------------------------------------------------------------------------------


@ownership.route("/advisers", methods=["GET", "POST"])
@requires(Permission.MANAGE_OWNERSHIP)
def advisers() -> Any:
    form = CapacityForm(capacity=queries.default_capacity())
    if form.is_submitted() and form.validate():
        with unit_of_work():
            service.set_default_capacity(capacity=form.capacity.data, actor=signed_in_user())
        flash(_("The capacity is saved."), "success")
        return redirect(url_for(".advisers"))
    loads = queries.adviser_loads(signed_in_user())
    tiers = [*class_choices("aum_tier"), (None, _("No tier"))]
    used = {tier for load in loads for tier in load.tiers}
    return render_template(
        "clients/ownership/advisers.html",
        loads=loads,
        tiers=[(code, label) for code, label in tiers if code in used],
        form=form if allows(signed_in_user(), Permission.ADMINISTER) else None,
        capacity=queries.default_capacity(),
        over=sum(1 for load in loads if load.over),
        waiting=queries.pool_count(user=signed_in_user(), filters=queries.PoolFilters()),
    ), 422 if form.errors else 200


# ---- Transfers ------------------------------------------------------------------------------------------------------


@ownership.route("/clients-transfer", methods=["GET", "POST"])
@requires(Permission.MANAGE_OWNERSHIP)
def transfer() -> Any:
    form = _transfer_form()
    if form.validate_on_submit():
        try:
            flash(_transferred(form), "success")
            return redirect(url_for(".advisers"))
        except AppError as error:
            form.to.errors = [*form.to.errors, str(error)]
    return render_template("clients/ownership/transfer.html", form=form), 422 if form.errors else 200


def _transfer_form() -> TransferForm:
    form, me = TransferForm(), signed_in_user()
    offered: dict[str, list[SelectChoice]] = {
        _("An adviser’s"): [
            SelectChoice(f"owner:{load.adviser.id}", f"{load.adviser.name} ({load.owned})")
            for load in queries.adviser_loads(me)
            if load.owned
        ]
    }
    for kind in selections():
        offered[str(kind.label)] = [SelectChoice(f"{kind.key}:{one}", name) for one, name in kind.choices(me)]
    form.clients.choices = {
        _("Typed"): [SelectChoice("numbers", _("A list of client numbers"))],
        **{label: choices for label, choices in offered.items() if choices},
    }
    form.to.choices = people(queries.advisers_in_reach(me))
    return form


def _transferred(form: TransferForm) -> str:
    """Move the clients and say what happened. Raises AppError with what is wrong."""
    to = _chosen_advisers(form.to.data)
    if form.clients.data != "numbers":
        with unit_of_work():
            return _moved(
                transfer_or_order(words=form.clients.data, to=to, reason=form.reason.data, actor=signed_in_user())
            )
    numbers = form.listed()
    if not numbers or len(numbers) > MAX_NUMBERS:
        raise AppError(_("Enter from 1 to %(most)s client numbers.", most=MAX_NUMBERS))
    with unit_of_work():
        moved = service.transfer_clients(
            clients=clients_numbered(numbers), to=to, reason=form.reason.data, actor=signed_in_user()
        )
    return _moved(moved)


def _moved(number: int | None) -> str:
    if number is None:
        return str(_("There are many clients; a worker moves them now. The page of advisers tells the new numbers."))
    return str(ngettext("%(num)s client has changed hands.", "%(num)s clients have changed hands.", number))


def _chosen_advisers(ids: list[int]) -> list[User]:
    return [adviser for adviser in queries.advisers_in_reach(signed_in_user()) if adviser.id in set(ids)]


# ---- Leavers --------------------------------------------------------------------------------------------------------


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


def _hand_over_page(leaver: User, form: HandOverForm | None) -> str:
    me = signed_in_user()
    parts = queries.owned_parts(leaver, user=me)
    return render_template(
        "clients/ownership/hand_over.html",
        leaver=leaver,
        parts=parts,
        seen=sum(part.number for part in parts),
        left=queries.roles_left(leaver.id),
        form=form or _hand_over_form(leaver, parts),
        shares_form=_hand_over_form(leaver, parts),
        freeze_form=EndForm(prefix="freeze"),
        things=[(kind, number, _pass_on_form(kind, leaver)) for kind, number in belongings_of(leaver.id)],
        tiers=dict(class_choices("aum_tier")),
    )


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
                words=form.part.data, to=_chosen_advisers(form.to.data), reason=form.reason.data, actor=signed_in_user()
            )
    except AppError as error:
        form.to.errors = [*form.to.errors, str(error)]
        return _hand_over_page(leaver, form), 422
    flash(_moved(moved), "success")
    return redirect(url_for(".hand_over", user_id=user_id))


@ownership.post("/staff/<int:user_id>/hand-over/shares")
@requires(Permission.MANAGE_OWNERSHIP)
def hand_over_shares(user_id: int) -> Any:
    leaver = _leaver(user_id)
    ids = request.form.getlist("to", type=int)
    return _done(
        leaver,
        lambda: service.hand_over_shares_and_credits(
            leaver=leaver, to=_chosen_advisers(ids), reason=request.form.get("reason", ""), actor=signed_in_user()
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


# ---- The panel on the page of a client ------------------------------------------------------------------------------


@ownership.get("/clients/<number>/ownership")
@requires(Permission.VIEW_CLIENTS)
def panel(number: str) -> Any:
    """Who looks after the client, since when, and who did before: a fragment of the client's page."""
    return _panel(find_client(number, user=signed_in_user()), None)


def _panel(client: Client, form: AssignForm | None) -> str:
    may_assign = allows(signed_in_user(), Permission.MANAGE_OWNERSHIP)
    return render_template(
        "clients/ownership/_panel.html",
        client=client,
        history=queries.ownership_history(client),
        credited=queries.credited(client.id),
        form=(form or _assign_form()) if may_assign else None,
        end_form=EndForm(prefix="end") if may_assign else None,
        roles=_role_labels(),
    )


def _assign_form() -> AssignForm:
    form = AssignForm()
    form.adviser.choices = people(queries.advisers_in_reach(signed_in_user()))
    return form


@ownership.post("/clients/<number>/ownership")
@requires(Permission.MANAGE_OWNERSHIP)
def assign(number: str) -> Any:
    client, form = find_client(number, user=signed_in_user()), _assign_form()
    if not form.validate():
        return _panel(client, form), 422
    adviser = queries.user_in_reach(form.adviser.data, user=signed_in_user())
    verbs: dict[str, Callable[..., None]] = {
        "assign": service.assign, "share": service.share, "credit": service.credit,
    }  # fmt: skip
    return _changed(
        client,
        lambda: verbs[form.what.data](client=client, adviser=adviser, reason=form.reason.data, actor=signed_in_user()),
    )


@ownership.post("/clients/<number>/ownership/end/<any(release, unshare, credit):what>")
@requires(Permission.MANAGE_OWNERSHIP)
def end(number: str, what: str) -> Any:
    client = find_client(number, user=signed_in_user())
    reason = request.form.get("end-reason", "")
    verbs: dict[str, Callable[[], None]] = {
        "release": lambda: service.release(client=client, reason=reason, actor=signed_in_user()),
        "unshare": lambda: service.unshare(client=client, reason=reason, actor=signed_in_user()),
        "credit": lambda: service.credit(client=client, adviser=None, reason=reason, actor=signed_in_user()),
    }
    return _changed(client, verbs[what])


def _changed(client: Client, verb: Callable[[], None]) -> Any:
    number = client.number
    try:
        with unit_of_work():
            verb()
    except AppError as error:
        flash(str(error), "error")
    else:
        flash(_("Saved; the history of the client tells it."), "success")
    return redirect(url_for("clients.show", number=number))
