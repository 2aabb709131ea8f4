"""Version 1 of the HTTP interface: one file a resource, with its schema beside the code."""

from flask import Blueprint

from app.api.v1 import account_openings, openapi
from app.core.extensions import csrf

bp = Blueprint("api_v1", __name__, url_prefix="/api/v1")
bp.add_url_rule("/account-openings", view_func=account_openings.create, methods=["POST"])
bp.add_url_rule("/openapi.json", view_func=openapi.document, methods=["GET"])
csrf.exempt(bp)
