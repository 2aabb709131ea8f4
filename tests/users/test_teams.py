"""Teams: a tree beside the branches, and the post of a member of staff."""

import pytest
from flask import Flask

from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import Team, User
from app.users.queries import team_tree
from app.users.service import BadCapacity, set_post
from app.users.teams import (
    LeaderWithoutTeam,
    TeamInUse,
    TeamLoop,
    TeamNameTaken,
    create_team,
    delete_team,
    move_team,
    rename_team,
    set_members,
)
from tests.factories.users import make_branch, make_team, make_user, sign_in


def test_a_team_moves_with_everything_below_it(app: Flask) -> None:
    top, other = make_team(), make_team()
    middle = make_team(parent=top)
    bottom = make_team(parent=middle)
    with unit_of_work():
        move_team(team=middle, parent=other, actor=None)
    assert db.session.get_one(Team, bottom.id).path == f"/{other.id}/{middle.id}/{bottom.id}/"
    with unit_of_work():
        move_team(team=middle, parent=None, actor=None)
    assert db.session.get_one(Team, bottom.id).path == f"/{middle.id}/{bottom.id}/"
    with pytest.raises(TeamLoop), unit_of_work():
        move_team(team=middle, parent=bottom, actor=None)


def test_names_are_unique(app: Flask) -> None:
    one, two = make_team(name="One"), make_team(name="Two")
    with pytest.raises(TeamNameTaken), unit_of_work():
        create_team(name=" One ", parent=None, actor=None)
    with pytest.raises(TeamNameTaken), unit_of_work():
        rename_team(team=two, name="One", actor=None)
    assert db.session.get_one(Team, one.id).name == "One"


def test_a_team_in_use_stays(app: Flask) -> None:
    team = make_team()
    member = make_user(role=Role.ADVISER, team=team)
    with pytest.raises(TeamInUse), unit_of_work():
        delete_team(team=team, actor=None)
    with unit_of_work():
        set_members(team=team, members=[], leaders=[], actor=None)
        delete_team(team=team, actor=None)
    assert db.session.get_one(User, member.id).team_id is None


def test_members_and_leaders_are_told_in_the_tree(app: Flask) -> None:
    team = make_team()
    ann, bob = make_user(role=Role.ADVISER, name="Ann"), make_user(role=Role.ADVISER, name="Bob")
    with unit_of_work():
        set_members(team=team, members=[ann, bob], leaders=[ann], actor=None)
    (line,) = team_tree()
    assert (line.members, line.leaders) == (2, ["Ann"])
    with pytest.raises(LeaderWithoutTeam), unit_of_work():
        set_members(team=team, members=[bob], leaders=[ann], actor=None)


def test_a_post_is_checked(app: Flask) -> None:
    user = make_user(role=Role.ADVISER)
    rest = {"marketing_post": True, "registration_number": "", "actor": None}
    with pytest.raises(LeaderWithoutTeam), unit_of_work():
        set_post(user=user, team=None, leads_team=True, client_capacity=None, **rest)  # type: ignore[arg-type]
    with pytest.raises(BadCapacity), unit_of_work():
        set_post(user=user, team=None, leads_team=False, client_capacity=-1, **rest)  # type: ignore[arg-type]


def test_the_pages_make_rename_and_fill_a_team(app: Flask) -> None:
    client = sign_in(app.test_client(), make_user(role=Role.ADMINISTRATOR))
    ann = make_user(role=Role.ADVISER, name="Ann")
    assert "There are no teams yet." in client.get("/teams").get_data(as_text=True)
    assert client.post("/teams/new", data={"name": "Gold", "parent": 0}).status_code == 302
    (team,) = db.session.scalars(db.select(Team))
    form = {"name": "Golden", "parent": 0, "members": [ann.id], "leaders": [ann.id]}
    assert client.post(f"/teams/{team.id}", data=form).status_code == 302
    text = client.get("/teams").get_data(as_text=True)
    assert "Golden" in text
    assert "Ann" in text
    assert client.post(f"/teams/{team.id}", data=form | {"members": []}).status_code == 422
    assert client.post(f"/teams/{team.id}/delete").status_code == 409


def test_only_the_head_office_makes_teams_or_leaders(app: Flask) -> None:
    north = make_branch()
    client = sign_in(app.test_client(), make_user(role=Role.ADMINISTRATOR, branch=north))
    adviser = make_user(role=Role.ADVISER, branch=north)
    assert client.get("/teams").status_code == 403
    form = {
        "name": "Ann", "email": adviser.email, "roles": ["adviser"], "branch": north.id, "active": "y",
        "team": make_team().id, "leads_team": "y", "capacity": "700", "marketing_post": "y",
    }  # fmt: skip
    assert client.post(f"/staff/{adviser.id}", data=form).status_code == 302
    db.session.expire_all()
    kept = db.session.get_one(User, adviser.id)
    assert (kept.team_id, kept.leads_team, kept.client_capacity) == (None, False, 700)
