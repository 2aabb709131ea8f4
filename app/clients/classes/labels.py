"""The words people read for the models and for the states of their versions."""

from flask_babel import lazy_gettext as _l

MODEL_LABELS = {
    "aum_tier": _l("Tier by assets"),
    "contribution_turnover": _l("Contribution and turnover"),
    "profit_stability": _l("Profit and stability"),
    "life_cycle": _l("Life-cycle stage"),
    "suitability": _l("Suitability"),
    "scorecard": _l("Scorecard"),
}
MODEL_PURPOSES = {
    "aum_tier": _l("How much a client has with us, and who looks after them. Other business may qualify as well."),
    "contribution_turnover": _l("Who brings income and who trades, for the treatment of securities clients."),
    "profit_stability": _l("What a client earns for the firm against how firmly the client is tied to it."),
    "life_cycle": _l("Where a client stands, from prospect to lost, measured against the client’s own past."),
    "suitability": _l("The highest product risk a client may be offered. A gate that nobody can waive."),
    "scorecard": _l("Contribution, support, credit, growth and influence in one score."),
}
STATE_LABELS = {
    "draft": _l("Draft"),
    "scheduled": _l("Scheduled"),
    "active": _l("In force"),
    "retired": _l("Replaced"),
    "discarded": _l("Discarded"),
}
STATE_TONES = {
    "draft": "neutral",
    "scheduled": "info",
    "active": "success",
    "retired": "neutral",
    "discarded": "neutral",
}
# The two models that are matrices: the codes by row (high first) and column (high first), and what the axes are.
MATRICES = {
    "contribution_turnover": ((("A", "B"), ("C", "D")), _l("Contribution"), _l("Turnover")),
    "profit_stability": ((("vip", "potential"), ("mass", "negative")), _l("Profit"), _l("Stability")),
}
