"""What receivers look up about a sender domain: SPF (RFC 7208), DKIM (RFC 6376, 8301) and DMARC (RFC 7489).

A finding names a thing that was looked at by a code; the page has the sentence for it (`words.py`), so that what is
kept is read in the reader's language. Every look-up is given by the caller: `txt(name)` returns the texts of TXT
records, [] where there are none, and raises LookupFailed where nobody knows.
"""

import base64
import binascii
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal

import dns.exception
import dns.resolver
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

TIMEOUT_SECONDS = 4.0
MOST_LOOKUPS = 10  # of an SPF record: RFC 7208, section 4.6.4
MOST_RECURSION = 40
SMALLEST_KEY, GOOD_KEY = 1024, 2048  # bits: RFC 8301, section 3.2

TxtLookup = Callable[[str], Sequence[str]]
State = Literal["good", "advice", "bad", "unknown"]


class LookupFailed(Exception):
    """No answer in time, or one that says that the server is in trouble."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`finding` is a key of `words.SENTENCES`, `values` fills it in, `seen` is the record as it was found."""

    record: str
    state: State
    finding: str
    values: dict[str, Any] = field(default_factory=dict)
    seen: str = ""

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def txt_records(name: str) -> list[str]:
    """The TXT records of a name, through the resolver of this machine."""
    resolver = dns.resolver.Resolver()
    resolver.timeout, resolver.lifetime = TIMEOUT_SECONDS / 2, TIMEOUT_SECONDS
    try:
        answer = resolver.resolve(name, "TXT")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError, UnicodeError) as error:
        raise LookupFailed(type(error).__name__) from error
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]


def check_domain(domain: str, selectors: Sequence[str], txt: TxtLookup = txt_records) -> list[Finding]:
    """Everything that is found about a sender domain."""
    findings = _guarded("SPF", domain, lambda: check_spf(domain, txt))
    if not selectors:
        findings.append(Finding("DKIM", "unknown", "dkim_no_selector"))
    for selector in selectors:
        findings += _guarded("DKIM", f"{selector}._domainkey.{domain}", partial(_dkim, domain, selector, txt))
    return findings + _guarded("DMARC", f"_dmarc.{domain}", lambda: check_dmarc(domain, txt))


def _dkim(domain: str, selector: str, txt: TxtLookup) -> list[Finding]:
    return [check_dkim(domain, selector, txt)]


def _guarded(record: str, name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except LookupFailed as error:
        return [Finding(record, "unknown", "no_answer", {"name": name, "error": str(error)})]


# ---- SPF -----------------------------------------------------------------------------------------------------------


def check_spf(domain: str, txt: TxtLookup) -> list[Finding]:
    """Exactly one record, that ends with a verdict on all others and needs at most ten look-ups."""
    records = _spf_records(domain, txt)
    if not records:
        return [Finding("SPF", "bad", "spf_missing", {"domain": domain})]
    if len(records) > 1:
        return [Finding("SPF", "bad", "spf_several", {"count": len(records)}, " | ".join(records))]
    seen = records[0]
    findings = []
    lookups, broken = _count_lookups(domain, seen, txt)
    if broken:
        findings.append(Finding("SPF", "bad", "spf_broken_part", {"part": broken}, seen))
    if lookups > MOST_LOOKUPS:
        findings.append(Finding("SPF", "bad", "spf_too_many_lookups", {"count": lookups}, seen))
    findings += _spf_end(seen)
    return findings or [Finding("SPF", "good", "spf_good", {"count": lookups}, seen)]


def _spf_records(domain: str, txt: TxtLookup) -> list[str]:
    return [text for text in txt(domain) if text.lower().split(" ")[0] == "v=spf1"]


def _spf_end(seen: str) -> list[Finding]:
    terms = seen.lower().split()[1:]
    verdicts = [term for term in terms if term.lstrip("+-~?") == "all"]
    if not verdicts:
        redirected = any(term.startswith("redirect=") for term in terms)
        return [] if redirected else [Finding("SPF", "advice", "spf_no_all", {}, seen)]
    if verdicts[-1] in ("all", "+all"):
        return [Finding("SPF", "bad", "spf_allows_all", {}, seen)]
    if verdicts[-1] == "?all":
        return [Finding("SPF", "advice", "spf_neutral", {}, seen)]
    return []


def _count_lookups(domain: str, record: str, txt: TxtLookup) -> tuple[int, str | None]:
    """How many look-ups the record asks for, those of included ones too; and the first part that leads nowhere."""
    count, broken = 0, None
    waiting, seen = [(domain, record)], {domain}
    while waiting and count <= MOST_RECURSION:
        _domain, current = waiting.pop()
        for term in current.lower().split()[1:]:
            name, _, value = term.lstrip("+-~?").replace("=", ":", 1).partition(":")
            kind = name.partition("/")[0]
            if kind in ("ip4", "ip6") and not _is_network(value):
                broken = broken or term
            if kind not in ("include", "redirect", "a", "mx", "ptr", "exists"):
                continue
            count += 1
            if kind in ("include", "redirect") and value and "%" not in value and value not in seen:
                seen.add(value)
                found = _spf_records(value, txt)
                if len(found) == 1:
                    waiting.append((value, found[0]))
                else:
                    broken = broken or term
    return count, broken


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


# ---- DKIM ----------------------------------------------------------------------------------------------------------


def check_dkim(domain: str, selector: str, txt: TxtLookup) -> Finding:
    """The public key under this selector: there, not withdrawn, and long enough."""
    name = f"{selector}._domainkey.{domain}"
    values: dict[str, Any] = {"selector": selector}
    records = [text for text in txt(name) if "p" in _tags(text)]
    if not records:
        return Finding("DKIM", "bad", "dkim_missing", values | {"name": name})
    if len(records) > 1:
        return Finding("DKIM", "bad", "dkim_several", values, " | ".join(records))
    seen, tags = records[0], _tags(records[0])
    if not tags["p"]:
        return Finding("DKIM", "bad", "dkim_withdrawn", values, seen)
    if tags.get("k", "rsa") != "rsa":
        return Finding("DKIM", "good", "dkim_good", values, seen)
    bits = _key_bits(tags["p"])
    if bits is None:
        return Finding("DKIM", "bad", "dkim_unreadable", values, seen)
    values["bits"] = bits
    if bits < SMALLEST_KEY:
        return Finding("DKIM", "bad", "dkim_too_short", values, seen)
    if bits < GOOD_KEY:
        return Finding("DKIM", "advice", "dkim_short", values, seen)
    if "y" in tags.get("t", "").split(":"):
        return Finding("DKIM", "advice", "dkim_testing", values, seen)
    return Finding("DKIM", "good", "dkim_good", values, seen)


def _key_bits(encoded: str) -> int | None:
    try:
        key = load_der_public_key(base64.b64decode("".join(encoded.split()), validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return None
    return key.key_size if isinstance(key, RSAPublicKey) else None


# ---- DMARC ---------------------------------------------------------------------------------------------------------


def check_dmarc(domain: str, txt: TxtLookup) -> list[Finding]:
    """The policy of the domain, or of the nearest domain above it that has one."""
    labels = domain.split(".")
    for start in range(max(len(labels) - 1, 1)):
        found = [
            text for text in txt(f"_dmarc.{'.'.join(labels[start:])}") if text.replace(" ", "").startswith("v=DMARC1")
        ]
        if len(found) > 1:
            return [Finding("DMARC", "bad", "dmarc_several", {"count": len(found)}, " | ".join(found))]
        if found:
            return _judge_dmarc(found[0], inherited=start > 0)
    return [Finding("DMARC", "bad", "dmarc_missing", {"domain": domain})]


def _judge_dmarc(seen: str, *, inherited: bool) -> list[Finding]:
    tags = _tags(seen)
    policy = (tags.get("sp") if inherited else None) or tags.get("p", "")
    findings = []
    if policy not in ("none", "quarantine", "reject"):
        return [Finding("DMARC", "bad", "dmarc_no_policy", {}, seen)]
    if policy == "none":
        findings.append(Finding("DMARC", "advice", "dmarc_none", {}, seen))
    if not tags.get("rua"):
        findings.append(Finding("DMARC", "advice", "dmarc_no_reports", {}, seen))
    if tags.get("pct", "100") not in ("100", ""):
        findings.append(Finding("DMARC", "advice", "dmarc_part", {"percent": tags["pct"]}, seen))
    return findings or [Finding("DMARC", "good", "dmarc_good", {"policy": policy}, seen)]


def _tags(text: str) -> dict[str, str]:
    """`a=1; b=2` as a dict, its names in small letters."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}
