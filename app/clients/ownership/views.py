"""Pages of ownership: the pool, the load of advisers, transfers, and the panel on the page of a client."""

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
    TransferForm,
    people_with_room,
)
from app.clients.ownership.handing_over import clients_numbered, open_jobs, selections, transfer_or_order
from app.clients.ownership.loads import AdviserLoad, adviser_loads, kinds_of_work, load_of, loads_of
from app.clients.queries import find_client
from app.core.errors import AppError
from app.core.permissions import Permission, allows, requires
from app.core.unit_of_work import unit_of_work
from app.users.forms import branch_choices
from app.users.models import User
from app.users.queries import branch_in_scope, branch_tree
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
        load=load_of(me) if allows(me, Permission.CLAIM_CLIENTS) else None,
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


ADVISERS_SHOWN = 50


@ownership.route("/advisers", methods=["GET", "POST"])
@requires(Permission.VIEW_LOADS)
def advisers() -> Any:
    form = CapacityForm(capacity=queries.default_capacity())
    if form.is_submitted() and form.validate():
        with unit_of_work():
            service.set_default_capacity(capacity=form.capacity.data, actor=signed_in_user())
        flash(_("The capacity is saved."), "success")
        return redirect(url_for(".advisers"))
    everyone = adviser_loads(signed_in_user())
    loads = _loads_asked_for(everyone)
    first = max(0, request.args.get("from", 0, type=int))
    tiers = [*class_choices("aum_tier"), (None, _("No tier"))]
    used = {tier for load in loads for tier in load.tiers}
    return render_template(
        "clients/ownership/advisers.html",
        loads=loads,
        shown=loads[first : first + ADVISERS_SHOWN],
        first=first,
        page=ADVISERS_SHOWN,
        tiers=[(code, label) for code, label in tiers if code in used],
        works=[(kind.key, kind.label) for kind in kinds_of_work()],
        branches=sorted({load.adviser.branch for load in everyone}, key=lambda branch: branch.name),
        teams=sorted({load.adviser.team for load in everyone if load.adviser.team}, key=lambda team: team.name),
        form=form if allows(signed_in_user(), Permission.ADMINISTER) else None,
        capacity=queries.default_capacity(),
        over=sum(1 for load in loads if load.over),
        waiting=queries.pool_count(user=signed_in_user(), filters=queries.PoolFilters()),
    ), 422 if form.errors else 200


def _loads_asked_for(loads: list[AdviserLoad]) -> list[AdviserLoad]:
    """Those of the branch and of the team in the address, where it names them."""
    branch, team = request.args.get("branch", type=int), request.args.get("team", type=int)
    return [load for load in loads if branch in (None, load.adviser.branch_id) and team in (None, load.adviser.team_id)]


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
            for load in adviser_loads(me)
            if load.owned
        ]
    }
    for kind in selections():
        offered[str(kind.label)] = [SelectChoice(f"{kind.key}:{one}", name) for one, name in kind.choices(me)]
    form.clients.choices = {
        _("Typed"): [SelectChoice("numbers", _("A list of client numbers"))],
        **{label: choices for label, choices in offered.items() if choices},
    }
    form.to.choices = people_with_room(loads_of(queries.advisers_in_reach(me)))
    return form


def _transferred(form: TransferForm) -> str:
    """Move the clients and say what happened. Raises AppError with what is wrong."""
    to = chosen_advisers(form.to.data)
    if form.clients.data != "numbers":
        with unit_of_work():
            return moved_words(
                transfer_or_order(words=form.clients.data, to=to, reason=form.reason.data, actor=signed_in_user())
            )
    numbers = form.listed()
    if not numbers or len(numbers) > MAX_NUMBERS:
        raise AppError(_("Enter from 1 to %(most)s client numbers.", most=MAX_NUMBERS))
    with unit_of_work():
        moved = service.transfer_clients(
            clients=clients_numbered(numbers), to=to, reason=form.reason.data, actor=signed_in_user()
        )
    return moved_words(moved)


def moved_words(number: int | None) -> str:
    """The sentence of how many clients changed hands; None: a worker moves them."""
    if number is None:
        return str(_("There are many clients; a worker moves them now. The page of advisers tells the new numbers."))
    return str(ngettext("%(num)s client has changed hands.", "%(num)s clients have changed hands.", number))


def chosen_advisers(ids: list[int]) -> list[User]:
    return [adviser for adviser in queries.advisers_in_reach(signed_in_user()) if adviser.id in set(ids)]


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
    form.adviser.choices = people_with_room(loads_of(queries.advisers_in_reach(signed_in_user())))
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
