"""The client book of the demo firm: clients, what they allow, accounts, balances, transactions, positions.

Rows are made in Python from one seeded generator and written by COPY with ids of our own, so that 20,000 clients
with half a million balances take seconds. Derived facts are derived here too: a client's total assets are the sum
of the newest balances, the consent on the client row is the newest statement.
"""

import math
from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from sqlalchemy import text

from app.clients.models import CustomField
from app.core.clock import today
from app.core.extensions import db
from app.core.partitions import ensure_months
from app.demo.names import DOMAINS, company, mobile, person

CITIES = {
    "SH": ("Shanghai",),
    "GD": ("Guangzhou", "Shenzhen", "Dongguan", "Foshan"),
    "ZJ": ("Hangzhou", "Ningbo", "Wenzhou"),
    "BJ": ("Beijing",),
    "HO": ("Shanghai", "Beijing", "Shenzhen"),
}
PARTNER_BANKS = ("Harbour Bank", "Eastern Commercial Bank", "River Delta Bank")
OCCUPATIONS = ("employee", "civil servant", "teacher", "engineer", "doctor", "business owner", "student", "retired")
SOURCES = ("branch", "partner bank", "online", "referral", "event")
TAGS = ("ETF club", "fund fair", "morning call", "new shares", "retirement talk", "staff family")
ORDER_CHANNELS = ("mobile app", "mobile app", "mobile app", "web", "phone", "branch")
MONTHS = 12
TRADING_DAYS = 90

# Share of clients, middle of their assets in CNY, spread: log-normal within each tier.
TIERS = (
    (0.42, 9_000, 0.9),
    (0.27, 70_000, 0.35),
    (0.16, 150_000, 0.25),
    (0.135, 480_000, 0.6),
    (0.015, 3_600_000, 0.5),
)


@dataclass(frozen=True, slots=True)
class Outlet:
    """A branch that has clients: its share of them and the advisers who look after them."""

    branch_id: int
    region: str
    weight: float
    adviser_ids: Sequence[int]


@dataclass(slots=True)
class _Rows:
    """What is written, table by table."""

    clients: list[tuple[Any, ...]] = field(default_factory=list)
    consents: list[tuple[Any, ...]] = field(default_factory=list)
    accounts: list[tuple[Any, ...]] = field(default_factory=list)
    balances: list[tuple[Any, ...]] = field(default_factory=list)
    transactions: list[tuple[Any, ...]] = field(default_factory=list)
    positions: list[tuple[Any, ...]] = field(default_factory=list)


_CLIENT_COLUMNS = (
    "id", "number", "kind", "name", "first_name", "last_name", "gender", "birth_date", "email", "mobile", "city",
    "locale", "time_zone", "branch_id", "adviser_id", "status", "source", "risk_level", "risk_assessed_on",
    "qualified_investor", "opened_on", "total_assets", "flags", "tags", "email_consent", "sms_consent",
    "call_consent", "created_at",
)  # fmt: skip
_CONSENT_COLUMNS = ("client_id", "channel", "purpose", "granted", "source", "wording", "at")
_ACCOUNT_COLUMNS = ("id", "client_id", "number", "kind", "opened_on", "branch_id", "partner_bank")
BALANCE_COLUMNS = ("account_id", "client_id", "on_date", "amount")
_TRANSACTION_COLUMNS = (
    "account_id", "client_id", "source", "external_id", "on_date", "kind", "amount", "fee", "order_channel",
)  # fmt: skip
_POSITION_COLUMNS = (
    "account_id", "client_id", "product_code", "product_name", "product_kind", "product_risk", "value", "cost",
    "on_date",
)  # fmt: skip

# Code, name, kind, risk R1-R5, and how its price has gone over the last year: middle and spread.
SHARES = (
    ("600901", "Harbour Port", "share", 3, 0.06, 0.2),
    ("600917", "Delta Steel", "share", 4, -0.16, 0.25),
    ("601933", "Orient Energy", "share", 3, 0.1, 0.2),
    ("000962", "Lakeside Foods", "share", 3, 0.02, 0.15),
    ("300941", "Northern Chips", "share", 5, 0.22, 0.45),
    ("510390", "Broad market ETF", "etf", 3, 0.05, 0.1),
)
FUNDS = (
    ("F00101", "Bellwether Money Market", "money_fund", 1, 0.015, 0.003),
    ("F00210", "Steady Bond", "bond_fund", 2, 0.03, 0.02),
    ("F00315", "Balanced Growth", "equity_fund", 3, 0.02, 0.12),
    ("F00420", "New Energy Leaders", "equity_fund", 4, -0.12, 0.22),
    ("F00508", "Quantitative Hedge", "private_fund", 5, 0.08, 0.1),
)


def write_book(*, count: int, outlets: Sequence[Outlet], custom: dict[str, CustomField], random: Random) -> None:
    """Write `count` clients with everything that belongs to them, in the current transaction."""
    rows = _Rows()
    first_client, first_account = _next_id("client"), _next_id("account")
    weights = [outlet.weight for outlet in outlets]
    month_ends = _month_ends(today())
    for position in range(count):
        outlet = random.choices(outlets, weights)[0]
        _Maker(rows, random, first_client + position, position + 1, outlet, month_ends, first_account).write(custom)
    slots = tuple(custom[key].slot for key in custom)
    copy("client", (*_CLIENT_COLUMNS, *slots), rows.clients)
    copy("consent", _CONSENT_COLUMNS, rows.consents)
    copy("account", _ACCOUNT_COLUMNS, rows.accounts)
    for table, place in (("balance", 2), ("transaction", 4)):
        days = [row[place] for row in getattr(rows, f"{table}s")] or [today()]
        ensure_months(table, min(days), max(days))
    copy("balance", BALANCE_COLUMNS, rows.balances)
    copy("transaction", _TRANSACTION_COLUMNS, rows.transactions)
    copy("position", _POSITION_COLUMNS, rows.positions)
    for table in ("client", "account"):
        db.session.execute(
            text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")  # noqa: S608
        )


def copy(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows by COPY in the current transaction. Names are constants of this package."""
    connection: Any = db.session.connection().connection.driver_connection
    names = ", ".join(columns)
    with connection.cursor() as cursor, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as stream:
        for row in rows:
            stream.write_row(row)


def _next_id(table: str) -> int:
    return int(db.session.execute(text(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")).scalar_one())  # noqa: S608


def _month_ends(day: date) -> list[date]:
    """The last days of the twelve months before this one, oldest first."""
    ends = []
    year, month = day.year, day.month
    for _step in range(MONTHS):
        year, month = (year - 1, 12) if month == 1 else (year, month - 1)
        ends.append(date(year, month, monthrange(year, month)[1]))
    return ends[::-1]


class _Maker:
    """Makes one client and all that hangs on them."""

    def __init__(
        self,
        rows: _Rows,
        random: Random,
        client_id: int,
        position: int,
        outlet: Outlet,
        month_ends: Sequence[date],
        first_account: int,
    ) -> None:
        self.rows, self.random, self.id, self.position, self.outlet = rows, random, client_id, position, outlet
        self.month_ends, self.first_account = month_ends, first_account
        self.today = today()
        self.is_company = random.random() < 0.03
        self.identity = company(random) if self.is_company else person(random)
        self.status = random.choices(
            ("client", "dormant", "prospect", "lead", "closed"), (0.82, 0.09, 0.05, 0.02, 0.02)
        )[0]
        self.age = min(89, max(19, round(random.gauss(46, 15))))
        self.holds_accounts = self.status in ("client", "dormant")
        _share, middle, spread = random.choices(TIERS, [tier[0] for tier in TIERS])[0]
        older = 1 + max(0, self.age - 45) / 60
        self.assets = middle * older * math.exp(random.gauss(0, spread)) if self.holds_accounts else 0.0
        if self.status == "dormant":
            self.assets *= 0.25
        self.opened_on = self._opening_day() if self.status not in ("lead", "prospect") else None
        self.app_user = random.random() < (0.85 if self.age < 40 else 0.6 if self.age < 60 else 0.3)
        self.risk_level = self._risk_level()

    def _opening_day(self) -> date:
        days = self.random.randrange(1, 90) if self.random.random() < 0.06 else self.random.randrange(90, 5_400)
        return self.today - timedelta(days=min(days, (self.age - 18) * 365))

    def _risk_level(self) -> int | None:
        if self.random.random() < 0.07:
            return None
        lean = 3.1 - (self.age - 46) / 28 + math.log10(max(self.assets, 1_000) / 50_000) * 0.35
        return min(5, max(1, round(self.random.gauss(lean, 0.9))))

    def write(self, custom: dict[str, CustomField]) -> None:
        total = self._accounts()
        random, identity = self.random, self.identity
        # known before the oldest of the past campaigns, so that nobody was written to or answered before that
        created = (self.opened_on or self.today) - timedelta(days=random.randrange(130, 400))
        consents = [self._consent(channel, created) for channel in ("email", "sms", "call")]
        assessed = None
        if self.risk_level is not None:
            assessed = max(created, self.today - timedelta(days=random.randrange(3, 560)))
        flags = (
            [random.choice(("frozen", "vulnerable", "open_complaint", "deceased"))] if random.random() < 0.012 else []
        )
        facts: dict[str, Any] = {
            "occupation": self._occupation(),
            "annual_income": None if random.random() < 0.3 else round(60_000 * math.exp(random.gauss(0.5, 0.6)), -3),
            "app_user": self.app_user,
            "last_visit": self.today - timedelta(days=random.randrange(1, 900)) if random.random() < 0.4 else None,
        }
        if self.is_company:
            facts |= {"occupation": None, "annual_income": None}
        self.rows.clients.append(
            (
                self.id,
                f"80{self.position:06}",
                "company" if self.is_company else "person",
                identity.name,
                identity.first_name,
                identity.last_name,
                identity.gender,
                None if self.is_company else self.today - timedelta(days=self.age * 365 + random.randrange(360)),
                None if random.random() < 0.05 else f"{identity.login}{self.position}@{random.choice(DOMAINS)}",
                None if random.random() < 0.07 else mobile(random),
                random.choice(CITIES[self.outlet.region]),
                identity.locale,
                "Asia/Shanghai",
                self.outlet.branch_id,
                self._adviser(),
                self.status,
                random.choice(SOURCES),
                self.risk_level,
                assessed,
                not self.is_company and self.assets > 3_000_000 and random.random() < 0.7,
                self.opened_on,
                total,
                flags,
                random.sample(TAGS, random.choice((0, 0, 0, 0, 1, 1, 2))),
                *consents,
                _at(created, random),
                *(facts[key] for key in custom),
            )
        )

    def _occupation(self) -> str | None:
        if self.random.random() < 0.12:
            return None
        if self.age >= 62:
            return "retired"
        return "student" if self.age < 23 else self.random.choice(OCCUPATIONS[:6])

    def _adviser(self) -> int | None:
        """The better off have one nearly always; some clients lie in the pool."""
        advisers = self.outlet.adviser_ids
        if not advisers or self.random.random() > (0.96 if self.assets > 100_000 else 0.7):
            return None
        return self.random.choice(advisers)

    def _consent(self, channel: str, since: date) -> bool | None:
        """Given, withdrawn, or never asked; each statement leaves its evidence."""
        granted = self.random.choices((True, False, None), (0.68, 0.09, 0.23))[0]
        if granted is None:
            return None
        said = since + timedelta(days=self.random.randrange(max(1, (self.today - since).days - 200)))
        wording = (
            "I agree to receive marketing (account form, section 4)"
            if granted
            else "I do not want to receive marketing"
        )
        source = self.random.choice(("account form", "mobile app", "branch"))
        self.rows.consents.append((self.id, channel, "marketing", granted, source, wording, _at(said, self.random)))
        return bool(granted)

    def _accounts(self) -> float | None:
        """Accounts with their balances and transactions. Returns the sum of the newest balances."""
        if self.opened_on is None:
            return None
        random = self.random
        parts = {"cash": 0.14 + 0.2 * random.random()}
        if random.random() < 0.83:
            parts["a_share_shanghai"] = 0.2 + random.random()
        if random.random() < 0.76:
            parts["a_share_shenzhen"] = 0.1 + random.random() * 0.8
        if random.random() < (0.16 if self.assets < 50_000 else 0.42 if self.assets < 200_000 else 0.68):
            parts["fund"] = 0.2 + random.random() * 1.2
        if (self.risk_level or 0) >= 4 and random.random() < 0.3:
            parts["margin"] = 0.1 + random.random() * 0.3
        whole = sum(parts.values())
        total = 0.0
        for kind, part in parts.items():
            amount = round(self.assets * part / whole, 2)
            total += amount
            self._account(kind, amount)
        if random.random() < 0.55:
            self._account("custody", None)
        return round(total, 2)

    def _account(self, kind: str, amount: float | None) -> None:
        random = self.random
        account_id = self.first_account + len(self.rows.accounts)
        opened = self.opened_on or self.today
        if kind in ("fund", "margin"):
            opened += timedelta(days=random.randrange(max(1, (self.today - opened).days)))
        self.rows.accounts.append(
            (
                account_id,
                self.id,
                _account_number(kind, account_id),
                kind,
                opened,
                self.outlet.branch_id,
                random.choice(PARTNER_BANKS) if kind == "custody" else None,
            )
        )
        if amount is None or self.status == "closed":
            return
        self._balances(account_id, opened, amount)
        if kind != "cash":
            self._positions(account_id, kind, amount)
        if kind in ("a_share_shanghai", "fund"):
            self._transactions(account_id, opened, kind, amount)

    def _balances(self, account_id: int, opened: date, amount: float) -> None:
        """Backwards from the newest: each month differs from the next by some per cent."""
        drift = self.random.gauss(0.004, 0.012)
        for end in reversed(self.month_ends):
            if end < opened:
                break
            self.rows.balances.append((account_id, self.id, end, round(amount, 2)))
            amount /= 1 + drift + 0.14 * (self.random.random() - 0.5)
        else:
            return
        if opened > self.month_ends[-1]:  # too new for a month's end: what it holds now
            self.rows.balances.append((account_id, self.id, self.today - timedelta(days=1), round(amount, 2)))

    def _positions(self, account_id: int, kind: str, amount: float) -> None:
        """Most of what a securities or fund account holds, in one to four products the client may be offered.

        Drawn apart, by the account: what was drawn of everything else stays as it was before there were positions.
        """
        random = Random(account_id)
        offered = [product for product in (FUNDS if kind == "fund" else SHARES) if product[3] <= (self.risk_level or 3)]
        if amount < 500 or not offered or (kind != "fund" and random.random() < 0.25):
            return
        chosen = random.sample(offered, min(len(offered), random.choice((1, 1, 2, 3, 4))))
        invested = amount if kind == "fund" else amount * random.uniform(0.35, 0.98)
        weights = [random.uniform(0.3, 1) for _product in chosen]
        for (code, name, product_kind, risk, middle, spread), weight in zip(chosen, weights, strict=True):
            value = round(invested * weight / sum(weights), 2)
            cost = round(value / max(0.2, 1 + random.gauss(middle, spread)), 2)
            self.rows.positions.append(
                (account_id, self.id, code, name, product_kind, risk, value, cost, self.today - timedelta(days=1))
            )

    def _transactions(self, account_id: int, opened: date, kind: str, amount: float) -> None:
        """The last 90 days of those who trade; the last trade of the dormant lies longer back."""
        random = self.random
        if self.status == "dormant":
            last = self.today - timedelta(days=random.randrange(200, 900))
            if last > opened:
                self._transaction(account_id, last, kind, amount)
            return
        trades = random.random() < (0.5 if kind == "a_share_shanghai" else 0.3)
        often = max(1, round(random.expovariate(1 / 5))) if trades else 0
        for _trade in range(min(often, 40)):
            day = self.today - timedelta(days=random.randrange(1, TRADING_DAYS))
            if day > opened:
                self._transaction(account_id, day, kind, amount)

    def _transaction(self, account_id: int, day: date, kind: str, amount: float) -> None:
        random = self.random
        value = round(max(100.0, amount * random.uniform(0.02, 0.35)), 2)
        verbs = ("subscribe", "redeem") if kind == "fund" else ("buy", "sell")
        fee = round(value * (0.0015 if kind == "fund" else 0.0003), 2)
        number = len(self.rows.transactions) + 1
        self.rows.transactions.append(
            (
                account_id,
                self.id,
                "demo",
                f"T{number:07}",
                day,
                random.choice(verbs),
                value,
                fee,
                random.choice(ORDER_CHANNELS),
            )
        )


def _account_number(kind: str, account_id: int) -> str:
    prefix = {"cash": "6", "a_share_shanghai": "A", "a_share_shenzhen": "0", "fund": "F", "margin": "E", "custody": "B"}
    return f"{prefix[kind]}{account_id:09}"


def _at(day: date, random: Random) -> datetime:
    """A moment of that day's office hours in China."""
    return datetime.combine(day, time(1), UTC) + timedelta(seconds=random.randrange(8 * 3_600))
