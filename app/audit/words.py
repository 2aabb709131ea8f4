"""The words of the audit trail as people read them. An action is `subject.verb`; an unknown word is shown as it is."""

from collections.abc import Mapping

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.core.permissions import ROLE_LABELS

SUBJECTS: Mapping[str, object] = {
    "user": _l("Staff"),
    "branch": _l("Branch"),
    "api_key": _l("API key"),
    "client": _l("Client"),
    "client_import": _l("Client import"),
    "custom_field": _l("Custom field"),
    "suppression": _l("Suppression list"),
    "segment": _l("Segment"),
    "template": _l("E-mail template"),
    "campaign": _l("Campaign"),
    "run": _l("Run"),
    "message": _l("Message"),
    "reply": _l("Reply"),
    "account_opening": _l("Account opening"),
    "opening_import": _l("Import of account openings"),
    "report": _l("Report"),
    "export": _l("Export"),
}

VERBS: Mapping[str, object] = {
    "add": _l("Added"),
    "answer": _l("Answered"),
    "approve": _l("Approved"),
    "archive": _l("Archived"),
    "audience_changed": _l("Changed the audience"),
    "cancel": _l("Cancelled"),
    "change_password": _l("Changed the password"),
    "client_list_exported": _l("Exported the list of clients"),
    "complete": _l("Completed"),
    "consent": _l("Changed the consent"),
    "content_changed": _l("Changed the content"),
    "copy": _l("Copied"),
    "create": _l("Created"),
    "define": _l("Defined"),
    "delete": _l("Deleted"),
    "duplicate": _l("Duplicated"),
    "edit": _l("Changed"),
    "export": _l("Exported"),
    "import": _l("Imported"),
    "launch": _l("Launched"),
    "lock": _l("Locked after failed sign-ins"),
    "move": _l("Moved"),
    "pause": _l("Paused"),
    "remove": _l("Removed"),
    "rename": _l("Renamed"),
    "report_exported": _l("Exported the report"),
    "reset_password": _l("Reset the password"),
    "restore": _l("Restored"),
    "resume": _l("Resumed"),
    "return": _l("Returned"),
    "reveal_contact": _l("Looked at contact data"),
    "revoke": _l("Revoked"),
    "schedule": _l("Scheduled"),
    "seeds_changed": _l("Changed the seed list"),
    "sign_in": _l("Signed in"),
    "start": _l("Started"),
    "submit": _l("Submitted for approval"),
    "test_sent": _l("Sent a test"),
    "unlock": _l("Unlocked"),
    "unschedule": _l("Unscheduled"),
    "update": _l("Changed"),
    "upload": _l("Uploaded a file"),
    "withdraw": _l("Withdrew"),
}
_PARTICIPLES = {
    "approved": "approve",
    "archived": "archive",
    "cancelled": "cancel",
    "completed": "complete",
    "copied": "copy",
    "created": "create",
    "done": "complete",
    "duplicated": "duplicate",
    "edited": "edit",
    "launched": "launch",
    "paused": "pause",
    "restored": "restore",
    "resumed": "resume",
    "returned": "return",
    "scheduled": "schedule",
    "submitted": "submit",
    "unscheduled": "unschedule",
    "updated": "update",
    "withdrawn": "withdraw",
}

FIELDS: Mapping[str, object] = {
    "active": _l("May sign in"),
    "branch": _l("Branch"),
    "code": _l("Code"),
    "email": _l("E-mail address"),
    "name": _l("Name"),
    "parent": _l("Belongs to"),
    "roles": _l("Roles"),
    "state": _l("State"),
}
VALUES: Mapping[str, object] = {role.value: label for role, label in ROLE_LABELS.items()} | {"changed": _l("changed")}


def subject_words(subject: str) -> str:
    """What the entry is about: "Campaign"."""
    return str(SUBJECTS.get(subject) or subject.replace("_", " ").capitalize())


def action_words(action: str) -> str:
    """What was done: "Launched"."""
    verb = action.rpartition(".")[2]
    verb = _PARTICIPLES.get(verb, verb)
    return str(VERBS.get(verb) or verb.replace("_", " ").capitalize())


def field_words(name: str) -> str:
    """The name of a field that changed."""
    return str(FIELDS.get(name) or name.replace("_", " ").capitalize())


def change_words(change: object) -> str:
    """A change `[before, after]` as "before → after"; anything else as it was noted."""
    if isinstance(change, list) and len(change) == 2:
        return f"{_value_words(change[0])} → {_value_words(change[1])}"
    return _value_words(change)


def _value_words(value: object) -> str:
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, list):
        return ", ".join(map(_value_words, value))
    word = str(value)
    return str(VALUES.get(word, word))
