"""SMS through the ledger, and campaigns of several steps."""

from flask import Flask
from sqlalchemy import select

from app.channels.models import ChannelAccount
from app.channels.sms.models import MailboxSms
from app.content.sms.models import Registration
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message, Run, RunChannel
from app.delivery.routing import usable_accounts
from tests.factories.clients import make_client
from tests.factories.delivery import plan, send_all, states
from tests.factories.sms import make_signature, make_sms_campaign, make_sms_template


def test_an_sms_is_filled_signed_and_kept_in_the_local_mailbox(app: Flask) -> None:
    make_client(first_name="Maria", mobile="+8613800138000", sms_consent=True)
    plan(make_sms_campaign(signature=make_signature(), purpose="statutory"))
    send_all()
    kept = db.session.scalars(select(MailboxSms)).one()
    assert kept.text == "【Bellwether】Dear Maria, news. Reply STOP to opt out"
    assert (kept.recipient, kept.parts) == ("+8613800138000", 1)
    assert states() == {"sent": 1}


def test_an_sms_reaches_those_who_agreed_to_sms(app: Flask) -> None:
    make_client(mobile="+8613800138001", sms_consent=True)
    make_client(mobile="+8613800138002", sms_consent=None)
    make_client(mobile=None, sms_consent=True)
    plan(make_sms_campaign())
    run = db.session.scalars(select(Run)).one()
    assert (run.matched, run.eligible, run.exclusions) == (3, 1, {"no_address": 1, "no_consent": 1})


def test_somebody_is_eligible_where_one_of_the_steps_may_reach_them(app: Flask) -> None:
    both = make_client(mobile="+8613800138001", sms_consent=True)
    by_mail = make_client(mobile=None)
    by_phone = make_client(email=None, mobile="+8613800138002", sms_consent=True)
    make_client(email=None, mobile=None)
    plan(make_sms_campaign(keep_email=True))
    run = db.session.scalars(select(Run)).one()
    assert (run.matched, run.eligible, run.exclusions) == (4, 3, {"no_address": 1})
    by_channel = {row.channel: row for row in db.session.scalars(select(RunChannel))}
    assert (by_channel["email"].eligible, by_channel["email"].exclusions) == (2, {"no_address": 2})
    assert by_channel["sms"].eligible == 2
    planned = {(message.client_id, message.channel) for message in db.session.scalars(select(Message))}
    assert planned == {(both.id, "email"), (both.id, "sms"), (by_mail.id, "email"), (by_phone.id, "sms")}


def test_what_is_not_registered_is_refused_at_the_last_moment(app: Flask) -> None:
    make_client(mobile="+8613800138000", sms_consent=True)
    template = make_sms_template()
    plan(make_sms_campaign(template=template, purpose="statutory"))
    with unit_of_work():
        template.state = Registration.REFUSED
    send_all()
    assert states() == {"failed": 1}
    assert db.session.scalars(select(Message.reason)).one() == "the SMS template is not registered"
    assert db.session.scalars(select(MailboxSms)).all() == []


def test_the_local_mailbox_is_not_used_once_there_is_a_gateway(app: Flask) -> None:
    with unit_of_work():
        assert [account.vendor for account in usable_accounts("sms")] == ["sms_mailbox"]
        db.session.add(ChannelAccount(name="gateway", channel="sms", vendor="http_gateway", state="paused"))
        db.session.flush()
        assert usable_accounts("sms") == []
