"""Changing the rules about machines' hits, and judging anew by them what was recorded before."""

import re
from collections.abc import Sequence
from ipaddress import ip_network

from flask_babel import lazy_gettext as _l
from sqlalchemy import select, text

from app.audit.service import record
from app.core.clock import now
from app.core.errors import AppError
from app.core.extensions import db
from app.core.jobs import Lease, enqueue
from app.core.permissions import Actor, Permission, require
from app.core.queues import TRACK
from app.core.unit_of_work import unit_of_work
from app.tracking.interpretation import hold_lock
from app.tracking.machines.judging import judge_again
from app.tracking.machines.models import MachineRules
from app.tracking.machines.rules import rules_in_force

JOB = "tracking.judge_hits_again"
MOST_AGENTS, MOST_NETWORKS, LONGEST_AGENT = 500, 5_000, 200
CHUNK = 2_000  # messages at a time


def change_machine_rules(
    *,
    agents: Sequence[str],
    networks: Sequence[str],
    too_fast_seconds: float,
    all_links_seconds: float,
    actor: Actor,
) -> MachineRules:
    """Put a new version in force and have a job judge all hits by it. Raises AppError for rules that cannot be."""
    require(actor, Permission.ADMINISTER)
    made = MachineRules(
        agents=_checked_agents(agents),
        networks=_checked_networks(networks),
        too_fast_seconds=_checked_seconds(too_fast_seconds, 3600),
        all_links_seconds=_checked_seconds(all_links_seconds, 600),
        changed_by_id=actor.id,
        changed_at=now(),
    )
    before = rules_in_force()
    db.session.add(made)
    db.session.flush()
    made.job_id = enqueue(JOB, queue=TRACK, version=made.id).id
    changes: dict[str, object] = {}
    for name, old, new in (("agents", before.agents, made.agents), ("networks", before.networks, made.networks)):
        if set(old) != set(new):
            changes[f"{name}_added"] = sorted(set(new) - set(old))
            changes[f"{name}_removed"] = sorted(set(old) - set(new))
    for name in ("too_fast_seconds", "all_links_seconds"):
        if getattr(before, name) != getattr(made, name):
            changes[name] = [getattr(before, name), getattr(made, name)]
    record(actor=actor, action="machine_rules.edit", subject="machine_rules", subject_id=made.id, changes=changes)
    return made


def _checked_agents(agents: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(" ".join(one.split()) for one in agents if one.strip()))
    if len(found) > MOST_AGENTS:
        raise AppError(_l("There are at most %(most)s programs.", most=MOST_AGENTS))
    for one in found:
        if "\0" in one or len(one) > LONGEST_AGENT:
            raise AppError(_l("A program has at most %(most)s characters.", most=LONGEST_AGENT))
        if not re.search(r"\w", one):
            raise AppError(_l("“%(pattern)s” would match everybody.", pattern=one))
    return found


def _checked_networks(networks: Sequence[str]) -> list[str]:
    found = []
    for one in networks:
        if not (words := one.strip()):
            continue
        try:
            network = ip_network(words, strict=False)
        except ValueError as error:
            shown = words.replace("\0", "")[:60]
            raise AppError(_l("“%(network)s” is no network such as 192.0.2.0/24.", network=shown)) from error
        if network.num_addresses > 1 << (24 if network.version == 4 else 108):
            raise AppError(_l("“%(network)s” is too large a network.", network=str(network)))
        found.append(str(network))
    if len(found) > MOST_NETWORKS:
        raise AppError(_l("There are at most %(most)s networks.", most=MOST_NETWORKS))
    return list(dict.fromkeys(found))


def _checked_seconds(seconds: float, most: int) -> float:
    if not 0 <= seconds <= most:
        raise AppError(_l("Enter 0 to %(most)s seconds.", most=most))
    return seconds


# ---- Judging anew ---------------------------------------------------------------------------------------------------

_NEXT_MESSAGES = text(
    """
    SELECT DISTINCT message_id FROM event
    WHERE message_id > :last AND kind IN ('open', 'click') AND interpreted_at IS NOT NULL
    ORDER BY message_id LIMIT :chunk
    """
)
_LAST_MESSAGE = text("SELECT max(message_id) FROM event WHERE kind IN ('open', 'click')")


def judge_all_again(lease: Lease, *, version: int) -> None:
    """Judge every recorded hit by the rules in force, some messages at a time; stops where newer rules have come.

    Doing it twice, or going on after an interruption, ends in the same.
    """
    last = 0
    total = db.session.scalar(_LAST_MESSAGE) or 0
    while True:
        with unit_of_work():
            if db.session.scalar(select(MachineRules.id).where(MachineRules.id > version).limit(1)):
                return
            hold_lock()
            messages = list(db.session.scalars(_NEXT_MESSAGES, {"last": last, "chunk": CHUNK}))
            if not messages:
                lease.renew(done=total, total=total)
                return
            judge_again(messages, rules=rules_in_force())
            last = messages[-1]
            lease.renew(done=min(last, total), total=total)
