"""The synthetic securities firm that `make run` and `make demo` load into an empty database.

Everything is drawn from one seed, so that the same day and the same seed give the same firm. People, companies and
addresses are invented (see `names.py`).
"""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

from flask_babel import lazy_gettext as _l
from sqlalchemy import exists, select, text

from app.audiences.gallery import GALLERY
from app.audiences.models import Segment
from app.audiences.service import create_segment, recount
from app.clients.metrics.service import refresh_metrics
from app.clients.models import HARD_BOUNCE, Client, CustomField
from app.clients.service import define_field, suppress
from app.content.service import create_template
from app.content.starters import starter
from app.core.clock import now
from app.core.errors import Conflict
from app.core.extensions import db
from app.core.permissions import ROLE_LABELS, Role
from app.core.unit_of_work import unit_of_work
from app.demo.book import OCCUPATIONS, Outlet, write_book
from app.demo.names import person
from app.demo.past import PAST, Staff, write_open_campaigns, write_openings, write_past_campaign
from app.tracking.models import AccountOpening
from app.tracking.openings.service import judge_campaign
from app.users.models import Branch, User
from app.users.queries import find_branch, head_office
from app.users.service import create_branch, create_user

# region code: (name, outlets: (code, name, share of clients))
BRANCHES: dict[str, tuple[str, Sequence[tuple[str, str, float]]]] = {
    "SH": ("Shanghai", (("SH01", "Lujiazui", 0.14), ("SH02", "Xujiahui", 0.09), ("SH03", "Hongqiao", 0.07))),
    "GD": ("Guangdong", (("GD01", "Tianhe", 0.11), ("GD02", "Futian", 0.1), ("GD03", "Nanshan", 0.06))),
    "ZJ": ("Zhejiang", (("ZJ01", "West Lake", 0.1), ("ZJ02", "Yinzhou", 0.06), ("ZJ03", "Ouhai", 0.05))),
    "BJ": ("Beijing", (("BJ01", "Financial Street", 0.09), ("BJ02", "Haidian", 0.07), ("BJ03", "Chaoyang", 0.06))),
}
ADVISERS_AN_OUTLET = 2
NO_PASSWORD = "!"  # noqa: S105 - the hash of no password at all

# role, name, e-mail address, password, branch code
SIGN_INS = (
    (Role.MARKETING, "Mei Lin", "marketing@bellwether.example", "harbour-walnut-lantern-47", "HO"),
    (Role.COMPLIANCE, "Dr. Karl Weber", "compliance@bellwether.example", "granite-violin-meadow-26", "HO"),
    (Role.HEAD_OFFICE, "Zhou Ming", "headoffice@bellwether.example", "saffron-bridge-kettle-83", "HO"),
    (Role.BRANCH_MANAGER, "Chen Hui", "shanghai@bellwether.example", "copper-orchard-window-59", "SH"),
    (Role.ADVISER, "Anna Fischer", "adviser@bellwether.example", "thistle-anchor-pepper-31", "SH01"),
    (Role.ADMINISTRATOR, "Sam Porter", "admin@bellwether.example", "juniper-marble-canoe-74", "HO"),
)
_OWN_SEGMENTS: tuple[tuple[str, str, dict[str, object]], ...] = (
    (
        "Everyone with an address",
        "All clients who can be reached by e-mail in principle.",
        {"all": [{"field": "email", "op": "known"}, {"field": "status", "op": "in", "value": ["client", "dormant"]}]},
    ),
    ("Under 35", "Clients younger than 35.", {"all": [{"field": "age", "op": "lt", "value": 35}]}),
    ("Age 50 to 70", "Before and after retirement.", {"all": [{"field": "age", "op": "between", "value": [50, 70]}]}),
    (
        "Assets of 200,000 and more",
        "The wealth managers' clients.",
        {"all": [{"field": "total_assets", "op": "gte", "value": 200_000}]},
    ),
    ("Shanghai", "The branch with its outlets.", {"all": [{"field": "branch", "op": "is", "value": "SH"}]}),
    ("Guangdong", "The branch with its outlets.", {"all": [{"field": "branch", "op": "is", "value": "GD"}]}),
    ("Uses the app", "Has signed in to the mobile app.", {"all": [{"field": "custom.app_user", "op": "is_yes"}]}),
    (
        "C4 and C5 without a fund",
        "Accept higher risk and hold no growth product yet.",
        {
            "all": [
                {"field": "risk_level", "op": "in", "value": [4, 5]},
                {"not": {"field": "account_kinds", "op": "has", "value": "fund"}},
                {"field": "status", "op": "in", "value": ["client", "dormant"]},
            ]
        },
    ),
)


class FirmExists(Conflict):
    message = _l("This database already has clients. The demo firm is built into an empty one only.")


def demo_sign_ins() -> list[tuple[str, str, str]]:
    """Role, e-mail address and password of one person per role, to sign in to the demo."""
    return [(str(ROLE_LABELS[role]), email, password) for role, _name, email, password, _branch in SIGN_INS]


def build_firm(*, clients: int = 20_000, seed: int = 7) -> None:
    """Build the whole firm. Raises FirmExists, having changed nothing, where there are clients already."""
    if db.session.scalar(select(exists().where(Client.id.is_not(None)))):
        raise FirmExists
    random = Random(seed)
    with unit_of_work():
        branches = _branches()
        staff = _staff(branches, random)
        outlets = _outlets(branches, random)
        write_book(count=clients, outlets=outlets, custom=_custom_fields(), random=random)
        _suppress_some(random)
        db.session.execute(text("ANALYZE"))
        refresh_metrics()
        segments = _segments(staff.author)
        _templates(staff.author)
        past = [write_past_campaign(plan, segments=segments, staff=staff, random=random) for plan in PAST]
        _unprompted_openings(random)
        refresh_metrics(client_ids=select(AccountOpening.client_id))
        for campaign in past:
            judge_campaign(campaign)
        write_open_campaigns(segments=segments, staff=staff)
        for segment in segments.values():
            recount(segment=segment)
        db.session.execute(text("ANALYZE"))


def _branches() -> dict[str, Branch]:
    """Head office, branches and outlets by code."""
    top = head_office()
    made = {top.code: top, "HO": top}
    for code, (name, outlets) in BRANCHES.items():
        made[code] = find_branch(code) or create_branch(code=code, name=f"{name} branch", parent=top, actor=None)
        for outlet_code, outlet_name, _share in outlets:
            made[outlet_code] = find_branch(outlet_code) or create_branch(
                code=outlet_code, name=f"{outlet_name} outlet", parent=made[code], actor=None
            )
    return made


def _staff(branches: dict[str, Branch], random: Random) -> Staff:
    """One person per role who can sign in, and a manager for each branch besides."""
    made: dict[Role, User] = {}
    for role, name, email, password, branch in SIGN_INS:
        made[role] = create_user(email=email, name=name, password=password, roles=[role], branch=branches[branch])
    for code in list(BRANCHES)[1:]:
        _colleague(f"{code.lower()}.manager", Role.BRANCH_MANAGER, branches[code], random)
    return Staff(author=made[Role.MARKETING], checker=made[Role.COMPLIANCE])


def _outlets(branches: dict[str, Branch], random: Random) -> list[Outlet]:
    """Outlets with two advisers each; the adviser who signs in is one of the first outlet's."""
    made = []
    demo_adviser = db.session.scalars(select(User).where(User.roles.contains([Role.ADVISER.value]))).one()
    for region, (_name, outlets) in BRANCHES.items():
        for code, _outlet, share in outlets:
            branch = branches[code]
            advisers = [
                _colleague(f"{code.lower()}.adviser{number}", Role.ADVISER, branch, random).id
                for number in range(1, ADVISERS_AN_OUTLET + (demo_adviser.branch_id != branch.id))
            ]
            if demo_adviser.branch_id == branch.id:
                advisers.append(demo_adviser.id)
            made.append(Outlet(branch.id, region, share, advisers))
    return made


def _colleague(login: str, role: Role, branch: Branch, random: Random) -> User:
    """One more member of staff, who cannot sign in until an administrator gives them a password."""
    user = User(
        email=f"{login}@bellwether.example",
        name=person(random).name,
        password_hash=NO_PASSWORD,
        roles=[role.value],
        branch_id=branch.id,
    )
    db.session.add(user)
    db.session.flush()
    return user


def _custom_fields() -> dict[str, CustomField]:
    return {
        "occupation": define_field(
            key="occupation", label="Occupation", type="choice", choices=sorted(OCCUPATIONS), actor=None
        ),
        "annual_income": define_field(key="annual_income", label="Annual income", type="money", actor=None),
        "app_user": define_field(key="app_user", label="Uses the mobile app", type="yesno", actor=None),
        "last_visit": define_field(key="last_visit", label="Last visit to a branch", type="date", actor=None),
    }


def _suppress_some(random: Random) -> None:
    """Addresses that were put on the suppression list over the years."""
    addresses = list(db.session.scalars(select(Client.email).where(Client.email.is_not(None)).order_by(Client.id)))
    listed = random.sample([address for address in addresses if address], len(addresses) // 150)
    half = len(listed) // 2
    suppress(channel="email", addresses=listed[:half], reason=HARD_BOUNCE, source="earlier system")
    suppress(channel="email", addresses=listed[half:], reason="complaint", source="earlier system")


def _segments(author: User) -> dict[str, Segment]:
    """The gallery and a few of the firm's own, by name."""
    made: dict[str, Segment] = {}
    for name, description, rule in _OWN_SEGMENTS:
        made[name] = create_segment(name=name, description=description, rule=rule, actor=author)
    for ready in GALLERY:
        if str(ready.name) not in made:
            made[str(ready.name)] = create_segment(
                name=str(ready.name), description=str(ready.description), rule=ready.rule, actor=author
            )
    return made


def _templates(author: User) -> None:
    """Two e-mails of the house in the library."""
    for key, name in (("market_brief", "Weekly market brief"), ("account_opening", "Account opening")):
        words = starter(key)
        if words is not None:
            create_template(
                name=name,
                format="mjml",
                subject=words.subject,
                preheader=words.preheader,
                source=words.source,
                actor=author,
            )


def _unprompted_openings(random: Random) -> None:
    """Accounts that clients opened of their own accord: no campaign is credited where none reached them in time."""
    fund_less = db.session.scalars(
        text(
            "SELECT number FROM client WHERE status = 'client' AND NOT EXISTS (SELECT 1 FROM account "
            "WHERE account.client_id = client.id AND account.kind = 'fund') ORDER BY id"
        )
    ).all()
    chosen = random.sample(list(fund_less), len(fund_less) // 60)
    openings = [(number, now() - timedelta(days=random.uniform(0.5, 170))) for number in chosen]
    write_openings(source="core system", key="DEMO-00", product="fund account", openings=openings, random=random)
