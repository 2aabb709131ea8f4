"""Keeping the list of unreachable clients: problems of addresses, and a task for each that somebody can repair.

An address is unusable when the suppression list says that it does not work (a hard bounce, or staff reported it as
wrong), as against that its owner does not want mail. The mark belongs to the address: a new one starts clean.
"""

from flask_babel import lazy_gettext as _l
from sqlalchemy import text

from app.audit.service import record
from app.clients.models import COMMENT, UNUSABLE, WRONG_ADDRESS, Client
from app.clients.reachability.models import RepairTask
from app.clients.service import suppress
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.users.models import User

# Which columns and lists belong to a channel of repair: e-mail, and the mobile number for SMS and calls.
_CHANNELS = {
    "email": {"address": "email", "problem": "email_problem", "listed": ["email"]},
    "phone": {"address": "mobile", "problem": "mobile_problem", "listed": ["sms", "call"]},
}


class NoAddress(AppError):
    message = _l("There is no such address to report: it is missing.")


class AlreadyClosed(Conflict):
    message = _l("This task is closed already.")


class ReasonMissing(AppError):
    message = _l("Say why, so that nobody is asked again.")


def report_wrong_address(*, client: Client, channel: str, actor: User) -> None:
    """Staff found that an address is not the client's: nothing is sent to it any more, and a task asks for the right
    one. Raises NoAddress."""
    names = _CHANNELS[channel]
    address = getattr(client, str(names["address"]))
    if not address:
        raise NoAddress
    for listed in names["listed"]:
        suppress(channel=listed, addresses=[address], reason=WRONG_ADDRESS, source="staff", actor=actor)
    record(
        actor=actor,
        action="client.report_address",
        subject="client",
        subject_id=client.id,
        changes={"channel": [None, channel]},
    )
    db.session.flush()
    refresh_problems(client_id=client.id)
    refresh_tasks(client_id=client.id)


def dismiss_task(*, task: RepairTask, reason: str, actor: User) -> None:
    """Nobody will repair this, because the client gives no address, say. Raises ReasonMissing or AlreadyClosed."""
    if not reason.strip():
        raise ReasonMissing
    db.session.refresh(task, with_for_update=True)
    if task.state != "open":
        raise AlreadyClosed
    task.state, task.note, task.closed_at, task.closed_by_id = "dismissed", reason.strip(), now(), actor.id
    record(
        actor=actor, action="repair_task.dismiss", subject="client", subject_id=task.client_id, reason=reason.strip()
    )


def refresh_problems(*, client_id: int | None = None) -> int:
    """Copy from the suppression list which addresses do not work; of one client, or of all. Returns rows changed."""
    return sum(_refresh_problem(channel, client_id) for channel in _CHANNELS)


def _refresh_problem(channel: str, client_id: int | None) -> int:
    names = _CHANNELS[channel]
    address, problem = names["address"], names["problem"]
    found = db.session.execute(
        text(
            f"""
            WITH listed AS (
                SELECT address, min(unusable.problem) AS problem
                FROM suppression
                JOIN unnest(CAST(:words AS text[]), CAST(:problems AS text[])) AS unusable (word, problem)
                    ON unusable.word = split_part(suppression.reason, :comment, 1)
                WHERE channel = ANY(:listed) GROUP BY address
            ), wanted AS (
                SELECT client.id, listed.problem FROM listed JOIN client ON lower(client.{address}) = listed.address
                WHERE (CAST(:client_id AS bigint) IS NULL OR client.id = :client_id)
                UNION ALL
                SELECT id, NULL FROM client
                WHERE {problem} IS NOT NULL AND (CAST(:client_id AS bigint) IS NULL OR id = :client_id)
                    AND NOT EXISTS (SELECT FROM listed WHERE listed.address = lower(client.{address}))
            )
            UPDATE client SET {problem} = wanted.problem FROM wanted
            WHERE client.id = wanted.id AND client.{problem} IS DISTINCT FROM wanted.problem
            """  # noqa: S608 - names from the table above
        ),
        {
            "listed": names["listed"],
            "words": list(UNUSABLE),
            "problems": list(UNUSABLE.values()),
            "comment": COMMENT,
            "client_id": client_id,
        },
    )
    return int(found.rowcount)  # type: ignore[attr-defined]


_BROKEN = """
    SELECT client.id AS client_id, 'email' AS channel, client.email_problem AS reason FROM client
    WHERE client.email_problem IS NOT NULL AND {living}
    UNION ALL
    SELECT client.id, 'phone', client.mobile_problem FROM client
    WHERE client.mobile_problem IS NOT NULL AND {living}
    UNION ALL
    SELECT client.id, 'phone', 'missing' FROM client
    WHERE coalesce(client.mobile, '') = '' AND coalesce(client.email, '') = '' AND {living}
"""
_LIVING = (
    "client.merged_into_id IS NULL AND client.status NOT IN ('closed', 'lead') AND NOT 'deceased' = ANY(client.flags) "
    "AND (CAST(:client_id AS bigint) IS NULL OR client.id = :client_id)"
)


def refresh_tasks(*, client_id: int | None = None) -> tuple[int, int]:
    """Open a task for each address that does not work and for each client without any; close what is repaired.

    Of one client, or of the whole book. Returns how many were opened and closed.
    """
    wanted = _BROKEN.format(living=_LIVING)
    closed = db.session.execute(
        text(
            f"""
            UPDATE repair_task SET state = 'done', closed_at = now()
            WHERE state = 'open' AND (CAST(:client_id AS bigint) IS NULL OR client_id = :client_id)
                AND NOT EXISTS (SELECT FROM ({wanted}) AS broken
                                WHERE broken.client_id = repair_task.client_id
                                    AND broken.channel = repair_task.channel)
            """  # noqa: S608 - our own text
        ),
        {"client_id": client_id},
    )
    opened = db.session.execute(
        text(
            f"""
            INSERT INTO repair_task (client_id, channel, reason)
            SELECT client_id, channel, reason FROM ({wanted}) AS broken
            WHERE NOT EXISTS (SELECT FROM repair_task AS known
                              WHERE known.client_id = broken.client_id AND known.channel = broken.channel
                                  AND (known.state = 'open'
                                       OR known.state = 'dismissed' AND known.reason = broken.reason))
            ON CONFLICT DO NOTHING
            """  # noqa: S608 - our own text
        ),
        {"client_id": client_id},
    )
    return int(opened.rowcount), int(closed.rowcount)  # type: ignore[attr-defined]
