"""How a campaign's results are counted: credit, the rule for effective openings, cost."""

from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign, State
from app.campaigns.service import duplicate
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.campaigns import make_campaign
from tests.factories.users import make_user, sign_in

RULE = {
    "attribution_model": "even",
    "ruled": "y",
    "kinds": ["opening", "transfer_in"],
    "accounts-0-kind": "custody",
    "accounts-0-partner_bank": "Harbour Bank",
    "accounts-1-kind": "a_share_shanghai",
    "accounts-1-designated": "y",
    "minimum": "10000",
    "minimum_kinds": ["cash"],
    "within_days": "45",
    "fixed_cost": "2500.5",
    "unit_costs-0-cost": "0.05",
}


def _only() -> Campaign:
    db.session.expire_all()
    return db.session.scalars(select(Campaign).order_by(Campaign.id)).all()[0]


def test_what_is_entered_is_kept_shown_and_copied(browser_client: FlaskClient) -> None:
    officer = make_user(role=Role.MARKETING)
    sign_in(browser_client, officer)
    url = f"/campaigns/{make_campaign(owner=officer).code}"
    assert browser_client.get(f"{url}/counting").status_code == 200
    assert browser_client.post(f"{url}/counting", data=RULE).status_code == 302
    campaign = _only()
    assert campaign.effective_rule == {
        "kinds": ["opening", "transfer_in"],
        "accounts": [
            {"kind": "custody", "designated": False, "partner_bank": "Harbour Bank"},
            {"kind": "a_share_shanghai", "designated": True, "partner_bank": None},
        ],
        "minimum": {"amount": "10000.00", "kinds": ["cash"]},
        "within_days": 45,
    }
    assert (campaign.attribution_model, campaign.fixed_cost) == ("even", Decimal("2500.50"))
    assert campaign.steps[0].unit_cost == Decimal("0.05")
    for page in ("counting", "setup", "review"):
        assert browser_client.get(f"{url}/{page}").status_code == 200
    assert "designated trading here" in browser_client.get(f"{url}/setup").text
    browser_client.post(f"{url}/counting", data=RULE)
    actions = db.session.scalars(select(AuditEntry.action)).all()
    assert actions.count("campaign.counting_changed") == 1
    with unit_of_work():
        copy = duplicate(campaign=_only(), actor=officer)
        assert copy.effective_rule == campaign.effective_rule
        assert (copy.attribution_model, copy.fixed_cost) == ("even", Decimal("2500.50"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"attribution_model": "best"},
        {"kinds": []},
        {"kinds": ["gift"]},
        {"minimum": "-1"},
        {"minimum": "NaN"},
        {"within_days": "9999"},
        {"fixed_cost": "1e400"},
        {"unit_costs-0-cost": "-0.1"},
        {"accounts-0-kind": "x" * 61},
        {"accounts-0-partner_bank": "a\0b"},
    ],
)
def test_nonsense_is_refused_with_a_sentence(browser_client: FlaskClient, wrong: dict[str, object]) -> None:
    officer = make_user(role=Role.MARKETING)
    sign_in(browser_client, officer)
    answer = browser_client.post(f"/campaigns/{make_campaign(owner=officer).code}/counting", data=RULE | wrong)
    assert answer.status_code in (400, 422)
    assert _only().effective_rule is None


def test_the_measure_is_settled_by_the_launch(browser_client: FlaskClient) -> None:
    officer = make_user(role=Role.MARKETING)
    sign_in(browser_client, officer)
    url = f"/campaigns/{make_campaign(owner=officer, state=State.RUNNING).code}/counting"
    assert '<form method="post" novalidate' not in browser_client.get(url).text
    assert browser_client.post(url, data=RULE).status_code == 409
