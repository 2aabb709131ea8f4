"""Staff, their roles, and the tree of branches."""

from datetime import date, datetime

from flask_login import UserMixin
from sqlalchemy import Boolean, CheckConstraint, Date, ForeignKey, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import Text

from app.core.clock import today
from app.core.extensions import Model, Timestamp
from app.core.permissions import Role

_ROLE_LIST = ", ".join(f"'{role.value}'" for role in Role)


class Branch(Model):
    """A node of the firm: head office > branch > outlet. `path` is `/1/4/9/`, its own id last."""

    __tablename__ = "branch"
    __table_args__ = (Index("ix_branch_path", "path", postgresql_ops={"path": "text_pattern_ops"}),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("branch.id"))
    path: Mapped[str] = mapped_column(default="")

    parent: Mapped["Branch | None"] = relationship(remote_side=[id])


class Team(Model):
    """Advisers who work together, a tree of its own beside the branches. `path` is `/2/7/`, its own id last."""

    __tablename__ = "team"
    __table_args__ = (Index("ix_team_path", "path", postgresql_ops={"path": "text_pattern_ops"}),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    path: Mapped[str] = mapped_column(default="", server_default="")

    parent: Mapped["Team | None"] = relationship(remote_side=[id])


class User(Model, UserMixin):  # type: ignore[misc]
    """A member of staff. `sign_in_version` rises with every password change and ends older sessions.

    `client_capacity` is how many clients an adviser may own (None: the firm's default); `marketing_post` is False for
    counter, compliance and IT staff, who get no targets or tasks; `registration_number` is that of a registered
    investment adviser, valid to the end of `registration_until` (None: without an end); an account with `frozen_at`
    cannot sign in, while its clients wait for a successor.
    """

    __tablename__ = "user_account"
    __table_args__ = (
        CheckConstraint(f"roles <@ ARRAY[{_ROLE_LIST}]::text[] AND roles <> '{{}}'", name="roles"),
        CheckConstraint("NOT ('compliance' = ANY(roles) AND 'marketing' = ANY(roles))", name="maker_is_not_checker"),
        Index("uq_user_account_email", text("lower(email)"), unique=True),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    branch_id: Mapped[int] = mapped_column(ForeignKey("branch.id"))
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    leads_team: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    client_capacity: Mapped[int | None] = mapped_column(Integer)
    marketing_post: Mapped[bool] = mapped_column(Boolean, default=True, server_default="true")
    registration_number: Mapped[str | None]
    registration_until: Mapped[date | None] = mapped_column(Date)
    frozen_at: Mapped[datetime | None] = mapped_column(Timestamp)
    locale: Mapped[str | None]
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    failed_sign_ins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None] = mapped_column(Timestamp)
    sign_in_version: Mapped[int] = mapped_column(default=1)
    must_change_password: Mapped[bool] = mapped_column(Boolean, default=False)
    last_sign_in_at: Mapped[datetime | None] = mapped_column(Timestamp)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    branch: Mapped[Branch] = relationship()
    team: Mapped[Team | None] = relationship()

    @property
    def is_active(self) -> bool:
        return self.active and self.frozen_at is None

    @property
    def is_registered(self) -> bool:
        """A registered investment adviser today: only these are called so."""
        until = self.registration_until
        return bool(self.registration_number) and (until is None or until >= today())

    def get_id(self) -> str:
        """What the session keeps: the id and the version that a password change makes stale."""
        return f"{self.id}:{self.sign_in_version}"


class Absence(Model):
    """Days on which somebody is away, the first and the last included, and the colleague who stands in.

    While it lasts the deputy sees the clients of the absent adviser and does their contact tasks.
    """

    __tablename__ = "absence"
    __table_args__ = (
        CheckConstraint("first_day <= last_day", name="days_in_order"),
        CheckConstraint("deputy_id <> user_id", name="deputy_is_another"),
        Index("ix_absence_user_id", "user_id", "first_day"),
        Index("ix_absence_deputy_id", "deputy_id", "first_day"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    deputy_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    first_day: Mapped[date] = mapped_column(Date)
    last_day: Mapped[date] = mapped_column(Date)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())

    user: Mapped[User] = relationship(foreign_keys=[user_id])
    deputy: Mapped[User | None] = relationship(foreign_keys=[deputy_id])


# The parts of the HTTP interface that a key may open. "contact-data" opens no address of its own: it unmasks.
API_RESOURCES = ("account-openings", "clients", "contact-data", "segments", "reports")


class ApiKey(Model):
    """A key for the HTTP interface. Only a SHA-256 of it is kept; `prefix` tells keys apart on screen.

    `resources` are the parts of the interface it opens. What it reads of clients is limited as for the person who
    made it, and ends with that person's account.
    """

    __tablename__ = "api_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    resources: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{account-openings}")
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    last_used_at: Mapped[datetime | None] = mapped_column(Timestamp)
    revoked_at: Mapped[datetime | None] = mapped_column(Timestamp)
