"""Sets of clients by outcome, kept from what triggers on messages note."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0023"
branch_labels = None
depends_on = None

# One row a statement and step. Only ever inserted into: no writer of messages waits for another.
NOTE = """
    CREATE FUNCTION note_uncounted_clients() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO uncounted_clients (run_id, step_id, client_ids)
        SELECT run_id, step_id, array_agg(client_id) FROM changed GROUP BY run_id, step_id;
        RETURN NULL;
    END $$
"""
# A message that is another client's or step's now: whose it was before would stay in the sets.
NOTE_MOVED = """
    CREATE FUNCTION note_moved_message() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO uncounted_clients (run_id, step_id, client_ids)
        VALUES (OLD.run_id, OLD.step_id, ARRAY[OLD.client_id]);
        RETURN NULL;
    END $$
"""
TRIGGERS = {"inserted": ("INSERT", "NEW"), "updated": ("UPDATE", "NEW"), "deleted": ("DELETE", "OLD")}


def upgrade() -> None:
    op.create_table(
        "outcome_set",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("bitmap", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_outcome_set_run_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["step_id"], ["step.id"], name=op.f("fk_outcome_set_step_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "step_id", "fact", "reason", name=op.f("pk_outcome_set")),
    )
    # Bitmaps are compact already: to look for more would cost each count and each page some time.
    op.execute("ALTER TABLE outcome_set ALTER COLUMN bitmap SET STORAGE EXTERNAL")
    op.create_table(
        "uncounted_clients",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("client_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "id", name=op.f("pk_uncounted_clients")),
    )
    op.execute(NOTE)
    op.execute(NOTE_MOVED)
    for name, (event, transition) in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER note_{name}_messages AFTER {event} ON message "
            f"REFERENCING {transition} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_uncounted_clients()"
        )
    op.execute(
        "CREATE TRIGGER note_moved_message AFTER UPDATE OF run_id, step_id, client_id ON message FOR EACH ROW "
        "WHEN ((OLD.run_id, OLD.step_id, OLD.client_id) IS DISTINCT FROM (NEW.run_id, NEW.step_id, NEW.client_id)) "
        "EXECUTE FUNCTION note_moved_message()"
    )
    # What was sent so far is counted by the workers, batch by batch.
    op.execute(
        "INSERT INTO uncounted_clients (run_id, step_id, client_ids) "
        "SELECT run_id, step_id, array_agg(client_id) FROM message GROUP BY run_id, step_id, batch_id"
    )


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER note_{name}_messages ON message")
    op.execute("DROP TRIGGER note_moved_message ON message")
    op.execute("DROP FUNCTION note_moved_message()")
    op.execute("DROP FUNCTION note_uncounted_clients()")
    op.drop_table("uncounted_clients")
    op.drop_table("outcome_set")
