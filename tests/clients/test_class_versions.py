"""Versions of the value models: drafts, previews, putting in force, going back, history, overrides."""

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from app.audit.models import AuditEntry
from app.clients.classes import queries, service
from app.clients.classes.computing import CHUNK, classify
from app.clients.classes.models import ClassChange, ClassRun, ClientClass, ModelVersion
from app.clients.classes.parsing import BadParameters, parse_parameters
from app.clients.classes.queries import (
    class_choices,
    class_sizes,
    classes_of,
    coverage,
    find_version,
    preview_moves,
    preview_share,
    version_before,
    versions_of,
)
from app.clients.classes.tasks import look_after_value_models
from app.clients.classes.versions import active_version
from app.clients.models import Client
from app.core import clock
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.jobs import Job, run_job
from app.core.permissions import Role
from app.core.queues import run_tick
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_branch, make_user
from tests.factories.value_models import changed, computed, make_metrics, put_in_force

TIERS = [
    {"code": "rich", "label_en": "Rich", "label_zh": "富裕", "assets": "500000", "cadence_days": 30},
    {"code": "good", "label_en": "Good", "label_zh": "良好", "assets": "100000"},
]


def tier_of(client_id: int) -> str | None:
    db.session.expire_all()
    return db.session.get_one(ClientClass, client_id).aum_tier


def compute_waiting() -> None:
    """Run the jobs that compute classes, as a worker would."""
    for job_id in db.session.scalars(select(Job.id).where(Job.name == service.COMPUTE, Job.state == "due")).all():
        db.session.rollback()
        run_job(job_id)


def test_a_house_begins_with_what_its_market_profile_says(app: Flask) -> None:
    assert [code for code, _label in class_choices("aum_tier")] == ["diamond", "platinum", "gold"]
    assert [code for code, _label in class_choices("suitability")] == ["5", "4", "3", "2", "1", "0"]
    computed()
    version = active_version("aum_tier")
    assert version is not None
    assert (version.number, version.state) == (1, "active")


def test_first_classes_are_no_move_and_later_ones_are_kept(app: Flask) -> None:
    client = make_client(total_assets=100_000)
    computed()
    assert db.session.scalar(select(func.count(ClassChange.id))) == 0
    client.total_assets = 5_000_000
    db.session.commit()
    run = computed()
    (change,) = db.session.scalars(select(ClassChange))
    version = active_version("aum_tier")
    assert version is not None
    assert (change.client_id, change.model, change.was, change.is_now) == (client.id, "aum_tier", "gold", "diamond")
    assert (change.on_date, change.version_id) == (clock.today(), version.id)
    assert (run.written, run.moves) == (1, 1)
    line = classes_of(client.id)[0]
    assert line.value_class is not None
    assert (line.value_class.label, line.was, line.since) == ("Diamond", "Gold", clock.today())


def test_computing_twice_writes_nothing(app: Flask) -> None:
    make_clients(20, total_assets=lambda n: n * 20_000)
    assert computed().written == 20
    assert computed().written == 0


def test_a_preview_is_what_activation_does(app: Flask) -> None:
    ids = make_clients(40, total_assets=lambda n: n * 25_000)
    for client_id in ids:
        make_metrics(client_id, fees_365=client_id * 7 % 50, turnover_rate_365=client_id * 3 % 11)
    computed()
    for model, parameters in (
        ("aum_tier", changed("aum_tier", classes=TIERS)),
        ("contribution_turnover", changed("contribution_turnover", contribution_cut="40")),
        ("profit_stability", changed("profit_stability", profit_cut_by="amount", profit_cut="20")),
        ("life_cycle", changed("life_cycle", new_days=300, developing_days=400)),
    ):
        before = classes_now(ids)
        expected = preview_moves(model, parameters, user=None)
        assert classes_now(ids) == before
        put_in_force(model, parameters)
        computed()
        after = classes_now(ids)
        for one, moves in expected.items():
            counted: dict[tuple[Any, Any], int] = {}
            for client_id in ids:
                pair = (before[client_id][one], after[client_id][one])
                counted[pair] = counted.get(pair, 0) + 1
            assert {(move.was, move.is_now): move.clients for move in moves} == counted


def classes_now(ids: list[int]) -> dict[int, dict[str, Any]]:
    db.session.expire_all()
    names = ("aum_tier", "contribution_turnover", "profit_stability", "life_cycle", "scorecard")
    return {
        row.client_id: {name: getattr(row, name) for name in names}
        for row in db.session.scalars(select(ClientClass).where(ClientClass.client_id.in_(ids)))
    }


def test_a_preview_counts_the_clients_the_reader_may_see(app: Flask) -> None:
    branch = make_branch()
    make_client(branch=branch, total_assets=600_000)
    make_client(total_assets=600_000)
    computed()
    manager = make_user(role=Role.BRANCH_MANAGER, branch=branch)
    (move,) = preview_moves("aum_tier", changed("aum_tier", classes=TIERS), user=manager)["aum_tier"]
    assert (move.was, move.is_now, move.clients, move.assets) == ("gold", "rich", 1, 600_000)
    assert sum(size.clients for size in class_sizes(user=manager)["aum_tier"].values()) == 1


def test_a_preview_of_a_large_book_is_an_estimate_from_some(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clients(40, total_assets=600_000)
    computed()
    monkeypatch.setattr(queries, "PREVIEWED_WHOLE", 20)
    assert preview_share(None) == 4
    (move,) = preview_moves("aum_tier", changed("aum_tier", classes=TIERS), user=None, one_in=4)["aum_tier"]
    assert (move.is_now, move.clients, move.assets) == ("rich", 40, 24_000_000)
    monkeypatch.setattr(queries, "PREVIEWED_WHOLE", 40)
    assert preview_share(None) == 1


def test_class_sizes_count_clients_and_assets(app: Flask) -> None:
    make_clients(3, total_assets=200_000)
    make_clients(2, total_assets=1_000)
    computed()
    sizes = class_sizes(user=None)
    assert sizes["aum_tier"]["gold"].clients == 3
    assert sizes["aum_tier"]["gold"].assets == 600_000
    assert sizes["aum_tier"][None].clients == 2
    assert sizes["suitability"]["0"].clients == 5


def test_putting_a_version_in_force_computes_and_retires_the_one_before(app: Flask) -> None:
    client = make_client(total_assets=600_000)
    computed()
    put_in_force("aum_tier", changed("aum_tier", classes=TIERS))
    compute_waiting()
    assert tier_of(client.id) == "rich"
    assert [(line.version.number, line.state) for line in versions_of("aum_tier")] == [(2, "active"), (1, "retired")]
    assert db.session.scalars(select(AuditEntry.action)).all() == ["value_model.create", "value_model.activate"]


def test_of_two_people_who_activate_at_once_one_is_told(app: Flask) -> None:
    computed()
    with unit_of_work():
        seen = active_version("aum_tier")
        assert seen is not None
        seen_id = seen.id
        ids = [
            service.save_draft(model="aum_tier", parameters=changed("aum_tier", classes=TIERS), actor=None).id
            for _draft in range(2)
        ]
    barrier, told = Barrier(2), []

    def activate(version_id: int) -> None:
        with app.app_context():
            barrier.wait()
            try:
                with unit_of_work():
                    version = db.session.get_one(ModelVersion, version_id)
                    service.activate_version(version=version, seen=seen_id, actor=None)
            except Conflict as conflict:
                told.append(type(conflict))

    threads = [Thread(target=activate, args=(version_id,)) for version_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [service.ActivatedMeanwhile]
    db.session.rollback()
    states = sorted(db.session.scalars(select(ModelVersion.state).where(ModelVersion.model == "aum_tier")))
    assert states == ["active", "draft", "retired"]


def test_a_scheduled_version_comes_in_force_on_its_day(app: Flask) -> None:
    client = make_client(total_assets=600_000)
    computed()
    with unit_of_work():
        version = service.save_draft(model="aum_tier", parameters=changed("aum_tier", classes=TIERS), actor=None)
        service.schedule_version(version=version, on=clock.today() + timedelta(days=3), actor=None)
    run_tick("clients.value_models", look_after_value_models)
    compute_waiting()
    assert tier_of(client.id) == "gold"
    version.effective_on = clock.today()
    db.session.commit()
    run_tick("clients.value_models", look_after_value_models)
    compute_waiting()
    assert tier_of(client.id) == "rich"
    assert db.session.get_one(ModelVersion, version.id).state == "active"


def test_a_scheduled_day_lies_ahead(app: Flask) -> None:
    with unit_of_work():
        version = service.save_draft(model="aum_tier", parameters=changed("aum_tier", classes=TIERS), actor=None)
    with pytest.raises(service.BadDate), unit_of_work():
        service.schedule_version(version=version, on=clock.today(), actor=None)


def test_a_draft_is_changed_by_who_saw_its_last_change(app: Flask) -> None:
    with unit_of_work():
        draft = service.save_draft(model="aum_tier", parameters=changed("aum_tier", classes=TIERS), actor=None)
    with unit_of_work():
        service.save_draft(
            model="aum_tier", parameters=changed("aum_tier"), draft=draft, revision=draft.revision, actor=None
        )
    with pytest.raises(Conflict), unit_of_work():
        service.save_draft(model="aum_tier", parameters=changed("aum_tier"), draft=draft, revision=1, actor=None)


def test_only_a_draft_is_changed(app: Flask) -> None:
    version = put_in_force("aum_tier", changed("aum_tier", classes=TIERS))
    with pytest.raises(service.NotADraft), unit_of_work():
        service.save_draft(model="aum_tier", parameters=changed("aum_tier"), draft=version, actor=None)
    with pytest.raises(service.NotADraft), unit_of_work():
        service.discard_draft(version=version, actor=None)


def test_going_back_is_a_new_version_like_the_old_one(app: Flask) -> None:
    computed()
    put_in_force("aum_tier", changed("aum_tier", classes=TIERS))
    first = find_version("aum_tier", 1)
    with unit_of_work():
        again = service.return_to(version=first, actor=None)
    assert (again.number, again.state, again.parameters) == (3, "draft", first.parameters)
    in_force = active_version("aum_tier")
    assert in_force is not None
    assert version_before(again) == in_force
    assert version_before(in_force) == first


def test_a_run_goes_on_where_its_worker_died(app: Flask) -> None:
    ids = make_clients(3, total_assets=200_000)
    run = computed()
    db.session.execute(ClientClass.__table__.delete())
    db.session.execute(ClassRun.__table__.update().values(finished_at=None, done_up_to=ids[1]))
    db.session.commit()
    again = computed()
    assert again.id == run.id
    assert set(db.session.scalars(select(ClientClass.client_id))) == {ids[2]}
    assert len(ids) < CHUNK


def test_given_clients_are_computed_with_the_cut_points_of_the_last_run(app: Flask) -> None:
    ids = make_clients(10)
    for client_id in ids:
        make_metrics(client_id, fees_365=client_id, turnover_rate_365=0)
    computed()
    db.session.execute(Client.__table__.update().where(Client.id == ids[0]).values(total_assets=150_000))
    db.session.commit()
    with unit_of_work():
        assert classify(client_ids=ids[:5]) == 1
    assert tier_of(ids[0]) == "gold"


# ---- Overrides ----


def test_an_override_counts_at_once_and_until_it_expires(app: Flask) -> None:
    client, manager = make_client(total_assets=100_000), make_user(role=Role.BRANCH_MANAGER)
    computed()
    with unit_of_work():
        service.override_class(
            client=client,
            model="aum_tier",
            class_code="diamond",
            reason="The family’s accounts are at another bank",
            expires_on=clock.today() + timedelta(days=30),
            actor=manager,
        )
    assert tier_of(client.id) == "diamond"
    assert classes_of(client.id)[0].override is not None
    assert computed().written == 0
    with unit_of_work():
        service.end_override(client=client, model="aum_tier", actor=manager)
    assert tier_of(client.id) == "gold"
    moves = db.session.execute(select(ClassChange.was, ClassChange.is_now).order_by(ClassChange.id)).all()
    assert [tuple(move) for move in moves] == [("gold", "diamond"), ("diamond", "gold")]


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"model": "suitability", "class_code": "5"}, service.SuitabilityStands),
        ({"class_code": "emperor"}, service.NoSuchClass),
        ({"reason": " \x00 "}, service.ReasonMissing),
        ({"expires_on": "today"}, service.BadExpiry),
    ],
)
def test_an_override_is_refused(app: Flask, given: dict[str, Any], refusal: type[AppError]) -> None:
    values: dict[str, Any] = {
        "model": "scorecard",
        "class_code": "A",
        "reason": "because",
        "expires_on": clock.today() + timedelta(days=1),
    } | given
    if values["expires_on"] == "today":
        values["expires_on"] = clock.today()
    client, person = make_client(), make_user()
    with pytest.raises(refusal), unit_of_work():
        service.override_class(client=client, actor=person, **values)


# ---- Coverage ----


def test_coverage_is_the_share_contacted_as_the_cadence_demands(app: Flask) -> None:
    north = make_branch(name="North")
    put_in_force("aum_tier", changed("aum_tier", classes=TIERS))
    for branch, days in ((north, 10), (north, 40), (None, None)):
        client = make_client(total_assets=600_000, **({"branch": branch} if branch else {}))
        make_metrics(client.id, last_contact_at=clock.now() - timedelta(days=days) if days else None)
    make_client(total_assets=100_000)  # a tier without a cadence
    computed()
    lines = [(line.branch, line.code, line.clients, line.contacted) for line in coverage("aum_tier", user=None)]
    assert lines[0] == (None, "rich", 3, 1)
    assert ("North", "rich", 2, 1) in lines
    assert len(lines) == 3


# ---- What is refused ----


@pytest.mark.parametrize(
    ("model", "values", "path"),
    [
        ("profit_stability", {"transfer_price": "NaN"}, "transfer_price"),
        ("profit_stability", {"transfer_price": "1e400"}, "transfer_price"),
        ("profit_stability", {"transfer_price": "101"}, "transfer_price"),
        ("profit_stability", {"days": "1.5"}, "days"),
        ("profit_stability", {"balance_from": "x'; DROP TABLE client"}, "balance_from"),
        ("profit_stability", {"profit_cut_by": "feeling"}, "profit_cut_by"),
        ("profit_stability", {"tenure_weight": 0, "activity_weight": 0, "kinds_weight": 0}, "tenure_weight"),
        ("contribution_turnover", {"turnover_cut": "101"}, "turnover_cut"),
        ("suitability", {"level_1": "2"}, "level_1"),
        ("suitability", {"valid_months": "13"}, "valid_months"),
        ("life_cycle", {"developing_days": "30"}, "developing_days"),
        ("life_cycle", {"classes": []}, "classes"),
        ("aum_tier", {"classes": [TIERS[1], TIERS[0]]}, "classes.1.assets"),
        ("aum_tier", {"classes": [TIERS[0], TIERS[0] | {"assets": "1"}]}, "classes.1.code"),
        ("aum_tier", {"classes": [TIERS[0] | {"card_spend": "10"}]}, "classes.0.card_spend"),
        ("aum_tier", {"classes": [TIERS[0] | {"treatment": "a\x00b"}]}, "classes.0.treatment"),
        ("aum_tier", {"classes": [TIERS[0] | {"label_zh": ""}]}, "classes.0.label_zh"),
        ("aum_tier", {"classes": [TIERS[0] | {"cadence_days": 0}]}, "classes.0.cadence_days"),
        ("aum_tier", {"classes": [TIERS[0]] * 500}, "classes"),
    ],
)
def test_parameters_that_cannot_be_used_are_named(app: Flask, model: str, values: dict[str, Any], path: str) -> None:
    with pytest.raises(BadParameters) as refused:
        changed(model, **values)
    assert path in refused.value.problems


@pytest.mark.parametrize("data", [None, [], "text", 7, {"classes": "x"}, {"classes": [1, None]}])
def test_nonsense_is_refused_with_a_sentence(app: Flask, data: object) -> None:
    with pytest.raises(BadParameters):
        parse_parameters("aum_tier", data)
