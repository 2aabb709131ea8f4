"""The administrator's page of topics."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.clients.preferences.forms import TopicForm
from app.clients.preferences.queries import all_topics, find_topic, refusals_by_topic
from app.clients.preferences.service import add_topic, archive_topic, rename_topic
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.sessions import signed_in_user

topics = Blueprint("topics", __name__, url_prefix="/settings/topics")


def _page(form: TopicForm, *, editing: int | None = None, status: int = 200) -> Any:
    page = render_template(
        "settings/topics.html", topics=all_topics(), refusals=refusals_by_topic(), form=form, editing=editing
    )
    return page, status


@topics.route("", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def index() -> Any:
    """The topics, and a form for a further one."""
    form = TopicForm()
    if not form.is_submitted():
        return _page(form)
    if not form.validate():
        return _page(form, status=422)
    try:
        with unit_of_work():
            add_topic(name=form.name.data, name_zh=form.name_zh.data or "", actor=signed_in_user())
    except AppError as error:
        flash(str(error), "error")
        return _page(form, status=error.status)
    flash(_("The topic is on the preference page now."), "success")
    return redirect(url_for("topics.index"))


@topics.route("/<int:topic_id>", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def edit(topic_id: int) -> Any:
    topic = find_topic(topic_id)
    form = TopicForm(obj=topic)
    if not form.is_submitted():
        return _page(form, editing=topic.id)
    if not form.validate():
        return _page(form, editing=topic_id, status=422)
    try:
        with unit_of_work():
            rename_topic(topic=topic, name=form.name.data, name_zh=form.name_zh.data or "", actor=signed_in_user())
    except AppError as error:
        flash(str(error), "error")
        return _page(form, editing=topic_id, status=error.status)
    flash(_("The topic is saved."), "success")
    return redirect(url_for("topics.index"))


@topics.post("/<int:topic_id>/archive")
@requires(Permission.ADMINISTER)
def archive(topic_id: int) -> Response:
    return _archive(topic_id, archived=True)


@topics.post("/<int:topic_id>/restore")
@requires(Permission.ADMINISTER)
def restore(topic_id: int) -> Response:
    return _archive(topic_id, archived=False)


def _archive(topic_id: int, *, archived: bool) -> Response:
    with unit_of_work():
        archive_topic(topic=find_topic(topic_id), archived=archived, actor=signed_in_user())
    return redirect(url_for("topics.index"))
