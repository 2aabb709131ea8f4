"""Which passwords are refused."""

import pytest

from app.users import passwords


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "kalter Kaffee 17",
        "xk3-vbq9-plw2",
        "四个不相干的词语放在一起",
        "bellwether-demo",
        "passwords are overrated",
    ],
)
def test_a_long_unusual_password_passes(password: str) -> None:
    passwords.check_password(password)


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "P@ssw0rd2024!",
        "123456789012",
        "987654321098",
        "qwertyuiop12",
        "qwertyqwerty",
        "1qaz2wsx3edc",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "Welcome-2025!!",
        "changeme changeme",
        "iloveyou2024",
        "2024-12-31 24:00",
    ],
)
def test_what_everyone_tries_first_is_refused(password: str) -> None:
    with pytest.raises(passwords.WeakPassword):
        passwords.check_password(password)


def test_the_persons_own_name_is_no_password() -> None:
    with pytest.raises(passwords.WeakPassword):
        passwords.check_password("ada.byron1815", personal=("Ada Byron", "ada@example.com"))


@pytest.mark.parametrize("password", ["", "short", "eleven char"])
def test_a_short_password_is_refused(password: str) -> None:
    with pytest.raises(passwords.ShortPassword):
        passwords.check_password(password)


def test_an_endless_password_is_refused() -> None:
    with pytest.raises(passwords.LongPassword):
        passwords.check_password("long " * 41)


def test_generated_passwords_pass_and_differ() -> None:
    made = {passwords.generate_password() for _ in range(20)}
    assert len(made) == 20
    for password in made:
        passwords.check_password(password)


def test_nobody_has_no_password() -> None:
    assert not passwords.verify_password(None, "")
    assert not passwords.verify_password("not a hash", "anything")
