"""The public addresses of lead forms, and the picture of one that a telephone reads.

`/f/<token>`: the token names the form (and the adviser whose link it is), or the message it was placed in. It is
signed, so that nobody can count the forms through or claim another adviser's leads.
"""

import io
import struct
from dataclasses import dataclass

import segno
from sqlalchemy import select

from app.core.extensions import db, settings, signer
from app.core.tokens import BadToken, Kind
from app.delivery.models import Message
from app.tracking.lead_forms.models import LeadForm


@dataclass(frozen=True, slots=True)
class Arrival:
    """Which form somebody came to, and by whose link: an adviser's, or that of a message."""

    form: LeadForm
    adviser_id: int | None = None
    message_id: int | None = None


def form_address(form_id: int, *, adviser_id: int | None = None) -> str:
    extra = b"" if adviser_id is None else struct.pack(">q", adviser_id)
    return f"{settings().public_url}/f/{signer().sign(Kind.FORM, form_id, extra)}"


def arrival(token: str) -> Arrival | None:
    """The form that a token leads to; None where it is not ours or there is no such form."""
    try:
        read = signer().read(token, Kind.FORM, Kind.CODE)
    except BadToken:
        return None
    if read.kind is Kind.CODE:
        form = db.session.scalar(
            select(LeadForm)
            .join(Message, Message.campaign_id == LeadForm.campaign_id)
            .where(Message.id == read.message_id)
        )
        return Arrival(form, message_id=read.message_id) if form else None
    form = db.session.get(LeadForm, read.message_id)
    adviser_id = struct.unpack(">q", read.extra)[0] if len(read.extra) == struct.calcsize(">q") else None
    return Arrival(form, adviser_id=adviser_id) if form else None


def qr_code(address: str, *, kind: str) -> bytes:
    """An "svg" for the page and for print, or a "png". Error correction M: a creased leaflet is still read."""
    drawn = io.BytesIO()
    code = segno.make(address, error="m", micro=False)
    if kind == "png":
        code.save(drawn, kind="png", scale=16, border=4)
    else:
        code.save(drawn, kind="svg", scale=8, border=4, light="#fff", svgclass=None, lineclass=None)
    return drawn.getvalue()
