"""Coming from another product: what its export files say, and that an opt-out always wins."""

import io
import zipfile
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from app.clients import service as clients_service
from app.clients.importing.reading import NotATable
from app.clients.models import Client, Consent, Suppression
from app.clients.reachability.models import RepairTask
from app.clients.reachability.tasks import refresh_repairs
from app.clients.switching import service as switching
from app.clients.switching import tasks as tasks
from app.clients.switching.layouts import AGREED, BOUNCED, OPTED_OUT
from app.clients.switching.models import ClientSwitch
from app.clients.switching.products import PRODUCTS
from app.clients.switching.reading import UnknownExport, moment, product_of, read_export
from app.core.clock import now
from app.core.extensions import db
from app.core.jobs import Job, Lease, claim, run_job
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.clients import make_client
from tests.factories.users import make_branch, make_user

LISTMONK = (
    "uuid,email,name,attributes,status,created_at,updated_at\n"
    '5e91dda1-1c16-467d-9bf9-2a21bf22ae21,Ann@Example.com,Ann,"{""city"": ""Oslo""}",blocklisted,'
    "2022-01-02 10:00:00.123456 +0000 UTC,2023-05-01 10:20:30.654321 +0000 UTC\n"
    "5e91dda1-1c16-467d-9bf9-2a21bf22ae22,bob@example.com,Bob,{},enabled,"
    "2022-02-03 11:00:00 +0000 UTC,2022-02-03 11:00:00 +0000 UTC\n"
    "5e91dda1-1c16-467d-9bf9-2a21bf22ae23,nobody,No,{},enabled,2022-02-03 11:00:00 +0000 UTC,\n"
)
MAILCHIMP_COLUMNS = "Email Address,First Name,Last Name,Phone Number,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME"
MAILCHIMP = {
    "subscribed_email_audience_export_8a1b.csv": (
        f"{MAILCHIMP_COLUMNS},CONFIRM_IP,LATITUDE,LAST_CHANGED,LEID,EUID,NOTES,TAGS\n"
        "bob@example.com,Bob,B,,2,2021-03-01 09:00:00,,2021-03-01 09:01:00,,,2021-03-01 09:01:00,1,a1,,\n"
        "cleo@example.com,Cleo,C,,2,,,2021-04-01 09:01:00,,,2021-04-01 09:01:00,2,a2,,\n"
    ),
    "unsubscribed_email_audience_export_8a1b.csv": (
        f"{MAILCHIMP_COLUMNS},LAST_CHANGED,UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_CAMPAIGN_ID,UNSUB_REASON,"
        "UNSUB_REASON_OTHER,LEID,EUID,NOTES,TAGS\n"
        "ann@example.com,Ann,A,,2,2020-01-01 09:00:00,,,2022-06-07 08:09:10,2022-06-07 08:09:10,May,77,NORMAL,,3,a3,,\n"
        "dora@example.com,Dora,D,,2,,,,2022-06-08 08:09:10,2022-06-08 08:09:10,May,77,,too many,4,a4,,\n"
    ),
    "cleaned_email_audience_export_8a1b.csv": (
        f"{MAILCHIMP_COLUMNS},LAST_CHANGED,CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,LEID,EUID,NOTES,TAGS\n"
        "eve@example.com,Eve,E,,2,,,,2022-07-01 00:00:00,2022-07-01 00:00:00,June,78,5,a5,,\n"
    ),
    "nonsubscribed_email_audience_export_8a1b.csv": (
        f"{MAILCHIMP_COLUMNS},LAST_CHANGED,LEID,EUID,NOTES,TAGS\nfay@example.com,Fay,F,,2,,,,,6,a6,,\n"
    ),
}
MAUTIC = (
    "Contact ID,Email,Mobile,Channel,Reason,Date added,Comments\n"
    "1,ann@example.com,+8613812345678,email,1,2022-01-01 10:00:00,User unsubscribed.\n"
    "2,bob@example.com,+8613812345679,sms,3,2022-01-02 10:00:00,asked by phone\n"
    "3,cleo@example.com,,email,2,2022-01-03 10:00:00,550 no such user\n"
    "4,dora@example.com,,email,0,,\n"
    "5,eve@example.com,,notification,1,,\n"
)
MAUTIC_CONTACTS = "id,email,firstname,Do Not Contact\n1,ann@example.com,Ann,1\n2,bob@example.com,Bob,0\n"
BRAZE_SEGMENT = (
    "Braze ID,country,created_at,email,unsubscribed_from_emails_at,user_id\n"
    "b1,NO,2021-01-01 00:00:00 UTC,ann@example.com,2022-05-05 12:00:00 UTC,u1\n"
    "b2,NO,2021-01-01 00:00:00 UTC,bob@example.com,,u2\n"
)
BRAZE_STATES = (
    "external_id,email,email_subscribe,email_opted_in_at,email_unsubscribed_at\n"
    "u1,ann@example.com,unsubscribed,,2022-05-05T12:00:00.000Z\n"
    "u2,bob@example.com,opted_in,2021-05-05T14:00:00+02:00,\n"
    "u3,cleo@example.com,subscribed,,\n"
)
BRAZE_BOUNCES = "email,hard_bounced_at\neve@example.com,2022-08-25 15:24:32 +0000\nx@example.com,\n"
BRAZE_UNSUBSCRIBES = "email,unsubscribed_at\nann@example.com,2022-08-25 15:24:32 +0000\ny@example.com,\n"
BRAZE_GROUP = (
    "external_id,phone,subscription_group_id,subscription_state\n"
    "u1,+8613812345678,g1,unsubscribed\nu2,+8613812345679,g1,subscribed\n"
)


def zipped(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def said(data: str | bytes, name: str, *, everyone_out: bool = False) -> dict[str, tuple[str, datetime | None, str]]:
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    product = product_of(stream, name, product=None)
    rows = read_export(stream, name, product=product.key, everyone_out=everyone_out, region=None)
    return {one.address: (one.said, one.at, one.reason) for row in rows for one in row.statements}


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def test_listmonk_tells_the_status_of_each_subscriber() -> None:
    assert said(LISTMONK, "subscribers.csv") == {
        "ann@example.com": (OPTED_OUT, at(2023, 5, 1, 10, 20, 30), ""),
        "bob@example.com": (AGREED, at(2022, 2, 3, 11), ""),
    }


def test_a_file_of_those_who_left_a_list_can_be_taken_as_such() -> None:
    assert {what for what, _at, _reason in said(LISTMONK, "s.csv", everyone_out=True).values()} == {OPTED_OUT}


def test_mailchimp_tells_by_the_tables_of_its_archive() -> None:
    expected = {
        "bob@example.com": (AGREED, at(2021, 3, 1, 9), ""),
        "cleo@example.com": (AGREED, at(2021, 4, 1, 9, 1), ""),
        "ann@example.com": (OPTED_OUT, at(2022, 6, 7, 8, 9, 10), "NORMAL"),
        "dora@example.com": (OPTED_OUT, at(2022, 6, 8, 8, 9, 10), "too many"),
        "eve@example.com": (BOUNCED, at(2022, 7, 1), "June"),
    }
    assert said(zipped(MAILCHIMP), "audience_export.zip") == expected
    one_by_one: dict[str, Any] = {}
    for name, text in MAILCHIMP.items():
        one_by_one |= said(text + text.splitlines()[1].replace("@", "2@") + "\n", name)
    assert expected.items() <= one_by_one.items()
    assert "fay@example.com" not in one_by_one


def test_mautic_tells_channel_and_reason() -> None:
    assert said(MAUTIC, "report.csv") == {
        "ann@example.com": (OPTED_OUT, at(2022, 1, 1, 10), "User unsubscribed."),
        "+8613812345679": (OPTED_OUT, at(2022, 1, 2, 10), "asked by phone"),
        "cleo@example.com": (BOUNCED, at(2022, 1, 3, 10), "550 no such user"),
    }
    assert said(MAUTIC_CONTACTS, "contacts.csv") == {"ann@example.com": (OPTED_OUT, None, "")}


def test_braze_tells_in_five_kinds_of_files() -> None:
    assert said(BRAZE_SEGMENT, "users.csv") == {"ann@example.com": (OPTED_OUT, at(2022, 5, 5, 12), "")}
    assert said(BRAZE_STATES, "users.csv") == {
        "ann@example.com": (OPTED_OUT, at(2022, 5, 5, 12), ""),
        "bob@example.com": (AGREED, at(2021, 5, 5, 12), ""),
    }
    assert {what for what, _at, _reason in said(BRAZE_BOUNCES, "b.csv").values()} == {BOUNCED}
    assert said(BRAZE_UNSUBSCRIBES, "u.csv") == {"ann@example.com": (OPTED_OUT, at(2022, 8, 25, 15, 24, 32), "")}
    assert said(BRAZE_GROUP, "g.csv") == {
        "+8613812345678": (OPTED_OUT, None, ""),
        "+8613812345679": (AGREED, None, ""),
    }


def test_the_product_is_told_by_the_columns() -> None:
    files = {
        "listmonk": [LISTMONK],
        "mautic": [MAUTIC, MAUTIC_CONTACTS],
        "braze": [BRAZE_SEGMENT, BRAZE_STATES, BRAZE_BOUNCES, BRAZE_UNSUBSCRIBES, BRAZE_GROUP],
        "mailchimp": ["\n".join([*text.splitlines(), text.splitlines()[1]]) for text in MAILCHIMP.values()],
    }
    for key, texts in files.items():
        for text in texts:
            name = "nonsubscribed.csv" if "fay@" in text else "export.csv"
            assert product_of(io.BytesIO(text.encode()), name, product=None).key == key


@pytest.mark.parametrize("data", [b"number,name\n1,a\n2,b\n", zipped({"x.csv": "number,name\n1,a\n2,b\n"})])
def test_a_file_of_no_product_is_refused(data: bytes) -> None:
    with pytest.raises(UnknownExport):
        product_of(io.BytesIO(data), "x.zip", product=None)


@pytest.mark.parametrize(
    "data",
    [b"", b"%PDF-1.4", b"PK\x03\x04 nothing", zipped({"deep.zip": "PK"})],
    ids=["empty", "pdf", "broken archive", "archive in an archive"],
)
def test_what_is_no_export_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(NotATable):
        product_of(io.BytesIO(data), "x.zip", product=None)


def test_a_bomb_posing_as_an_archive_is_not_unpacked() -> None:
    data = zipped({"a.csv": "email,unsubscribed_at\n" + "0" * (210 << 20)})
    assert len(data) < 1 << 20
    with pytest.raises(NotATable) as refusal:
        product_of(io.BytesIO(data), "x.zip", product=None)
    assert "too large" in str(refusal.value)


def test_a_strange_status_is_refused_rather_than_guessed() -> None:
    text = "uuid,email,status\n1,ann@example.com,sleeping\n2,bob@example.com,enabled\n"
    rows = list(read_export(io.BytesIO(text.encode()), "s.csv", product="listmonk", everyone_out=False, region=None))
    assert rows[0].problem == "The status “sleeping” is not one we know."
    assert rows[0].statements == []


@pytest.mark.parametrize("text", ["", "yesterday", "0000-00-00 00:00:00", "2022-13-01", "1970-01-01 00:00:00", "99999"])
def test_what_is_no_time_is_unknown(text: str) -> None:
    assert moment(text) is None


# ---- What it does to the book ---------------------------------------------------------------------------------------


def bring(data: str | bytes, name: str = "export.csv", *, actor: User | None = None, **given: Any) -> ClientSwitch:
    """Upload, look, confirm, carry out."""
    with unit_of_work():
        switch = switching.receive_export(
            stream=io.BytesIO(data.encode() if isinstance(data, str) else data),
            name=name,
            product=given.pop("product", None),
            actor=actor,
            in_worker=False,
            **given,
        )
    run_job(switch.job_id)
    db.session.expire_all()
    assert switch.state == "ready", switch.error
    with unit_of_work():
        job = switching.start_switch(switch=switch, actor=actor, in_worker=False)
    run_job(job.id)
    db.session.expire_all()
    assert switch.state == "done", switch.error
    return switch


AGREEING: dict[str, Any] = {"wording": "Yes, send me news", "legal_basis": "consent, form of 2021"}


def suppressed() -> dict[str, str]:
    return dict(iter(db.session.execute(select(Suppression.address, Suppression.reason))))


def consents() -> dict[str, bool | None]:
    return dict(iter(db.session.execute(select(Client.number, Client.email_consent))))


def test_opt_outs_bounces_and_consents_find_their_clients(app: Flask) -> None:
    for number, address in (("1", "Ann@example.com"), ("2", "bob@example.com"), ("5", "eve@example.com")):
        make_client(number=number, email=address, email_consent=True if number == "1" else None)
    done = bring(zipped(MAILCHIMP), "audience.zip", **AGREEING)
    assert consents() == {"1": False, "2": True, "5": None}
    assert suppressed() == {
        "ann@example.com": "unsubscribed: NORMAL",
        "dora@example.com": "unsubscribed: too many",
        "eve@example.com": "hard bounce: June",
    }
    told = db.session.scalars(select(Consent).where(Consent.source == "Mailchimp export").order_by(Consent.at)).all()
    assert [(one.granted, one.at, one.wording) for one in told] == [
        (True, at(2021, 3, 1, 9), "Yes, send me news (consent, form of 2021)"),
        (False, at(2022, 6, 7, 8, 9, 10), "NORMAL"),
    ]
    assert db.session.scalar(select(Suppression.at).where(Suppression.address == "eve@example.com")) == at(2022, 7, 1)
    changed = {name: done.counts[name] for name in ("suppressed", "withdrawn", "granted")}
    assert changed == {"suppressed": 3, "withdrawn": 1, "granted": 1}


MAUTIC_SMS_FAILURE = (
    "Contact ID,Email,Mobile,Channel,Reason,Date added,Comments\n"
    "1,,+8613812345678,sms,2,2022-01-01 10:00:00,unknown subscriber: 404\n"
)


@pytest.mark.parametrize(
    ("data", "address", "channel"),
    [
        (BRAZE_BOUNCES, "eve@example.com", "email"),
        (MAUTIC, "cleo@example.com", "email"),
        (MAUTIC_SMS_FAILURE, "+8613812345678", "phone"),
        (zipped({"cleaned.csv": MAILCHIMP["cleaned_email_audience_export_8a1b.csv"]}), "eve@example.com", "email"),
    ],
    ids=["Braze", "Mautic", "Mautic by SMS", "Mailchimp"],
)
def test_whose_address_bounced_elsewhere_is_unreachable_here(
    app: Flask, data: str | bytes, address: str, channel: str
) -> None:
    email, mobile = (address, None) if channel == "email" else (None, address)
    lost = make_client(number="1", email=email, mobile=mobile)
    make_client(number="2", email="ann@example.com")
    bring(data)
    with unit_of_work():
        refresh_repairs()
    db.session.refresh(lost)
    assert (lost.email_problem, lost.mobile_problem) == (("bounced", None) if channel == "email" else (None, "bounced"))
    (task,) = db.session.scalars(select(RepairTask)).all()
    assert (task.client_id, task.channel, task.reason) == (lost.id, channel, "bounced")


def test_without_a_stated_basis_nobody_agrees(app: Flask) -> None:
    make_client(number="2", email="bob@example.com", email_consent=None)
    bring(zipped(MAILCHIMP), "audience.zip")
    assert consents() == {"2": None}
    with pytest.raises(switching.BasisMissing):
        bring(LISTMONK, wording="Yes")


def test_the_same_file_again_changes_nothing(app: Flask) -> None:
    for number, address in enumerate(("ann@example.com", "bob@example.com", "eve@example.com")):
        make_client(number=str(number), email=address, email_consent=None)
    for text in (LISTMONK, BRAZE_UNSUBSCRIBES, MAUTIC_CONTACTS):
        bring(text, **AGREEING)
    before = consents(), suppressed(), db.session.scalar(select(func.count(Consent.id)))
    for text in (LISTMONK, BRAZE_UNSUBSCRIBES, MAUTIC_CONTACTS):
        again = bring(text, **AGREEING)
        assert {again.counts[name] for name in ("suppressed", "withdrawn", "granted")} == {0}
    assert (consents(), suppressed(), db.session.scalar(select(func.count(Consent.id)))) == before


def test_an_opt_out_in_the_same_file_wins_whatever_its_row(app: Flask) -> None:
    make_client(number="1", email="ann@example.com", email_consent=None)
    lines = LISTMONK.splitlines()
    enabled = lines[1].replace("blocklisted", "enabled")
    for rows in permutations([lines[1], enabled]):
        with unit_of_work() as session:
            session.execute(delete(Consent))
            session.execute(delete(Suppression))
            session.execute(update(Client).values(email_consent=None))
        bring("\n".join([lines[0], *rows, ""]), **AGREEING)
        assert consents() == {"1": False}
        assert db.session.scalars(select(Consent.granted)).all() == [False]


def test_an_opt_out_wins_over_a_later_consent_in_the_book(app: Flask) -> None:
    client = make_client(number="1", email="ann@example.com", email_consent=None)
    with unit_of_work():
        clients_service.grant_consent(client_ids=[client.id], channel="email", source="form", at=at(2025, 1, 1))
    bring(BRAZE_UNSUBSCRIBES)
    assert consents() == {"1": False}


def test_a_consent_never_undoes_an_opt_out_of_the_book(app: Flask) -> None:
    out = make_client(number="1", email="bob@example.com")
    make_client(number="2", email="c@example.com")
    with unit_of_work():
        clients_service.withdraw_consent(client_ids=[out.id], channel="email", source="letter", at=at(2001, 1, 1))
        clients_service.suppress(channel="email", addresses=["c@example.com"], reason="spam report", source="staff")
        db.session.execute(update(Client).values(email_consent=None))
    text = "uuid,email,status\n1,bob@example.com,enabled\n2,c@example.com,enabled\n"
    bring(text, **AGREEING)
    assert consents() == {"1": None, "2": None}


def test_an_address_unknown_today_counts_when_the_client_comes(app: Flask) -> None:
    bring(LISTMONK)
    assert "ann@example.com" in suppressed()
    make_client(number="9", email="ann@example.com", email_consent=None)
    bring("uuid,email,status\n1,ann@example.com,enabled\n2,x@example.com,enabled\n", **AGREEING)
    assert consents() == {"9": None}


def test_opt_outs_by_sms_find_the_mobile(app: Flask) -> None:
    make_client(number="1", mobile="+8613812345678", email_consent=True, sms_consent=True)
    bring(BRAZE_GROUP)
    client = db.session.scalars(select(Client)).one()
    assert (client.sms_consent, client.email_consent) == (False, True)
    assert db.session.scalars(select(Suppression.channel)).all() == ["sms"]


def test_consents_are_taken_over_within_the_part_of_the_firm_only(app: Flask) -> None:
    north, south = make_branch(code="N"), make_branch(code="S")
    make_client(number="1", email="bob@example.com", branch=north, email_consent=None)
    make_client(number="2", email="bob@example.com", branch=south, email_consent=None)
    make_client(number="3", email="ann@example.com", branch=south, email_consent=None)
    bring(LISTMONK, actor=make_user(branch=north), **AGREEING)
    assert consents() == {"1": True, "2": None, "3": False}


def test_refused_rows_are_kept_with_their_reasons(app: Flask) -> None:
    done = bring(LISTMONK)
    assert done.counts["refused"] == 1
    assert done.refused == [[3, "“nobody” is not a complete e-mail address."]]


class DyingLease(Lease):
    """The lease of a worker that is killed when it wants to renew for the n-th time."""

    def __init__(self, lease: Lease, renewals: int) -> None:
        super().__init__(lease.job_id, lease.token)
        self.renewals = renewals

    def renew(self, *, done: int | None = None, total: int | None = None) -> None:
        self.renewals -= 1
        if self.renewals < 0:
            raise KeyboardInterrupt
        super().renew(done=done, total=total)


@pytest.mark.parametrize("renewals", range(5))
def test_one_killed_anywhere_goes_on(app: Flask, monkeypatch: pytest.MonkeyPatch, renewals: int) -> None:
    monkeypatch.setattr(switching, "CHUNK_ROWS", 2)
    for number, address in enumerate(("ann@example.com", "bob@example.com")):
        make_client(number=str(number), email=address, email_consent=None)
    with unit_of_work():
        switch = switching.receive_export(
            stream=io.BytesIO(LISTMONK.encode()), name="s.csv", product=None, actor=None, in_worker=False, **AGREEING
        )
    run_job(switch.job_id)
    with unit_of_work():
        job = switching.start_switch(switch=switch, actor=None, in_worker=False)
    claimed = claim(job.id)
    assert claimed is not None
    with pytest.raises(KeyboardInterrupt):
        switching.run_switch(lease=DyingLease(claimed[0], renewals), switch_id=switch.id)
    db.session.rollback()
    with unit_of_work() as session:
        session.execute(update(Job).values(lease_until=at(2026, 1, 1)))
    run_job(job.id)
    db.session.expire_all()
    assert (switch.state, consents()) == ("done", {"0": False, "1": True})
    assert {name: switch.counts[name] for name in ("rows", "suppressed", "withdrawn", "granted")} == {
        "rows": 3,
        "suppressed": 1,
        "withdrawn": 1,
        "granted": 1,
    }
    assert switch.finished_at is not None
    assert switch.finished_at <= now()


ADDRESSES = [f"c{number}@example.com" for number in range(3)]
statuses = st.sampled_from(["enabled", "disabled", "blocklisted"])
exports = st.lists(st.lists(st.tuples(st.sampled_from(ADDRESSES), statuses), min_size=2, max_size=5), max_size=3)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=exports, order=st.randoms(use_true_random=False), consent=st.sampled_from([None, True, False]))
def test_files_end_the_same_in_any_order(app: Flask, files: list[Any], order: Any, consent: bool | None) -> None:
    ends = []
    shuffled = [order.sample(rows, len(rows)) for rows in order.sample(files, len(files))]
    for version in (files, shuffled):
        with unit_of_work() as session:
            for table in (Consent, Suppression, Client):
                session.execute(delete(table))
        for address in ADDRESSES:
            make_client(number=address, email=address, email_consent=consent)
        for rows in version:
            lines = [f"{i},{address},{status}\n" for i, (address, status) in enumerate(rows)]
            bring("uuid,email,status\n" + "".join(lines), **AGREEING)
        ends.append((consents(), set(suppressed())))
    assert ends[0] == ends[1]
    out = {address for rows in files for address, status in rows if status != "enabled"}
    assert {address for address, given in ends[0][0].items() if given is False} >= out
    assert ends[0][1] == out
    assert set(PRODUCTS) == {"listmonk", "mailchimp", "mautic", "braze"}
