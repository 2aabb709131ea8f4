"""Pages of the real web process, as somebody of head office loads them."""

import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

from app.core.permissions import Role
from bench.delivery_book import DeliveryBook
from tests.factories.users import make_user, sign_in


def session_cookie(book: DeliveryBook) -> str:
    """The cookie of somebody of head office who is signed in."""
    user = make_user(role=Role.HEAD_OFFICE, email=f"bench{time.time_ns()}@example.com")
    cookie = sign_in(book.app.test_client(), user).get_cookie("session")
    assert cookie is not None
    return f"session={cookie.value}"


def load(url: str, cookie: str, *, holding: str) -> float:
    """Seconds until the last byte of a page, which must hold these words."""
    parts = urlsplit(url)
    start = time.perf_counter()
    connection = HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", parts.path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    took = time.perf_counter() - start
    assert answer.status == 200, answer.status
    assert holding in body.decode().lower()
    return took
