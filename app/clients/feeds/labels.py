"""The words of feeds on pages."""

from flask_babel import lazy_gettext as _l

KIND_LABELS = {
    "accounts": _l("Accounts"),
    "balances": _l("Balances"),
    "transactions": _l("Transactions"),
    "positions": _l("Positions"),
    "clients": _l("Facts of clients"),
}
SCHEDULE_LABELS = {
    "": _l("Only by hand"),
    "hourly": _l("Every hour"),
    "daily": _l("Every day"),
}
STATE_LABELS = {
    "waiting": (_l("Waiting"), "info"),
    "running": (_l("Running"), "info"),
    "done": (_l("Done"), "success"),
    "repeated": (_l("Loaded before"), "neutral"),
    "failed": (_l("Failed"), "danger"),
}
SIGN_LABELS = {
    "keep": _l("as written"),
    "drop": _l("without its sign"),
    "turn": _l("with the sign turned"),
}
ENCODINGS = ("", "utf-8", "gb18030", "utf-16", "big5", "cp1250", "cp1252", "latin-1")
# Kinds of transactions that the metrics know; any other word may be used too.
KNOWN_KINDS = (
    "buy", "sell", "subscribe", "redeem", "deposit", "withdrawal", "transfer_in", "transfer_out", "interest", "fee",
)  # fmt: skip
