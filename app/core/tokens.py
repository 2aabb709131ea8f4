"""Signed links: opaque, unforgeable, and good without a look at the database.

A token is base64url of: key id (1 byte), kind (1 byte), message id (8 bytes, big endian), extra bytes, and a
16-byte tag over all of it: BLAKE2s with a key (RFC 7693), because it takes half as long as an HMAC and every message
carries a dozen. The click token carries its target, so a click redirects even while PostgreSQL is away, and only to an
address that we signed (never an open redirect).
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2s
from hmac import compare_digest

KEY_ID = 2  # 1 stood for HMAC-SHA256, before the first release
_HEAD = struct.Struct(">BBq")
_TAG = 16
_PURPOSE = b"bw links"  # at most 8 bytes
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# A longer address would make a link that mail programs and servers cut: such a link is not tracked.
MAX_TARGET_BYTES = 2_000


class Kind(IntEnum):
    OPEN = 1
    CLICK = 2
    UNSUBSCRIBE = 3
    VIEW = 4
    REPLY = 5
    BOUNCE = 6
    PREFERENCES = 7
    TRAP = 8  # the link that people do not see
    CODE = 10  # a message's tracking code
    LEAD = 11  # that of a lead form sent in; the id is the submission's
    FORM = 12  # the address of a lead form; the id is the form's


_MAIL_KINDS = {"r": Kind.REPLY, "u": Kind.UNSUBSCRIBE, "b": Kind.BOUNCE}  # by an address's first letter


class BadToken(ValueError):
    """The token was not made by us, or was altered."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    message_id: int
    extra: bytes


class Signer:
    """Signs and reads link tokens with a key derived from the secret key."""

    def __init__(self, secret_key: str) -> None:
        key = blake2s(secret_key.encode()).digest()
        self._keyed = blake2s(key=key, digest_size=_TAG, person=_PURPOSE)

    def sign(self, kind: Kind, message_id: int, extra: bytes = b"") -> str:
        """An URL-safe token without padding. About a microsecond."""
        body = _HEAD.pack(KEY_ID, kind, message_id) + extra
        keyed = self._keyed.copy()  # the key was taken in once
        keyed.update(body)
        return b2a_base64(body + keyed.digest(), newline=False).translate(_URL_SAFE, b"=").decode()

    def tag(self, kind: Kind, message_id: int, extra: bytes = b"") -> bytes:
        """What proves a token to be ours."""
        keyed = self._keyed.copy()
        keyed.update(_HEAD.pack(KEY_ID, kind, message_id) + extra)
        return keyed.digest()

    def read(self, token: str, *kinds: Kind) -> Token:
        """The token's content. Raises BadToken unless it is ours, unaltered and of one of the kinds."""
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            body, tag = raw[:-_TAG], raw[-_TAG:]
            key_id, kind, message_id = _HEAD.unpack_from(body)
        except (ValueError, struct.error) as error:
            raise BadToken from error
        if urlsafe_b64encode(raw).rstrip(b"=") != token.encode():  # the decoder passes over what is not base64
            raise BadToken
        if key_id != KEY_ID or kind not in kinds:
            raise BadToken
        if not compare_digest(self.tag(kind, message_id, body[_HEAD.size :]), tag):
            raise BadToken
        return Token(Kind(kind), message_id, body[_HEAD.size :])


class Links:
    """The public addresses that one message carries."""

    def __init__(self, signer: Signer, public_url: str, reply_domain: str, bounce_domain: str = "") -> None:
        self._signer, self._sign = signer, signer.sign
        self._public_url = public_url
        self._reply_domain = reply_domain
        self._bounce_domain = bounce_domain or reply_domain
        self._last = (0, "")  # both addresses of a message are asked for one after the other

    def open_pixel(self, message_id: int) -> str:
        return f"{self._public_url}/o/{self._sign(Kind.OPEN, message_id)}.gif"

    def click(self, message_id: int, position: int, target: str) -> str:
        """`position` is the link's place in the message, from 0."""
        return f"{self._public_url}/c/{self._sign(Kind.CLICK, message_id, _link(position, target))}"

    def unsubscribe(self, message_id: int) -> str:
        return f"{self._public_url}/u/{self._sign(Kind.UNSUBSCRIBE, message_id)}"

    def preferences(self, message_id: int) -> str:
        return f"{self._public_url}/p/{self._sign(Kind.PREFERENCES, message_id)}"

    def trap(self, message_id: int) -> str:
        """A link like the others, placed where people do not see it: who follows it is a machine."""
        return f"{self._public_url}/c/{self._sign(Kind.TRAP, message_id)}"

    def view_in_browser(self, message_id: int) -> str:
        return f"{self._public_url}/v/{self._sign(Kind.VIEW, message_id)}"

    def tracking_code(self, message_id: int) -> str:
        """What the page for opening an account hands on, so that the opening is known to come from this message."""
        return self._sign(Kind.CODE, message_id)

    def lead_form(self, message_id: int) -> str:
        """The lead form of the message's campaign."""
        return f"{self._public_url}/f/{self.tracking_code(message_id)}"

    def reply_address(self, message_id: int) -> str:
        """The address that replies go to. Case is kept out of it: mail systems may fold the local part."""
        last_id, address = self._last
        if last_id != message_id or not address:
            body = struct.pack(">q", message_id).lstrip(b"\0") or b"\0"
            address = f"r{body.hex()}-{self._reply_tag(body)}@{self._reply_domain}"
            self._last = (message_id, address)
        return address

    def unsubscribe_address(self, message_id: int) -> str:
        return f"u{self.reply_address(message_id)[1:]}"

    def bounce_address(self, message_id: int) -> str:
        """The return path of one message (VERP): who bounced is told by the address that the bounce comes to."""
        return f"b{self.reply_address(message_id)[1:].partition('@')[0]}@{self._bounce_domain}"

    def read_mail_address(self, address: str) -> tuple[Kind, int] | None:
        """What an inbound recipient address stands for, or None where it is not one of ours."""
        local, _, domain = address.strip().lower().partition("@")
        head, _, tag = local[1:].partition("-")
        kind = _MAIL_KINDS.get(local[:1])
        if kind is None or domain != (self._bounce_domain if kind is Kind.BOUNCE else self._reply_domain).lower():
            return None
        try:
            body = bytes.fromhex(head)
        except ValueError:
            return None
        if not body or len(body) > 8 or not compare_digest(self._reply_tag(body).encode(), tag.encode()):
            return None
        return kind, int.from_bytes(body, "big")

    def _reply_tag(self, body: bytes) -> str:
        return self._signer.tag(Kind.REPLY, 0, body).hex()[:20]


@lru_cache(maxsize=1_024)
def _link(position: int, target: str) -> bytes:
    return struct.pack(">H", position) + target.encode()


def click_target(token: Token) -> tuple[int, str]:
    """The link's position and target address of a click token."""
    (position,) = struct.unpack_from(">H", token.extra)
    return position, token.extra[2:].decode()
