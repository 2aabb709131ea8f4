"""The sentences of findings about a sender domain: what is wrong and what to mend."""

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _l

STATE_LABELS = {
    "good": _l("In order"),
    "advice": _l("Could be better"),
    "bad": _l("To be mended"),
    "unknown": _l("Not known"),
}
STATE_TONES = {"good": "success", "advice": "warning", "bad": "danger", "unknown": "neutral"}

SENTENCES: Mapping[str, object] = {
    "no_answer": _l("%(name)s could not be looked up (%(error)s). Try again; if it stays so, look at the name server."),
    "spf_missing": _l(
        "%(domain)s has no SPF record. Publish a TXT record that begins with v=spf1, names the servers that send for "
        "you and ends with -all."
    ),
    "spf_several": _l("There are %(count)s SPF records; receivers then take none. Put them together into one."),
    "spf_broken_part": _l("The part %(part)s leads nowhere or cannot be read. Mend it or take it out."),
    "spf_too_many_lookups": _l(
        "The record needs %(count)s look-ups; receivers give up after 10. Replace includes by networks (ip4:, ip6:)."
    ),
    "spf_no_all": _l("The record does not say what holds for other servers. Let it end with ~all or -all."),
    "spf_allows_all": _l("The record allows every server in the world. Let it end with -all instead of +all."),
    "spf_neutral": _l("The record says nothing about other servers (?all). Let it end with ~all or -all."),
    "spf_good": _l("One record, %(count)s look-ups, and a verdict on all other servers."),
    "dkim_no_selector": _l("Enter the selectors that your relay or vendor signs with; then their keys are looked up."),
    "dkim_missing": _l(
        "There is no key under %(name)s. Publish the one that your relay or vendor shows for this selector."
    ),
    "dkim_several": _l("There are several keys under the selector %(selector)s. Leave only the one in use."),
    "dkim_withdrawn": _l("The key of the selector %(selector)s is withdrawn (empty). Sign with another selector."),
    "dkim_unreadable": _l("The key of the selector %(selector)s cannot be read. Copy it once more, whole."),
    "dkim_too_short": _l(
        "The key of the selector %(selector)s has %(bits)s bits; receivers refuse fewer than 1,024. Use one of 2,048."
    ),
    "dkim_short": _l("The key of the selector %(selector)s has %(bits)s bits. Use one of 2,048 at the next change."),
    "dkim_testing": _l("The key of the selector %(selector)s is marked as a test (t=y). Take the mark off."),
    "dkim_good": _l("The key of the selector %(selector)s is in order."),
    "dmarc_missing": _l(
        "%(domain)s has no DMARC record. Large receivers ask bulk senders for one: begin with "
        "v=DMARC1; p=none; rua=mailto:… under _dmarc."
    ),
    "dmarc_several": _l("There are %(count)s DMARC records; receivers then take none. Leave one."),
    "dmarc_no_policy": _l("The record has no readable policy. Add p=none, p=quarantine or p=reject."),
    "dmarc_none": _l("The policy only watches (p=none). Once the reports are clean, go on to quarantine or reject."),
    "dmarc_no_reports": _l("Nobody gets the reports. Add rua=mailto: with an address that somebody reads."),
    "dmarc_part": _l(
        "The policy holds for %(percent)s %% of the mail only. Raise it to 100 once the reports are clean."
    ),
    "dmarc_good": _l("The policy is %(policy)s, and somebody gets the reports."),
}


def sentence(finding: Mapping[str, Any]) -> str:
    """The sentence of a kept finding; one that is not known any more is shown by its name."""
    words = SENTENCES.get(str(finding.get("finding")))
    return str(words) % finding.get("values", {}) if words is not None else str(finding.get("finding"))
