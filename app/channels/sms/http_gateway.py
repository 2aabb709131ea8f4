"""A gateway of SMS over HTTP, described by its settings instead of by code: for the many regional ones.

One request carries a message, or up to `batch_size` of them where the gateway has a batch form. `url`, `headers` and
`body` are texts with `{placeholders}`:

    {secret}                               the account's secret
    {to} {text} {body} {token}             of one message: number, all the text, the text without signature, our id
    {signature} {signature_id} {template_id} {variables}
    {messages}                             of a batch: the `item` texts of its messages, with commas between

Values are escaped for JSON or for a form, by the content type. What comes back is read by dotted paths into JSON
(`data.0.id`): `reference_path`, and `outcome_path` whose words `accepted`, `refused` and `later` list. In a batch,
`results_path` is the list of its messages in the order sent.

A request that left and was not answered, or with an error of the server, is unconfirmed and never repeated; the account
is left alone for a while then, so that an outage costs only what was on its way.
"""

import json
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import quote_plus, urlsplit

import structlog
import urllib3
from flask_babel import lazy_gettext as _l
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from app.channels.base import Outcome, Result, Setting, Vendor
from app.channels.sms.message import OutgoingSms, SmsBatch
from app.channels.sms.offering import offer
from app.config import Config

TIMEOUT = 20.0
CONNECTIONS = 8
SMALLEST_WINDOW, LARGEST_WINDOW = 100, 200  # a crash leaves one unconfirmed
ACCOUNT_AT_FAULT = {401, 403, 404, 405, 429}  # its key, address, method or rate, not the messages
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_to_json = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` would make such an encoder for each value
_VALUES: Mapping[str, Callable[[SmsBatch, OutgoingSms], str]] = {
    "to": lambda batch, sms: sms.recipient,
    "text": lambda batch, sms: sms.text,
    "body": lambda batch, sms: sms.body,
    "token": lambda batch, sms: sms.token,
    "signature": lambda batch, sms: batch.signature,
    "signature_id": lambda batch, sms: batch.signature_reference,
    "template_id": lambda batch, sms: batch.template_reference,
    "variables": lambda batch, sms: _to_json(dict(sms.variables)),
}
_KNOWN = {"secret", "messages", *_VALUES}

log = structlog.get_logger(__name__)


class _Template:
    """A text with `{placeholders}`, taken apart once."""

    def __init__(self, text: str) -> None:
        self._pieces = _PLACEHOLDER.split(text)
        self.names = set(self._pieces[1::2])

    def fill(self, value_of: Callable[[str], str]) -> str:
        if not self.names:
            return self._pieces[0]
        return "".join([value_of(piece) if place % 2 else piece for place, piece in enumerate(self._pieces)])


class HttpGatewayChannel:
    """One account of a gateway, over a few kept-alive connections."""

    def __init__(self, settings: Mapping[str, Any], secret: str) -> None:
        self._settings = {setting.name: settings.get(setting.name, setting.default) for setting in SETTINGS}
        self._secret = secret
        self._form = "json" not in self._settings["content_type"]
        self._batch_size = max(1, min(int(self._settings["batch_size"] or 1), 1_000))
        self._connections = max(1, min(int(self._settings["connections"] or CONNECTIONS), 50))
        self.window = min(LARGEST_WINDOW, max(SMALLEST_WINDOW, self._batch_size * self._connections))
        self._threads = ThreadPoolExecutor(self._connections)
        templates = {name: _Template(self._settings[name]) for name in ("url", "headers", "body", "item")}
        for name, template in templates.items():
            if unknown := template.names - _KNOWN:
                raise ValueError(f"{name} has an unknown placeholder: {{{sorted(unknown)[0]}}}")
        if self._batch_size > 1 and "messages" not in templates["body"].names:
            raise ValueError("the body of a batch needs {messages}")
        self._url, self._body, self._item = templates["url"], templates["body"], templates["item"]
        self._headers = _headers(templates["headers"].fill(lambda name: secret if name == "secret" else ""))
        self._headers.setdefault("Content-Type", self._settings["content_type"])
        self._words = [
            (_words(self._settings[setting]), outcome)
            for setting, outcome in (
                ("accepted", Outcome.SENT),
                ("refused", Outcome.FAILED),
                ("later", Outcome.NOT_TAKEN),
            )
        ]
        # Asked for a path each time: a manager of several hosts would take each address apart anew.
        self._origin = _origin(self._settings["url"])
        self._pool = urllib3.connection_from_url(
            self._origin, maxsize=self._connections, block=True, timeout=urllib3.Timeout(TIMEOUT)
        )

    def send(self, batch: SmsBatch, messages: Sequence[OutgoingSms]) -> list[Result]:
        """Hand over the window's messages, several requests at a time."""
        groups = [messages[at : at + self._batch_size] for at in range(0, len(messages), self._batch_size)]
        if len(groups) == 1:
            return self._request(batch, groups[0])
        return offer(groups, partial(self._request, batch), self._threads)

    def _request(self, batch: SmsBatch, group: Sequence[OutgoingSms]) -> list[Result]:
        try:
            response = self._pool.urlopen(
                self._settings["method"],
                self._address(batch, group[0])[len(self._origin) :] or "/",
                body=self._content(batch, group),
                headers=self._headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
            )
        except (NewConnectionError, ConnectTimeoutError, socket.gaierror) as error:
            return self._all(group, Outcome.NOT_TAKEN, f"unreachable: {type(error).__name__}", at_fault=True)
        except (HTTPError, OSError) as error:
            log.warning("sms_gateway_silent", error=type(error).__name__, messages=len(group))
            return self._all(group, Outcome.UNCONFIRMED, "no answer from the provider", at_fault=True)
        return self._read(response.status, response.data, group)

    def _read(self, status: int, data: bytes, group: Sequence[OutgoingSms]) -> list[Result]:
        reason = f"HTTP {status}"
        if status in ACCOUNT_AT_FAULT:
            return self._all(group, Outcome.NOT_TAKEN, reason, at_fault=True)
        if status >= 500 or not (200 <= status < 300 or status >= 400):  # a redirect is not followed, and says nothing
            return self._all(group, Outcome.UNCONFIRMED, reason, at_fault=True)
        if status >= 400:
            return self._all(group, Outcome.FAILED, reason)
        try:
            answer = json.loads(data) if data else {}
        except (ValueError, RecursionError):
            answer = {}
        entries = at_path(answer, self._settings["results_path"]) if self._settings["results_path"] else None
        if isinstance(entries, list) and len(entries) == len(group):
            return [self._judge(entry, sms) for entry, sms in zip(entries, group, strict=True)]
        return [self._judge(answer, sms) for sms in group]

    def _judge(self, answer: Any, sms: OutgoingSms) -> Result:
        reference = _text(at_path(answer, self._settings["reference_path"]))
        if not self._settings["outcome_path"]:
            return Result(sms.message_id, Outcome.SENT, reference)
        word = _text(at_path(answer, self._settings["outcome_path"])) or ""
        for words, outcome in self._words:
            if word.lower() in words:
                said = None if outcome is Outcome.SENT else f"the provider said: {word[:100]}"
                return Result(sms.message_id, outcome, reference, said)
        log.warning("sms_gateway_unknown_word", word=word[:40])
        return Result(sms.message_id, Outcome.UNCONFIRMED, reference, f"the provider said: {word[:100]}")

    def _all(
        self, group: Sequence[OutgoingSms], outcome: Outcome, reason: str, *, at_fault: bool = False
    ) -> list[Result]:
        return [Result(sms.message_id, outcome, reason=reason, account_at_fault=at_fault) for sms in group]

    def _value(self, name: str, batch: SmsBatch, sms: OutgoingSms) -> str:
        if name == "secret":
            return self._secret
        return _VALUES[name](batch, sms) if name in _VALUES else ""

    def _address(self, batch: SmsBatch, sms: OutgoingSms) -> str:
        return self._url.fill(lambda name: quote_plus(self._value(name, batch, sms)))

    def _content(self, batch: SmsBatch, group: Sequence[OutgoingSms]) -> bytes | None:
        if self._settings["method"] == "GET":
            return None
        items = "" if self._batch_size == 1 else ",".join([self._filled(self._item, batch, sms) for sms in group])
        return self._filled(self._body, batch, group[0], items).encode()

    def _filled(self, template: _Template, batch: SmsBatch, sms: OutgoingSms, items: str = "") -> str:
        return template.fill(lambda name: items if name == "messages" else self._escape(self._value(name, batch, sms)))

    def _escape(self, value: str) -> str:
        return quote_plus(value) if self._form else _to_json(value)[1:-1]


def at_path(value: Any, path: str) -> Any:
    """What stands at a dotted path of JSON, such as `data.0.id`; None where there is nothing."""
    for name in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def mapping(lines: str) -> dict[str, str]:
    """{word: meaning} of lines such as `DELIVRD = delivered`; words in lower case."""
    pairs = (line.partition("=") for line in lines.splitlines() if "=" in line)
    return {word.strip().lower(): meaning.strip().lower() for word, _sign, meaning in pairs}


def _origin(url: str) -> str:
    """Scheme, host and port of an address whose path may have placeholders. ValueError where the host has one."""
    parts = urlsplit(url)
    if "{" in parts.netloc:
        raise ValueError("the host of the address must not have a placeholder")
    return f"{parts.scheme}://{parts.netloc}"


def _headers(lines: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, _sign, value in pairs}


def _words(listed: str) -> set[str]:
    return {word.strip().lower() for word in listed.split(",")}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    return ("true" if value else "false") if isinstance(value, bool) else str(value).replace("\0", "")[:200]


SETTINGS = (
    Setting("url", _l("Address"), required=True),
    Setting("method", _l("Method"), kind="choice", default="POST", choices=(("POST", "POST"), ("GET", "GET"))),
    Setting(
        "content_type",
        _l("Content type"),
        kind="choice",
        default="application/json",
        choices=(("application/json", "JSON"), ("application/x-www-form-urlencoded", _l("Form"))),
    ),
    Setting("headers", _l("Headers"), kind="long_text", description=_l("One a line, such as: X-Key: {secret}")),
    Setting("body", _l("Body"), kind="long_text", default='{"to": "{to}", "text": "{text}", "id": "{token}"}'),
    Setting("item", _l("One message of a batch"), kind="long_text", default='{"to": "{to}", "text": "{text}"}'),
    Setting("batch_size", _l("Messages in a request"), kind="number", default=1),
    Setting("connections", _l("Connections of a worker"), kind="number", default=CONNECTIONS),
    Setting("results_path", _l("Where the results of a batch stand")),
    Setting("reference_path", _l("Where the reference stands"), default="id"),
    Setting(
        "outcome_path", _l("Where the outcome stands"), description=_l("Left empty: an answer of 200 is accepted.")
    ),
    Setting("accepted", _l("Words for accepted"), default="0,ok,success,accepted,true"),
    Setting("refused", _l("Words for refused")),
    Setting("later", _l("Words for: not now")),
    Setting("receipt_list", _l("Receipts: where the list stands")),
    Setting("receipt_token", _l("Receipts: where our id stands"), default="token"),
    Setting("receipt_reference", _l("Receipts: where the reference stands"), default="id"),
    Setting("receipt_status", _l("Receipts: where the status stands"), default="status"),
    Setting(
        "receipt_words",
        _l("Receipts: what their words mean"),
        kind="long_text",
        default="delivered = delivered\nDELIVRD = delivered\nUNDELIV = blocked\nfailed = blocked",
    ),
    Setting("inbound_list", _l("Inbound: where the list stands")),
    Setting("inbound_from", _l("Inbound: where the number stands"), default="from"),
    Setting("inbound_text", _l("Inbound: where the text stands"), default="text"),
    Setting("inbound_id", _l("Inbound: where the id stands"), default="id"),
    Setting("price_per_part", _l("Price of a part"), kind="number"),
    Setting("currency", _l("Currency"), default="CNY"),
)


def _build(settings: Mapping[str, Any], secret: str | None, config: Config) -> HttpGatewayChannel:
    if not str(settings.get("url") or "").startswith(("http://", "https://")):
        raise ValueError("the address must begin with https:// or http://")
    return HttpGatewayChannel(settings, secret or "")


HTTP_GATEWAY = Vendor(
    "http_gateway", "sms", _l("SMS gateway over HTTP"), _build, settings=SETTINGS, secret_label=_l("Key of the gateway")
)
