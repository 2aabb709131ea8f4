"""A campaign of SMS through an HTTP gateway by the real workers: a request for each message, and the batch form."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.campaigns.models import Campaign, SendingRules, State
from app.campaigns.sending_rules import rules_in_force
from app.channels.models import ChannelAccount
from app.content.sms.service import new_sms
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from bench.big_book import run_statements
from bench.delivery_book import IN_FIFTY, SAMPLE, DeliveryBook, campaign_to
from bench.delivery_smtp import ROUNDS, send_sample
from bench.delivery_system import mock, send_workers
from bench.figures import Measure

LEAST = 2_000  # messages a second
BATCH = 50
TEXT = 'Dear {{ client.first_name | default: "client" }}, the week in brief is out. Reply STOP to opt out'
BATCH_FORM: dict[str, Any] = {
    "batch_size": BATCH,
    "body": '{"messages": [{messages}]}',
    "item": '{"to": "{to}", "text": "{text}", "id": "{token}"}',
    "results_path": "results",
}


def measures(book: DeliveryBook) -> Iterator[Measure]:
    _give_mobiles()
    with mock("bench.gateway_mock") as url:
        for name, form in (("one a request", {}), (f"{BATCH} a request", BATCH_FORM)):
            _use_gateway({"url": url, "outcome_path": "status", **form})
            with send_workers(book):
                taken = min(send_sample(book, campaign=_campaign) for _ in range(ROUNDS))
            rate = book.messages / taken
            yield Measure(
                f"send SMS by a gateway, {name}",
                book.messages,
                rate,
                "messages/s",
                bound=LEAST,
                on="value",
                at_least=True,
            )
    run_statements("DELETE FROM sending_rules")


def _give_mobiles() -> None:
    """Who may get the letter agrees to SMS; and whatever the hour of the measure, nobody is asleep."""
    run_statements(
        "UPDATE client SET mobile = '+86138' || lpad((id % 100000000)::text, 8, '0'), sms_consent = true "
        f"WHERE city = '{SAMPLE}' AND substr(number, 3)::int % 50 >= {50 - IN_FIFTY}",
        "VACUUM (ANALYZE) client",
    )
    with unit_of_work() as session:
        rules = rules_in_force()
        session.merge(
            SendingRules(
                id=1,
                caps={channel: dict(caps) for channel, caps in rules.caps.items()},
                quiet_from=rules.quiet_from,
                quiet_until=rules.quiet_until,
                quiet_channels=[],
                launch_tolerance=rules.launch_tolerance,
            )
        )


def _use_gateway(settings: dict[str, Any]) -> None:
    """The channel's one account that gets anything; a book that was kept may have it from an earlier run."""
    name = f"gateway {settings.get('batch_size', 1)}"
    with unit_of_work() as session:
        session.execute(update(ChannelAccount).where(ChannelAccount.channel == "sms").values(weight=0))
        facts = {"weight": 1, "settings": settings}
        session.execute(
            upsert(ChannelAccount)
            .values(name=name, channel="sms", vendor="http_gateway", **facts)
            .on_conflict_do_update(index_elements=["name"], set_=facts)
        )


def _campaign() -> Campaign:
    campaign = campaign_to(sample=True, state=State.PAUSED)
    with unit_of_work() as session:
        words = new_sms(text=TEXT, signature_id=None, template_id=None, actor=None)
        session.add(words)
        session.flush()
        step = campaign.steps[0]
        step.channel, step.content_id, step.sms_content_id = "sms", None, words.id
    db.session.expire_all()
    return campaign
