"""Staff: who may be added, changed, locked out; and the keys of the HTTP interface."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select, update

from app.audit.models import AuditEntry
from app.core.clock import now
from app.core.errors import AppError
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users import service
from app.users.models import ApiKey, User
from app.users.queries import find_user, head_office, staff_page, user_of_session
from tests.factories.users import PASSWORD, make_branch, make_user


def add(**changes: object) -> User:
    values: dict = {
        "email": "ada@example.com",
        "name": "Ada Byron",
        "password": "an engine of analysis",
        "roles": [Role.MARKETING],
        "branch": head_office(),
    }
    with unit_of_work():
        return service.create_user(**(values | changes))


def attempt(email: str, password: str) -> bool:
    """What the sign-in page does."""
    with unit_of_work():
        user = service.count_attempt(email=email)
    matches = service.password_matches(user=user, password=password)
    with unit_of_work():
        if user and matches:
            service.note_sign_in(user=user, password=password)
        elif user:
            service.note_failure(user=user)
    return matches


def actions() -> list[str]:
    return list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def test_a_new_person_is_found_by_address_whatever_its_case(app: Flask) -> None:
    user = add(email="Ada@Example.com")
    assert find_user("  ada@example.COM ") == user
    assert user.password_hash.startswith("$argon2id$")


def test_an_address_is_taken_once(app: Flask) -> None:
    add()
    with pytest.raises(service.EmailTaken):
        add(email="ADA@example.com")


@pytest.mark.parametrize("address", ["", "ada", "ada@", "ada@localhost", "a b@example.com"])
def test_an_incomplete_address_is_refused(app: Flask, address: str) -> None:
    with pytest.raises(service.InvalidEmail):
        add(email=address)


def test_nobody_makes_and_checks(app: Flask) -> None:
    with pytest.raises(service.MakerIsChecker):
        add(roles=[Role.COMPLIANCE, Role.MARKETING])


@pytest.mark.parametrize("roles", [[], ["emperor"]])
def test_a_person_needs_a_role_that_exists(app: Flask, roles: list[str]) -> None:
    with pytest.raises(service.NoRole):
        add(roles=roles)


def test_the_fifth_failure_locks_for_a_quarter_of_an_hour(app: Flask) -> None:
    user = make_user()
    for _ in range(4):
        assert not attempt(user.email, "wrong")
    assert attempt(user.email, PASSWORD), "four failures do not lock"
    for _ in range(5):
        assert not attempt(user.email, "wrong")
    assert not attempt(user.email, PASSWORD), "the right password does not open a lock"
    assert actions().count("user.lock") == 1
    db.session.expire_all()
    assert timedelta(minutes=14) < user.locked_until - now() <= timedelta(minutes=15)


def test_a_lock_that_has_run_out_lets_in_and_starts_counting_again(app: Flask) -> None:
    user = make_user()
    for _ in range(5):
        attempt(user.email, "wrong")
    with unit_of_work() as session:
        session.execute(update(User).values(locked_until=now() - timedelta(seconds=1)))
    assert not attempt(user.email, "wrong")
    assert attempt(user.email, PASSWORD)
    assert user.failed_sign_ins == 0


def test_the_count_is_taken_before_the_password_is_looked_at(app: Flask) -> None:
    user = make_user()
    for _ in range(5):
        with unit_of_work():
            assert service.count_attempt(email=user.email) == user
    with unit_of_work():
        assert service.count_attempt(email=user.email) is None


def test_an_administrator_opens_a_lock(app: Flask) -> None:
    user, administrator = make_user(), make_user(role=Role.ADMINISTRATOR)
    for _ in range(5):
        attempt(user.email, "wrong")
    with unit_of_work():
        service.unlock_user(user=user, actor=administrator)
    assert attempt(user.email, PASSWORD)


def test_unknown_and_inactive_people_never_sign_in(app: Flask) -> None:
    assert not attempt("nobody@example.com", PASSWORD)
    assert not attempt(make_user(active=False).email, PASSWORD)


def test_a_hash_with_old_parameters_is_renewed_at_sign_in(app: Flask) -> None:
    user = make_user()
    with unit_of_work():
        user.password_hash = old = PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    assert attempt(user.email, PASSWORD)
    assert user.password_hash != old
    assert attempt(user.email, PASSWORD)


def test_a_password_change_ends_other_sessions(app: Flask) -> None:
    user = make_user()
    session = user.get_id()
    assert user_of_session(session) == user
    with unit_of_work():
        service.change_password(user=user, present=PASSWORD, new="four unrelated words here")
    assert user_of_session(session) is None
    assert user_of_session(user.get_id()) == user


@pytest.mark.parametrize("session", ["", "1", "x:1", "1:x", "-1:1", "99999:1", "1:1:1"])
def test_a_session_that_is_not_ours_is_nobody(app: Flask, session: str) -> None:
    assert user_of_session(session) is None


def test_a_password_change_needs_the_present_one_and_another_one(app: Flask) -> None:
    user = make_user()
    with pytest.raises(service.WrongPassword), unit_of_work():
        service.change_password(user=user, present="guess", new="four unrelated words here")
    with pytest.raises(service.SamePassword), unit_of_work():
        service.change_password(user=user, present=PASSWORD, new=PASSWORD)


def test_a_reset_password_works_until_it_is_changed(app: Flask) -> None:
    user, administrator = make_user(), make_user(role=Role.ADMINISTRATOR)
    session = user.get_id()
    with unit_of_work():
        password = service.reset_password(user=user, actor=administrator)
    assert user_of_session(session) is None
    assert user.must_change_password
    assert attempt(user.email, password)
    with unit_of_work():
        service.change_password(user=user, present=password, new="four unrelated words here")
    assert not user.must_change_password


def edit(user: User, actor: User | None = None, **changes: object) -> None:
    values: dict = {
        "email": user.email,
        "name": user.name,
        "roles": user.roles,
        "branch": user.branch,
        "active": user.active,
    }
    with unit_of_work():
        service.edit_user(user=user, actor=actor or user, **(values | changes))


def test_the_last_administrator_of_the_firm_stays(app: Flask) -> None:
    branch = make_branch()
    last = make_user(role=Role.ADMINISTRATOR)
    make_user(role=Role.ADMINISTRATOR, branch=branch)
    make_user(role=Role.ADMINISTRATOR, active=False)
    for change in ({"active": False}, {"roles": ["marketing"]}, {"branch": branch}):
        with pytest.raises(service.LastAdministrator):
            edit(last, **change)
    edit(last, name="Renamed", roles=["administrator", "marketing"])
    make_user(role=Role.ADMINISTRATOR)
    edit(last, roles=["marketing"])
    assert last.roles == ["marketing"]


def test_closing_an_account_ends_its_sessions_for_good(app: Flask) -> None:
    user = make_user()
    session = user.get_id()
    edit(user, active=False)
    assert user_of_session(session) is None
    edit(user, active=True)
    assert user_of_session(session) is None


def test_an_edit_is_recorded_without_the_address(app: Flask) -> None:
    user, administrator = make_user(), make_user(role=Role.ADMINISTRATOR)
    edit(user, administrator, email="new@example.com", roles=["adviser"])
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.subject == "user")).one()
    assert (entry.actor_id, entry.action, entry.subject_id) == (administrator.id, "user.edit", user.id)
    assert entry.changes == {"email": ["changed"], "roles": [["marketing"], ["adviser"]]}


def test_an_edit_to_a_taken_address_is_refused(app: Flask) -> None:
    first, second = make_user(), make_user()
    with pytest.raises(service.EmailTaken):
        edit(second, email=first.email.upper())


def test_staff_are_paged_both_ways_and_searched(app: Flask) -> None:
    branch = make_branch()
    for number in range(120):
        make_user(name=f"Person {number:03}", email=f"p{number}@example.com", branch=branch)
    make_user(name="Elsewhere")
    first = staff_page(scope=branch)
    second = staff_page(scope=branch, after=first.after)
    third = staff_page(scope=branch, after=second.after)
    assert [len(page.users) for page in (first, second, third)] == [50, 50, 20]
    assert (first.before, third.after) == (None, None)
    assert [user.id for user in staff_page(scope=branch, before=third.before).users] == [u.id for u in second.users]
    assert staff_page(scope=branch, before=second.before).before is None
    assert [user.name for user in staff_page(scope=branch, search="person 007").users] == ["Person 007"]
    assert not staff_page(scope=branch, search="100%").users
    assert not staff_page(scope=branch, role="adviser").users


def test_a_key_is_known_by_its_secret_until_revoked(app: Flask) -> None:
    administrator = make_user(role=Role.ADMINISTRATOR)
    with unit_of_work():
        key, secret = service.create_api_key(name="Core banking", actor=administrator)
    assert secret.startswith("bw_")
    assert secret.startswith(key.prefix)
    assert secret not in (key.digest, key.prefix)
    with unit_of_work():
        assert service.authenticate_api_key(secret) == key
        assert service.authenticate_api_key(secret + "x") is None
        assert service.authenticate_api_key("") is None
    with unit_of_work():
        service.revoke_api_key(key_id=key.id, actor=administrator)
    with unit_of_work():
        assert service.authenticate_api_key(secret) is None
    with pytest.raises(AppError), unit_of_work():
        service.revoke_api_key(key_id=key.id, actor=administrator)


def test_the_use_of_a_key_is_noted_once_a_minute(app: Flask) -> None:
    with unit_of_work():
        key, secret = service.create_api_key(name="Core banking", actor=None)

    def used_at() -> object:
        with unit_of_work():
            service.authenticate_api_key(secret)
        db.session.expire_all()
        return key.last_used_at

    first = used_at()
    assert first is not None
    assert used_at() == first
    with unit_of_work() as session:
        session.execute(update(ApiKey).values(last_used_at=ApiKey.last_used_at - timedelta(minutes=2)))
    assert used_at() > first - timedelta(minutes=1)
