"""Which clients of a set of ids somebody may see."""

from flask import Flask
from pyroaring import BitMap64
from sqlalchemy import select

from app.audiences.overlap import sight_of
from app.audiences.snapshots import client_ids
from app.clients.models import Client
from app.clients.queries import merged_away, visible_clients
from app.core.extensions import db
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_branch, make_user


def test_everyone_sees_what_is_visible_to_them_and_nobody_a_record_merged_away(app: Flask) -> None:
    branch = make_branch()
    own, others = make_clients(3, branch_id=branch.id), make_clients(2)
    gone = make_client(merged_into_id=others[0], branch=branch).id
    everything = BitMap64([*own, *others, gone])
    for user in (None, make_user(role="head_office"), make_user(role="branch_manager", branch=branch)):
        assert sight_of(user)(everything) == client_ids(visible_clients(user))
    assert sight_of(None)(everything) == BitMap64([*own, *others])
    assert sight_of(make_user(role="branch_manager", branch=branch))(everything) == BitMap64(own)


def test_the_whole_book_is_all_but_the_records_merged_away(app: Flask) -> None:
    kept = make_clients(2)
    make_client(merged_into_id=kept[0])
    hidden = set(db.session.scalars(select(Client.id).where(merged_away())))
    assert set(client_ids(visible_clients(None))) == set(kept)
    assert hidden == set(db.session.scalars(select(Client.id))) - set(kept)
