"""A firm of two branches for the walk that looks for leaks: whoever works for the north must meet nothing of the south.

The clients of the south have unmistakable names, and there are so many of them that a count of them stands out.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from sqlalchemy import select

from app.advising.models import ResultImport
from app.advising.service import record_contact
from app.campaigns.models import State
from app.channels.email.models import MailboxMessage
from app.clients.holdings.models import Account
from app.clients.models import Client, ClientImport, Consent, ImportRefusal, Suppression
from app.clients.ownership.models import Ownership
from app.core.extensions import db
from app.core.files import store_file
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.tracking.models import Reply
from app.users.models import Branch, User
from tests.factories.advising import a_contact, make_absence, make_tasks
from tests.factories.audiences import make_segment
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_client, make_clients
from tests.factories.ledger import make_launched_campaign, make_opening, make_run
from tests.factories.users import make_branch, make_team, make_user

NUMBER, NAME, EMAIL = "SOUTH-77001", "Zzsouthern Quuxley", "zzsouthern.quuxley@example.com"
SOUTHERN = 1_733
NORTHERN = 3
# What no page for the north may say: who they are, how many they are, how many all are together.
NAMES = (NUMBER, NAME, EMAIL, "Quuxley", "SOUTH-")
COUNTS = tuple(
    shape.format(number) for number in (SOUTHERN, SOUTHERN + 1, SOUTHERN + NORTHERN) for shape in ("{:,}", "{}")
)


@dataclass(frozen=True)
class TwoBranches:
    """The people of the north, and where the walk finds things: ids of objects run from 1 upwards in every table."""

    north: Branch
    south: Branch
    people: dict[str, User]
    southern_adviser: User


def make_two_branches() -> TwoBranches:
    """Both branches with clients, campaigns, messages, answers, openings, files and history of their own."""
    north, south = make_branch(name="North"), make_branch(name="South")
    northern_team, southern_team = make_team(name="Northern team"), make_team(name="Southern team")
    adviser = make_user(role=Role.ADVISER, branch=north, team=northern_team, name="Northern adviser")
    leader = make_user(role=Role.ADVISER, branch=north, team=northern_team, leads_team=True, name="Northern leader")
    southern = make_user(role=Role.ADVISER, branch=south, team=southern_team, name="Southern adviser")
    people = {"adviser": adviser, "team leader": leader}
    for role in Role:
        if role != Role.ADVISER:
            people[role.value] = make_user(role=role, branch=north, name=f"Northern {role}")
    ours = [
        make_client(number="NORTH-1", name="Northern one", branch=north, adviser_id=adviser.id),
        make_client(number="NORTH-2", name="Northern two", branch=north, adviser_id=leader.id),
        make_client(number="NORTH-3", name="Northern three", branch=north),
    ]
    theirs = make_client(
        number=NUMBER, name=NAME, first_name=NAME, email=EMAIL, branch=south, adviser_id=southern.id,
        second_adviser_id=make_user(role=Role.ADVISER, branch=south).id, mobile="+8613877001770", tags=["vip"],
    )  # fmt: skip
    crowd = make_clients(
        SOUTHERN - 2, number=lambda n: f"SOUTH-{n}", name=lambda n: f"{NAME} {n}", email=lambda n: f"{n}.{EMAIL}",
        branch_id=south.id, adviser_id=southern.id,
    )  # fmt: skip
    make_client(number="SOUTH-POOL", name=f"{NAME} pool", branch=south)
    _make_campaigns([client.id for client in ours], [theirs.id, *crowd])
    _make_traces(theirs.id, southern)
    _make_contacts(theirs, ours[0], southern)
    return TwoBranches(north, south, people, southern)


def _make_campaigns(ours: list[int], theirs: list[int]) -> None:
    """A campaign of the head office that reached both branches, a draft for both, and what came back from the south."""
    everyone = make_segment(name="Everyone", last_count=SOUTHERN + NORTHERN)
    make_segment(name="Southern names", rule={"field": "name", "op": "starts_with", "value": "Zz"})
    chief = make_user(role=Role.MARKETING, name="Head office author")
    make_campaign(owner=chief, include=[everyone], state=State.DRAFT, name="Draft to all")
    make_campaign(owner=chief, include=[everyone], state=State.IN_REVIEW, name="To be checked", submitter=chief)
    launched = make_launched_campaign(owner_id=chief.id)
    make_run(launched, [*ours, *theirs], segments={"Everyone": [*ours, *theirs]}, opened=[ours[0], *theirs],
             clicked=[ours[0], *theirs])  # fmt: skip
    make_opening(launched, theirs[0])
    make_opening(launched, ours[0])
    message_id = db.session.scalars(select(Message.id).where(Message.client_id == theirs[0])).one()
    db.session.add(
        Reply(
            message_id=message_id,
            client_id=theirs[0],
            campaign_id=launched.id,
            message_id_header="<1@south>",
            subject=f"From {NAME}",
            text=f"Yours, {NAME}",
            raw=b"raw",
        )
    )
    db.session.commit()


def _make_traces(client_id: int, southern: User) -> None:
    """What else is known of a client of the south."""
    file = store_file(BytesIO(f"number,name\n{NUMBER},{NAME}\n".encode()), name=f"{NAME}.csv")
    client_import = ClientImport(
        file_id=file.id, file_name=f"{NAME}.csv", state="done", dialect={}, columns=[], rows_total=SOUTHERN,
        rows_done=SOUTHERN, created=SOUTHERN, created_by_id=southern.id,
    )  # fmt: skip
    db.session.add(client_import)
    db.session.flush()
    rows: list[Any] = [
        ImportRefusal(import_id=client_import.id, row_number=1, reason="refused", cells=[NUMBER, NAME, EMAIL]),
        Account(client_id=client_id, number="SOUTH-ACCOUNT-770017700177", kind="cash"),
        Consent(client_id=client_id, channel="email", granted=True, source="letter", wording=f"{NAME} agreed"),
        Ownership(client_id=client_id, adviser_id=southern.id, role="owner", reason=f"{NAME} moved"),
        Suppression(channel="email", address=EMAIL, reason="asked", source="staff"),
        MailboxMessage(recipient=EMAIL, sender="firm@example.com", subject=f"Dear {NAME}", mime=b"Subject: x\r\n\r\ny"),
    ]
    db.session.add_all(rows)
    db.session.commit()


def _make_contacts(theirs: Client, ours: Client, southern: User) -> None:
    """Contact tasks of both branches, a result, a file of results and an absence of the south."""
    make_tasks([theirs, ours])
    with unit_of_work() as session:
        adviser = session.merge(southern)
        record_contact(contact=a_contact(theirs, "no_answer", note=f"{NAME} was out"), actor=adviser)
        session.add(
            ResultImport(
                file_name=f"{NAME}.csv", rows=SOUTHERN, refused=[[1, "refused", [NUMBER, NAME]]],
                created_by_id=adviser.id,
            )
        )  # fmt: skip
    make_absence(southern, None)
