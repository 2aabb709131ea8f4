"""The template library: versions are kept, names are unique, nobody overwrites what they have not seen."""

import pytest
from flask import Flask
from sqlalchemy import func, select

from app.audit.models import AuditEntry
from app.content import starters
from app.content.compiling import compile_source
from app.content.liquid import ContentInvalid
from app.content.models import EmailContent, Template
from app.content.queries import template_library
from app.content.service import (
    ContentIncomplete,
    TemplateNameTaken,
    archive_template,
    create_content,
    create_template,
    duplicate_template,
    new_content,
    update_template,
)
from app.core.errors import Conflict
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from tests.factories.users import make_user

WORDS = {"format": "html", "subject": "News", "preheader": "This week", "source": "<p>Hello</p>"}


def make_template(name: str = "News", **changes: str) -> Template:
    author = make_user()
    with unit_of_work():
        return create_template(name=name, **(WORDS | changes), actor=author)


def edit(template: Template, *, seen: int | None = None, name: str = "News", **changes: str) -> None:
    editor = make_user()
    with unit_of_work():
        update_template(
            template=template,
            name=name,
            **(WORDS | changes),
            actor=editor,
            seen_content_id=template.content_id if seen is None else seen,
        )


def contents() -> int:
    return db.session.scalar(select(func.count(EmailContent.id))) or 0


def test_content_always_has_a_plain_text_part(app: Flask) -> None:
    with unit_of_work():
        content = create_content(**WORDS | {"source": "<h1>Rates</h1><p>They rose.</p>"}, actor=None)
    assert "Rates" in content.text
    assert "They rose." in content.text


def test_mjml_becomes_html(app: Flask) -> None:
    source = "<mjml><mj-body><mj-section><mj-column><mj-text>Hi</mj-text></mj-column></mj-section></mj-body></mjml>"
    with unit_of_work():
        content = create_content(**WORDS | {"format": "mjml", "source": source}, actor=None)
    assert "<table" in content.html
    assert "mj-text" not in content.html


def test_line_ends_of_a_browser_are_no_problem_and_no_change(app: Flask) -> None:
    source = "<mjml><mj-body>\n<mj-section><mj-column><mj-text>Hi</mj-text></mj-column></mj-section></mj-body></mjml>"
    template = make_template(format="mjml", source=source)
    edit(template, format="mjml", source=source.replace("\n", "\r\n"))
    assert contents() == 1


@pytest.mark.parametrize("changes", [{"subject": "  "}, {"source": "\n"}])
def test_content_without_subject_or_body_is_refused(app: Flask, changes: dict[str, str]) -> None:
    with pytest.raises(ContentIncomplete), unit_of_work():
        create_content(**WORDS | changes, actor=None)


@pytest.mark.parametrize(
    "changes", [{"format": "mjml", "source": "<mjml><mj-body>"}, {"source": "<p>{{ client.first_name"}]
)
def test_unreadable_source_is_refused_with_a_sentence(app: Flask, changes: dict[str, str]) -> None:
    with pytest.raises(ContentInvalid) as refusal, unit_of_work():
        create_content(**WORDS | changes, actor=None)
    assert str(refusal.value)


def test_an_edit_makes_a_new_version_and_keeps_the_old_one(app: Flask) -> None:
    template = make_template()
    before = template.content_id
    edit(template, source="<p>Goodbye</p>")
    assert template.content_id != before
    assert db.session.get_one(EmailContent, before).source == "<p>Hello</p>"


def test_saving_without_a_change_makes_no_version_and_no_audit_entry(app: Flask) -> None:
    template = make_template()
    entries = db.session.scalar(select(func.count(AuditEntry.id)))
    edit(template)
    assert contents() == 1
    assert db.session.scalar(select(func.count(AuditEntry.id))) == entries


def test_an_edit_from_an_older_version_is_refused(app: Flask) -> None:
    template = make_template()
    seen = template.content_id
    edit(template, source="<p>First</p>")
    with pytest.raises(Conflict):
        edit(template, seen=seen, source="<p>Second</p>")
    db.session.refresh(template)
    assert template.content.source == "<p>First</p>"


def test_two_templates_cannot_have_one_name(app: Flask) -> None:
    make_template("Market brief")
    with pytest.raises(TemplateNameTaken):
        make_template("market  brief")


def test_a_copy_has_a_name_of_its_own_and_is_edited_apart(app: Flask) -> None:
    template = make_template()
    with unit_of_work():
        first = duplicate_template(template=template, actor=None)
        second = duplicate_template(template=template, actor=None)
    assert [first.name, second.name] == ["News (2)", "News (3)"]
    edit(first, name=first.name, source="<p>Other</p>")
    assert template.content.source == "<p>Hello</p>"


def test_an_archived_template_leaves_the_library_and_cannot_be_edited(app: Flask) -> None:
    template = make_template()
    with unit_of_work():
        archive_template(template=template, actor=None)
    assert template_library() == []
    assert template_library(archived=True) == [template]
    with pytest.raises(Conflict):
        edit(template, source="<p>Late</p>")


def test_the_library_is_searched_by_name_and_subject(app: Flask) -> None:
    make_template("Welcome", subject="Good to have you")
    make_template("Brief", subject="Markets at noon 100%")
    assert [template.name for template in template_library(text="good")] == ["Welcome"]
    assert [template.name for template in template_library(text="100%")] == ["Brief"]


@pytest.mark.parametrize("starter", starters.STARTERS, ids=lambda starter: starter.key)
def test_every_stock_template_compiles_without_a_finding(app: Flask, starter: starters.Starter) -> None:
    content = new_content(
        format="mjml",
        subject=starter.subject,
        preheader=starter.preheader,
        source=starter.source.replace("\n", "\r\n"),  # as a browser sends it
        actor=None,
    )
    compiled = compile_source(
        format="mjml", subject=content.subject, preheader=content.preheader, source=content.source
    )
    assert compiled.problems == []
    assert "@media" in compiled.html
