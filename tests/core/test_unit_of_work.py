"""One transaction per verb, and what follows it."""

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from app.core.extensions import db
from app.core.files import StoredFile
from app.core.unit_of_work import after_commit, unit_of_work

pytestmark = pytest.mark.usefixtures("app")


def committed() -> int:
    """Rows that another connection sees."""
    with db.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(StoredFile)) or 0


def add_row() -> None:
    db.session.add(StoredFile(name="x", size=0))
    db.session.flush()


def test_the_work_is_committed_at_the_end() -> None:
    with unit_of_work():
        add_row()
        assert committed() == 0
    assert committed() == 1


def test_an_error_rolls_back_and_goes_on_up() -> None:
    with pytest.raises(LookupError), unit_of_work():
        add_row()
        raise LookupError
    assert committed() == 0


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_rolls_back(interruption: type[BaseException]) -> None:
    with pytest.raises(interruption), unit_of_work():
        add_row()
        raise interruption
    assert committed() == 0


def test_actions_run_in_order_after_the_commit_only() -> None:
    seen: list[tuple[str, int]] = []
    with unit_of_work():
        add_row()
        after_commit(lambda: seen.append(("first", committed())))
        after_commit(lambda: seen.append(("second", committed())))
        assert seen == []
    assert seen == [("first", 1), ("second", 1)]


def test_actions_never_run_after_an_error() -> None:
    seen: list[str] = []
    with pytest.raises(LookupError), unit_of_work():
        after_commit(lambda: seen.append("error"))
        raise LookupError
    with unit_of_work():
        pass
    assert seen == []


def test_actions_never_run_where_the_commit_itself_fails() -> None:
    seen: list[str] = []
    with pytest.raises(Exception, match="violates foreign key"), unit_of_work() as session:
        session.execute(text("SET CONSTRAINTS ALL DEFERRED"))
        session.execute(text("INSERT INTO stored_chunk (file_id, position, data) VALUES (999, 0, '')"))
        after_commit(lambda: seen.append("failed commit"))
    assert seen == []


def test_an_action_needs_a_unit_of_work() -> None:
    with pytest.raises(RuntimeError, match="needs a unit_of_work"):
        after_commit(lambda: None)


def test_an_action_may_open_a_unit_of_work_of_its_own() -> None:
    def again() -> None:
        with unit_of_work():
            add_row()

    with unit_of_work():
        after_commit(again)
    assert committed() == 1


def test_units_of_work_do_not_nest() -> None:
    with pytest.raises(RuntimeError, match="does not go inside"), unit_of_work():
        add_row()
        with unit_of_work():
            pass
    assert committed() == 0
    with unit_of_work():
        add_row()
    assert committed() == 1


def test_two_contexts_have_a_unit_of_work_each(app: Flask) -> None:
    with unit_of_work():
        add_row()
        with app.app_context(), unit_of_work():
            add_row()
        assert committed() == 1
    assert committed() == 2
