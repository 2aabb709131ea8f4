"""What is found in DNS about a sender domain, with a resolver of the test's own."""

import base64
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select

from app.core.extensions import db
from app.delivery.deliverability.dns import LookupFailed, TxtLookup, check_dkim, check_dmarc, check_domain, check_spf
from app.delivery.deliverability.models import DnsCheck
from app.delivery.deliverability.service import check_sender_domains
from app.delivery.deliverability.words import SENTENCES, sentence


def zone(**records: str | list[str]) -> TxtLookup:
    """A resolver that knows these TXT records; names with __ for dots."""
    known = {name.replace("__", "."): [text] if isinstance(text, str) else text for name, text in records.items()}

    def txt(name: str) -> Sequence[str]:
        if name.startswith("slow"):
            raise LookupFailed("LifetimeTimeout")
        return known.get(name, [])

    return txt


def spf(record: str, **others: str) -> list[tuple[str, str]]:
    return [(one.state, one.finding) for one in check_spf("firm.example", zone(firm__example=record, **others))]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", [("good", "spf_good")]),
        ("v=spf1 include:vendor.example ~all", [("good", "spf_good")]),
        ("v=spf1 redirect=vendor.example", [("good", "spf_good")]),
        ("v=spf1 a mx +all", [("bad", "spf_allows_all")]),
        ("v=spf1 a ?all", [("advice", "spf_neutral")]),
        ("v=spf1 a", [("advice", "spf_no_all")]),
        ("v=spf1 ip4:not-a-network -all", [("bad", "spf_broken_part")]),
        ("v=spf1 include:nowhere.example -all", [("bad", "spf_broken_part")]),
        ("v=spf1 " + "exists:x.example " * 11 + "-all", [("bad", "spf_too_many_lookups")]),
        ("google-site-verification=abc", [("bad", "spf_missing")]),
        ("v=spf10 -all", [("bad", "spf_missing")]),
    ],
)
def test_spf(record: str, expected: list[tuple[str, str]]) -> None:
    assert spf(record, vendor__example="v=spf1 ip6:2001:db8::/32 -all") == expected


def test_lookups_of_included_records_count_and_loops_end() -> None:
    loop = {"a__example": "v=spf1 include:b.example -all", "b__example": "v=spf1 include:a.example mx -all"}
    assert spf("v=spf1 include:a.example -all", **loop) == [("good", "spf_good")]
    deep = {f"n{n}__example": f"v=spf1 include:n{n + 1}.example mx -all" for n in range(8)}
    assert ("bad", "spf_too_many_lookups") in spf("v=spf1 include:n0.example -all", **deep)


def test_two_spf_records_are_none() -> None:
    found = check_spf("firm.example", zone(firm__example=["v=spf1 -all", "v=spf1 a -all"]))
    assert [one.finding for one in found] == ["spf_several"]


def key(bits: int) -> str:
    public = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (f"v=DKIM1; k=rsa; p={key(2048)}", "dkim_good"),
        (f"p={key(1024)}", "dkim_short"),
        (f"v=DKIM1; t=y; p={key(2048)}", "dkim_testing"),
        ("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "dkim_good"),
        ("v=DKIM1; p=", "dkim_withdrawn"),
        ("v=DKIM1; p=nonsense", "dkim_unreadable"),
        ("something else", "dkim_missing"),
    ],
)
def test_dkim(record: str, expected: str) -> None:
    assert check_dkim("firm.example", "s1", zone(s1___domainkey__firm__example=record)).finding == expected


@pytest.mark.parametrize(
    ("name", "record", "expected"),
    [
        ("_dmarc__news__firm__example", "v=DMARC1; p=reject; rua=mailto:d@firm.example", ["dmarc_good"]),
        ("_dmarc__firm__example", "v=DMARC1; p=none; sp=quarantine; rua=mailto:d@firm.example", ["dmarc_good"]),
        ("_dmarc__firm__example", "v=DMARC1; p=none", ["dmarc_none", "dmarc_no_reports"]),
        ("_dmarc__firm__example", "v=DMARC1; p=reject; pct=20; rua=mailto:d@firm.example", ["dmarc_part"]),
        ("_dmarc__firm__example", "v=DMARC1; p=perhaps", ["dmarc_no_policy"]),
        ("_dmarc__other__example", "v=DMARC1; p=reject", ["dmarc_missing"]),
    ],
)
def test_dmarc_of_the_domain_or_the_one_above(name: str, record: str, expected: list[str]) -> None:
    assert [one.finding for one in check_dmarc("news.firm.example", zone(**{name: record}))] == expected


def test_a_resolver_without_an_answer_is_told_and_stops_nothing() -> None:
    found = check_domain("slow.example", [], zone(_dmarc__slow__example="v=DMARC1; p=reject; rua=mailto:d@x.example"))
    assert [(one.record, one.state) for one in found] == [("SPF", "unknown"), ("DKIM", "unknown"), ("DMARC", "good")]


@pytest.mark.usefixtures("app")
def test_what_was_found_is_kept_and_every_finding_has_a_sentence() -> None:
    check_sender_domains(zone(bellwether__example="v=spf1 -all"))
    check = db.session.scalars(select(DnsCheck)).one()
    assert check.domain == "bellwether.example"
    assert [one["finding"] for one in check.findings] == ["spf_good", "dkim_no_selector", "dmarc_missing"]
    assert all("%(" not in sentence(one) for one in check.findings)
    values = dict.fromkeys(("name", "error", "domain", "count", "part", "selector", "bits", "percent", "policy"), "x")
    assert all(sentence({"finding": name, "values": values}) for name in SENTENCES)
