"""Targets of campaigns, and figures by e-mail to members of staff."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "target_plan",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.CheckConstraint("starts_on <= ends_on", name=op.f("ck_target_plan_days_in_order")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_target_plan_campaign_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_target_plan")),
    )
    op.create_table(
        "campaign_target",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("partner_item", sa.Text(), nullable=True),
        sa.Column("branch_id", sa.BigInteger(), nullable=True),
        sa.Column("adviser_id", sa.BigInteger(), nullable=True),
        sa.Column("tier", sa.Text(), nullable=True),
        sa.Column("week", sa.Date(), nullable=True),
        sa.Column("amount", sa.Numeric(18, 2), nullable=False),
        sa.Column("reported", sa.Numeric(18, 2), nullable=True),
        sa.Column("changed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", WHEN, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "measure IN ('accounts', 'effective', 'assets', 'contacts', 'partner')",
            name=op.f("ck_campaign_target_measure"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(branch_id, adviser_id, tier) <= 1", name=op.f("ck_campaign_target_of_one_kind")
        ),
        sa.CheckConstraint(
            "(measure = 'partner') = (partner_item IS NOT NULL)", name=op.f("ck_campaign_target_partner_item")
        ),
        sa.CheckConstraint("measure = 'partner' OR reported IS NULL", name=op.f("ck_campaign_target_reported")),
        sa.CheckConstraint("amount > 0 AND reported >= 0", name=op.f("ck_campaign_target_amounts")),
        sa.CheckConstraint("extract(isodow FROM week) = 1", name=op.f("ck_campaign_target_week_begins_on_monday")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_target_campaign_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.id"], name=op.f("fk_campaign_target_branch_id")),
        sa.ForeignKeyConstraint(["adviser_id"], ["user_account.id"], name=op.f("fk_campaign_target_adviser_id")),
        sa.ForeignKeyConstraint(["changed_by_id"], ["user_account.id"], name=op.f("fk_campaign_target_changed_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_target")),
        sa.UniqueConstraint(
            "campaign_id", "measure", "partner_item", "branch_id", "adviser_id", "tier", "week",
            name="uq_campaign_target_what_and_whose", postgresql_nulls_not_distinct=True,
        ),
    )  # fmt: skip
    op.create_table(
        "digest",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("campaign_ids", postgresql.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("changed_at", WHEN, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("period IN ('daily', 'weekly')", name=op.f("ck_digest_period")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_digest_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_digest")),
    )
    op.create_table(
        "digest_issue",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("on_date", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), server_default="due", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", WHEN, server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", WHEN, nullable=True),
        sa.CheckConstraint("period IN ('daily', 'weekly')", name=op.f("ck_digest_issue_period")),
        sa.CheckConstraint(
            "state IN ('due', 'handing', 'sent', 'failed', 'unconfirmed', 'skipped')",
            name=op.f("ck_digest_issue_state"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_digest_issue_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest_issue")),
        sa.UniqueConstraint("user_id", "period", "on_date", name=op.f("uq_digest_issue_user_id_period_on_date")),
    )


def downgrade() -> None:
    for table in ("digest_issue", "digest", "campaign_target", "target_plan"):
        op.drop_table(table)
