"""Tracking codes: signed words that say from which message, or which lead form sent in, an opening comes.

A message carries one as `{{ tracking_code }}`; the page that follows a lead form hands one on. Whoever opens the
account gives it back to us in their report. A code that we did not make says nothing.
"""

from collections.abc import Collection

from sqlalchemy import func, select

from app.clients.models import Client
from app.core.extensions import db, signer
from app.core.tokens import BadToken, Kind
from app.delivery.models import Message
from app.tracking.lead_forms.models import LeadSubmission

MAX_CODE = 200


def code_of_submission(submission_id: int) -> str:
    """The tracking code of a lead form that was sent in."""
    return signer().sign(Kind.LEAD, submission_id)


def clients_of_codes(codes: Collection[str]) -> dict[str, int]:
    """The client behind each code, as a record of the book that is in use; codes that are not ours are left out."""
    messages: dict[int, list[str]] = {}
    leads: dict[int, list[str]] = {}
    for code in codes:
        try:
            token = signer().read(code, Kind.CODE, Kind.LEAD)
        except BadToken:
            continue
        (messages if token.kind is Kind.CODE else leads).setdefault(token.message_id, []).append(code)
    owner = func.coalesce(Client.merged_into_id, Client.id)
    found = [
        (messages[row.id], row.client_id)
        for row in db.session.execute(
            select(Message.id, owner.label("client_id"))
            .join(Client, Client.id == Message.client_id)
            .where(Message.id.in_(messages))
        )
    ]
    found += [
        (leads[row.id], row.client_id)
        for row in db.session.execute(
            select(LeadSubmission.id, owner.label("client_id"))
            .join(Client, Client.id == LeadSubmission.client_id)
            .where(LeadSubmission.id.in_(leads))
        )
    ]
    return {code: client_id for some, client_id in found for code in some}
