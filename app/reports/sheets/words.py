"""What the figures of a sheet are called and what each of them counts."""

from flask_babel import lazy_gettext as _l

TITLES = {"morning": _l("Morning sheet"), "evening": _l("Evening sheet")}
LABELS = {
    "due": _l("Due"),
    "overdue": _l("Overdue"),
    "contacts": _l("Contacted"),
    "reached": _l("Reached"),
    "interested": _l("Interested"),
    "appointments": _l("Appointments"),
    "opened": _l("Opened accounts"),
    "effective": _l("Effective"),
    "assets": _l("Assets"),
    "replies": _l("New replies"),
}
DEFINITIONS = {
    "due": _l("Clients with a task that is planned or due by today and not overdue, as it stands now; each once."),
    "overdue": _l("Clients with a task that is past its last day or with the manager, as it stands now; each once."),
    "contacts": _l("Clients of whom the adviser noted at least one contact or attempt that day; each once."),
    "reached": _l("Of those contacted, clients who were spoken to: any result but not reached or wrong number."),
    "interested": _l("Of those contacted, clients who were interested, made an appointment or opened an account."),
    "appointments": _l("Of those contacted, clients who made an appointment."),
    "opened": _l("Account openings of that day that at least one campaign claims, each once; by who looks after them."),
    "effective": _l("Of the opened accounts, those effective by the rule of a campaign that claims them."),
    "assets": _l("Brought in by the opened accounts; an opening that several campaigns claim counts once."),
    "replies": _l("Clients who wrote since the day that is looked back on began; automatic replies do not count."),
}
