"""Today's contacts, the card of a client with its result in two taps, and files of results."""

from typing import Any
from uuid import uuid4

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from app.advising import queries, service
from app.advising.forms import AGAIN, UploadForm, again_at
from app.advising.models import OUTCOMES, STATE_LABELS, UNFINISHED
from app.advising.offering import barred_tasks, quiet_until
from app.advising.result_files import HEAD, import_results
from app.clients import profile
from app.clients.masking import mask_mobile
from app.clients.models import Client
from app.clients.queries import accounts_of, find_client, record_ids
from app.core.clock import now
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.spreadsheet_files import MIME, csv_bytes, watermark, workbook
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

contacts = Blueprint("contacts", __name__, url_prefix="/contacts")
# How a result is taken down: which choices follow the first tap.
FOLLOWING = {
    "reached": ("", "next_day", "week", "at"),
    "no_answer": ("later", "next_day", "three_days", "at"),
    "interested": ("", "next_day", "three_days", "at"),
    "appointment": ("next_day", "three_days", "at"),
    "opened": ("", "week", "at"),
    "refused": ("", "no_calls"),
    "wrong_number": ("",),
}
POSITIONS_SHOWN = 5


@contacts.get("")
@requires(Permission.CONTACT_CLIENTS)
def index() -> str:
    return render_template("advising/index.html", day=queries.day_of(signed_in_user()), outcomes=OUTCOMES)


@contacts.get("/<number>")
@requires(Permission.CONTACT_CLIENTS)
def card(number: str) -> str:
    return _card_page(find_client(number, user=signed_in_user()))


def _card_page(client: Client, *, typed: Any = None) -> str:
    asks, reasons = queries.asks_about(client), barred_tasks(client.id)
    for ask in asks:
        ask.barred = reasons.get(ask.task.id)
    unfinished = [ask for ask in asks if ask.task.state in UNFINISHED]
    open_asks = [ask for ask in unfinished if ask.barred is None]
    accounts = accounts_of(client.id)
    return render_template(
        "advising/card.html",
        client=client,
        asks=asks,
        unfinished=unfinished,
        may_call=bool(open_asks) and bool(client.mobile),
        quiet=quiet_until(client.id, purposes={ask.campaign.purpose for ask in open_asks}) if open_asks else None,
        mobile=mask_mobile(client.mobile),
        risk=profile.risk_state(client),
        totals=profile.totals(accounts),
        positions=profile.positions_of(client.id)[:POSITIONS_SHOWN],
        contacts=queries.contacts_with(record_ids(client.id)),
        outcomes=OUTCOMES,
        following=FOLLOWING,
        again=AGAIN,
        key=uuid4(),
        state_labels=STATE_LABELS,
        typed=typed or {},
    )


@contacts.post("/<number>/call")
@requires(Permission.CONTACT_CLIENTS)
def call(number: str) -> AnyResponse:
    """Have the phone dial. The number is only in the header that tells it so, and never on a page."""
    client = find_client(number, user=signed_in_user())
    try:
        with unit_of_work():
            address = service.dial(client=client, actor=signed_in_user())
    except AppError as refusal:
        flash(str(refusal), "error")
        back = url_for("contacts.card", number=number)
        return Response(headers={"HX-Redirect": back}) if request.headers.get("HX-Request") else redirect(back, 303)
    if request.headers.get("HX-Request"):
        return Response(status=200, headers={"HX-Redirect": f"tel:{address}"})
    return Response(status=303, headers={"Location": f"tel:{address}"})


@contacts.post("/<number>/result")
@requires(Permission.CONTACT_CLIENTS)
def result(number: str) -> Any:
    """The second tap: `outcome`, and `again` (a choice, "at" with a time, "no_calls", or nothing)."""
    client, typed = find_client(number, user=signed_in_user()), request.form
    choice = typed.get("again", "")
    try:
        with unit_of_work():
            service.record_contact(
                contact=service.Contact(
                    key=service.form_key(typed.get("key", "")),
                    client_id=client.id,
                    outcome=typed.get("outcome", ""),
                    at=now(),
                    again_at=again_at(choice, typed.get("at", "")),
                    note=typed.get("note", "").replace("\x00", ""),
                    no_calls=choice == "no_calls",
                ),
                actor=signed_in_user(),
            )
    except AppError as refusal:
        flash(str(refusal), "error")
        return _card_page(find_client(number, user=signed_in_user()), typed=typed), refusal.status
    flash(_("%(name)s: %(result)s", name=client.name or number, result=OUTCOMES[typed["outcome"]].label), "success")
    return redirect(url_for("contacts.index"), 303)


# ---- Files of results -----------------------------------------------------------------------------------------------


@contacts.route("/files", methods=["GET", "POST"])
@requires(Permission.CONTACT_CLIENTS)
def files() -> Any:
    form = UploadForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                done = import_results(
                    stream=form.file.data.stream, name=form.file.data.filename or "", actor=signed_in_user()
                )
        except AppError as refusal:
            form.file.errors = [str(refusal)]
        else:
            return redirect(url_for("contacts.file", import_id=done.id))
    status = 422 if form.errors or form.file.errors else 200
    imports = queries.imports_of(signed_in_user())
    return render_template("advising/files.html", form=form, imports=imports, outcomes=OUTCOMES), status


@contacts.get("/files/empty.xlsx")
@requires(Permission.CONTACT_CLIENTS)
def empty_file() -> Response:
    """A workbook with the right heads and no clients: lists of clients are not for taking away."""
    words = [(_("Contact results"), "", "")]
    words += [(str(one.label), one.words[0], one.words[-1]) for one in OUTCOMES.values()]
    book = workbook(_("Contact results"), HEAD, [], watermark(signed_in_user().name), notes=words)
    response = Response(book.read(), mimetype=MIME["xlsx"])
    response.headers["Content-Disposition"] = "attachment; filename=contact-results.xlsx"
    return response


@contacts.get("/files/<int:import_id>")
@requires(Permission.CONTACT_CLIENTS)
def file(import_id: int) -> str:
    return render_template("advising/file.html", done=queries.import_of(import_id, user=signed_in_user()), shown=50)


@contacts.get("/files/<int:import_id>/refused.csv")
@requires(Permission.CONTACT_CLIENTS)
def refused(import_id: int) -> Response:
    done = queries.import_of(import_id, user=signed_in_user())
    head = (_("Row"), _("Reason"), _("The row as it came"))
    lines = ([row, reason, *cells] for row, reason, cells in done.refused)
    response = Response(csv_bytes(head, lines, watermark(signed_in_user().name)), mimetype=MIME["csv"])
    response.headers["Content-Disposition"] = f"attachment; filename=refused-{done.id}.csv"
    return response
