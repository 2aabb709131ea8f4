"""Compiled e-mails for tests of the channels."""

from app.channels.base import EmailTemplate, Envelope, OutgoingEmail

ENVELOPE = Envelope("news@firm.example", "Firm 证券", "<marketing.firm.example>", "7:marketing:firm:bellwether")
TEMPLATE = EmailTemplate(
    subject=("A note for ", 0),
    html=("<html><body><p>Dear ", 1, ",</p><p>.a line that begins with a dot</p></body></html>"),
    text=("Dear ", 2, ",\n.a line that begins with a dot\n"),
)


def make_email(message_id: int, recipient: str = "c1@example.com", name: str = "Ana") -> OutgoingEmail:
    return OutgoingEmail(
        message_id=message_id,
        token=f"token{message_id}",
        recipient=recipient,
        slots=[name, name, name],
        reply_to=f"r{message_id}-tag@reply.firm.example",
        unsubscribe_url=f"https://firm.example/u/{message_id}",
        unsubscribe_address=f"u{message_id}-tag@reply.firm.example",
    )
