"""Version 1 of the HTTP interface: one file a resource, with its schema beside the code."""

from flask import Blueprint

from app.api.v1 import account_openings, clients, openapi, reports, segments, snapshots
from app.api.v1.bodies import Problems, refuse, refuse_rule
from app.audiences.rules import RuleError
from app.core.extensions import csrf

bp = Blueprint("api_v1", __name__, url_prefix="/api/v1")
bp.add_url_rule("/account-openings", "create_account_openings", account_openings.create, methods=["POST"])
bp.add_url_rule("/clients", "list_clients", clients.index)
bp.add_url_rule("/clients/<number>", "show_client", clients.show)
bp.add_url_rule("/reports", "list_reports", reports.index)
bp.add_url_rule("/reports/<code>", "show_report", reports.show)
bp.add_url_rule("/segments", "list_segments", segments.index)
bp.add_url_rule("/segments", "create_segment", segments.create, methods=["POST"])
bp.add_url_rule("/segments/<int:segment_id>", "show_segment", segments.show)
bp.add_url_rule("/segments/<int:segment_id>", "replace_segment", segments.replace, methods=["PUT"])
bp.add_url_rule("/segments/<int:segment_id>/clients", "list_segment_clients", segments.clients)
bp.add_url_rule("/segments/count", "count_rule", segments.count, methods=["POST"])
bp.add_url_rule("/segment-fields", "list_segment_fields", segments.fields)
bp.add_url_rule("/snapshots", "list_snapshots", snapshots.index)
bp.add_url_rule("/snapshots", "create_snapshot", snapshots.create, methods=["POST"])
bp.add_url_rule("/snapshots/<int:snapshot_id>", "show_snapshot", snapshots.show)
bp.add_url_rule("/snapshots/<int:snapshot_id>/clients", "list_snapshot_clients", snapshots.clients)
bp.add_url_rule("/openapi.json", view_func=openapi.document, methods=["GET"])
bp.register_error_handler(Problems, refuse)
bp.register_error_handler(RuleError, refuse_rule)
csrf.exempt(bp)
