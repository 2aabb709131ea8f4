"""Reads of the template library."""

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from app.content.models import EmailContent, Template
from app.core.errors import NotFound
from app.core.extensions import db


def template_library(*, text: str = "", archived: bool = False) -> list[Template]:
    """The templates by name, with their content. `text` is looked for in name and subject."""
    query = select(Template).join(Template.content).options(joinedload(Template.content))
    query = query.where(Template.archived_at.is_not(None) if archived else Template.archived_at.is_(None))
    if text:
        query = query.where(
            Template.name.icontains(text, autoescape=True) | EmailContent.subject.icontains(text, autoescape=True)
        )
    return list(db.session.scalars(query.order_by(func.lower(Template.name), Template.id).limit(500)))


def template_by_id(template_id: int) -> Template:
    """Raises NotFound."""
    template = db.session.get(Template, template_id)
    if template is None:
        raise NotFound
    return template
