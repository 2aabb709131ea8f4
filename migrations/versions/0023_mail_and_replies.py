"""Incoming mail kept before it is read, bounces with their class, the polled mailbox, and the inbox of replies."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0024"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
MOMENT = sa.DateTime(timezone=True)
TOPICS = "topic IN ('question', 'interested', 'complaint', 'fault', 'suggestion', 'opt_out')"

# The words of a text, in small letters, whatever the collation of the database: runs of letters and digits as they are,
# Chinese, Japanese and Korean as pairs of neighbouring characters and the last one.
LETTERS = r"[a-z0-9\u00df-\u024f\u0370-\u1fff]+"
IDEOGRAPHS = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+"
SEARCH_TOKENS = rf"""
    CREATE FUNCTION search_tokens(said text) RETURNS text[] IMMUTABLE PARALLEL SAFE STRICT LANGUAGE sql AS $$
        SELECT coalesce(array_agg(DISTINCT left(token, 100)), '{{}}') FROM (
            SELECT found[1] AS token FROM regexp_matches(lower(said), '{LETTERS}', 'g') AS found
            UNION ALL
            SELECT substr(found[1], place, 2)
            FROM regexp_matches(said, '{IDEOGRAPHS}', 'g') AS found, generate_series(1, length(found[1])) AS place
        ) AS tokens
    $$
"""
# All the words of a question; each may be the beginning of one in the text. NULL where it holds none.
SEARCH_QUERY = rf"""
    CREATE FUNCTION search_query(said text) RETURNS tsquery IMMUTABLE PARALLEL SAFE STRICT LANGUAGE sql AS $$
        SELECT string_agg('''' || left(token, 100) || ''':*', ' & ')::tsquery FROM (
            SELECT found[1] AS token FROM regexp_matches(lower(said), '{LETTERS}', 'g') AS found
            UNION ALL
            SELECT substr(found[1], place, 2)
            FROM regexp_matches(said, '{IDEOGRAPHS}', 'g') AS found,
                 generate_series(1, greatest(length(found[1]) - 1, 1)) AS place
        ) AS tokens
    $$
"""


def upgrade() -> None:
    op.create_table(
        "inbound_mail",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("recipients", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("file_id", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("meaning", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("received_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.Column("settled_by_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'read', 'parked', 'settled')", name=op.f("ck_inbound_mail_state")
        ),
        sa.ForeignKeyConstraint(["file_id"], ["stored_file.id"], name=op.f("fk_inbound_mail_file_id")),
        sa.ForeignKeyConstraint(["settled_by_id"], ["user_account.id"], name=op.f("fk_inbound_mail_settled_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_mail")),
        sa.UniqueConstraint("digest", name=op.f("uq_inbound_mail_digest")),
    )
    for state in ("parked", "waiting"):
        op.create_index(
            f"ix_inbound_mail_{state}", "inbound_mail", ["id"], postgresql_where=sa.text(f"state = '{state}'")
        )
    op.create_table(
        "bounce",
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("words", sa.Text(), nullable=True),
        sa.CheckConstraint("class IN ('hard', 'soft', 'full', 'block', 'unknown')", name=op.f("ck_bounce_class")),
        sa.PrimaryKeyConstraint("event_id", "at", name=op.f("pk_bounce")),
    )
    op.create_index("ix_bounce_address", "bounce", ["address", "at"])
    op.create_index("ix_bounce_message_id", "bounce", ["message_id"])
    op.create_table(
        "refusals_noted",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_refusals_noted_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_refusals_noted")),
    )
    op.create_table(
        "polled_mailbox",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("uid_validity", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_uid", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("taken", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("polled_at", MOMENT, nullable=True),
        sa.Column("worked_at", MOMENT, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_polled_mailbox")),
        sa.UniqueConstraint("name", name=op.f("uq_polled_mailbox_name")),
    )
    op.create_table(
        "inbox_rules",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("soft_bounces", sa.Integer(), nullable=False),
        sa.Column("soft_days", sa.Integer(), nullable=False),
        sa.Column("answer_days", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_inbox_rules_one_row")),
        sa.CheckConstraint("soft_bounces BETWEEN 1 AND 100", name=op.f("ck_inbox_rules_soft_bounces")),
        sa.CheckConstraint("soft_days BETWEEN 1 AND 365", name=op.f("ck_inbox_rules_soft_days")),
        sa.CheckConstraint("answer_days BETWEEN 0 AND 30", name=op.f("ck_inbox_rules_answer_days")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox_rules")),
    )
    _upgrade_reply()
    op.create_table(
        "reply_answer",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("reply_id", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'handing', 'sent', 'failed', 'unconfirmed')", name=op.f("ck_reply_answer_state")
        ),
        sa.ForeignKeyConstraint(["reply_id"], ["reply.id"], name=op.f("fk_reply_answer_reply_id")),
        sa.ForeignKeyConstraint(["author_id"], ["user_account.id"], name=op.f("fk_reply_answer_author_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply_answer")),
    )
    op.create_index("ix_reply_answer_reply_id", "reply_answer", ["reply_id"])


def _upgrade_reply() -> None:
    op.execute(SEARCH_TOKENS)
    op.execute(SEARCH_QUERY)
    op.alter_column("reply", "raw", nullable=True)
    for column in (
        sa.Column("channel", sa.Text(), server_default="email", nullable=False),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("topic_by_id", sa.BigInteger(), nullable=True),
        sa.Column("matched_by", sa.Text(), server_default="address", nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("charset", sa.Text(), nullable=True),
        sa.Column("mail_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("assigned_to_id", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("closed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("flagged", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed("array_to_tsvector(search_tokens(subject || ' ' || text))", persisted=True),
            nullable=True,
        ),
    ):
        op.add_column("reply", column)
    # Replies of before the inbox were dealt with elsewhere.
    op.execute("UPDATE reply SET state = 'closed', closed_at = now()")
    op.execute("UPDATE reply SET channel = 'sms' WHERE message_id_header LIKE 'sms:%'")
    op.create_check_constraint(op.f("ck_reply_topic"), "reply", TOPICS)
    op.create_check_constraint(op.f("ck_reply_state"), "reply", "state IN ('open', 'closed')")
    op.create_check_constraint(
        op.f("ck_reply_matched_by"), "reply", "matched_by IN ('address', 'reference', 'sender', 'person')"
    )
    for name in ("topic_by_id", "assigned_to_id", "closed_by_id"):
        op.create_foreign_key(op.f(f"fk_reply_{name}"), "reply", "user_account", [name], ["id"])
    op.create_foreign_key(op.f("fk_reply_mail_id"), "reply", "inbound_mail", ["mail_id"], ["id"])
    op.create_index("ix_reply_client_id", "reply", ["client_id"])
    op.create_index("ix_reply_open", "reply", ["due_at"], postgresql_where=sa.text("state = 'open'"))
    op.create_index("ix_reply_search", "reply", ["search"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_table("reply_answer")
    for name in ("search", "open", "client_id"):
        op.drop_index(f"ix_reply_{name}", "reply")
    for name in ("topic", "state", "matched_by"):
        op.drop_constraint(op.f(f"ck_reply_{name}"), "reply", type_="check")
    for name in (
        "search", "flagged", "closed_by_id", "closed_at", "answered_at", "assigned_to_id", "due_at", "state", "mail_id",
        "charset", "language", "sender", "matched_by", "topic_by_id", "topic", "channel",
    ):
        op.drop_column("reply", name)
    op.execute("UPDATE reply SET raw = '' WHERE raw IS NULL")
    op.alter_column("reply", "raw", nullable=False)
    op.execute("DROP FUNCTION search_query(text)")
    op.execute("DROP FUNCTION search_tokens(text)")
    op.drop_table("inbox_rules")
    op.drop_table("polled_mailbox")
    op.drop_table("refusals_noted")
    op.drop_index("ix_bounce_message_id", "bounce")
    op.drop_index("ix_bounce_address", "bounce")
    op.drop_table("bounce")
    for state in ("waiting", "parked"):
        op.drop_index(f"ix_inbound_mail_{state}", "inbound_mail")
    op.drop_table("inbound_mail")
