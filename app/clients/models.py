"""The client book: who the clients are, what they hold, what they allow."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Date,
    Double,
    ForeignKey,
    Index,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.extensions import Model, Timestamp
from app.users.models import Branch, User

STATUSES = ("lead", "prospect", "client", "dormant", "closed")
EXCLUDING_FLAGS = ("deceased", "minor", "frozen", "vulnerable", "open_complaint")
CHANNELS = ("email", "sms", "call")

# Custom fields live in preallocated typed columns of the client row ("slots"), mapped by their definition:
# a filter on one is as fast as on a built-in field, and defining a field needs no change of the table.
SLOTS = {"text": 24, "number": 24, "date": 12, "yesno": 12, "list": 8}
SLOT_KINDS = {
    "text": "text",
    "choice": "text",
    "number": "number",
    "money": "number",
    "date": "date",
    "yesno": "yesno",
    "multichoice": "list",
}
_SLOT_TYPES: dict[str, Any] = {"text": Text, "number": Double, "date": Date, "yesno": Boolean, "list": ARRAY(Text)}


def slot_name(kind: str, position: int) -> str:
    """The column of the client table that holds a custom field, e.g. `text_01`."""
    return f"{kind}_{position:02}"


class Client(Model):
    """A client, prospect or lead. Contact consent and flags that exclude from marketing are kept on the row
    (evidence in `consent`), so that the exclusions of a launch are one pass over one table.

    The columns stand in the order of the table, and their order is speed: PostgreSQL walks past every column before
    the one it wants, fast past columns of fixed width. So those come first, then what rules ask most, then texts, then
    the slots.
    """

    __tablename__ = "client"
    __table_args__ = (
        CheckConstraint(f"status IN ({', '.join(repr(s) for s in STATUSES)})", name="status"),
        CheckConstraint("kind IN ('person', 'company')", name="kind"),
        CheckConstraint("risk_level BETWEEN 1 AND 5", name="risk_level"),
        Index("ix_client_name", text("lower(name) text_pattern_ops")),
        Index("ix_client_number_order", text("length(number)"), "number"),
        # Unique, equal and beginning with: one index serves all three, whatever the collation of the database.
        Index("uq_client_number", text("number text_pattern_ops"), unique=True),
        Index("ix_client_email", text("lower(email)")),
        Index("ix_client_mobile", "mobile"),
        Index("ix_client_branch_id", "branch_id", "id"),
        Index("ix_client_adviser_id", "adviser_id", "id"),
        Index(
            "ix_client_second_adviser_id", "second_adviser_id", postgresql_where=text("second_adviser_id IS NOT NULL")
        ),
        Index("ix_client_identity_number", "identity_number", postgresql_where=text("identity_number IS NOT NULL")),
        Index("ix_client_merged_into_id", "merged_into_id", postgresql_where=text("merged_into_id IS NOT NULL")),
        Index("ix_client_referred_by_id", "referred_by_id", postgresql_where=text("referred_by_id IS NOT NULL")),
        Index("ix_client_name_order", "name", "id"),
        Index("ix_client_total_assets", "total_assets", "id"),
        Index("ix_client_opened_on", "opened_on", "id"),
        {"postgresql_with": {"fillfactor": "85"}},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branch.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    adviser_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    second_adviser_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("client.id"))
    referred_by_id: Mapped[int | None] = mapped_column(ForeignKey("client.id"))
    birth_date: Mapped[date | None] = mapped_column(Date)
    opened_on: Mapped[date | None] = mapped_column(Date)
    risk_assessed_on: Mapped[date | None] = mapped_column(Date)
    risk_level: Mapped[int | None] = mapped_column(SmallInteger)
    qualified_investor: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    professional_investor: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    personalisation_refused: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    email_consent: Mapped[bool | None] = mapped_column(Boolean)
    sms_consent: Mapped[bool | None] = mapped_column(Boolean)
    call_consent: Mapped[bool | None] = mapped_column(Boolean)
    status: Mapped[str] = mapped_column(default="client", server_default="client")
    kind: Mapped[str] = mapped_column(default="person", server_default="person")
    total_assets: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    flags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}")
    city: Mapped[str | None]
    number: Mapped[str]
    name: Mapped[str | None]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    gender: Mapped[str | None]
    email: Mapped[str | None]
    mobile: Mapped[str | None]
    locale: Mapped[str | None]
    time_zone: Mapped[str | None]
    identity_number: Mapped[str | None]
    source: Mapped[str | None]
    email_problem: Mapped[str | None]
    mobile_problem: Mapped[str | None]

    branch: Mapped[Branch] = relationship()
    adviser: Mapped[User | None] = relationship(foreign_keys=[adviser_id])
    second_adviser: Mapped[User | None] = relationship(foreign_keys=[second_adviser_id])


for _position in range(1, max(SLOTS.values()) + 1):  # by turns: the slots that are used first stand first
    for _kind, _count in SLOTS.items():
        if _position <= _count:
            _slot = slot_name(_kind, _position)
            setattr(Client, _slot, mapped_column(_slot, _SLOT_TYPES[_kind], nullable=True))


# Who may fill a field of the firm by hand; "feeds": nobody, its values come in files only.
EDITORS = ("staff", "managers", "feeds")


class CustomField(Model):
    """A field the firm defined. `slot` is the client column that holds its values.

    An archived field is nowhere to be seen and keeps its values; one that is `freeing_at` is being emptied by a job,
    which then deletes the definition, so that the slot can be used anew.
    """

    __tablename__ = "custom_field"
    __table_args__ = (
        CheckConstraint(f"type IN ({', '.join(repr(t) for t in SLOT_KINDS)})", name="type"),
        CheckConstraint("key ~ '^[a-z][a-z0-9_]{0,39}$'", name="key"),
        CheckConstraint(f"edited_by IN ({', '.join(repr(one) for one in EDITORS)})", name="edited_by"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    label: Mapped[str]
    type: Mapped[str]
    slot: Mapped[str] = mapped_column(unique=True)
    choices: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    description: Mapped[str | None]
    position: Mapped[int] = mapped_column(default=0, server_default="0")
    edited_by: Mapped[str] = mapped_column(default="staff", server_default="staff")
    archived_at: Mapped[datetime | None] = mapped_column(Timestamp)
    freeing_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class Consent(Model):
    """One statement of a client's will, kept as evidence; the newest per channel is copied to the client row."""

    __tablename__ = "consent"
    __table_args__ = (Index("ix_consent_client_id", "client_id", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    channel: Mapped[str]
    purpose: Mapped[str] = mapped_column(default="marketing")
    granted: Mapped[bool] = mapped_column(Boolean)
    source: Mapped[str]
    wording: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))


# Words of the suppression list that say of an address that it does not work, as against that its owner wants no mail,
# with the problem they are. Files of other products were taken with the shorter "bounced" for some time.
HARD_BOUNCE, SOFT_BOUNCES, WRONG_ADDRESS = "hard bounce", "soft bounces", "wrong address"
UNUSABLE = {HARD_BOUNCE: "bounced", SOFT_BOUNCES: "bounced", "bounced": "bounced", WRONG_ADDRESS: "wrong"}
COMMENT = ": "


class Suppression(Model):
    """An address that gets nothing any more, whoever it belongs to. `address` is lower case; `reason` is a word, or a
    word and a comment after `COMMENT`."""

    __tablename__ = "suppression"
    __table_args__ = (UniqueConstraint("channel", "address"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    address: Mapped[str]
    reason: Mapped[str]
    source: Mapped[str]
    at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class ClientImport(Model):
    """One file on its way into the client book.

    States: uploaded > (mapped) > running > done | failed. The mapping and the counts are kept as evidence.
    `rows_done` is committed together with each chunk of clients, so a killed import goes on where it stopped.
    """

    __tablename__ = "client_import"
    __table_args__ = (CheckConstraint("state IN ('uploaded', 'running', 'done', 'failed')", name="state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"))
    file_name: Mapped[str]
    state: Mapped[str] = mapped_column(default="uploaded")
    dialect: Mapped[dict[str, Any]] = mapped_column(JSONB)
    columns: Mapped[list[Any]] = mapped_column(JSONB)
    mapping: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    rows_total: Mapped[int | None]
    rows_done: Mapped[int] = mapped_column(default=0)
    created: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    opt_outs_kept: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    finished_at: Mapped[datetime | None] = mapped_column(Timestamp)


class ImportNumber(Model):
    """A client number that a running import has met, with the row it stood in: a second one is refused.

    Kept in the database, so that the memory of an import does not grow with its file and a resumed import
    still knows the rows before it. Emptied when the import ends.
    """

    __tablename__ = "import_number"

    import_id: Mapped[int] = mapped_column(ForeignKey("client_import.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[str] = mapped_column(primary_key=True)
    row_number: Mapped[int]


class ImportRefusal(Model):
    """A row that was not taken, with the reason, for the downloadable file of refused rows."""

    __tablename__ = "import_refusal"

    import_id: Mapped[int] = mapped_column(ForeignKey("client_import.id", ondelete="CASCADE"), primary_key=True)
    row_number: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str]
    cells: Mapped[list[Any]] = mapped_column(JSONB)


class ImportMapping(Model):
    """The mapping last used for files with these columns, offered again for the next one."""

    __tablename__ = "import_mapping"

    signature: Mapped[str] = mapped_column(primary_key=True)
    mapping: Mapped[dict[str, Any]] = mapped_column(JSONB)
    used_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
