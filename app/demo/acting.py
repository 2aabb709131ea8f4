"""The clients of the demo: they act from the messages that the sink received, over HTTP.

A client whose number is divisible by 4 loads the pixel, by 20 follows the first link, by 100 answers; every
client whose row says `y` = yes opens an account.
"""

import csv
import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import SMTP
from email.utils import make_msgid
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import local
from urllib.parse import urlsplit
from uuid import uuid4

from app.core.clock import now
from app.demo.sink import read_messages

THREADS = 8
_PIXEL = re.compile(rb'<img src="(http[^"]+/o/[^"]+)"')
_LINK = re.compile(rb'<a href="(http[^"]+/c/[^"]+)"')


@dataclass(frozen=True, slots=True)
class Acts:
    """How many acts were answered as expected, and how many were not."""

    opens: int
    clicks: int
    replies: int
    openings: int
    refused: int


def act_as_clients(*, store: Path, data: Path, base_url: str, inbound_token: str, api_key: str) -> Acts:
    """Do everything the clients do and say how much of it there was."""
    server = _Server(base_url)
    pixels, links, answers = _read_mail(store)
    inbound = f"/webhooks/sendgrid/inbound/{inbound_token}"
    with ThreadPoolExecutor(THREADS) as pool:
        opens = _count(pool.map(lambda url: server.get(url) == 200, pixels))
        clicks = _count(pool.map(lambda url: server.get(url) in (302, 303), links))
        replies = _count(pool.map(lambda mime: server.post_form(inbound, {"email": mime}) == 200, answers))
        buyers = list(_buyers(data))
        openings = _count(pool.map(lambda number: server.post_opening(number, api_key) in (200, 201), buyers))
    expected = len(pixels) + len(links) + len(answers) + len(buyers)
    return Acts(opens, clicks, replies, openings, expected - opens - clicks - replies - openings)


def _count(results: Iterable[bool]) -> int:
    return sum(results)


def _read_mail(store: Path) -> tuple[list[str], list[str], list[bytes]]:
    pixels: list[str] = []
    links: list[str] = []
    answers: list[bytes] = []
    for recipient, raw in read_messages(store):
        number = int(recipient.removeprefix("c").partition("@")[0])
        if number % 4:
            continue
        mail = message_from_bytes(raw)
        body = _html(mail)
        pixels.append(_first(_PIXEL, body))
        if number % 20 == 0:
            links.append(_first(_LINK, body))
        if number % 100 == 0:
            answers.append(_answer(mail, recipient))
    return pixels, links, answers


def _html(mail: Message) -> bytes:
    for part in mail.walk():
        if part.get_content_type() == "text/html":
            return bytes(part.get_payload(decode=True))
    raise LookupError("a message without HTML")


def _first(pattern: re.Pattern[bytes], body: bytes) -> str:
    found = pattern.search(body)
    if found is None:
        raise LookupError("a message without the expected link")
    return found[1].decode()


def _answer(mail: Message, sender: str) -> bytes:
    reply = EmailMessage(policy=SMTP)
    reply["From"] = sender
    reply["To"] = mail["Reply-To"]
    reply["Subject"] = f"Re: {mail['Subject']}"
    reply["Message-ID"] = make_msgid(domain="example.com")
    reply["In-Reply-To"] = mail["Message-ID"]
    reply.set_content("Please tell me more about the rate.\n\nOn Monday the bank wrote:\n> a term deposit\n")
    return reply.as_bytes()


def _buyers(data: Path) -> Iterable[int]:
    with data.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter=";"), start=1):
            if row["y"] == "yes":
                yield number


class _Server:
    """One kept-alive connection per thread."""

    def __init__(self, base_url: str) -> None:
        self._netloc = urlsplit(base_url).netloc
        self._local = local()

    def get(self, url: str) -> int:
        parts = urlsplit(url)
        return self._request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))

    def post_opening(self, number: int, api_key: str) -> int:
        body = {
            "source": "core-banking",
            "external_id": f"deposit-{number}",
            "client_number": str(number),
            "product": "term deposit",
            "opened_at": now().isoformat(),
        }
        headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        return self._request("POST", "/api/v1/account-openings", json.dumps(body).encode(), headers)

    def post_form(self, path: str, fields: dict[str, bytes]) -> int:
        boundary = uuid4().hex
        parts = [
            b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            % (boundary.encode(), name.encode(), value)
            for name, value in fields.items()
        ]
        body = b"".join((*parts, b"--%b--\r\n" % boundary.encode()))
        return self._request("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def _request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> int:
        for _ in range(2):
            try:
                return self._once(method, path, body, headers or {})
            except (OSError, HTTPException):
                self._local.connection = None  # the server closed an idle connection: once more on a new one
        return 0

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> int:
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = HTTPConnection(self._netloc, timeout=60)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
