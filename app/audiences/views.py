"""Pages of segments."""

import json
import re
from pathlib import PurePath
from typing import Any, BinaryIO, cast

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.audiences import preview as previews
from app.audiences import queries, service
from app.audiences.builder import builder_catalogue, matching_choices
from app.audiences.fields import Catalogue, load_catalogue
from app.audiences.forms import SegmentForm
from app.audiences.gallery import GALLERY, ready_segment
from app.audiences.lists.service import NoNumbers, keep_uploaded_list
from app.audiences.models import Segment
from app.audiences.rules import EVERYONE, Rule, RuleError, dump_rule, parse_rule, parse_rule_text, segments_in
from app.audiences.sentence import sentence
from app.audiences.usage import uses_of
from app.clients.classes.queries import class_choices
from app.clients.contactability import REASON_LABELS
from app.core.errors import AppError, Conflict
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

audiences = Blueprint("audiences", __name__, url_prefix="/segments")


@audiences.get("")
@requires(Permission.VIEW_SEGMENTS)
def index() -> Any:
    search, archived = request.args.get("search", "").strip(), request.args.get("state") == "archived"
    owner = request.args.get("owner", type=int)
    page = queries.segment_page(
        search=search,
        archived=archived,
        owner_id=owner,
        before=request.args.get("before", type=int),
        after=request.args.get("after", type=int),
    )
    catalogue = load_catalogue()
    return render_template(
        "audiences/index.html",
        page=page,
        filters={"search": search or None, "state": "archived" if archived else None, "owner": owner},
        owners=queries.segment_owners(),
        uses=uses_of([segment.id for segment in page.segments]),
        sentences={segment.id: _understand(segment, catalogue)[0] for segment in page.segments},
    )


@audiences.get("/counts")
@requires(Permission.VIEW_SEGMENTS)
def counts() -> Any:
    """The counts of the segments on one page of the list, filled in after it is shown."""
    ids = request.args.getlist("id", type=int)[: queries.PAGE]
    found = queries.segment_counts(queries.segments_with(ids), user=signed_in_user())
    return render_template("audiences/_counts.html", ids=ids, counts=found)


@audiences.route("/new", methods=["GET", "POST"])
@requires(Permission.EDIT_SEGMENTS)
def create() -> Any:
    form = SegmentForm()
    if form.validate_on_submit():
        segment = _save(form, None)
        if segment is not None:
            return redirect(url_for("audiences.show", segment_id=segment.id))
    elif not form.is_submitted():
        ready = ready_segment(request.args.get("ready", ""))
        # Pages that lead here with a rule of their own give it in the address.
        form.rule.data = request.args.get("rule") or json.dumps(ready.rule if ready else EVERYONE)
        if ready:
            form.name.data, form.description.data = str(ready.name), str(ready.description)
    return _builder(form, None)


@audiences.route("/<int:segment_id>/edit", methods=["GET", "POST"])
@requires(Permission.EDIT_SEGMENTS)
def edit(segment_id: int) -> Any:
    segment = queries.find_segment(segment_id)
    form = SegmentForm(obj=segment)
    if form.validate_on_submit():
        if _save(form, segment) is not None:
            return redirect(url_for("audiences.show", segment_id=segment_id))
    elif not form.is_submitted():
        form.rule.data = json.dumps(segment.rule)
    return _builder(form, segment)


@audiences.post("/preview")
@requires(Permission.EDIT_SEGMENTS)
def preview() -> Any:
    """What the builder shows beside the rule after each edit."""
    catalogue = load_catalogue()
    segment_id = request.form.get("segment", type=int)
    try:
        rule = parse_rule_text(
            request.form.get("rule", ""), catalogue, within=queries.find_segment(segment_id) if segment_id else None
        )
    except RuleError as error:
        return render_template("audiences/_problem.html", error=error), 422
    return _preview_of(rule, catalogue, asker=_asker())


@audiences.post("/preview/end")
@requires(Permission.EDIT_SEGMENTS)
def end_preview() -> Any:
    """The builder was left while something was being counted for it."""
    asker = _asker()
    if asker:
        previews.end_questions(user_id=asker.user_id, builder=asker.builder)
    return "", 204


@audiences.get("/choices")
@requires(Permission.EDIT_SEGMENTS)
def choices() -> Any:
    """Choices of a field found by typing, and the names of values chosen already: {choices: [{value, label, hint}]}."""
    found = matching_choices(
        load_catalogue(),
        of=request.args.get("of", ""),
        typed=request.args.get("search", "")[: service.MAX_NAME].replace("\x00", ""),
        chosen=request.args.getlist("value", type=int),
        user=signed_in_user(),
        segment_id=request.args.get("segment", type=int),
    )
    return {"choices": found}


@audiences.post("/number-lists")
@requires(Permission.EDIT_SEGMENTS)
def upload_numbers() -> Any:
    """Keep a file of client numbers; answers it as a choice of the builder: {value, label, hint}.

    With `note` where a line above the numbers was taken as the name of their column, or rows could not be read.
    """
    upload = request.files.get("file")
    if upload is None:
        raise NoNumbers
    with unit_of_work():
        name = PurePath(upload.filename or "").stem
        kept = keep_uploaded_list(name=name, stream=cast(BinaryIO, upload.stream), actor=signed_in_user())
        made = kept.numbers
        choice = {"value": made.id, "label": made.name, "hint": format_decimal(made.size)}
        notes = " ".join(kept.notes)
    return choice | ({"note": notes} if notes else {}), 201


@audiences.get("/<int:segment_id>")
@requires(Permission.VIEW_SEGMENTS)
def show(segment_id: int) -> Any:
    segment = queries.find_segment(segment_id)
    rule, problem = _understand(segment, load_catalogue())
    return render_template(
        "audiences/show.html",
        segment=segment,
        words=rule,
        problem=problem,
        uses=uses_of([segment.id])[segment.id],
        members=queries.segments_with(sorted(segments_in(segment.rule))),
        taken_in_by=queries.segments_with(queries.segments_around(segment.id)),
    )


@audiences.get("/<int:segment_id>/preview")
@requires(Permission.VIEW_SEGMENTS)
def figures(segment_id: int) -> Any:
    """The numbers and the sample of a saved segment, loaded after its page is shown."""
    segment, catalogue = queries.find_segment(segment_id), load_catalogue()
    try:
        rule = parse_rule(segment.rule, catalogue, within=segment)
    except RuleError as error:
        return render_template("audiences/_problem.html", error=error), 422
    return _preview_of(rule, catalogue, segment=segment)


@audiences.get("/<int:segment_id>/clients")
@requires(Permission.VIEW_SEGMENTS)
def clients(segment_id: int) -> Any:
    segment, catalogue = queries.find_segment(segment_id), load_catalogue()
    rule = parse_rule(segment.rule, catalogue)
    words = sentence(rule, catalogue)
    page = queries.clients_page(
        rule,
        user=signed_in_user(),
        before=request.args.get("before", type=int),
        after=request.args.get("after", type=int),
    )
    return render_template("audiences/clients.html", segment=segment, page=page, words=words)


@audiences.post("/<int:segment_id>/duplicate")
@requires(Permission.EDIT_SEGMENTS)
def duplicate(segment_id: int) -> Any:
    with unit_of_work():
        copy = service.duplicate_segment(segment=queries.find_segment(segment_id), actor=signed_in_user())
    flash(_("This is the copy. Change it as you need."), "success")
    return redirect(url_for("audiences.edit", segment_id=copy.id))


@audiences.post("/<int:segment_id>/archive")
@requires(Permission.EDIT_SEGMENTS)
def archive(segment_id: int) -> Any:
    try:
        with unit_of_work():
            service.archive_segment(segment=queries.find_segment(segment_id), actor=signed_in_user())
        flash(_("The segment is archived."), "success")
    except Conflict as refusal:
        flash(str(refusal), "error")
    return redirect(url_for("audiences.show", segment_id=segment_id))


@audiences.post("/<int:segment_id>/restore")
@requires(Permission.EDIT_SEGMENTS)
def restore(segment_id: int) -> Any:
    try:
        with unit_of_work():
            service.restore_segment(segment=queries.find_segment(segment_id), actor=signed_in_user())
        flash(_("The segment is in use again."), "success")
    except Conflict as refusal:
        flash(str(refusal), "error")
    return redirect(url_for("audiences.show", segment_id=segment_id))


def _save(form: SegmentForm, segment: Segment | None) -> Segment | None:
    """The saved segment; None where it was refused, with the sentence on the form."""
    try:
        rule = dump_rule(parse_rule_text(form.rule.data or "", load_catalogue()))
        values: dict[str, Any] = {
            "name": form.name.data,
            "rule": rule,
            "description": form.description.data,
            "actor": signed_in_user(),
        }
        with unit_of_work():
            if segment is None:
                segment = service.create_segment(**values)
            else:
                service.edit_segment(segment=segment, version=form.version.data, **values)
    except AppError as refusal:
        about_name = isinstance(refusal, service.NameMissing | service.NameTooLong | service.NameTaken)
        field = form.name if about_name else form.rule
        field.errors = [*field.errors, str(refusal)]
        return None
    _keep_count(segment)
    flash(_("The segment “%(name)s” is saved.", name=segment.name), "success")
    return segment


def _keep_count(segment: Segment) -> None:
    """The number shown where a segment is chosen; it may stay unknown where counting takes too long."""
    try:
        with unit_of_work():
            service.recount(segment=segment)
    except queries.TooSlow:
        pass


def _builder(form: SegmentForm, segment: Segment | None) -> Any:
    catalogue = load_catalogue()
    page = render_template(
        "audiences/edit.html",
        form=form,
        segment=segment,
        catalogue=builder_catalogue(catalogue, user=signed_in_user(), rule=form.rule.data, segment=segment),
        gallery=() if segment or form.is_submitted() else GALLERY,
    )
    return page, 422 if form.errors else 200


_CHANNELS = {"email": _l("E-mail"), "sms": _l("SMS"), "call": _l("Call")}
_BUILDER = re.compile(r"[a-z0-9]{1,24}")
_LAST_EDIT = 10**9


def _asker() -> previews.Asker | None:
    """Which page asks, so that its next question ends this one; None where it does not say."""
    builder, edit = request.form.get("builder", ""), request.form.get("edit", 0, type=int)
    if not _BUILDER.fullmatch(builder):
        return None
    return previews.Asker(signed_in_user().id, builder, min(max(edit, 0), _LAST_EDIT))


def _preview_of(
    rule: Rule, catalogue: Catalogue, *, segment: Segment | None = None, asker: previews.Asker | None = None
) -> Any:
    words = sentence(rule, catalogue)
    try:
        found = previews.preview(rule, user=signed_in_user(), asker=asker)
    except queries.TooSlow as error:
        return render_template("audiences/_problem.html", error=error, words=None if segment else words), 422
    except previews.Superseded:
        return "", 204
    tiers: dict[str | None, object] = dict(class_choices("aum_tier"))
    return render_template(
        "audiences/_preview.html",
        preview=found,
        tiers=[(tiers.get(code, code) or _("In no tier"), clients) for code, clients in found.tiers],
        words=words,
        segment=segment,
        channel_labels=_CHANNELS,
        reason_labels=REASON_LABELS,
    )


def _understand(segment: Segment, catalogue: Catalogue) -> tuple[str | None, RuleError | None]:
    """The segment's sentence, or why its rule is no longer understood."""
    try:
        return sentence(parse_rule(segment.rule, catalogue), catalogue), None
    except RuleError as error:
        return None, error
