"""Passwords: hashing with Argon2id, and which ones are refused.

The rules follow NIST SP 800-63B: length counts, composition rules do not, and passwords that everyone tries
first are refused.
"""

import re
import secrets
from functools import cache
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask_babel import lazy_gettext as _l

from app.core.errors import AppError

MIN_LENGTH = 12
MAX_LENGTH = 200
_hasher = PasswordHasher()

_SUBSTITUTIONS = str.maketrans("013457@$!", "oleastasi")
_RUNS = (
    "01234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qazwsxedcrfvtgbyhnujmikolp",
)
_COMMON_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    abc access admin administrator administrador asd asdf baseball batman bellwether changeme charlie computer daniel
    default dragon football freedom guest hello iloveyou jesus jordan killer letmein login love machine master
    michael mima monkey mustang my myspace ninja nihao pass passphrase passwd password passwort princess qaz qwe qwer
    qwerty qwertyuiop root secret secure securities shadow soccer staff starwars summer sunshine superman test testing
    the this is trustno trustnoone user welcome whatever winter woaini zhongguo zxc zxcvbn zxcvbnm
    """,
    )
)


class WeakPassword(AppError):
    message = _l("This password is too easy to guess. Choose another one, for instance four unrelated words.")


class ShortPassword(AppError):
    message = _l("A password needs at least 12 characters.")


class LongPassword(AppError):
    message = _l("A password may have at most 200 characters.")


def check_password(password: str, *, personal: tuple[str, ...] = ()) -> None:
    """Raise an AppError where the password is too short, too long or among the most common.

    `personal` are words that belong to the person (name, e-mail address): alone they are no password either.
    """
    if len(password) < MIN_LENGTH:
        raise ShortPassword
    if len(password) > MAX_LENGTH:
        raise LongPassword
    folded = password.casefold()
    if len(set(folded)) < 5 or _is_run(folded):
        raise WeakPassword
    own = {word for text in personal for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) > 2}
    words = _COMMON_WORDS | own
    trimmed = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded)  # or the year in Passw0rd!2024 would read as letters
    for spelling in (trimmed, trimmed.translate(_SUBSTITUTIONS)):
        if _made_of(re.sub(r"[\W\d_]+", "", spelling), words):
            raise WeakPassword


def _is_run(text: str) -> bool:
    """True for `123456789012`, `qwertyuiopqwerty`, `abcabcabcabc`: runs along a row, or one piece repeated."""
    if re.fullmatch(r"(.{1,5})\1+.{0,4}", text):
        return True
    steps = {a + b for run in _RUNS for row in (run, run[::-1]) for a, b in pairwise(row)}
    inside = sum(a + b in steps for a, b in pairwise(text))
    return inside >= 0.8 * (len(text) - 1)


def _made_of(letters: str, words: frozenset[str] | set[str]) -> bool:
    """True where at most two of the words, side by side, spell the letters (or no letter is there at all)."""
    return not letters or letters in words or any(letters[:i] in words and letters[i:] in words for i in range(3, 20))


def hash_password(password: str) -> str:
    """An Argon2id hash in the PHC string format, salt and parameters included. About 40 ms."""
    return _hasher.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """True where the password belongs to the hash.

    Without a hash (no such person, locked, inactive) the same work is done in vain, so that the time a sign-in
    takes tells nothing about who exists.
    """
    try:
        matches = _hasher.verify(password_hash or _hash_of_nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return matches and password_hash is not None


@cache
def _hash_of_nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))


def is_outdated(password_hash: str) -> bool:
    """True where the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


def generate_password() -> str:
    """A one-time password of 20 letters without look-alikes, in five groups: about 90 bits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(5))
