"""Who sees which clients."""

import pytest
from flask import Flask
from sqlalchemy import select

from app.clients.models import Client
from app.clients.queries import find_client, sees_whole_book, visible_clients
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import User
from tests.factories.clients import make_client
from tests.factories.users import make_branch, make_team, make_user


def seen_by(user: User | None) -> set[str]:
    return set(db.session.scalars(select(Client.number).where(visible_clients(user))))


def test_each_role_sees_its_part_of_the_firm(app: Flask) -> None:
    north, south = make_branch(), make_branch()
    outlet = make_branch(parent=north)
    adviser = make_user(role=Role.ADVISER, branch=outlet)
    make_client(number="n", branch=north)
    make_client(number="o", branch=outlet)
    make_client(number="s", branch=south)
    make_client(number="own", branch=south, adviser_id=adviser.id)
    assert seen_by(adviser) == {"own"}
    assert seen_by(make_user(role=Role.BRANCH_MANAGER, branch=north)) == {"n", "o"}
    assert seen_by(make_user(role=Role.MARKETING, branch=south)) == {"s", "own"}
    assert seen_by(make_user(role=Role.COMPLIANCE)) == {"n", "o", "s", "own"}
    assert seen_by(make_user(roles=[Role.ADVISER, Role.BRANCH_MANAGER], branch=outlet)) == {"o"}
    assert seen_by(None) == {"n", "o", "s", "own"}


def test_who_also_advises_sees_their_own_clients_of_other_branches_too(app: Flask) -> None:
    north, south = make_branch(), make_branch()
    both = make_user(roles=[Role.ADVISER, Role.BRANCH_MANAGER], branch=north)
    make_client(number="n", branch=north)
    make_client(number="own", branch=south, adviser_id=both.id)
    make_client(number="s", branch=south)
    assert seen_by(both) == {"n", "own"}


def test_an_adviser_sees_the_clients_shared_with_them(app: Flask) -> None:
    owner, second = make_user(role=Role.ADVISER), make_user(role=Role.ADVISER)
    make_client(number="shared", adviser_id=owner.id, second_adviser_id=second.id)
    make_client(number="not shared", adviser_id=owner.id)
    assert seen_by(second) == {"shared"}
    assert seen_by(owner) == {"shared", "not shared"}


def test_a_team_leader_sees_the_clients_of_the_team_and_the_teams_below_whatever_their_branch(app: Flask) -> None:
    north, south = make_branch(), make_branch()
    team = make_team()
    below, beside = make_team(parent=team), make_team()
    leader = make_user(role=Role.ADVISER, branch=north, team=team, leads_team=True)
    member = make_user(role=Role.ADVISER, branch=north, team=team)
    lower = make_user(role=Role.ADVISER, branch=south, team=below)
    stranger = make_user(role=Role.ADVISER, branch=north, team=beside)
    make_client(number="leader's", branch=north, adviser_id=leader.id)
    make_client(number="member's", branch=south, adviser_id=member.id)
    make_client(number="lower's", branch=south, adviser_id=lower.id)
    make_client(number="shared with lower", branch=south, adviser_id=stranger.id, second_adviser_id=lower.id)
    make_client(number="stranger's", branch=north, adviser_id=stranger.id)
    make_client(number="nobody's", branch=north)
    assert seen_by(leader) == {"leader's", "member's", "lower's", "shared with lower"}
    assert seen_by(member) == {"member's"}
    assert seen_by(lower) == {"lower's", "shared with lower"}


def test_a_branch_manager_who_leads_a_team_sees_both(app: Flask) -> None:
    north, south = make_branch(), make_branch()
    team = make_team()
    manager = make_user(role=Role.BRANCH_MANAGER, branch=north, team=team, leads_team=True)
    member = make_user(role=Role.ADVISER, branch=south, team=team)
    make_client(number="branch", branch=north)
    make_client(number="team", branch=south, adviser_id=member.id)
    make_client(number="other", branch=south)
    assert seen_by(manager) == {"branch", "team"}


def test_nobody_sees_a_record_that_was_merged_into_another(app: Flask) -> None:
    adviser = make_user(role=Role.ADVISER)
    kept = make_client(number="kept", adviser_id=adviser.id)
    make_client(number="gone", adviser_id=adviser.id, merged_into_id=kept.id)
    for person in (None, adviser, make_user(role=Role.HEAD_OFFICE), make_user(role=Role.ADMINISTRATOR)):
        assert seen_by(person) == {"kept"}


def test_the_whole_book_is_for_head_office_staff_and_the_system(app: Flask) -> None:
    assert sees_whole_book(None)
    assert sees_whole_book(make_user(role=Role.MARKETING))
    assert not sees_whole_book(make_user(role=Role.ADVISER))
    assert not sees_whole_book(make_user(role=Role.MARKETING, branch=make_branch()))


def test_a_client_outside_the_scope_does_not_exist(app: Flask) -> None:
    make_client(number="s", branch=make_branch())
    with pytest.raises(NotFound):
        find_client("s", user=make_user(role=Role.BRANCH_MANAGER, branch=make_branch()))
