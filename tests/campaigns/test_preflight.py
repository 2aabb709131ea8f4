"""What is found before anybody is asked to approve."""

import pytest
from flask import Flask

from app.campaigns.market_profiles import MARKET_PROFILES
from app.campaigns.preflight import Finding, message_findings, phrases_in, preflight
from app.content import starters
from app.content.models import EmailContent
from app.content.service import new_content
from tests.factories.campaigns import make_campaign

PROFILE = MARKET_PROFILES["other"]
CHINA = MARKET_PROFILES["mainland_china"]


def content(**changes: str) -> EmailContent:
    words = {"format": "html", "subject": "News", "preheader": "This week", "source": "<p>Hello</p>"}
    return new_content(**words | changes, actor=None)


def found(severity: str, purpose: str = "marketing", profile: object = PROFILE, **changes: str) -> list[str]:
    findings: list[Finding] = list(message_findings(content(**changes), purpose=purpose, profile=profile))
    return [str(finding.message) for finding in findings if finding.severity == severity]


def test_a_plain_good_message_has_no_finding_but_the_added_footer(app: Flask) -> None:
    assert found("error") == found("warning") == []
    assert found("note") == ["The firm's name, its address and the unsubscribe link are added at the end."]
    assert found("note", source='<p><a href="{{ unsubscribe_url }}">Out</a></p>') == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"source": "<p>Size {{ client.shoe_size }}</p>"}, "is not a merge field"),
        ({"source": '<p>Hello</p><img src="https://example.com/a.png" alt="Guaranteed gains">'}, "forbidden phrase"),
        ({"source": "<p>A risk-free choice</p>"}, "forbidden phrase"),
        ({"preheader": "稳赚不赔"}, "forbidden phrase"),
        ({"source": '<p><a href="#">Open</a></p>'}, "leads nowhere"),
        ({"source": '<img src="https://example.com/a.png" alt="">'}, "no text"),
    ],
)
def test_errors(app: Flask, changes: dict[str, str], sentence: str) -> None:
    errors = found("error", **changes)
    assert len(errors) == 1
    assert sentence in errors[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"source": "<p>Dear {{ client.first_name }}</p>"}, "has no default"),
        ({"source": '<p><a href="http://example.com/">Read</a></p>'}, "not https"),
        ({"source": '<p>Look</p><img src="https://example.com/a.png">'}, "no alternative text"),
        ({"subject": "A subject that goes on " * 4}, "subject is long"),
        ({"subject": "关于您的账户和市场的一些消息" * 3}, "subject is long"),
        ({"preheader": ""}, "no preheader"),
        ({"source": "<p>Hurry</p>"}, "pressure"),
        ({"source": "<p>Returns are not guaranteed.</p>"}, "only allowed when denied"),
        ({"source": "<p>" + "word " * 21_000 + "</p>"}, "102 KB"),
        ({"source": '<p><a href="https://www.example.com/x">Read</a></p>'}, "placeholder"),
    ],
)
def test_warnings(app: Flask, changes: dict[str, str], sentence: str) -> None:
    warnings = found("warning", **changes)
    assert len(warnings) == 1
    assert sentence in warnings[0]
    assert found("error", **changes) == []


@pytest.mark.parametrize("subject", ["广告 新基金", "【广告】新基金", "AD: New fund", "[AD] New fund"])
def test_a_marked_subject_passes_in_mainland_china(app: Flask, subject: str) -> None:
    assert found("error", profile=CHINA, subject=subject) == []


@pytest.mark.parametrize("subject", ["New fund", "ADVICE on funds", "新基金（广告）"])
def test_marketing_without_the_mark_is_stopped_in_mainland_china(app: Flask, subject: str) -> None:
    assert "广告" in found("error", profile=CHINA, subject=subject)[0]
    assert found("error", purpose="service", profile=CHINA, subject=subject) == []


@pytest.mark.parametrize("purpose", ["service", "statutory"])
def test_promotion_inside_a_service_message_is_stopped(app: Flask, purpose: str) -> None:
    words = {"source": "<p>A special offer for you: 限时优惠</p>"}
    assert len(found("error", purpose=purpose, **words)) == 3
    assert found("error", purpose="marketing", **words) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Guaranteed!", [("guaranteed", False)]),
        ("It is not\nguaranteed", [("guaranteed", True)]),
        ("not guaranteed. But this one is guaranteed", [("guaranteed", False)]),
        ("unguaranteed", []),
        ("risk\n free", [("risk free", False)]),
        ("本产品不保本", [("保本", True)]),
        ("非常稳赚", [("稳赚", False)]),
        ("不是别的，保本", [("保本", False)]),
    ],
)
def test_phrases_are_whole_words_and_denials_are_told_apart(text: str, expected: list[tuple[str, bool]]) -> None:
    assert list(phrases_in(text, PROFILE.forbidden)) == expected


def test_what_is_missing_is_found_with_the_page_that_mends_it(app: Flask) -> None:
    campaign = make_campaign(include=[])
    campaign.steps[0].content = None
    assert [(finding.severity, finding.step) for finding in preflight(campaign)] == [
        ("error", "audience"),
        ("error", "message"),
        ("note", "message"),
    ]


@pytest.mark.parametrize("starter", starters.STARTERS, ids=lambda starter: starter.key)
def test_stock_templates_hold_nothing_that_blocks_approval(app: Flask, starter: starters.Starter) -> None:
    words = {"subject": starter.subject, "preheader": starter.preheader, "source": starter.source, "format": "mjml"}
    purpose = "service" if starter.key == "service_notice" else "marketing"
    assert found("error", purpose=purpose, **words) == []
    assert all("placeholder" in warning for warning in found("warning", purpose=purpose, **words))
