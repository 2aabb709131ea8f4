"""Variants of steps and their tests, and the firm's control group over all marketing campaigns."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0022"
branch_labels = None
depends_on = None

METRICS = "test_metric IN ('opened', 'clicked', 'accounts')"


def upgrade() -> None:
    op.add_column("step", sa.Column("test_percent", sa.Double(), nullable=True))
    op.add_column("step", sa.Column("test_metric", sa.Text(), server_default="clicked", nullable=False))
    op.add_column("step", sa.Column("test_hours", sa.BigInteger(), server_default="72", nullable=False))
    op.create_check_constraint(op.f("ck_step_test_percent"), "step", "test_percent > 0 AND test_percent < 100")
    op.create_check_constraint(op.f("ck_step_test_metric"), "step", METRICS)
    op.create_check_constraint(op.f("ck_step_test_hours"), "step", "test_hours BETWEEN 1 AND 2160")
    op.create_table(
        "variant",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("letter", sa.Text(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("content_id", sa.BigInteger(), nullable=True),
        sa.Column("sms_content_id", sa.BigInteger(), nullable=True),
        sa.Column("call_script_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("letter IN ('B', 'C', 'D', 'E')", name=op.f("ck_variant_letter")),
        sa.CheckConstraint("share > 0 AND share < 100", name=op.f("ck_variant_share")),
        sa.ForeignKeyConstraint(["step_id"], ["step.id"], name=op.f("fk_variant_step_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["content_id"], ["email_content.id"], name=op.f("fk_variant_content_id")),
        sa.ForeignKeyConstraint(["sms_content_id"], ["sms_content.id"], name=op.f("fk_variant_sms_content_id")),
        sa.ForeignKeyConstraint(["call_script_id"], ["call_script.id"], name=op.f("fk_variant_call_script_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_variant")),
        sa.UniqueConstraint("step_id", "letter", name=op.f("uq_variant_step_id_letter")),
    )
    op.create_table(
        "global_control",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("percent", sa.Double(), nullable=False),
        sa.Column("salt", sa.BigInteger(), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("changed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_global_control_one_row")),
        sa.CheckConstraint("percent BETWEEN 0 AND 50", name=op.f("ck_global_control_percent")),
        sa.ForeignKeyConstraint(["changed_by_id"], ["user_account.id"], name=op.f("fk_global_control_changed_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_global_control")),
    )
    op.create_table(
        "run_test",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rest", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("chosen", sa.Text(), nullable=True),
        sa.Column("chosen_by_id", sa.BigInteger(), nullable=True),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_test_run_id")),
        sa.ForeignKeyConstraint(["chosen_by_id"], ["user_account.id"], name=op.f("fk_run_test_chosen_by_id")),
        sa.PrimaryKeyConstraint("run_id", "step_id", name=op.f("pk_run_test")),
    )
    op.add_column("batch", sa.Column("variant", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("batch", "variant")
    op.drop_table("run_test")
    op.drop_table("global_control")
    op.drop_table("variant")
    for name in ("hours", "metric", "percent"):
        op.drop_constraint(op.f(f"ck_step_test_{name}"), "step", type_="check")
        op.drop_column("step", f"test_{name}")
