"""The words of the audit trail as people read them. An action is `subject.verb`; an unknown word is shown as it is."""

from collections.abc import Mapping

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.core.permissions import ROLE_LABELS

SUBJECTS: Mapping[str, object] = {
    "user": _l("Staff"),
    "branch": _l("Branch"),
    "team": _l("Team"),
    "settings": _l("Settings"),
    "api_key": _l("API key"),
    "client": _l("Client"),
    "client_import": _l("Client import"),
    "custom_field": _l("Custom field"),
    "feed": _l("Feed"),
    "suppression": _l("Suppression list"),
    "segment": _l("Segment"),
    "snapshot": _l("Frozen audience"),
    "number_list": _l("List of numbers"),
    "template": _l("E-mail template"),
    "campaign": _l("Campaign"),
    "marketing": _l("Marketing"),
    "sending_rules": _l("Rules of sending"),
    "global_control": _l("Control group of the firm"),
    "machine_rules": _l("Machine hits"),
    "topic": _l("Topic"),
    "run": _l("Run"),
    "message": _l("Message"),
    "channel_account": _l("Channel account"),
    "reply": _l("Reply"),
    "inbound_mail": _l("Incoming mail"),
    "inbox_rules": _l("Rules of replies"),
    "account_opening": _l("Account opening"),
    "opening_import": _l("Import of account openings"),
    "parked_opening": _l("Report of an opening that could not be taken"),
    "lead_submission": _l("Lead form sent in"),
    "result_import": _l("Import of contact results"),
    "report": _l("Report"),
    "export": _l("Export"),
    "value_model": _l("Value model"),
    "metrics": _l("Metrics"),
}

VERBS: Mapping[str, object] = {
    "activate": _l("Put in force"),
    "counting_changed": _l("How results are counted changed"),
    "lead_form_changed": _l("Lead form changed"),
    "targets_changed": _l("Targets changed"),
    "control_changed": _l("Control group changed"),
    "variant_added": _l("Variant added"),
    "variant_removed": _l("Variant removed"),
    "test_changed": _l("Comparison of the variants changed"),
    "rest_sent": _l("A variant sent to the rest"),
    "digest": _l("Changed the figures by e-mail"),
    "match": _l("Matched to a client"),
    "set_aside": _l("Set aside"),
    "settle": _l("Dealt with"),
    "take_up": _l("Taken up again"),
    "add": _l("Added"),
    "allow": _l("Allowed"),
    "allot": _l("Ordered the pool to be allotted"),
    "absence": _l("Noted an absence"),
    "another_day": _l("Gave an overdue contact another day"),
    "answer": _l("Answered"),
    "assign": _l("Assigned an owner"),
    "assign_to": _l("Assigned"),
    "put_aside": _l("Put it aside"),
    "read_again": _l("Had it read again"),
    "reopen": _l("Opened again"),
    "topic": _l("Changed what it is about"),
    "claim": _l("Claimed from the pool"),
    "credit": _l("Changed who is credited"),
    "default_capacity": _l("Changed the capacity of an adviser"),
    "members_changed": _l("Changed members and leaders"),
    "release": _l("Put back into the pool"),
    "share": _l("Shared with a second adviser"),
    "shares_handed_over": _l("Handed shares and credits over"),
    "things_handed_over": _l("Handed work over"),
    "transfer": _l("Handed clients over"),
    "unfreeze": _l("Let in again"),
    "unshare": _l("Ended the sharing"),
    "approve": _l("Approved"),
    "archive": _l("Archived"),
    "ask": _l("Asked for"),
    "audience_accepted": _l("Approved the audience of the launch"),
    "audience_changed": _l("Changed the audience"),
    "clients_checked": _l("Checked clients a second time"),
    "held": _l("Held the launch"),
    "restart": _l("Started again"),
    "revising": _l("Began to revise"),
    "sending_changed": _l("Changed when and how it leaves"),
    "stop": _l("Stopped"),
    "call": _l("Called"),
    "cancel": _l("Cancelled"),
    "change_password": _l("Changed the password"),
    "client_list_exported": _l("Exported the list of clients"),
    "complete": _l("Completed"),
    "close": _l("Closed"),
    "consent": _l("Changed the consent"),
    "contact": _l("Noted a contact result"),
    "contact_rules": _l("Changed the rules of contact tasks"),
    "content_changed": _l("Changed the content"),
    "copy": _l("Copied"),
    "create": _l("Created"),
    "define": _l("Defined"),
    "delete": _l("Deleted"),
    "dismiss": _l("Closed"),
    "discard": _l("Discarded"),
    "duplicate": _l("Duplicated"),
    "edit": _l("Changed"),
    "end_absence": _l("Ended an absence"),
    "end_override": _l("Let the model set the class again"),
    "export": _l("Exported"),
    "fetch": _l("Downloaded"),
    "import": _l("Imported"),
    "keep": _l("Kept"),
    "freeze": _l("Froze"),
    "launch": _l("Launched"),
    "lock": _l("Locked after failed sign-ins"),
    "confirm_correction": _l("Confirmed a correction"),
    "refuse_correction": _l("Refused a correction"),
    "propose_correction": _l("Proposed a correction"),
    "merge": _l("Merged"),
    "dismiss_duplicate": _l("Told apart from another client"),
    "flag": _l("Flagged"),
    "unflag": _l("Took a flag off"),
    "tag": _l("Tagged"),
    "untag": _l("Took a tag off"),
    "add_note": _l("Wrote a note"),
    "edit_note": _l("Changed a note"),
    "refer": _l("Changed who referred"),
    "join_household": _l("Joined a household"),
    "leave_household": _l("Left a household"),
    "head_household": _l("Became head of the household"),
    "legal_basis": _l("Changed the legal basis"),
    "messages_retried": _l("Sent failed messages again"),
    "messages_settled": _l("Settled messages awaiting receipt"),
    "pause_marketing": _l("Paused marketing: too many complaints"),
    "reopened": _l("Reopened"),
    "resume_marketing": _l("Resumed marketing"),
    "deliverability": _l("Changed the alarms of deliverability"),
    "test": _l("Tested"),
    "throttle": _l("Changed the rate of a receiving domain"),
    "move": _l("Moved"),
    "override_class": _l("Set a class by hand"),
    "pause": _l("Paused"),
    "refuse": _l("Refused"),
    "remove": _l("Removed"),
    "rename": _l("Renamed"),
    "report_address": _l("Reported an address as wrong"),
    "partner_report_exported": _l("Exported the report for a partner"),
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
    "tiers_handed_over": _l("Handed clients over tier by tier"),
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
    "kept": "keep",
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
    "exclude": _l("But not to"),
    "include": _l("Send to"),
    "name": _l("Name"),
    "parent": _l("Belongs to"),
    "preheader": _l("Preheader"),
    "purpose": _l("Purpose"),
    "report": _l("Report by as well"),
    "roles": _l("Roles"),
    "send_at": _l("Planned for"),
    "state": _l("State"),
    "subject": _l("Subject"),
    "tags": _l("Tags"),
    "window_days": _l("Attribution window (days)"),
}
# field > its words as noted > as people read them; the same word means different things in different fields.
VALUES: Mapping[str, Mapping[str, object]] = {
    "roles": {role.value: label for role, label in ROLE_LABELS.items()},
    "purpose": {"marketing": _l("Marketing"), "service": _l("Service"), "statutory": _l("Statutory notice")},
    "state": {
        "draft": _l("Draft"),
        "in_review": _l("In review"),
        "approved": _l("Approved"),
        "scheduled": _l("Scheduled"),
        "running": _l("Running"),
        "paused": _l("Paused"),
        "complete": _l("Complete"),
        "cancelled": _l("Cancelled"),
    },
}


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


def change_words(change: object, name: str) -> str:
    """A change `[before, after]` of a field as "before → after"; anything else as it was noted."""
    if isinstance(change, list) and len(change) == 2:
        return f"{_value_words(change[0], name)} → {_value_words(change[1], name)}"
    return _value_words(change, name)


def _value_words(value: object, name: str) -> str:
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, list):
        return ", ".join(_value_words(one, name) for one in value)
    word = str(value)
    return str(_("changed")) if word == "changed" else str(VALUES.get(name, {}).get(word, word))
