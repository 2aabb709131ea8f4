"""What a process knows of a step is kept for a second and then read anew."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.campaigns.models import Step
from app.content.models import EmailContent
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery import preparing
from app.delivery.models import Batch
from app.delivery.preparing import Prepared, prepare
from app.delivery.sending import hand_over
from tests.factories.campaigns import make_content
from tests.factories.clients import make_clients
from tests.factories.delivery import claimed, launched, send_all, states


@pytest.fixture(autouse=True)
def kept(app: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "LASTS", timedelta(seconds=1))
    monkeypatch.setattr(preparing, "_prepared", {})


def prepared() -> Prepared:
    batch = db.session.scalars(select(Batch)).one()
    return prepare(run_id=batch.run_id, step_id=batch.step_id, variant=batch.variant)


def new_words() -> None:
    content = make_content(subject="Other words")
    with unit_of_work() as session:
        session.execute(update(Step).values(content_id=content.id))


def test_it_is_read_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    make_clients(1)
    launched()
    first = prepared()
    assert prepared() is first
    for aside in (timedelta(seconds=2), timedelta(seconds=-2)):  # later, or the clock was put back
        monkeypatch.setattr(preparing, "now", lambda aside=aside: now() + aside)
        assert prepared() is not first


def test_other_words_are_never_sent_as_those_that_were_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    make_clients(2)
    launched()
    prepared()
    new_words()
    work = claimed()
    assert work is not None
    with unit_of_work():
        assert hand_over(work, limit=10) is None
    assert states() == {"planned": 2}
    with unit_of_work() as session:
        session.execute(update(Batch).values(token=None, lease_until=None))
    monkeypatch.setattr(preparing, "LASTS", timedelta())
    send_all()
    send_all()
    assert states() == {"sent": 2}
    newest = db.session.scalars(select(EmailContent.id).order_by(EmailContent.id.desc())).first()
    assert set(db.session.scalars(select(Batch.content_id).where(Batch.sent > 0))) == {newest}
