"""Whom the message that claims an opening went to.

A report reads the clients from an index instead of the message of each. Openings that an old worker credits meanwhile
are refused and credited again by the new ones: crediting may be repeated at any time.
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE attribution ADD COLUMN client_id bigint CONSTRAINT fk_attribution_client_id REFERENCES client")
    op.execute("UPDATE attribution SET client_id = message.client_id FROM message WHERE message.id = attribution.message_id")
    op.execute("ALTER TABLE attribution ALTER COLUMN client_id SET NOT NULL")
    op.execute("DROP INDEX ix_attribution_campaign_id")
    op.execute("CREATE INDEX ix_attribution_campaign_id ON attribution (campaign_id, client_id)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_attribution_campaign_id")
    op.execute("ALTER TABLE attribution DROP COLUMN client_id")
    op.execute("CREATE INDEX ix_attribution_campaign_id ON attribution (campaign_id)")
