"""Control groups, what reports are broken down by, claims with weights, and what openings are matched by."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MODELS = "attribution_model IN ('last_touch', 'first_touch', 'last_click', 'even')"


def upgrade() -> None:
    op.add_column("campaign", sa.Column("control_percent", sa.Double(), server_default="0", nullable=False))
    op.add_column("campaign", sa.Column("attribution_model", sa.Text(), server_default="last_touch", nullable=False))
    op.add_column("campaign", sa.Column("effective_rule", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("campaign", sa.Column("fixed_cost", sa.Numeric(18, 2), nullable=True))
    op.create_check_constraint(op.f("ck_campaign_control_percent"), "campaign", "control_percent BETWEEN 0 AND 90")
    op.create_check_constraint(op.f("ck_campaign_attribution_model"), "campaign", MODELS)
    op.create_check_constraint(op.f("ck_campaign_fixed_cost"), "campaign", "fixed_cost >= 0")
    op.add_column("campaign_segment", sa.Column("control_percent", sa.Double(), nullable=True))
    op.create_check_constraint(
        op.f("ck_campaign_segment_control_percent"), "campaign_segment", "control_percent BETWEEN 0 AND 90"
    )
    op.add_column("step", sa.Column("unit_cost", sa.Numeric(18, 4), nullable=True))

    op.add_column("run", sa.Column("control_id", sa.BigInteger(), nullable=True))
    op.add_column("run", sa.Column("salt", sa.BigInteger(), server_default="0", nullable=False))
    op.create_foreign_key(op.f("fk_run_control_id"), "run", "snapshot", ["control_id"], ["id"])
    op.create_table(
        "run_split",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("control_share", sa.Double(), nullable=False),
        sa.Column("assigned_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("control_share BETWEEN 0 AND 1", name=op.f("ck_run_split_control_share")),
        sa.ForeignKeyConstraint(["assigned_id"], ["snapshot.id"], name=op.f("fk_run_split_assigned_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_split_run_id")),
        sa.PrimaryKeyConstraint("run_id", "control_share", name=op.f("pk_run_split")),
    )
    op.create_table(
        "run_group",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bitmap", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_group_run_id")),
        sa.PrimaryKeyConstraint("run_id", "dimension", "key", name=op.f("pk_run_group")),
    )

    op.add_column("attribution", sa.Column("weight", sa.Numeric(7, 6), server_default="1", nullable=False))
    op.create_check_constraint(op.f("ck_attribution_weight"), "attribution", "weight > 0 AND weight <= 1")
    op.drop_constraint(op.f("pk_attribution"), "attribution", type_="primary")
    op.create_primary_key(op.f("pk_attribution"), "attribution", ["opening_id", "campaign_id", "message_id"])

    op.add_column("account_opening", sa.Column("kind", sa.Text(), server_default="opening", nullable=False))
    for name in ("email", "mobile", "tracking_code", "matched_by"):
        op.add_column("account_opening", sa.Column(name, sa.Text(), nullable=True))
    op.execute("UPDATE account_opening SET matched_by = 'number' WHERE client_id IS NOT NULL")
    op.create_check_constraint(op.f("ck_account_opening_kind"), "account_opening", "kind IN ('opening', 'transfer_in')")
    op.create_check_constraint(
        op.f("ck_account_opening_matched_by"),
        "account_opening",
        "matched_by IN ('number', 'tracking_code', 'email', 'mobile', 'person')",
    )


def downgrade() -> None:
    for name in ("matched_by", "kind"):
        op.drop_constraint(op.f(f"ck_account_opening_{name}"), "account_opening", type_="check")
    for name in ("matched_by", "tracking_code", "mobile", "email", "kind"):
        op.drop_column("account_opening", name)
    # Several messages of a campaign may have a part in an opening; the earlier key knows one.
    op.execute(
        "DELETE FROM attribution WHERE EXISTS (SELECT 1 FROM attribution AS other "
        "WHERE other.opening_id = attribution.opening_id AND other.campaign_id = attribution.campaign_id "
        "AND other.message_id > attribution.message_id)"
    )
    op.drop_constraint(op.f("pk_attribution"), "attribution", type_="primary")
    op.create_primary_key(op.f("pk_attribution"), "attribution", ["opening_id", "campaign_id"])
    op.drop_constraint(op.f("ck_attribution_weight"), "attribution", type_="check")
    op.drop_column("attribution", "weight")
    op.drop_table("run_group")
    op.drop_table("run_split")
    op.drop_constraint(op.f("fk_run_control_id"), "run", type_="foreignkey")
    op.drop_column("run", "salt")
    op.drop_column("run", "control_id")
    op.drop_column("step", "unit_cost")
    op.drop_constraint(op.f("ck_campaign_segment_control_percent"), "campaign_segment", type_="check")
    op.drop_column("campaign_segment", "control_percent")
    for name in ("fixed_cost", "attribution_model", "control_percent"):
        op.drop_constraint(op.f(f"ck_campaign_{name}"), "campaign", type_="check")
    for name in ("fixed_cost", "effective_rule", "attribution_model", "control_percent"):
        op.drop_column("campaign", name)
