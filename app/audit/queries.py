"""Reading the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, ColumnElement, Text, column, or_, select, table

from app.audit.models import AuditEntry
from app.core.paging import newest_first

PAGE = 50

# Who the actors are. Tables of the feature above this one, so only their names are known here.
_person = table(
    "user_account", column("id", BigInteger), column("name", Text), column("email", Text), column("branch_id")
)
_branch = table("branch", column("id", BigInteger), column("path", Text))


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows (entry, person's name or None for the system), newest first, and the ids to go on from."""

    rows: Sequence[tuple[AuditEntry, str | None]]
    newer: int | None
    older: int | None


def audit_page(
    *,
    scope_path: str | None = None,
    person: str = "",
    subject: str = "",
    subject_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    newer_than: int | None = None,
    older_than: int | None = None,
) -> AuditPage:
    """Fifty entries, newest first.

    `scope_path`: only acts of people at this branch or below (None: everyone's and the system's). `person`: part of
    the name or e-mail address. `since` <= at < `until`. `newer_than` and `older_than` are entry ids at the page's
    edge; at most one of them is given.
    """
    query = (
        select(AuditEntry, _person.c.name, AuditEntry.id)
        .outerjoin(_person, _person.c.id == AuditEntry.actor_id)
        .where(*_conditions(scope_path, person, subject, subject_id, since, until))
    )
    page = newest_first(query, AuditEntry.id.expression, newer_than=newer_than, older_than=older_than, size=PAGE)
    return AuditPage([(row[0], row[1]) for row in page.rows], page.newer, page.older)


def _conditions(
    scope_path: str | None,
    person: str,
    subject: str,
    subject_id: int | None,
    since: datetime | None,
    until: datetime | None,
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    people = select(_person.c.id)
    if scope_path is not None:
        people = people.join(_branch, _branch.c.id == _person.c.branch_id)
        people = people.where(_branch.c.path.startswith(scope_path))
    for word in person.split():
        people = people.where(
            or_(_person.c.name.icontains(word, autoescape=True), _person.c.email.icontains(word, autoescape=True))
        )
    if scope_path is not None or person:
        conditions.append(AuditEntry.actor_id.in_(people))
    if subject:
        conditions.append(AuditEntry.subject == subject)
    if subject_id is not None:
        conditions.append(AuditEntry.subject_id == subject_id)
    if since is not None:
        conditions.append(AuditEntry.at >= since)
    if until is not None:
        conditions.append(AuditEntry.at < until)
    return conditions
