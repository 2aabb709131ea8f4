"""Finding clients who are in the book twice, set-based: one pass that groups the whole book by what people share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, text, union

from app.clients.duplicates.models import SIGNS
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.users.models import User

LOCK = "clients.duplicates"
# An address that more clients share belongs to a counter or stands for "none": it says nothing of who they are.
MOST_SHARING = 8

_WEIGHTS = ", ".join(f"('{sign}', {weight})" for sign, weight in SIGNS.items())
# The same normal forms as `_keys` below.
_FIND = text(
    f"""
    WITH keyed AS (
        SELECT 'email' AS sign, lower(trim(email)) AS key, id FROM client
        WHERE merged_into_id IS NULL AND email <> ''
        UNION ALL
        SELECT 'mobile', mobile, id FROM client WHERE merged_into_id IS NULL AND mobile <> ''
        UNION ALL
        SELECT 'identity', upper(regexp_replace(identity_number, '[^0-9A-Za-z]', '', 'g')), id FROM client
        WHERE merged_into_id IS NULL AND identity_number <> ''
        UNION ALL
        SELECT 'name_birth', lower(regexp_replace(name, '\\s', '', 'g')) || '|' || birth_date, id FROM client
        WHERE merged_into_id IS NULL AND name <> '' AND birth_date IS NOT NULL
    ),
    shared AS MATERIALIZED (
        SELECT sign, array_agg(id) AS ids FROM keyed GROUP BY sign, key HAVING count(*) BETWEEN 2 AND {MOST_SHARING}
    ),
    pair AS MATERIALIZED (
        SELECT one.id AS first_id, other.id AS second_id, array_agg(DISTINCT shared.sign) AS signs
        FROM shared, unnest(shared.ids) AS one (id), unnest(shared.ids) AS other (id)
        WHERE one.id < other.id
        GROUP BY 1, 2
    ),
    gone AS (
        DELETE FROM duplicate_pair AS old
        WHERE old.state = 'open'
          AND NOT EXISTS (SELECT 1 FROM pair WHERE pair.first_id = old.first_id AND pair.second_id = old.second_id)
        RETURNING 1
    ),
    found AS (
        INSERT INTO duplicate_pair (first_id, second_id, signs, strength)
        SELECT pair.first_id, pair.second_id, pair.signs,
               (SELECT sum(weight) FROM (VALUES {_WEIGHTS}) AS weighed (sign, weight) WHERE sign = ANY(pair.signs))
        FROM pair
        ON CONFLICT (first_id, second_id) DO UPDATE SET signs = excluded.signs, strength = excluded.strength
        WHERE duplicate_pair.state = 'open' AND duplicate_pair.signs <> excluded.signs
        RETURNING xmax = 0 AS is_new
    )
    SELECT (SELECT count(*) FROM pair) AS pairs, (SELECT count(*) FILTER (WHERE is_new) FROM found) AS fresh,
           (SELECT count(*) FROM gone) AS gone
    """  # noqa: S608 - the numbers and words are constants of this package
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to: pairs there are, those not known before, and open ones that are none any more."""

    pairs: int
    fresh: int
    gone: int


def find_duplicates() -> Found:
    """Look through the whole book and keep the pairs, in the current transaction. Dismissed pairs stay dismissed."""
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": LOCK})
    row = db.session.execute(_FIND).one()
    return Found(row.pairs, row.fresh, row.gone)


def look_alikes(values: Mapping[str, Any], *, user: User, limit: int = 5) -> list[Client]:
    """Clients the person may see who share an address, a number, or name and birth date with these values.

    Asked before a client is added. Each way is served by its own index.
    """
    ways = [select(Client.id).where(condition) for condition in _keys(values)]
    if not ways:
        return []
    return list(
        db.session.scalars(
            select(Client).where(Client.id.in_(union(*ways)), visible_clients(user)).order_by(Client.id).limit(limit)
        )
    )


def _keys(values: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    keys: list[ColumnElement[bool]] = []
    if values.get("email"):
        keys.append(func.lower(Client.email) == str(values["email"]).strip().lower())
    if values.get("mobile"):
        keys.append(Client.mobile == values["mobile"])
    if values.get("identity_number"):
        keys.append(Client.identity_number == values["identity_number"])
    if values.get("name") and values.get("birth_date"):
        keys.append(
            (func.lower(Client.name) == str(values["name"]).lower()) & (Client.birth_date == values["birth_date"])
        )
    return keys
