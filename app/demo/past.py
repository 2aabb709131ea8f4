"""The demo firm's past campaigns: frozen audiences, a settled ledger, and what came back.

Written the way the product itself would have: the audience is frozen by delivery's own planning with its
exclusions, what came back is written as raw events and account openings, and tracking's own interpretation and
crediting turn them into figures, withdrawn consents and suppressed addresses. Only the clock is ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from email.message import EmailMessage
from random import Random
from typing import Any

from sqlalchemy import ARRAY, BigInteger, bindparam, func, insert, select, text, update

from app.audiences.models import Segment
from app.audit.models import AuditEntry
from app.campaigns.effective_rule import AccountNeeded, EffectiveRule
from app.campaigns.market_profiles import MARKET_PROFILES
from app.campaigns.models import Campaign, CampaignSegment, Seed, State, Step
from app.campaigns.service import create_campaign, set_content, set_seeds, set_segments, submit
from app.clients.engagement.service import CONTACTED, Happening, note
from app.clients.holdings.models import Account
from app.clients.models import Client
from app.clients.service import withdraw_consent
from app.content.service import create_content
from app.content.starters import starter
from app.core.clock import now, today
from app.core.extensions import db, settings
from app.delivery.models import Batch, Message, MessageState, Run
from app.delivery.planning import freeze_run
from app.delivery.postponing import BATCH_SIZE
from app.demo.book import BALANCE_COLUMNS, copy
from app.tracking.interpretation import hold_lock, interpret_pending
from app.tracking.models import AccountOpening, Attribution, Reply
from app.tracking.openings.attribution import credit_pending
from app.tracking.openings.taking import Opening, insert_openings
from app.tracking.replies.keeping import due_at
from app.tracking.replies.topics import guess_topic
from app.tracking.service import UNSUBSCRIBE_WORDINGS
from app.users.models import User

SENT_A_SECOND = 400
_UNASKED = 0.65  # of a plan's share of accounts: what those open who were not reached
_ONE_STAYS_EMPTY_OF = 7  # new accounts that nothing is paid into: counted out, so that even a small firm has one
_READERS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/141.0 Mobile Safari/537.36",
)
_SCANNER = "Mozilla/5.0 (compatible; MailScanner/5.4; link preview)"
_EVENT_COLUMNS = (
    "kind", "message_id", "at", "source", "external_id", "link", "user_agent", "ip", "method", "received_at",
    "acted_at",
)  # fmt: skip
_REPLIES = {
    "en": (
        "Thank you. Could somebody call me next week about the details?",
        "I am interested. What do I need to bring to the branch?",
        "Please send me the fees in writing first.",
        "Not at the moment, perhaps in the autumn.",
    ),
    "zh_CN": (
        "您好，想了解一下具体流程，方便的话请下周给我来电。",
        "感兴趣，去营业部需要带什么材料？",
        "请先把费用标准发给我看看。",
        "暂时不考虑，以后再说，谢谢。",
    ),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign to make: when it was sent (days ago), to whom, what it says, and how well it did.

    `accounts` is the share of those who are sent to that opens an account, `control` the percentage not sent to.
    """

    code: str
    name: str
    days_ago: int
    starter: str
    subject: str
    include: str
    report: Sequence[str]
    tags: Sequence[str]
    exclude: Sequence[str] = ()
    opens: float = 0.3
    clicks: float = 0.2
    accounts: float = 0.01
    product: str = "fund account"
    effective_rule: EffectiveRule | None = None
    control: float = 0.0
    fixed_cost: Decimal | None = None


PAST = (
    Plan(
        code="DEMO-01", name="Account opening with Harbour Bank", days_ago=118, starter="account_opening",
        subject="Your fund account, opened in one visit", include="Custody account but no fund",
        report=("Under 35", "Age 60 and over", "Assets of 200,000 and more", "Shanghai", "Uses the app"),
        tags=("account opening", "partner bank"), opens=0.31, clicks=0.24, accounts=0.034,
        control=20.0, fixed_cost=Decimal(26_000),
        effective_rule=EffectiveRule(
            accounts=(AccountNeeded("custody"), AccountNeeded("fund")), minimum=Decimal(10_000), within_days=30
        ),
    ),
    Plan(
        code="DEMO-02", name="Retirement evenings at the outlets", days_ago=61, starter="event_invitation",
        subject="Your invitation: an evening on planning for retirement", include="Age 50 to 70",
        report=("Assets of 200,000 and more", "Shanghai", "Guangdong", "Uses the app"),
        tags=("event", "retirement"), opens=0.36, clicks=0.14, accounts=0.009,
        control=10.0, fixed_cost=Decimal(9_500),
    ),
    Plan(
        code="DEMO-03", name="Growth funds for C4 and C5", days_ago=24, starter="account_opening",
        subject="Funds for a long horizon: what to know before you begin", include="C4 and C5 without a fund",
        report=("Under 35", "Assets of 200,000 and more", "Uses the app", "Shanghai"), exclude=("Age 60 and over",),
        tags=("funds", "growth"), opens=0.28, clicks=0.27, accounts=0.044,
        control=15.0, fixed_cost=Decimal(4_000),
    ),
    Plan(
        code="DEMO-04", name="Weekly market brief", days_ago=5, starter="market_brief",
        subject="The week in three points", include="Everyone with an address",
        report=("Under 35", "Age 60 and over", "Assets of 200,000 and more", "Shanghai", "Guangdong", "Uses the app"),
        tags=("market brief",), opens=0.26, clicks=0.12, accounts=0.006,
    ),
)  # fmt: skip
DRAFT = Plan(
    code="DEMO-06", name="Welcome to new clients", days_ago=0, starter="welcome",
    subject='Welcome, {{ client.first_name | default: "your account is ready" }}', include="New but never traded",
    report=("Under 35", "Uses the app"), tags=("welcome",),
)  # fmt: skip
IN_REVIEW = Plan(
    code="DEMO-05", name="Retirement evenings, second round", days_ago=0, starter="event_invitation",
    subject="Your place at an evening on planning for retirement", include="Assets of 200,000 and more",
    report=("Age 60 and over", "Shanghai", "Guangdong"), tags=("event", "retirement"),
    exclude=("No valid risk assessment",),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Staff:
    """Who acts: the author and the checker of every campaign."""

    author: User
    checker: User


@dataclass(slots=True)
class _Answers:
    """What comes back from one campaign, before it is written."""

    events: list[tuple[Any, ...]] = field(default_factory=list)
    unsubscribed: list[tuple[int, datetime, str]] = field(default_factory=list)
    replies: list[dict[str, Any]] = field(default_factory=list)
    openings: list[tuple[str, datetime]] = field(default_factory=list)


def write_past_campaign(plan: Plan, *, segments: dict[str, Segment], staff: Staff, random: Random) -> Campaign:
    """One complete campaign with all that came back by now, in the current transaction."""
    launched_at = _office_time(plan.days_ago, random)
    campaign = _campaign(plan, segments, staff, launched_at)
    campaign.effective_rule = plan.effective_rule.to_json() if plan.effective_rule else None
    run = freeze_run(campaign=campaign)
    finished_at = _write_ledger(campaign, run, launched_at, random)
    answers, readers = _Answers(), list(_readers(run))
    note(Happening(CONTACTED, one.client_id, campaign.id, "email", one.sent_at) for one in readers)
    for reader in readers:
        _answer(plan, reader, answers, random)
    _open_unasked(plan, run, launched_at, answers, random)
    _write_answers(plan, campaign, answers, random)
    campaign.finished_at = finished_at
    db.session.flush()
    return campaign


def write_open_campaigns(*, segments: dict[str, Segment], staff: Staff) -> None:
    """A draft and a campaign that waits for compliance, through the verbs that people use."""
    for plan in (IN_REVIEW, DRAFT):
        campaign = create_campaign(
            code=plan.code, name=plan.name, purpose="marketing", tags=plan.tags, actor=staff.author
        )
        set_segments(
            campaign=campaign,
            include=[segments[plan.include]],
            exclude=[segments[name] for name in plan.exclude],
            report=[segments[name] for name in plan.report],
            actor=staff.author,
        )
        words = starter(plan.starter)
        if words is not None:
            set_content(
                campaign=campaign,
                format="mjml",
                subject=_marked(plan.subject),
                preheader=words.preheader,
                source=_filled(words.source),
                actor=staff.author,
            )
        set_seeds(campaign=campaign, emails=[staff.author.email], actor=staff.author)
        if plan is IN_REVIEW:
            submit(campaign=campaign, actor=staff.author)


def _marked(subject: str) -> str:
    """With the mark that the market asks of marketing mail, where it asks for one."""
    marks = MARKET_PROFILES[settings().market_profile].subject_marks
    return f"{marks[0]} {subject}" if marks else subject


def _filled(source: str) -> str:
    """A stock e-mail as an author leaves it: with a date and a place instead of the gaps."""
    return source.replace(">MONTH<", ">DECEMBER<").replace(">00<", ">10<").replace(", street and number", ", 2nd floor")


def _office_time(days_ago: int, random: Random) -> datetime:
    """A weekday morning in China."""
    day = today() - timedelta(days=days_ago)
    day -= timedelta(days=max(0, day.weekday() - 4))
    return datetime.combine(day, time(1, 30), UTC) + timedelta(minutes=random.randrange(90))


def _campaign(plan: Plan, segments: dict[str, Segment], staff: Staff, launched_at: datetime) -> Campaign:
    """The campaign as it is once it is over, with its history in the audit trail at the times it happened."""
    words = starter(plan.starter)
    if words is None:
        raise LookupError(plan.starter)
    content = create_content(
        format="mjml",
        subject=_marked(plan.subject),
        preheader=words.preheader,
        source=_filled(words.source),
        actor=staff.author,
    )
    created_at = launched_at - timedelta(days=6)
    submitted_at, approved_at = launched_at - timedelta(days=2), launched_at - timedelta(days=1, hours=3)
    content.created_at = created_at
    roles = {"include": (plan.include,), "exclude": plan.exclude, "report": plan.report}
    campaign = Campaign(
        code=plan.code,
        name=plan.name,
        purpose="marketing",
        tags=list(plan.tags),
        state=State.COMPLETE,
        owner_id=staff.author.id,
        window_days=30,
        submitted_by_id=staff.author.id,
        submitted_at=submitted_at,
        approved_by_id=staff.checker.id,
        approved_at=approved_at,
        launched_at=launched_at,
        created_at=created_at,
        updated_at=launched_at,
        segments=[
            CampaignSegment(segment_id=segments[name].id, role=role, position=position)
            for role, names in roles.items()
            for position, name in enumerate(names)
        ],
        control_percent=plan.control,
        fixed_cost=plan.fixed_cost,
        steps=[Step(position=0, channel="email", content_id=content.id, unit_cost=Decimal("0.05"))],
        seeds=[Seed(email=staff.author.email)],
    )
    db.session.add(campaign)
    db.session.flush()
    author, checker = staff.author.id, staff.checker.id
    history: tuple[tuple[str, int | None, datetime, dict[str, Any]], ...] = (
        ("created", author, created_at, {"code": [None, plan.code], "name": [None, plan.name]}),
        ("submitted", author, submitted_at, {"state": ["draft", "in_review"]}),
        ("approved", checker, approved_at, {"state": ["in_review", "approved"]}),
        ("launched", author, launched_at, {"state": ["approved", "running"]}),
        ("completed", None, launched_at + timedelta(minutes=1), {"state": ["running", "complete"]}),
    )
    db.session.add_all(
        AuditEntry(
            at=at,
            actor_id=actor,
            action=f"campaign.{action}",
            subject="campaign",
            subject_id=campaign.id,
            changes=changes,
        )
        for action, actor, at, changes in history
    )
    return campaign


_INSERT_MESSAGES = text(
    """
    INSERT INTO message (run_id, campaign_id, step_id, client_id, batch_id, channel, branch_id, adviser_id,
                         state, reason, sent_at)
    SELECT :run_id, :campaign_id, :step_id, client.id, (:batch_ids)[(chosen.place - 1) / :batch_size + 1], 'email',
           client.branch_id, client.adviser_id,
           CASE WHEN chosen.id = ANY(:refused) THEN 'failed' ELSE 'sent' END,
           CASE WHEN chosen.id = ANY(:refused) THEN '550 5.1.1 user unknown' END,
           CASE WHEN chosen.id = ANY(:refused) THEN NULL
                ELSE :launched_at + make_interval(secs => 5 + chosen.place::float / :pace) END
    FROM unnest(:client_ids) WITH ORDINALITY AS chosen (id, place)
    JOIN client ON client.id = chosen.id
    ORDER BY chosen.place
    """
).bindparams(*(bindparam(name, type_=ARRAY(BigInteger)) for name in ("batch_ids", "client_ids", "refused")))


def _write_ledger(campaign: Campaign, run: Run, launched_at: datetime, random: Random) -> datetime:
    """The run's batches and messages as delivery leaves them: all settled, tallies right. Returns when it was done."""
    ids = list(run.audience.client_ids - run.control_ids) if run.audience else []
    refused = set(random.sample(ids, len(ids) // 250))
    tallies = []
    for first in range(0, len(ids), BATCH_SIZE):
        some = ids[first : first + BATCH_SIZE]
        failed = sum(client_id in refused for client_id in some)
        tallies.append({"size": len(some), "failed": failed, "sent": len(some) - failed})
    shared = {"run_id": run.id, "step_id": campaign.steps[0].id, "channel": "email", "state": "done", "attempts": 1}
    times = {"created_at": launched_at, "due_at": launched_at}
    batch_ids = list(
        db.session.scalars(
            insert(Batch).returning(Batch.id, sort_by_parameter_order=True), [shared | times | one for one in tallies]
        )
    )
    db.session.execute(
        _INSERT_MESSAGES,
        {
            "run_id": run.id,
            "campaign_id": campaign.id,
            "step_id": campaign.steps[0].id,
            "batch_ids": batch_ids,
            "batch_size": BATCH_SIZE,
            "client_ids": ids,
            "refused": sorted(refused),
            "launched_at": launched_at,
            "pace": SENT_A_SECOND,
        },
    )
    run.state = "complete"
    run.created_at = launched_at
    run.planned_at = launched_at + timedelta(seconds=3)
    run.finished_at = launched_at + timedelta(seconds=6 + len(ids) / SENT_A_SECOND)
    return run.finished_at


@dataclass(frozen=True, slots=True)
class _Reader:
    """A client with a message, and what bears on the answer. `age` is None for a company."""

    message_id: int
    sent_at: datetime
    client_id: int
    number: str
    email: str
    locale: str
    birth_year: int | None
    assets: float
    has_adviser: bool


def _readers(run: Run) -> Iterator[_Reader]:
    rows = db.session.execute(
        select(
            Message.id,
            Message.sent_at,
            Client.id,
            Client.number,
            Client.email,
            Client.locale,
            func.date_part("year", Client.birth_date),
            Client.total_assets,
            Client.adviser_id.is_not(None),
        )
        .join(Client, Client.id == Message.client_id)
        .where(Message.run_id == run.id, Message.state == MessageState.SENT)
        .order_by(Message.client_id)
    )
    for row in rows:
        yield _Reader(
            message_id=row[0],
            sent_at=row[1],
            client_id=row[2],
            number=row[3],
            email=row[4],
            locale=row[5],
            birth_year=int(row[6]) if row[6] else None,
            assets=float(row[7] or 0),
            has_adviser=row[8],
        )


def _answer(plan: Plan, reader: _Reader, answers: _Answers, random: Random) -> None:
    """What one client does with the message. Later than now has not happened yet."""
    latest = now()
    age = today().year - reader.birth_year if reader.birth_year else 45
    older, wealthy = age >= 60, reader.assets >= 200_000

    def add(kind: str, at: datetime, source: str, **more: Any) -> None:
        if at < latest:
            fields = {"kind": kind, "message_id": reader.message_id, "at": at, "source": source, "received_at": at}
            answers.events.append(tuple((fields | more).get(column) for column in _EVENT_COLUMNS))

    if random.random() < 0.007:
        add("bounce", reader.sent_at + timedelta(seconds=random.uniform(20, 900)), "inbound")
        return
    if random.random() < 0.03:  # a scanner at the client's mail system: kept as raw hits, not counted
        at = reader.sent_at + timedelta(seconds=random.uniform(0.2, 1.5))
        add("open", at, "pixel", user_agent=_SCANNER, ip="192.0.2.7", method="GET")
    opens = plan.opens * (1.25 if older else 0.85 if age < 35 else 1.0) * (1.2 if wealthy else 1.0)
    opened = random.random() < opens
    read_at = reader.sent_at + timedelta(minutes=4 + random.lognormvariate(5.1, 1.35))
    browser = {"user_agent": random.choice(_READERS), "ip": "192.0.2.50", "method": "GET"}
    clicked = False
    if opened:
        add("open", read_at, "pixel", **browser)
        clicked = random.random() < plan.clicks * (0.6 if older else 1.35 if age < 35 else 1.0)
    if clicked:
        link = "https://www.example.com/open-account"
        add("click", read_at + timedelta(seconds=random.uniform(8, 240)), "click", link=link, **browser)
    if opened and random.random() < 0.012:
        at = read_at + timedelta(seconds=random.uniform(30, 400))
        if at < latest:
            how = random.choice(("page", "one-click"))
            add("unsubscribe", at, how, acted_at=at, method="POST")
            answers.unsubscribed.append((reader.client_id, at, how))
    elif opened and random.random() < 0.0009:
        add("complaint", read_at + timedelta(minutes=2), "sendgrid")
    elif opened and random.random() < (0.03 if clicked else 0.006):
        _reply(plan, reader, answers, read_at + timedelta(minutes=random.uniform(3, 600)), random)
    chance = plan.accounts * (3.2 if clicked else 1.4 if opened else _UNASKED) * _leaning(wealthy, reader.has_adviser)
    if random.random() < chance * (1.25 if clicked and wealthy else 1.0):
        opened_at = read_at + timedelta(days=random.uniform(0.2, 21))
        if opened_at < latest:
            answers.openings.append((reader.number, opened_at))


def _leaning(wealthy: bool, has_adviser: bool) -> float:
    """How much more readily a client opens an account, asked or not."""
    return (1.3 if wealthy else 1.0) * (1.15 if has_adviser else 0.8)


def _open_unasked(plan: Plan, run: Run, launched_at: datetime, answers: _Answers, random: Random) -> None:
    """The control group opens accounts too: as many as those who did not read the message."""
    rows = db.session.execute(
        select(Client.number, Client.total_assets, Client.adviser_id.is_not(None).label("has_adviser"))
        .where(Client.id.in_(list(run.control_ids)))
        .order_by(Client.id)
    )
    for row in rows:
        leaning = _leaning(float(row.total_assets or 0) >= 200_000, row.has_adviser)
        opened_at = launched_at + timedelta(days=random.uniform(0.2, 21))
        if random.random() < plan.accounts * _UNASKED * leaning and opened_at < now():
            answers.openings.append((row.number, opened_at))


def _reply(plan: Plan, reader: _Reader, answers: _Answers, at: datetime, random: Random) -> None:
    if at >= now():
        return
    mail = EmailMessage()
    identity = f"<demo-{plan.code.lower()}-{reader.message_id}@example.com>"
    words = random.choice(_REPLIES.get(reader.locale, _REPLIES["en"]))
    mail["From"], mail["Subject"], mail["Message-ID"] = reader.email, f"Re: {_marked(plan.subject)}", identity
    mail.set_content(words)
    answers.replies.append(
        {
            "message_id": reader.message_id,
            "client_id": reader.client_id,
            "message_id_header": identity,
            "kind": "reply",
            "subject": mail["Subject"],
            "text": words,
            "raw": mail.as_bytes(),
            "received_at": at,
            "sender": reader.email,
            "topic": guess_topic(words),
            **_dealt_with(at),
        }
    )


def _dealt_with(at: datetime) -> dict[str, Any]:
    """Replies are answered in two days; those of the last two wait."""
    if at > now() - timedelta(days=2):
        return {"state": "open", "due_at": due_at(at), "answered_at": None, "closed_at": None}
    closed_at = at + timedelta(hours=20)
    return {"state": "closed", "due_at": None, "answered_at": closed_at, "closed_at": closed_at}


def _write_answers(plan: Plan, campaign: Campaign, answers: _Answers, random: Random) -> None:
    """Write the raw events and openings, then let tracking say what they mean."""
    if answers.replies:
        in_order = sorted(answers.replies, key=lambda reply: reply["received_at"])
        rows = [reply | {"campaign_id": campaign.id} for reply in in_order]
        ids = db.session.scalars(insert(Reply).returning(Reply.id, sort_by_parameter_order=True), rows)
        for reply_id, row in zip(ids, rows, strict=True):
            at = row["received_at"]
            fields = {"kind": "reply", "message_id": row["message_id"], "at": at, "source": "inbound"}
            fields |= {"external_id": f"reply:{reply_id}", "received_at": at}
            answers.events.append(tuple(fields.get(column) for column in _EVENT_COLUMNS))
    copy("event", _EVENT_COLUMNS, answers.events)
    for client_id, at, how in answers.unsubscribed:
        withdraw_consent(
            client_ids=[client_id], channel="email", source=how, wording=UNSUBSCRIBE_WORDINGS[how], at=at, actor=None
        )
    hold_lock()
    interpret_pending()
    write_openings(
        source="core system",
        key=plan.code,
        product=plan.product,
        openings=answers.openings,
        random=random,
    )


def _paid_in(opened_on: date, amount: Decimal, random: Random) -> Iterator[tuple[date, Decimal]]:
    """The balances of a new account that is paid into: within days mostly, some later."""
    first = opened_on + timedelta(days=random.choice((1, 1, 2, 3, 7, 12)))
    for day, share in ((first, Decimal("0.6")), (first + timedelta(days=random.randrange(5, 20)), Decimal(1))):
        if day < today():
            yield day, amount * share


def write_openings(
    *, source: str, key: str, product: str, openings: Sequence[tuple[str, datetime]], random: Random
) -> None:
    """Account openings by client number, with the fund account behind each and what was paid into it, credited to
    messages where they should. The metrics of these clients are to be computed anew."""
    numbers = [number for number, _at in openings]
    known = {
        number: client_id
        for client_id, number in db.session.execute(select(Client.id, Client.number).where(Client.number.in_(numbers)))
    }
    accounts: list[dict[str, Any]] = [
        {
            "client_id": known[number],
            "number": f"F{key}-{number}",
            "kind": "fund",
            "opened_on": at.date(),
        }
        for number, at in openings
    ]
    amounts = [Decimal(round(random.lognormvariate(9.9, 0.9), -2)) for _opening in openings]
    if accounts:
        ids = db.session.scalars(insert(Account).returning(Account.id, sort_by_parameter_order=True), accounts)
        copy(
            "balance",
            BALANCE_COLUMNS,
            [
                (account_id, account["client_id"], day, paid_in)
                for place, (account_id, account, amount) in enumerate(zip(ids, accounts, amounts, strict=True))
                if place % _ONE_STAYS_EMPTY_OF
                for day, paid_in in _paid_in(account["opened_on"], amount, random)
            ],
        )
    insert_openings(
        source=source,
        openings=[
            Opening(
                external_id=f"{key}-{number}",
                client_number=number,
                opened_at=at,
                account_number=f"F{key}-{number}",
                product=product,
                amount=amount,
            )
            for (number, at), amount in zip(openings, amounts, strict=True)
        ],
    )
    credit_pending()
    ours = AccountOpening.external_id.startswith(f"{key}-")
    reported = AccountOpening.opened_at + timedelta(hours=14)
    db.session.execute(update(AccountOpening).where(ours).values(received_at=func.least(reported, func.now())))
    db.session.execute(
        update(Attribution)
        .where(Attribution.opening_id == AccountOpening.id, ours)
        .values(at=func.least(reported, func.now()))
    )
