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
