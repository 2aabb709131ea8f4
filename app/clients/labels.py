"""The words people read for what is stored about a client."""

from flask_babel import lazy_gettext as _l

STATUS_LABELS = {
    "lead": _l("Lead"),
    "prospect": _l("Prospect"),
    "client": _l("Client"),
    "dormant": _l("Dormant"),
    "closed": _l("Closed"),
}
KIND_LABELS = {"person": _l("Person"), "company": _l("Company")}
GENDER_LABELS = {"female": _l("Female"), "male": _l("Male"), "other": _l("Other")}
FLAG_LABELS = {
    "deceased": _l("Deceased"),
    "minor": _l("Minor"),
    "frozen": _l("Frozen"),
    "vulnerable": _l("Vulnerable"),
    "open_complaint": _l("Open complaint"),
}
# Kinds of accounts and products are words of the firm's feeds; those that are usual read as people say them.
HOLDING_LABELS = {
    "cash": _l("Cash account"),
    "a_share_shanghai": _l("A-shares, Shanghai"),
    "a_share_shenzhen": _l("A-shares, Shenzhen"),
    "margin": _l("Margin account"),
    "fund": _l("Fund"),
    "custody": _l("Third-party custody"),
    "deposit": _l("Deposit"),
    "term_deposit": _l("Term deposit"),
    "loan": _l("Loan"),
    "card": _l("Card"),
    "share": _l("Stock"),
    "bond": _l("Bond"),
    "money_fund": _l("Money market fund"),
    "bond_fund": _l("Bond fund"),
    "equity_fund": _l("Equity fund"),
}
# What moves on accounts and where orders come in are words of the feeds too.
TRANSACTION_LABELS = {
    "buy": _l("Purchase"),
    "sell": _l("Sale"),
    "subscribe": _l("Fund subscription"),
    "redeem": _l("Fund redemption"),
    "deposit": _l("Deposit of money"),
    "withdrawal": _l("Withdrawal of money"),
    "transfer_in": _l("Transfer in"),
    "transfer_out": _l("Transfer out"),
    "interest": _l("Interest"),
    "dividend": _l("Dividend"),
    "fee": _l("Fee"),
}
ORDER_CHANNEL_LABELS = {
    "mobile app": _l("Mobile app"),
    "web": _l("Web"),
    "phone": _l("Phone"),
    "branch": _l("Branch"),
    "counter": _l("Counter"),
}


def holding_label(kind: str) -> str:
    """A kind of account or product in words; one that only the firm knows is shown as the feed writes it."""
    return str(HOLDING_LABELS.get(kind, kind.replace("_", " ").capitalize()))


def transaction_label(kind: str) -> str:
    """A kind of transaction in words, else as the feed writes it."""
    return str(TRANSACTION_LABELS.get(kind, kind.replace("_", " ").capitalize()))


def order_channel_label(channel: str) -> str:
    """Where an order came in, in words, else as the feed writes it."""
    return str(ORDER_CHANNEL_LABELS.get(channel.lower().replace("_", " "), channel.replace("_", " ").capitalize()))
