"""Verbs: change the figures of the alarms, count arrivals, check sender domains."""

import re
from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select

from app.audit.service import record
from app.core.errors import AppError
from app.core.extensions import db, settings
from app.core.jobs import Job, enqueue
from app.core.permissions import Permission, require
from app.core.unit_of_work import unit_of_work
from app.delivery.deliverability.alarms import deliverability_settings, pause_where_too_many_complain
from app.delivery.deliverability.counting import count_run, runs_to_count
from app.delivery.deliverability.dns import TxtLookup, check_domain, txt_records
from app.delivery.deliverability.models import DeliverabilitySettings, DnsCheck
from app.users.models import User

CHECK_JOB = "delivery.check_dns"
CHECKS_KEPT = 60  # of a domain
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})+")
_SELECTOR = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
MOST = 20


def change_settings(
    *,
    alarm_rate: float,
    pause_rate: float,
    window_days: int,
    minimum_sent: int,
    sender_domains: Sequence[str],
    dkim_selectors: Sequence[str],
    actor: User,
) -> None:
    """The firm's own figures. Raises AppError with a sentence where they cannot be."""
    require(actor, Permission.ADMINISTER)
    if not 0 < alarm_rate <= pause_rate <= 1:
        raise AppError(_l("The rate of the alarm must be above 0 and not above the rate at which marketing stops."))
    domains = _names(sender_domains, _DOMAIN, _l("Please enter domains such as example.com, one a line."))
    selectors = _names(dkim_selectors, _SELECTOR, _l("Please enter selectors such as s1, one a line."))
    now_wanted = {
        "alarm_rate": alarm_rate, "pause_rate": pause_rate, "window_days": window_days, "minimum_sent": minimum_sent,
        "sender_domains": domains, "dkim_selectors": selectors,
    }  # fmt: skip
    kept = deliverability_settings()
    changes = {name: [getattr(kept, name), value] for name, value in now_wanted.items() if getattr(kept, name) != value}
    if changes:
        db.session.merge(DeliverabilitySettings(id=1, **now_wanted))
        record(actor=actor, action="settings.deliverability", subject="settings", subject_id=None, changes=changes)


def _names(given: Sequence[str], pattern: re.Pattern[str], refusal: object) -> list[str]:
    names = list(dict.fromkeys(name.strip().lower().rstrip(".") for name in given if name.strip()))
    if len(names) > MOST or any(not pattern.fullmatch(name) for name in names):
        raise AppError(refusal)
    return names


def sender_domains() -> list[str]:
    """The domain of MAIL_FROM, then those that somebody added."""
    own = settings().mail_from.rpartition("@")[2].lower()
    return list(dict.fromkeys([own, *deliverability_settings().sender_domains]))


# ---- Ticks and jobs ------------------------------------------------------------------------------------------------


def count_arrivals() -> int:
    """Count the runs whose figures may have changed and stop what has to stop, in the caller's transaction."""
    run_ids = runs_to_count()
    for run_id in run_ids:
        count_run(run_id)
    if run_ids:
        db.session.flush()
        pause_where_too_many_complain()
    return len(run_ids)


def order_check() -> None:
    """Look the sender domains up in a worker; one check at a time."""
    if not check_under_way():
        enqueue(CHECK_JOB)


def check_under_way() -> bool:
    return bool(db.session.scalar(select(Job.id).where(Job.name == CHECK_JOB, Job.state.in_(("due", "running")))))


def check_sender_domains(txt: TxtLookup = txt_records) -> None:
    """Look each sender domain up and keep what was found. No transaction is open while the network is asked."""
    with unit_of_work():
        domains, selectors = sender_domains(), list(deliverability_settings().dkim_selectors)
    for domain in domains:
        findings = [finding.plain() for finding in check_domain(domain, selectors, txt)]
        with unit_of_work() as session:
            session.add(DnsCheck(domain=domain, findings=findings))
            older = (
                select(DnsCheck.id).where(DnsCheck.domain == domain).order_by(DnsCheck.id.desc()).offset(CHECKS_KEPT)
            )
            session.flush()
            session.execute(delete(DnsCheck).where(DnsCheck.id.in_(older)).execution_options(synchronize_session=False))
