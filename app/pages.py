"""The pages: blueprints, command groups and the staff navigation. Imported by web processes and the command line."""

from dataclasses import dataclass

from flask import Flask, current_app, request
from flask_babel import lazy_gettext as _l

from app.advising.merging import join_results, join_tasks
from app.advising.overview_views import contact_tasks
from app.advising.queries import contact_timeline
from app.advising.views import contacts
from app.api.v1 import bp as api_v1
from app.audiences.cli import audiences_cli
from app.audiences.exporting import register_sources
from app.audiences.lists.views import number_lists
from app.audiences.snapshot_views import snapshots
from app.audiences.usage import register_usage
from app.audiences.views import audiences
from app.audit.views import audit
from app.campaigns import call_step_views as call_step_views  # joins the pages of campaigns
from app.campaigns import counting_views as counting_views  # joins the pages of campaigns
from app.campaigns import sms_step_views as sms_step_views  # joins the pages of campaigns
from app.campaigns import step_views as step_views  # joins the pages of campaigns
from app.campaigns import webhook_step_views as webhook_step_views  # joins the pages of campaigns
from app.campaigns.cli import campaigns_cli
from app.campaigns.experiments.views import global_control
from app.campaigns.sending_views import rules as sending_rules
from app.campaigns.views import bp as campaigns
from app.campaigns.views import segment_uses
from app.clients.classes.client_views import client_classes
from app.clients.classes.queries import class_timeline
from app.clients.classes.views import value_models
from app.clients.cli import clients_cli
from app.clients.duplicates.queries import merge_timeline
from app.clients.duplicates.tables import on_merge
from app.clients.editing.queries import arrival_timeline, change_timeline
from app.clients.exporting.views import exports
from app.clients.feeds.cli import feeds_cli
from app.clients.metrics.cli import metrics_command
from app.clients.metrics.views import metrics
from app.clients.notes.queries import note_timeline
from app.clients.ownership import leaver_views as leaver_views  # joins the pages of ownership
from app.clients.ownership.handing_over import register_belongings
from app.clients.ownership.views import ownership
from app.clients.preferences.views import topics
from app.clients.queries import consent_timeline
from app.clients.reachability.views import unreachable
from app.clients.switching.cli import switch_command as switch_command  # joins the group of client commands
from app.clients.switching.views import switching
from app.clients.timeline import register_timeline
from app.clients.views import clients
from app.content.sms.views import sms
from app.content.views import bp as content
from app.core.permissions import Permission
from app.core.web import can
from app.delivery.accounts.views import accounts
from app.delivery.cli import delivery_cli
from app.delivery.deliverability.views import deliverability
from app.delivery.experiments.comparing import register_metric
from app.delivery.experiments.views import experiment as experiment  # joins the pages of delivery
from app.delivery.outcomes.views import outcomes
from app.delivery.stop_views import marketing
from app.delivery.views import bp as delivery
from app.reports.advisers.views import rankings
from app.reports.behind.views import behind
from app.reports.cli import reports_cli
from app.reports.digest.views import digests
from app.reports.effect import views as effect_views  # noqa: F401 - joins the pages of reports
from app.reports.maps.views import maps
from app.reports.partner.views import bp as partner
from app.reports.programme.views import bp as programme
from app.reports.sheets.views import sheets
from app.reports.targets.views import targets
from app.reports.views import bp as reports
from app.reports.why.views import why
from app.tracking import views as tracking_views
from app.tracking.lead_forms.queries import lead_timeline
from app.tracking.lead_forms.service import join_submissions
from app.tracking.machines.views import bp as machine_rules
from app.tracking.opened_accounts import opened_accounts
from app.tracking.openings.attribution import join_openings
from app.tracking.openings.queries import opening_timeline
from app.tracking.queries import message_timeline, reply_timeline
from app.tracking.replies.handing_over import REPLIES
from app.tracking.service import join_replies
from app.users.cli import users_cli
from app.users.sessions import init_sessions
from app.users.views import staff, users


def register_pages(app: Flask) -> None:
    """Register the features' blueprints and command groups."""
    app.context_processor(visible_navigation)
    tracking_views.register(app)
    for source in (
        consent_timeline,
        message_timeline,
        reply_timeline,
        opening_timeline,
        lead_timeline,
        change_timeline,
        arrival_timeline,
        note_timeline,
        merge_timeline,
        class_timeline,
        contact_timeline,
    ):
        register_timeline(source)
    on_merge("account_opening", join_openings)
    on_merge("lead_submission", join_submissions)
    on_merge("reply", join_replies)
    register_belongings(REPLIES)
    on_merge("adviser_task", join_tasks)
    on_merge("contact_result", join_results)
    app.register_blueprint(api_v1)
    init_sessions(app)
    app.register_blueprint(users)
    app.register_blueprint(staff)
    app.register_blueprint(audit)
    app.register_blueprint(clients)
    app.register_blueprint(switching)
    app.register_blueprint(ownership)
    app.register_blueprint(exports)
    register_sources()
    app.register_blueprint(unreachable)
    app.register_blueprint(metrics)
    app.register_blueprint(value_models)
    app.register_blueprint(client_classes)
    app.register_blueprint(audiences)
    app.register_blueprint(snapshots)
    app.register_blueprint(number_lists)
    app.register_blueprint(content)
    app.register_blueprint(sms)
    app.register_blueprint(campaigns)
    register_usage(segment_uses)
    register_metric("accounts", opened_accounts)
    app.register_blueprint(delivery)
    app.register_blueprint(contacts)
    app.register_blueprint(contact_tasks)
    app.register_blueprint(marketing)
    app.register_blueprint(sending_rules)
    app.register_blueprint(global_control)
    app.register_blueprint(topics)
    app.register_blueprint(machine_rules)
    app.register_blueprint(accounts)
    app.register_blueprint(outcomes)
    app.register_blueprint(deliverability)
    app.cli.add_command(delivery_cli)
    app.register_blueprint(reports)
    app.register_blueprint(why)
    app.register_blueprint(programme)
    app.register_blueprint(partner)
    app.register_blueprint(targets)
    app.register_blueprint(rankings)
    app.register_blueprint(sheets)
    app.register_blueprint(digests)
    app.register_blueprint(maps)
    app.register_blueprint(behind)
    app.cli.add_command(reports_cli)
    app.cli.add_command(audiences_cli)
    app.cli.add_command(campaigns_cli)
    app.cli.add_command(users_cli)
    app.cli.add_command(clients_cli)
    app.cli.add_command(feeds_cli)
    clients_cli.add_command(metrics_command)


@dataclass(frozen=True)
class NavigationEntry:
    """One line of the staff navigation; shown where the permission (if any) is granted.

    Its line is marked on every page of its blueprint, and of those in `also`.
    """

    label: object
    endpoint: str
    icon: str
    permission: Permission | None = None
    also: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        here = request.endpoint or ""
        if self.endpoint == OVERVIEW or here == OVERVIEW:
            return here == self.endpoint
        return here.split(".")[0] in (self.endpoint.split(".")[0], *self.also)


OVERVIEW = "reports.home"
NAVIGATION = (
    NavigationEntry(_l("Overview"), OVERVIEW, "home"),
    NavigationEntry(_l("Campaigns"), "campaigns.index", "send", Permission.VIEW_CAMPAIGNS, ("marketing",)),
    NavigationEntry(
        _l("Reports"),
        "reports.index",
        "report-analytics",
        Permission.VIEW_REPORTS,
        ("why", "targets", "rankings", "sheets", "digests", "maps", "programme", "partner"),
    ),
    NavigationEntry(
        _l("Segments"), "audiences.index", "filter", Permission.VIEW_SEGMENTS, ("snapshots", "number_lists")
    ),
    NavigationEntry(_l("Value models"), "classes.index", "stairs", Permission.VIEW_SEGMENTS),
    NavigationEntry(
        _l("Clients"), "clients.index", "users", Permission.VIEW_CLIENTS, ("unreachable", "exports", "metrics")
    ),
    NavigationEntry(_l("Today's contacts"), "contacts.index", "phone", Permission.CONTACT_CLIENTS),
    NavigationEntry(_l("Contact tasks"), "contact_tasks.overview", "list-check", Permission.VIEW_CONTACTS),
    NavigationEntry(_l("Pool and advisers"), "ownership.pool", "users-group", Permission.VIEW_POOL),
    NavigationEntry(_l("E-mail templates"), "content.index", "template", Permission.EDIT_TEMPLATES),
    NavigationEntry(_l("SMS templates"), "sms.index", "message-2", Permission.VIEW_CAMPAIGNS),
    NavigationEntry(
        _l("Delivery"), "outcomes.awaiting", "mail-forward", Permission.VIEW_CAMPAIGNS, ("deliverability", "accounts")
    ),
    NavigationEntry(_l("Replies"), "replies.index", "message", Permission.MANAGE_REPLIES, ("parked_sms",)),
    NavigationEntry(_l("Account openings"), "openings.index", "building-bank", Permission.VIEW_REPORTS),
    NavigationEntry(_l("Local mailbox"), "mailbox.index", "inbox", Permission.OPEN_MAILBOX, ("sms_mailbox",)),
    NavigationEntry(
        _l("Rules of sending"),
        "sending_rules.index",
        "clock-pause",
        Permission.ADMINISTER,
        ("topics", "machine_rules"),
    ),
    NavigationEntry(_l("Control group"), "global_control.index", "arrows-split", Permission.ADMINISTER),
    NavigationEntry(_l("Staff"), "staff.index", "user-cog", Permission.ADMINISTER),
    NavigationEntry(_l("Audit trail"), "audit.index", "history", Permission.VIEW_AUDIT),
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
