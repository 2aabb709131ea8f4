"""Variants on their way: each client gets the words drawn for them, a test ends once, the rest gets what was chosen."""

import pytest
from flask import Flask
from pyroaring import BitMap64
from sqlalchemy import func, select, update

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign, State
from app.channels.email.models import MailboxMessage
from app.clients.models import Client
from app.content.models import EmailContent
from app.core.clock import now
from app.core.errors import AppError, Conflict, Forbidden, NotFound
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.experiments.comparing import Comparison, comparisons
from app.delivery.experiments.service import AlreadyChosen, TooEarly, send_to_rest
from app.delivery.models import Batch, Message, MessageState, Run, RunTest
from app.delivery.outcomes.queries import Filter
from app.delivery.outcomes.service import retry
from app.delivery.rendering import render_message_html
from app.delivery.seeds import send_seeds
from app.delivery.sweeping import finish_runs
from app.statistics.variants import Conclusion
from app.users.models import User
from tests.factories.campaigns import make_campaign, make_content
from tests.factories.clients import make_clients
from tests.factories.delivery import do_due_jobs, plan, send_all
from tests.factories.experiments import add_variants, contacted, end_tests, groups_of, run_of
from tests.factories.users import make_user

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def officer(app: Flask) -> User:
    return make_user(role=Role.MARKETING)


def planned(clients: int, shares: list[float], **test: object) -> Campaign:
    """A running, planned campaign whose step has these variants beside A."""
    make_clients(clients)
    campaign = make_campaign(state=State.RUNNING)
    add_variants(campaign, shares, **test)
    plan(campaign)
    return campaign


def subjects() -> dict[str, set[int]]:
    """Whom a message with each subject reached, by client id."""
    rows = db.session.execute(
        select(MailboxMessage.subject, Client.id).join(Client, Client.email == MailboxMessage.recipient)
    )
    found: dict[str, set[int]] = {}
    for subject, client_id in rows:
        found.setdefault(subject, set()).add(client_id)
    return found


def arms_of(campaign: Campaign) -> dict[str, BitMap64]:
    return dict(groups_of(run_of(campaign))[f"variant:{campaign.steps[0].id}"])


def compared(campaign: Campaign) -> Comparison:
    (found,) = comparisons(run_of(campaign), campaign, visible=None)
    return found


def choose(campaign: Campaign, variant: str, actor: User) -> None:
    with unit_of_work():
        send_to_rest(campaign=campaign, step=campaign.steps[0], variant=variant, actor=actor)


def test_everybody_gets_the_words_drawn_for_them() -> None:
    campaign = planned(1_200, [40, 20])
    batches = db.session.scalars(select(Batch)).all()
    assert {batch.variant for batch in batches} == {"A", "B", "C"}
    assert sum(batch.size for batch in batches) == 1_200
    send_all()
    arms = arms_of(campaign)
    assert subjects() == {
        "Market brief": set(arms["A"]), "Subject B": set(arms["B"]), "Subject C": set(arms["C"]),
    }  # fmt: skip
    for batch in db.session.scalars(select(Batch)):
        subject = db.session.get_one(EmailContent, batch.content_id).subject
        assert subject == {"A": "Market brief"}.get(str(batch.variant), f"Subject {batch.variant}")


def test_a_message_is_shown_with_the_words_of_its_variant() -> None:
    campaign = planned(60, [50])
    content = make_content(subject="B anew", source="<html><body><p>Only in B</p></body></html>")
    with unit_of_work():
        campaign.steps[0].variants[0].content_id = content.id
    for sent in (False, True):
        for variant, inside in (("A", False), ("B", True)):
            message_id = db.session.scalars(
                select(func.min(Message.id)).join(Batch, Batch.id == Message.batch_id).where(Batch.variant == variant)
            ).one()
            assert ("Only in B" in render_message_html(message_id)) is inside
        if not sent:
            send_all()


def test_a_revised_variant_leaves_in_batches_of_its_own() -> None:
    campaign = planned(300, [50])
    batch = db.session.scalars(select(Batch).where(Batch.variant == "B")).first()
    assert batch is not None
    with unit_of_work() as session:
        session.execute(update(Batch).where(Batch.id == batch.id).values(content_id=batch.id + 10_000))
    send_all()
    send_all()
    assert set(subjects()["Subject B"]) == set(arms_of(campaign)["B"])
    assert {other.variant for other in db.session.scalars(select(Batch))} == {"A", "B"}


def test_what_failed_is_retried_in_its_variant(officer: User) -> None:
    campaign = planned(200, [50])
    send_all()
    with unit_of_work() as session:
        session.execute(update(Message).values(state=MessageState.FAILED, sent_at=None, reason="550 no"))
        session.execute(update(Batch).values(failed=Batch.size, sent=0))
        session.query(MailboxMessage).delete()
    with unit_of_work():
        assert retry(chosen=Filter(), reason="the relay is back", actor=officer) == 200
    send_all()
    arms = arms_of(campaign)
    assert subjects() == {"Market brief": set(arms["A"]), "Subject B": set(arms["B"])}


def test_seeds_get_every_variant() -> None:
    make_clients(10)
    campaign = make_campaign(state=State.RUNNING, seeds=["colleague@firm.example"])
    add_variants(campaign, [50])
    plan(campaign)
    send_seeds(campaign.id)
    send_seeds(campaign.id)
    got = db.session.scalars(
        select(MailboxMessage.subject).where(MailboxMessage.recipient == "colleague@firm.example")
    ).all()
    assert sorted(got) == ["[A] Market brief", "[B] Subject B"]


# ---- The end of a test ----------------------------------------------------------------------------------------------


def test_the_run_goes_on_while_the_rest_waits(officer: User) -> None:
    campaign = planned(300, [50], test_percent=40)
    send_all()
    assert run_of(campaign).state == "sending"
    assert len(contacted(campaign)) < 300
    end_tests()
    choose(campaign, "B", officer)
    do_due_jobs()
    send_all()
    db.session.expire_all()
    assert len(contacted(campaign)) == 300
    arms = arms_of(campaign)
    assert subjects() == {"Market brief": set(arms["A"]), "Subject B": set(arms["B"] | arms["rest"])}
    with unit_of_work():
        finish_runs()
    assert run_of(campaign).state == "complete"
    assert db.session.get_one(Campaign, campaign.id).state == State.COMPLETE


def test_nothing_is_chosen_before_the_end(officer: User) -> None:
    campaign = planned(100, [50], test_percent=40)
    send_all()
    assert compared(campaign).verdict is None
    assert all(line.successes is None for line in compared(campaign).lines)
    with pytest.raises(TooEarly):
        choose(campaign, "B", officer)


def test_it_is_chosen_once_and_on_record(officer: User) -> None:
    campaign = planned(200, [50], test_percent=40)
    end_tests()
    choose(campaign, "B", officer)
    choose(campaign, "B", officer)  # asked twice before it was planned: the same
    with pytest.raises(AlreadyChosen):
        choose(campaign, "A", officer)
    do_due_jobs()
    with pytest.raises(AlreadyChosen):
        choose(campaign, "B", officer)
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "campaign.rest_sent")).all()
    assert [(entry.actor_id, entry.changes["variant"]) for entry in entries] == [(officer.id, [None, "B"])]
    assert len(contacted(campaign)) == 200
    assert db.session.scalar(select(func.count(Message.id))) == 200


def test_it_is_chosen_from_the_command_line(app: Flask, officer: User) -> None:
    campaign = planned(100, [50], test_percent=40)
    cli = app.test_cli_runner()
    words = ["delivery", "send-rest", campaign.code, "b", "--as", officer.email]
    assert "not over yet" in cli.invoke(args=words).output
    end_tests()
    assert cli.invoke(args=[*words, "--step", "2"]).exit_code == 1
    assert cli.invoke(args=words).output == "The rest gets variant B.\n"
    do_due_jobs()
    assert len(contacted(campaign)) == 100


def test_who_may_not_run_campaigns_chooses_nothing(officer: User) -> None:
    campaign = planned(100, [50], test_percent=40)
    end_tests()
    with pytest.raises(Forbidden):
        choose(campaign, "B", make_user(role=Role.COMPLIANCE))
    with pytest.raises(NotFound):
        choose(campaign, "D", officer)


def test_nothing_is_chosen_for_a_campaign_that_does_not_run_or_has_no_rest(officer: User) -> None:
    campaign = planned(100, [50], test_percent=40)
    end_tests()
    with unit_of_work():
        db.session.get_one(Campaign, campaign.id).state = State.PAUSED
    with pytest.raises(Conflict):
        choose(campaign, "B", officer)
    whole = planned(20, [50])
    end_tests()
    with pytest.raises(AppError, match="Nobody waits"):
        choose(whole, "B", officer)


def test_a_cancelled_run_sends_nothing_to_the_rest(officer: User) -> None:
    campaign = planned(100, [50], test_percent=40)
    before = contacted(campaign)
    end_tests()
    choose(campaign, "B", officer)
    with unit_of_work() as session:
        session.execute(update(Run).values(state="cancelled"))
    do_due_jobs()
    assert contacted(campaign) == before


def react(campaign: Campaign, rates: dict[str, float], column: str = "clicked_at") -> None:
    """So many of each arm's messages got a reaction now."""
    arms = arms_of(campaign)
    with unit_of_work() as session:
        for letter, rate in rates.items():
            some = list(arms[letter])[: round(len(arms[letter]) * rate)]
            session.execute(update(Message).where(Message.client_id.in_(some)).values({column: now()}))


def test_a_clear_winner_is_named() -> None:
    campaign = planned(2_000, [34, 33])
    react(campaign, {"A": 0.02, "B": 0.12, "C": 0.03})
    end_tests()
    comparison = compared(campaign)
    assert comparison.verdict is not None
    assert (comparison.verdict.conclusion, comparison.winner) == (Conclusion.WINNER, "B")
    assert {line.letter: line.clients for line in comparison.lines} == {
        letter: len(ids) for letter, ids in arms_of(campaign).items()
    }


def test_no_difference_is_inconclusive_and_the_rest_may_still_be_sent(officer: User) -> None:
    campaign = planned(1_000, [50], test_percent=50)
    react(campaign, {"A": 0.06, "B": 0.06})
    end_tests()
    comparison = compared(campaign)
    assert comparison.verdict is not None
    assert (comparison.verdict.conclusion, comparison.winner) == (Conclusion.INCONCLUSIVE, None)
    assert comparison.rest_waits
    choose(campaign, "A", officer)
    do_due_jobs()
    assert not compared(campaign).rest_waits


def test_reactions_after_the_end_count_for_nothing() -> None:
    campaign = planned(1_000, [50], test_metric="opened")
    end_tests()
    react(campaign, {"B": 0.5}, "opened_at")
    assert [line.successes for line in compared(campaign).lines] == [0, 0]


def test_the_rest_has_no_part_in_the_comparison(officer: User) -> None:
    campaign = planned(600, [50], test_percent=40)
    end_tests()
    choose(campaign, "B", officer)
    do_due_jobs()
    assert sum(line.clients for line in compared(campaign).lines) == 600 - compared(campaign).rest
    assert db.session.scalars(select(RunTest.rest)).one() == compared(campaign).rest
