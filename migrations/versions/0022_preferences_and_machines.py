"""Topics, pauses, the rules about machines' hits, and what machines did with messages."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "topic",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=True),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_topic")),
        sa.UniqueConstraint("name", name=op.f("uq_topic_name")),
    )
    op.create_table(
        "topic_refusal",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("topic_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_topic_refusal_client_id")),
        sa.ForeignKeyConstraint(["topic_id"], ["topic.id"], name=op.f("fk_topic_refusal_topic_id")),
        sa.PrimaryKeyConstraint("client_id", "topic_id", name=op.f("pk_topic_refusal")),
    )
    op.create_index("ix_topic_refusal_topic_id", "topic_refusal", ["topic_id"])
    op.create_table(
        "marketing_pause",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_marketing_pause_client_id")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_marketing_pause")),
    )
    op.create_table(
        "machine_rules",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("agents", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("networks", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("too_fast_seconds", sa.Double(), nullable=False),
        sa.Column("all_links_seconds", sa.Double(), nullable=False),
        sa.Column("changed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("too_fast_seconds BETWEEN 0 AND 3600", name=op.f("ck_machine_rules_too_fast_seconds")),
        sa.CheckConstraint("all_links_seconds BETWEEN 0 AND 600", name=op.f("ck_machine_rules_all_links_seconds")),
        sa.ForeignKeyConstraint(["changed_by_id"], ["user_account.id"], name=op.f("fk_machine_rules_changed_by_id")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_machine_rules_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine_rules")),
    )
    op.add_column("campaign", sa.Column("topic_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_campaign_topic_id"), "campaign", "topic", ["topic_id"], ["id"])
    op.add_column("message", sa.Column("machine_opened_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("message", sa.Column("machine_clicked_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("message", "machine_clicked_at")
    op.drop_column("message", "machine_opened_at")
    op.drop_constraint(op.f("fk_campaign_topic_id"), "campaign", type_="foreignkey")
    op.drop_column("campaign", "topic_id")
    op.drop_table("machine_rules")
    op.drop_table("marketing_pause")
    op.drop_index("ix_topic_refusal_topic_id", table_name="topic_refusal")
    op.drop_table("topic_refusal")
    op.drop_table("topic")
