"""The pages: blueprints, command groups and the staff navigation. Imported by web processes and the command line."""

from dataclasses import dataclass

from flask import Flask, current_app, request
from flask_babel import lazy_gettext as _l

from app.core.permissions import Permission
from app.core.web import can


def register_pages(app: Flask) -> None:
    """Register the features' blueprints and command groups."""
    app.context_processor(visible_navigation)


@dataclass(frozen=True)
class NavigationEntry:
    """One line of the staff navigation; shown where the permission (if any) is granted."""

    label: object
    endpoint: str
    icon: str
    permission: Permission | None = None

    @property
    def active(self) -> bool:
        return (request.endpoint or "").split(".")[0] == self.endpoint.split(".")[0]


NAVIGATION = (
    NavigationEntry(_l("Overview"), "reports.home", "home"),
    NavigationEntry(_l("Campaigns"), "campaigns.index", "send", Permission.VIEW_CAMPAIGNS),
    NavigationEntry(_l("Segments"), "audiences.index", "filter", Permission.VIEW_SEGMENTS),
    NavigationEntry(_l("Clients"), "clients.index", "users", Permission.VIEW_CLIENTS),
    NavigationEntry(_l("E-mail templates"), "content.index", "template", Permission.EDIT_CAMPAIGNS),
    NavigationEntry(_l("Replies"), "replies.index", "message", Permission.MANAGE_REPLIES),
    NavigationEntry(_l("Account openings"), "openings.index", "building-bank", Permission.VIEW_REPORTS),
    NavigationEntry(_l("Local mailbox"), "mailbox.index", "inbox"),
    NavigationEntry(_l("Staff"), "users.index", "id-badge", Permission.ADMINISTER),
)


def visible_navigation() -> dict[str, list[NavigationEntry]]:
    """The entries that the signed-in person may use."""
    return {
        "navigation": [
            entry
            for entry in NAVIGATION
            if entry.endpoint in current_app.view_functions and (entry.permission is None or can(entry.permission))
        ]
    }
