"""What must hold when several requests arrive at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from flask import Flask

from app.core.errors import AppError
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users import service
from app.users.models import Branch, User
from tests.factories.users import make_branch, make_user


def at_once(app: Flask, *acts: Callable[[], bool]) -> list[bool]:
    """Run each act in a thread with a session of its own, all started together."""
    start = Barrier(len(acts))

    def run(act: Callable[[], bool]) -> bool:
        with app.app_context():
            start.wait(timeout=30)
            return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_twenty_guesses_at_once_get_five_tries(app: Flask) -> None:
    email = make_user().email

    def guess() -> bool:
        with unit_of_work():
            return service.count_attempt(email=email) is not None

    assert sum(at_once(app, *[guess] * 20)) == 5


def test_two_administrators_cannot_demote_each_other(app: Flask) -> None:
    ids = [make_user(role=Role.ADMINISTRATOR).id for _ in range(2)]

    def demote(user_id: int) -> bool:
        try:
            with unit_of_work() as session:
                user = session.get_one(User, user_id)
                service.edit_user(
                    user=user,
                    email=user.email,
                    name=user.name,
                    roles=["adviser"],
                    branch=user.branch,
                    active=True,
                    actor=None,
                )
        except service.LastAdministrator:
            return False
        return True

    assert sorted(at_once(app, *[lambda user_id=user_id: demote(user_id) for user_id in ids])) == [False, True]


def test_two_moves_cannot_close_a_loop(app: Flask) -> None:
    ids = [make_branch().id for _ in range(2)]

    def move(branch_id: int, parent_id: int) -> bool:
        try:
            with unit_of_work() as session:
                service.move_branch(
                    branch=session.get_one(Branch, branch_id), parent=session.get_one(Branch, parent_id), actor=None
                )
        except AppError:
            return False
        return True

    assert sorted(at_once(app, lambda: move(*ids), lambda: move(*reversed(ids)))) == [False, True]
    db.session.expire_all()
