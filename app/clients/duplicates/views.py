"""Pairs of clients who may be one: the list, the comparison, the merge."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.duplicates import queries, service
from app.clients.duplicates.models import STATES
from app.clients.editing.service import version_of
from app.clients.forms import CHANNEL_LABELS, ReasonForm
from app.clients.labels import FLAG_LABELS
from app.core.errors import Conflict
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

duplicates = Blueprint("duplicates", __name__, url_prefix="/client-duplicates")
SIGN_LABELS = {
    "identity": _l("same identity number"),
    "mobile": _l("same mobile"),
    "email": _l("same e-mail"),
    "name_birth": _l("same name and birth date"),
}


def _two(stays: str, goes: str) -> tuple[Any, Any]:
    return queries.find_two(stays.replace("\x00", ""), goes.replace("\x00", ""), user=signed_in_user())


@duplicates.get("/")
@requires(Permission.MERGE_CLIENTS)
def index() -> Any:
    state = request.args.get("state", "open")
    state = state if state in STATES[:2] else "open"
    return render_template(
        "clients/duplicates/index.html",
        page=queries.pairs_page(user=signed_in_user(), state=state, after=request.args.get("after", "")),
        state=state,
        search=queries.last_search(),
        signs=SIGN_LABELS,
    )


@duplicates.post("/search")
@requires(Permission.MERGE_CLIENTS)
def search() -> Any:
    with unit_of_work():
        service.order_search(actor=signed_in_user())
    flash(_("The whole book is being searched. This takes about half a minute for a million clients."), "info")
    return redirect(url_for(".index"))


@duplicates.get("/compare")
@requires(Permission.MERGE_CLIENTS)
def compare() -> Any:
    """Two records side by side: `stays` and `goes` are client numbers."""
    return _comparison(*_two(request.args.get("stays", ""), request.args.get("goes", "")))


def _comparison(stays: Any, goes: Any, form: ReasonForm | None = None) -> tuple[str, int]:
    wills = {
        channel: (getattr(stays, f"{channel}_consent"), getattr(goes, f"{channel}_consent"))
        for channel in CHANNEL_LABELS
    }
    page = render_template(
        "clients/duplicates/compare.html",
        stays=stays,
        goes=goes,
        lines=queries.compare(stays, goes),
        weights=queries.weights([stays, goes]),
        pair=queries.pair_of(stays, goes),
        seen=(version_of(stays), version_of(goes)),
        wills=wills,
        channels=CHANNEL_LABELS,
        flags=FLAG_LABELS,
        signs=SIGN_LABELS,
        reason_form=form or ReasonForm(prefix="dismiss"),
    )
    return page, 422 if form else 200


@duplicates.post("/merge")
@requires(Permission.MERGE_CLIENTS)
def merge() -> Any:
    stays, goes = _two(request.form.get("stays", ""), request.form.get("goes", ""))
    take = {
        name.removeprefix("take-"): value
        for name, value in request.form.items()
        if name.startswith("take-") and value in ("survivor", "loser")
    }
    try:
        with unit_of_work():
            service.merge_clients(
                survivor=stays,
                loser=goes,
                take=take,
                seen=(request.form.get("seen-stays", ""), request.form.get("seen-goes", "")),
                actor=signed_in_user(),
            )
    except Conflict as error:
        flash(str(error), "danger")
        return redirect(url_for(".index"))
    flash(_("The two records are one now. The number of the other one leads here too."), "success")
    return redirect(url_for("clients.show", number=stays.number))


@duplicates.post("/dismiss")
@requires(Permission.MERGE_CLIENTS)
def dismiss() -> Any:
    stays, goes = _two(request.form.get("stays", ""), request.form.get("goes", ""))
    form = ReasonForm(prefix="dismiss")
    if not form.validate():
        return _comparison(stays, goes, form)
    with unit_of_work():
        service.dismiss(one=stays, other=goes, reason=form.reason.data, actor=signed_in_user())
    flash(_("Remembered: these two are not the same person."), "success")
    return redirect(url_for(".index"))
