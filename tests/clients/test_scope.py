"""Who sees which clients."""

import pytest
from flask import Flask
from sqlalchemy import select

from app.clients.models import Client
from app.clients.queries import find_client, visible_clients
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import User
from tests.factories.clients import make_client
from tests.factories.users import make_branch, make_user


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


def test_a_client_outside_the_scope_does_not_exist(app: Flask) -> None:
    make_client(number="s", branch=make_branch())
    with pytest.raises(NotFound):
        find_client("s", user=make_user(role=Role.BRANCH_MANAGER, branch=make_branch()))
