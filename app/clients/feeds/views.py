"""The pages of feeds: the list, one feed, its columns with a preview, a run."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, stream_with_context, url_for
from flask_babel import gettext as _

from app.clients.feeds import queries, service
from app.clients.feeds.definitions import TARGETS, read_definition
from app.clients.feeds.forms import FeedForm, LoadForm, SampleForm, ScheduleForm, definition_of_form
from app.clients.feeds.labels import ENCODINGS, KIND_LABELS, KNOWN_KINDS, SCHEDULE_LABELS, SIGN_LABELS, STATE_LABELS
from app.clients.feeds.models import Feed, FeedRun
from app.clients.feeds.refusals import mask_of_run, refusal_lines, shown_rehearsal
from app.clients.feeds.running import Rehearsal, rehearse
from app.clients.feeds.schedule import folder_of
from app.clients.importing.refusals import shown_refusals
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

feeds = Blueprint("feeds", __name__, url_prefix="/client-feeds")


def _feed(feed_id: int) -> Feed:
    return queries.find_feed(feed_id, user=signed_in_user())


@feeds.get("/")
@requires(Permission.MANAGE_FEEDS)
def index() -> Any:
    queries.require_whole_firm(signed_in_user())
    return render_template(
        "clients/feeds/index.html",
        lines=queries.feed_lines(),
        kinds=KIND_LABELS,
        schedules=SCHEDULE_LABELS,
        states=STATE_LABELS,
    )


@feeds.route("/new", methods=["GET", "POST"])
@requires(Permission.MANAGE_FEEDS)
def create() -> Any:
    queries.require_whole_firm(signed_in_user())
    form = FeedForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                feed = service.create_feed(
                    name=form.name.data, kind=form.kind.data, source=form.source.data, actor=signed_in_user()
                )
                service.take_sample(feed=feed, stream=form.file.data.stream, actor=signed_in_user())
            return redirect(url_for(".columns", feed_id=feed.id))
        except service.NameTaken as error:
            form.name.errors = [str(error)]
        except service.BadFeed as error:
            (form.source if error.message is service.BAD_SOURCE else form.name).errors = [str(error)]
        except AppError as error:
            form.file.errors = [str(error)]
    return render_template("clients/feeds/create.html", form=form), 422 if request.method == "POST" else 200


@feeds.get("/<int:feed_id>")
@requires(Permission.MANAGE_FEEDS)
def show(feed_id: int) -> Any:
    return _feed_page(_feed(feed_id), LoadForm(formdata=None))


def _feed_page(feed: Feed, load_form: LoadForm, status: int = 200) -> Any:
    page = queries.runs_page(
        feed.id,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    schedule_form = ScheduleForm(
        formdata=None,
        data={"schedule": feed.schedule or "", "daily_at": feed.daily_at, "enabled": feed.enabled},
    )
    return render_template(
        "clients/feeds/show.html",
        feed=feed,
        page=page,
        load_form=load_form,
        schedule_form=schedule_form,
        folder=folder_of(feed),
        kinds=KIND_LABELS,
        schedules=SCHEDULE_LABELS,
        states=STATE_LABELS,
        targets=TARGETS[feed.kind],
    ), status


@feeds.route("/<int:feed_id>/columns", methods=["GET", "POST"])
@requires(Permission.MANAGE_FEEDS)
def columns(feed_id: int) -> Any:
    """Choose the columns. "Preview" tries them on the sample, "Save" keeps them."""
    feed = _feed(feed_id)
    known = _columns_of(feed)
    plain, problem, tried = None, None, None
    if request.method == "POST":
        plain = definition_of_form(request.form, feed.kind, known)
        try:
            service.check_definition(feed, plain)
            tried = _rehearsal(feed, plain)
            if "save" in request.form:
                with unit_of_work():
                    service.define_feed(feed=feed, definition=plain, actor=signed_in_user())
                flash(_("The columns are kept. The next files are read like this."), "success")
                return redirect(url_for(".show", feed_id=feed_id))
        except AppError as error:
            problem = str(error)
    elif feed.sample is not None:
        try:
            tried = _rehearsal(feed, service.suggested_definition(feed))
        except AppError:
            tried = None  # the guess is not whole yet; the page asks for the rest
    if plain is None:
        plain = service.suggested_definition(feed) if feed.definition or feed.sample else {"columns": {}}
    return render_template(
        "clients/feeds/columns.html",
        feed=feed,
        columns=known,
        plain=plain,
        problem=problem,
        tried=tried,
        targets=TARGETS[feed.kind],
        signs=SIGN_LABELS,
        encodings=ENCODINGS,
        known_kinds=KNOWN_KINDS,
        sample_form=SampleForm(formdata=None),
    ), 422 if problem else 200


def _columns_of(feed: Feed) -> list[str]:
    """The sample's columns; without a sample those that the definition names."""
    if feed.sample is not None:
        return list(feed.sample["columns"])
    return sorted(read_definition(feed.definition, feed.kind).used_columns) if feed.definition else []


def _rehearsal(feed: Feed, plain: dict[str, Any]) -> Rehearsal | None:
    definition = read_definition(plain, feed.kind)
    if feed.sample is None:
        return None
    tried = rehearse(feed=feed, definition=definition, columns=feed.sample["columns"], rows=feed.sample["rows"])
    return shown_rehearsal(tried, columns=feed.sample["columns"], definition=definition, kind=feed.kind)


@feeds.post("/<int:feed_id>/sample")
@requires(Permission.MANAGE_FEEDS)
def sample(feed_id: int) -> Any:
    feed, form = _feed(feed_id), SampleForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                service.take_sample(feed=feed, stream=form.file.data.stream, actor=signed_in_user())
        except AppError as error:
            flash(str(error), "error")
    else:
        flash(_("Please choose a file."), "error")
    return redirect(url_for(".columns", feed_id=feed_id))


@feeds.post("/<int:feed_id>/schedule")
@requires(Permission.MANAGE_FEEDS)
def schedule(feed_id: int) -> Any:
    feed, form = _feed(feed_id), ScheduleForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                service.schedule_feed(
                    feed=feed,
                    schedule=form.schedule.data or None,
                    daily_at=form.daily_at.data,
                    enabled=form.enabled.data,
                    actor=signed_in_user(),
                )
            flash(_("The schedule is kept."), "success")
        except AppError as error:
            flash(str(error), "error")
    else:
        flash(_("A schedule is hourly, or daily with a time of day."), "error")
    return redirect(url_for(".show", feed_id=feed_id))


@feeds.post("/<int:feed_id>/load")
@requires(Permission.MANAGE_FEEDS)
def load(feed_id: int) -> Any:
    feed, form = _feed(feed_id), LoadForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                run = service.receive_file(
                    feed=feed,
                    stream=form.file.data.stream,
                    name=form.file.data.filename or "",
                    actor=signed_in_user(),
                    again=form.again.data,
                )
            return redirect(url_for(".run", run_id=run.id))
        except (service.NotDefined, service.SwitchedOff) as error:
            flash(str(error), "error")  # the page shows no form then
            return redirect(url_for(".show", feed_id=feed_id))
        except AppError as error:
            form.file.errors = [str(error)]
    return _feed_page(feed, form, 422)


@feeds.post("/<int:feed_id>/collect")
@requires(Permission.MANAGE_FEEDS)
def collect(feed_id: int) -> Any:
    with unit_of_work():
        started = service.collect_now(feed=_feed(feed_id), actor=signed_in_user())
    flash(
        _("A worker is looking into the folder.") if started else _("The folder is being looked at already."), "success"
    )
    return redirect(url_for(".show", feed_id=feed_id))


# ---- Runs -----------------------------------------------------------------------------------------------------------


@feeds.get("/runs/<int:run_id>")
@requires(Permission.MANAGE_FEEDS)
def run(run_id: int) -> Any:
    found, feed = queries.find_run(run_id, user=signed_in_user())
    return render_template(
        "clients/feeds/run.html",
        run=found,
        feed=feed,
        state=queries.run_state(found),
        states=STATE_LABELS,
        refusals=list(shown_refusals(queries.first_refusals(run_id), mask_of_run(found))),
        owner=queries.staff_name(found.created_by_id),
    )


@feeds.get("/runs/<int:run_id>/progress")
@requires(Permission.MANAGE_FEEDS)
def progress(run_id: int) -> Any:
    """The fragment that replaces itself every second; the page is loaded anew once there is a result."""
    found, _owner = queries.find_run(run_id, user=signed_in_user())
    state = queries.run_state(found)
    response = Response(render_template("clients/feeds/_progress.html", run=found, state=state))
    if state not in ("waiting", "running"):
        response.headers["HX-Refresh"] = "true"
    return response


@feeds.post("/runs/<int:run_id>/again")
@requires(Permission.MANAGE_FEEDS)
def try_again(run_id: int) -> Any:
    found, _owner = queries.find_run(run_id, user=signed_in_user())
    with unit_of_work():
        service.try_again(run=found, actor=signed_in_user())
    return redirect(url_for(".run", run_id=run_id))


@feeds.get("/runs/<int:run_id>/refused.csv")
@requires(Permission.MANAGE_FEEDS)
def refused_file(run_id: int) -> Any:
    found, _owner = queries.find_run(run_id, user=signed_in_user())
    return Response(
        stream_with_context(_with_mark(found)),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="refused-{run_id}.csv"', "X-Accel-Buffering": "no"},
    )


def _with_mark(found: FeedRun) -> Any:
    """The mark tells spreadsheets that this is UTF-8."""
    yield "\ufeff"
    yield from refusal_lines(found)
