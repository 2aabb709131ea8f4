"""Notes, tags, households, referrals: what staff put on a client."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.clients.models import Client
from app.clients.notes import service as notes
from app.clients.notes.models import ClientNote
from app.clients.relations import service as relations
from app.clients.relations.models import Household, HouseholdMember
from app.clients.relations.queries import relations_of
from app.clients.tagging import service as tags
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_branch, make_user, sign_in


def test_a_note_is_its_authors_for_a_day(browser_client: FlaskClient) -> None:
    author, other = make_user(), make_user()
    make_client(number="1")
    officer = sign_in(browser_client, author)
    assert officer.post("/clients/1/notes", data={"text": "likes <b>bonds</b>"}).status_code == 302
    assert "likes &lt;b&gt;bonds&lt;/b&gt;" in officer.get("/clients/1").text
    note = db.session.scalars(select(ClientNote)).one()
    assert officer.post(f"/client-notes/{note.id}", data={"text": " "}).status_code == 422
    assert officer.post(f"/client-notes/{note.id}", data={"text": "likes funds\x00"}).status_code == 302
    db.session.expire_all()
    assert note.text == "likes funds"
    assert not notes.may_edit(note, other)
    note.at = now() - timedelta(days=1, seconds=1)
    db.session.commit()
    assert officer.get(f"/client-notes/{note.id}").status_code == 403
    elsewhere = sign_in(browser_client, make_user(role=Role.BRANCH_MANAGER, branch=make_branch()))
    assert elsewhere.get(f"/client-notes/{note.id}").status_code == 404


def test_tags_go_on_many_clients_of_ones_own_part_only(app: Flask) -> None:
    branch = make_branch()
    make_clients(3, branch_id=branch.id)
    make_client(number="far")
    manager = make_user(role=Role.BRANCH_MANAGER, branch=branch)
    numbers = ["1", "2", "3", "far", "none"]
    with unit_of_work():
        assert tags.add_tag(numbers=numbers, tag="  fund   guest ", actor=manager) == 3
        assert tags.add_tag(numbers=numbers, tag="fund guest", actor=manager) == 0
        assert tags.remove_tag(numbers=["1"], tag="fund guest", actor=manager) == 1
    tagged = db.session.scalars(select(Client.number).where(Client.tags.contains(["fund guest"]))).all()
    assert sorted(tagged) == ["2", "3"]
    for bad in ("", "a,b", "x" * 41):
        with pytest.raises(tags.BadTag), unit_of_work():
            tags.add_tag(numbers=["1"], tag=bad, actor=manager)


def test_a_household_has_one_head_and_nobody_alone(app: Flask) -> None:
    actor, one, two, three = make_user(), make_client(), make_client(), make_client()
    with unit_of_work():
        relations.join_household(client=one, other=two, actor=actor)
        relations.join_household(client=three, other=two, actor=actor)
        relations.name_head(client=three, actor=actor)
    heads = db.session.scalars(select(HouseholdMember.client_id).where(HouseholdMember.is_head)).all()
    assert heads == [three.id]
    with unit_of_work():
        relations.leave_household(client=three, actor=actor)
    assert relations_of(one, user=actor).is_head
    with unit_of_work():
        relations.leave_household(client=one, actor=actor)
    assert db.session.scalars(select(Household)).all() == []
    with pytest.raises(relations.WithOneself), unit_of_work():
        relations.join_household(client=one, other=one, actor=actor)


def test_nobody_is_referred_in_a_circle(app: Flask) -> None:
    actor, one, two, three = make_user(), make_client(), make_client(), make_client()
    with unit_of_work():
        relations.set_referrer(client=two, referrer=one, actor=actor)
        relations.set_referrer(client=three, referrer=two, actor=actor)
    with pytest.raises(relations.ReferralLoop), unit_of_work():
        relations.set_referrer(client=one, referrer=three, actor=actor)
    assert [relative.number for relative in relations_of(two, user=actor).referred] == [three.number]


def test_relatives_elsewhere_are_counted_and_not_named(app: Flask) -> None:
    branch = make_branch()
    mine, far = make_client(branch=branch), make_client(name="Hidden Name")
    head = make_user()
    with unit_of_work():
        relations.join_household(client=mine, other=far, actor=head)
        relations.set_referrer(client=mine, referrer=far, actor=head)
    seen = relations_of(mine, user=make_user(role=Role.BRANCH_MANAGER, branch=branch))
    assert (seen.members, seen.referred_by, seen.hidden) == ([], None, 2)
