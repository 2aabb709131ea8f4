"""The client list and the page of a client."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.clients import profile, queries, service
from app.clients.duplicates.queries import merged_numbers, pairs_of
from app.clients.duplicates.views import duplicates
from app.clients.editing.queries import open_corrections
from app.clients.editing.views import editing
from app.clients.feeds.views import feeds
from app.clients.field_views import fields
from app.clients.forms import CHANNEL_LABELS, STATEMENT_LABELS, STATEMENT_SOURCES, ConsentForm, ReasonForm
from app.clients.holdings.views import holdings
from app.clients.import_views import imports
from app.clients.labels import FLAG_LABELS, GENDER_LABELS, KIND_LABELS, STATUS_LABELS, holding_label
from app.clients.listing import DEFAULT_SORT, SORTS, Filters, class_filters, clients_count, clients_page, decode_cursor
from app.clients.masking import mask_account, mask_email, mask_mobile
from app.clients.models import Client
from app.clients.notes.queries import notes_of
from app.clients.notes.service import may_edit
from app.clients.notes.views import notes
from app.clients.relations.queries import relations_of
from app.clients.relations.views import relations
from app.clients.suppression_views import suppression
from app.clients.tagging.views import tagging
from app.clients.timeline import place_of, timeline
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.core.web import can
from app.users.queries import branch_tree
from app.users.sessions import signed_in_user

clients = Blueprint("clients", __name__)
clients.register_blueprint(imports)
clients.register_blueprint(suppression)
clients.register_blueprint(fields)
clients.register_blueprint(feeds)
for _part in (editing, notes, relations, tagging, duplicates, holdings):
    clients.register_blueprint(_part)


@clients.app_template_filter("masked_email")
def masked_email(address: str | None) -> str | None:
    return mask_email(address)


@clients.app_template_filter("masked_mobile")
def masked_mobile(number: str | None) -> str | None:
    return mask_mobile(number)


@clients.app_template_filter("holding_label")
def holding_words(kind: str) -> str:
    return holding_label(kind)


@clients.app_template_filter("masked_account")
def masked_account(number: str | None) -> str | None:
    return mask_account(number)


@clients.get("/clients/")
@requires(Permission.VIEW_CLIENTS)
def index() -> Any:
    given = {name: request.args.get(name, "").replace("\x00", "").strip() for name in Filters.__slots__}
    filters = Filters(**given)
    sort = request.args.get("sort", DEFAULT_SORT)
    sort = sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT
    before, after = request.args.get("before", ""), request.args.get("after", "")
    place = decode_cursor(sort.removeprefix("-"), before or after, backwards=bool(before))
    kept = {name: value for name, value in given.items() if value}
    return render_template(
        "clients/index.html",
        page=clients_page(user=signed_in_user(), filters=filters, sort=sort, cursor=place),
        count=clients_count(user=signed_in_user(), filters=filters),
        filters=filters,
        kept=kept,
        sort=sort,
        branches=branch_tree(signed_in_user().branch),
        advisers=queries.adviser_names(signed_in_user()),
        statuses=STATUS_LABELS,
        classes=class_filters(),
    )


@clients.get("/clients/<number>")
@requires(Permission.VIEW_CLIENTS)
def show(number: str) -> Any:
    client = queries.find_client(number, user=signed_in_user())
    if client.number != number:  # merged into another record, which is the client's page now
        return redirect(url_for(".show", number=client.number))
    return _page(client)


def _page(client: Client, *, consent_form: ConsentForm | None = None, contact: service.Revealed | None = None) -> str:
    ids = queries.record_ids(client.id)
    accounts = queries.accounts_of(client.id)
    return render_template(
        "clients/show.html",
        client=client,
        custom=queries.custom_values(client),
        accounts=accounts,
        totals=profile.totals(accounts),
        positions=profile.positions_of(client.id),
        metrics=profile.metrics_of(client.id),
        metric_lines=profile.METRICS,
        risk=profile.risk_state(client),
        statements=queries.consent_statements(ids),
        matter=queries.consent_matter,
        suppressed=queries.suppressed_channels(client),
        history=timeline(ids),
        notes=notes_of(ids),
        may_edit_note=may_edit,
        relations=relations_of(client, user=signed_in_user()),
        corrections=open_corrections(client.id),
        duplicates=pairs_of(client.id, user=signed_in_user()) if can(Permission.MERGE_CLIENTS) else 0,
        merged=merged_numbers(client.id),
        consent_form=consent_form or ConsentForm(),
        reason_form=ReasonForm(prefix="reveal"),
        contact=contact,
        me=signed_in_user(),
        statuses=STATUS_LABELS,
        kinds=KIND_LABELS,
        genders=GENDER_LABELS,
        flags=FLAG_LABELS,
        channels=CHANNEL_LABELS,
        matters=STATEMENT_LABELS,
        sources=STATEMENT_SOURCES,
    )


@clients.get("/clients/<number>/timeline")
@requires(Permission.VIEW_CLIENTS)
def older(number: str) -> Any:
    """Older entries of the time line, for the end of the page's list, or without script as a page of their own."""
    client = queries.find_client(number, user=signed_in_user())
    place = place_of(request.args.get("until", ""), request.args.get("skip", type=int))
    page = "clients/_timeline.html" if request.headers.get("HX-Request") else "clients/timeline.html"
    return render_template(page, client=client, history=timeline(queries.record_ids(client.id), place=place))


@clients.post("/clients/<number>/contact")
@requires(Permission.REVEAL_CONTACT)
def reveal(number: str) -> Any:
    """Show the contact data once, for a reason; the answer is never stored in the browser."""
    client = queries.find_client(number, user=signed_in_user())
    form = ReasonForm(prefix="reveal")
    contact = None
    if form.validate():
        with unit_of_work():
            contact = service.reveal_contact(client=client, reason=form.reason.data, actor=signed_in_user())
    status = 200 if contact else 422
    if request.headers.get("HX-Request"):
        accounts = queries.accounts_of(client.id)
        page = render_template(
            "clients/_contact.html", client=client, contact=contact, accounts=accounts, reason_form=form
        )
        return page, status
    return _page(client, contact=contact), status


@clients.post("/clients/<number>/consent")
@requires(Permission.VIEW_CLIENTS)
def consent(number: str) -> Any:
    client = queries.find_client(number, user=signed_in_user())
    form = ConsentForm()
    if not form.validate():
        return _page(client, consent_form=form), 422
    with unit_of_work():
        service.record_will(
            client=client,
            matter=form.matter.data,
            granted=form.granted.data == "yes",
            source=form.source.data,
            wording=form.wording.data,
            actor=signed_in_user(),
        )
    flash(_("The client’s wish has been recorded and holds from now on."), "success")
    return redirect(url_for(".show", number=number))
