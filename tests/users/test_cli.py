"""`flask users`."""

from flask import Flask

from app.core.unit_of_work import unit_of_work
from app.users.passwords import verify_password
from app.users.queries import find_user
from app.users.service import authenticate_api_key
from tests.factories.users import make_user

CREATE = ["users", "create", "--email", "ada@example.com", "--name", "Ada Byron", "--password-stdin"]


def run(app: Flask, *arguments: str, typed: str = ""):
    return app.test_cli_runner().invoke(args=list(arguments), input=typed)


def test_the_first_administrator_is_made_from_a_script(app: Flask) -> None:
    result = run(app, *CREATE, typed="four unrelated words here\n")
    assert result.exit_code == 0, result.output
    assert find_user("ada@example.com").roles == ["administrator"]


def test_what_is_missing_is_asked_for(app: Flask) -> None:
    typed = "ada@example.com\nAda Byron\nfour unrelated words here\nfour unrelated words here\n"
    result = run(app, "users", "create", "--role", "adviser", "--role", "marketing", typed=typed)
    assert result.exit_code == 0, result.output
    assert find_user("ada@example.com").roles == ["marketing", "adviser"]


def test_a_refusal_is_a_sentence(app: Flask) -> None:
    result = run(app, *CREATE, typed="short\n")
    assert result.exit_code == 1
    assert "Error: A password needs at least 12 characters." in result.output
    assert "There is no branch with the code XX." in run(app, *CREATE, "--branch", "XX").output
    assert find_user("ada@example.com") is None


def test_everyone_is_listed(app: Flask) -> None:
    make_user(email="b@example.com", name="B")
    make_user(email="a@example.com", name="A", active=False)
    assert run(app, "users", "list").output == (
        "a@example.com\tmarketing\tHO\tinactive\tA\nb@example.com\tmarketing\tHO\tactive\tB\n"
    )


def test_a_password_is_set_by_hand(app: Flask) -> None:
    user = make_user()
    result = run(app, "users", "set-password", user.email, "--password-stdin", typed="four unrelated words here\n")
    assert result.exit_code == 0, result.output
    assert verify_password(find_user(user.email).password_hash, "four unrelated words here")
    assert run(app, "users", "set-password", "nobody@example.com").exit_code == 1


def test_a_key_is_printed_alone(app: Flask) -> None:
    secret = run(app, "users", "create-api-key", "Core banking").output.strip()
    with unit_of_work():
        assert authenticate_api_key(secret).name == "Core banking"
