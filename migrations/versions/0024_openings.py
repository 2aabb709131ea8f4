"""What openings came to for each campaign, parked reports of openings, and lead forms."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision = "0025"
branch_labels = None
depends_on = None

NOW = sa.text("now()")


def upgrade() -> None:
    op.add_column("account", sa.Column("designated_on", sa.Date(), nullable=True))

    op.add_column("account_opening", sa.Column("set_aside_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("account_opening", sa.Column("set_aside_by_id", sa.BigInteger(), nullable=True))
    op.add_column("account_opening", sa.Column("set_aside_reason", sa.Text(), nullable=True))
    op.create_foreign_key(
        op.f("fk_account_opening_set_aside_by_id"), "account_opening", "user_account", ["set_aside_by_id"], ["id"]
    )
    op.drop_index("ix_account_opening_unmatched", "account_opening")
    op.create_index(
        "ix_account_opening_unmatched",
        "account_opening",
        ["id"],
        postgresql_where=sa.text("client_id IS NULL AND set_aside_at IS NULL"),
    )
    _create_outcomes()
    _create_lead_forms()


def _create_outcomes() -> None:
    op.create_table(
        "counted_opening",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("opening_id", sa.BigInteger(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=True),
        sa.Column("assets_before", sa.Numeric(18, 2), nullable=True),
        sa.Column("brought_in", sa.Numeric(18, 2), nullable=True),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_counted_opening_campaign_id")),
        sa.ForeignKeyConstraint(
            ["opening_id"], ["account_opening.id"], name=op.f("fk_counted_opening_opening_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("campaign_id", "opening_id", name=op.f("pk_counted_opening")),
    )
    op.create_index("ix_counted_opening_opening_id", "counted_opening", ["opening_id"])
    op.create_table(
        "opening_follow_up",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("opening_id", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.SmallInteger(), nullable=False),
        sa.Column("on_date", sa.Date(), nullable=False),
        sa.Column("still_effective", sa.Boolean(), nullable=False),
        sa.Column("assets", sa.Numeric(18, 2), nullable=True),
        sa.CheckConstraint("days IN (30, 90, 180)", name=op.f("ck_opening_follow_up_days")),
        sa.ForeignKeyConstraint(
            ["campaign_id", "opening_id"],
            ["counted_opening.campaign_id", "counted_opening.opening_id"],
            name=op.f("fk_opening_follow_up_campaign_id_opening_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("campaign_id", "opening_id", "days", name=op.f("pk_opening_follow_up")),
    )
    op.create_table(
        "parked_opening",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("row", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["settled_by_id"], ["user_account.id"], name=op.f("fk_parked_opening_settled_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parked_opening")),
        sa.UniqueConstraint("source", "digest", name=op.f("uq_parked_opening_source_digest")),
    )
    op.create_index("ix_parked_opening_open", "parked_opening", ["id"], postgresql_where=sa.text("settled_at IS NULL"))


def _create_lead_forms() -> None:
    op.create_table(
        "lead_form",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("introduction", sa.Text(), server_default="", nullable=False),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("consent_text", sa.Text(), nullable=False),
        sa.Column("consent_channels", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("consent_version", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("thanks", sa.Text(), server_default="", nullable=False),
        sa.Column("next_url", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("closes_on", sa.Date(), nullable=True),
        sa.Column("changed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_lead_form_campaign_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["changed_by_id"], ["user_account.id"], name=op.f("fk_lead_form_changed_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead_form")),
        sa.UniqueConstraint("campaign_id", name=op.f("uq_lead_form_campaign_id")),
    )
    op.create_table(
        "lead_submission",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("form_id", sa.BigInteger(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=True),
        sa.Column("adviser_id", sa.BigInteger(), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("mobile", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("consent_version", sa.SmallInteger(), nullable=False),
        sa.Column("consent_text", sa.Text(), nullable=False),
        sa.Column("matched_by", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "consent IN ('granted', 'not_given', 'opted_out_before', 'waiting')",
            name=op.f("ck_lead_submission_consent"),
        ),
        sa.CheckConstraint(
            "matched_by IN ('new', 'email', 'mobile', 'several')", name=op.f("ck_lead_submission_matched_by")
        ),
        sa.ForeignKeyConstraint(["adviser_id"], ["user_account.id"], name=op.f("fk_lead_submission_adviser_id")),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_lead_submission_client_id")),
        sa.ForeignKeyConstraint(["form_id"], ["lead_form.id"], name=op.f("fk_lead_submission_form_id")),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_lead_submission_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lead_submission")),
        sa.UniqueConstraint("form_id", "nonce", name=op.f("uq_lead_submission_form_id_nonce")),
    )
    op.create_index("ix_lead_submission_client_id", "lead_submission", ["client_id"])
    op.create_table(
        "form_attempt",
        sa.Column("form_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("form_id", "sender", "since", name=op.f("pk_form_attempt")),
    )
    op.create_index("ix_form_attempt_since", "form_attempt", ["since"])


def downgrade() -> None:
    for table in ("form_attempt", "lead_submission", "lead_form", "parked_opening", "opening_follow_up"):
        op.drop_table(table)
    op.drop_table("counted_opening")
    op.drop_index("ix_account_opening_unmatched", "account_opening")
    op.create_index(
        "ix_account_opening_unmatched",
        "account_opening",
        ["client_number"],
        postgresql_where=sa.text("client_id IS NULL"),
    )
    op.drop_constraint(op.f("fk_account_opening_set_aside_by_id"), "account_opening", type_="foreignkey")
    for name in ("set_aside_reason", "set_aside_by_id", "set_aside_at"):
        op.drop_column("account_opening", name)
    op.drop_column("account", "designated_on")
