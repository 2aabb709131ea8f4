"""Writing e-mails: every save is a new, compiled, immutable version; templates point at their newest one."""

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select, update

from app.audit.service import record
from app.content.compiling import compile_source
from app.content.models import EmailContent, Template
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.permissions import Actor

FORMATS = ("mjml", "html")
MAX_SOURCE_CHARACTERS = 500_000
MAX_SUBJECT_CHARACTERS = 500


class ContentIncomplete(AppError):
    message = _l("An e-mail needs a subject and a body.")


class TemplateNameTaken(Conflict):
    message = _l("Another template (perhaps an archived one) has this name. Choose a different name.")


def new_content(*, format: str, subject: str, preheader: str, source: str, actor: Actor | None) -> EmailContent:
    """Compile what was written; the row is not in the session yet (a preview never stores it).

    Raises ContentIncomplete without subject or body, and the engine's ContentInvalid where the source is not
    MJML, HTML or Liquid that can be read.
    """
    subject, preheader = " ".join(subject.split()), " ".join(preheader.split())
    source = source.replace("\r\n", "\n")  # what a browser makes of line ends; MJML takes the other kind only
    if not subject or not source.strip():
        raise ContentIncomplete
    if format not in FORMATS:
        raise AppError(_l("An e-mail is written in MJML or in HTML."))
    if len(subject) > MAX_SUBJECT_CHARACTERS or len(source) > MAX_SOURCE_CHARACTERS:
        raise AppError(_l("This e-mail is too long. Shorten the subject or the body."))
    compiled = compile_source(format=format, subject=subject, preheader=preheader, source=source)
    return EmailContent(
        format=format,
        subject=subject,
        preheader=preheader,
        source=source,
        html=compiled.html,
        text=compiled.text,
        created_by_id=actor.id if actor else None,
    )


def create_content(*, format: str, subject: str, preheader: str, source: str, actor: Actor | None) -> EmailContent:
    """Store a new version of an e-mail. See `new_content` for what is refused."""
    content = new_content(format=format, subject=subject, preheader=preheader, source=source, actor=actor)
    db.session.add(content)
    db.session.flush()
    return content


def create_template(
    *, name: str, format: str, subject: str, preheader: str, source: str, actor: Actor | None
) -> Template:
    """Add an e-mail template to the library."""
    name = _free_name(name, template_id=None)
    content = create_content(format=format, subject=subject, preheader=preheader, source=source, actor=actor)
    template = Template(name=name, content_id=content.id)
    db.session.add(template)
    db.session.flush()
    record(
        actor=actor,
        action="template.created",
        subject="template",
        subject_id=template.id,
        changes={"name": [None, name], "content": [None, content.id]},
    )
    return template


def update_template(
    *,
    template: Template,
    name: str,
    format: str,
    subject: str,
    preheader: str,
    source: str,
    actor: Actor | None,
    seen_content_id: int,
) -> Template:
    """Save an edit as a new version. Conflict where the template has moved on from the version that was edited."""
    name = _free_name(name, template_id=template.id)
    content = new_content(format=format, subject=subject, preheader=preheader, source=source, actor=actor)
    before = {"name": template.name, "content": template.content_id}
    if same_words(template.content, content):
        content = template.content
    else:
        db.session.add(content)
        db.session.flush()
    moved = db.session.execute(
        update(Template)
        .where(Template.id == template.id, Template.content_id == seen_content_id, Template.archived_at.is_(None))
        .values(name=name, content_id=content.id, updated_at=now())
        .returning(Template.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if moved is None:
        raise Conflict
    db.session.refresh(template)
    after = {"name": name, "content": content.id}
    changes = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
    if changes:
        record(actor=actor, action="template.updated", subject="template", subject_id=template.id, changes=changes)
    return template


def duplicate_template(*, template: Template, actor: Actor | None) -> Template:
    """A copy under a name of its own. The content is shared until one of the two is edited."""
    copy = Template(name=_copy_name(template.name), content_id=template.content_id)
    db.session.add(copy)
    db.session.flush()
    record(
        actor=actor,
        action="template.created",
        subject="template",
        subject_id=copy.id,
        changes={"name": [None, copy.name], "copied_from": [None, template.id]},
    )
    return copy


def archive_template(*, template: Template, actor: Actor | None) -> None:
    """Take a template out of the library. Campaigns that started from it keep their own content."""
    if template.archived_at is not None:
        return
    template.archived_at = now()
    record(actor=actor, action="template.archived", subject="template", subject_id=template.id)


def same_words(one: EmailContent | None, other: EmailContent) -> bool:
    """True where both versions were written alike, so that saving again would change nothing."""
    return one is not None and (one.format, one.subject, one.preheader, one.source) == (
        other.format,
        other.subject,
        other.preheader,
        other.source,
    )


def _free_name(name: str, *, template_id: int | None) -> str:
    """The name without stray spaces. Raises AppError where it is empty, TemplateNameTaken where it is in use."""
    name = " ".join(name.split())
    if not name:
        raise AppError(_l("Give the template a name."))
    _lock_names()
    query = select(Template.id).where(func.lower(Template.name) == name.lower())
    if template_id is not None:
        query = query.where(Template.id != template_id)
    if db.session.scalar(query) is not None:
        raise TemplateNameTaken
    return name


def _copy_name(name: str) -> str:
    """`Name (2)`, or the next number that is free."""
    _lock_names()
    taken = {taken.lower() for taken in db.session.scalars(select(Template.name))}
    position = 2
    while f"{name} ({position})".lower() in taken:
        position += 1
    return f"{name} ({position})"


def _lock_names() -> None:
    """One naming at a time, so that two people cannot take the same name between look and save."""
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("template name", 0))))
