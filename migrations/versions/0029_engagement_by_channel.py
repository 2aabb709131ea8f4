"""Contacts and responses are kept for each channel of a campaign.

The new key is built while the table is in use; the old one goes in a moment's lock. What the ledger knows of campaigns
that used several channels is added; rows that are there keep their times.
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY pk_engagement_by_channel "
            "ON engagement (client_id, kind, channel, campaign_id)"
        )
    op.execute("ALTER TABLE engagement DROP CONSTRAINT pk_engagement")
    op.execute("ALTER TABLE engagement ADD CONSTRAINT pk_engagement PRIMARY KEY USING INDEX pk_engagement_by_channel")
    for kind, at in (
        ("contacted", "sent_at"), ("opened", "opened_at"), ("clicked", "clicked_at"), ("replied", "replied_at"),
    ):  # fmt: skip
        op.execute(
            f"""
            INSERT INTO engagement (client_id, kind, campaign_id, channel, first_at, last_at)
            SELECT coalesce(client.merged_into_id, client.id), '{kind}', campaign_id, channel, min({at}), max({at})
            FROM message JOIN client ON client.id = message.client_id
            WHERE {at} IS NOT NULL AND campaign_id IN (
                SELECT campaign_id FROM message GROUP BY campaign_id HAVING min(channel) <> max(channel)
            )
            GROUP BY coalesce(client.merged_into_id, client.id), campaign_id, channel
            ON CONFLICT DO NOTHING
            """  # noqa: S608 - names from the table above
        )


def downgrade() -> None:
    op.execute("ALTER TABLE engagement DROP CONSTRAINT pk_engagement")
    op.execute(
        """
        WITH gone AS (
            DELETE FROM engagement USING (
                SELECT client_id AS of_client, kind AS of_kind, campaign_id AS of_campaign FROM engagement
                GROUP BY client_id, kind, campaign_id HAVING count(*) > 1
            ) AS several
            WHERE client_id = of_client AND kind = of_kind AND campaign_id = of_campaign
            RETURNING engagement.*
        )
        INSERT INTO engagement (client_id, kind, campaign_id, channel, first_at, last_at)
        SELECT client_id, kind, campaign_id, (array_agg(channel ORDER BY first_at))[1], min(first_at), max(last_at)
        FROM gone GROUP BY client_id, kind, campaign_id
        """
    )
    op.execute("ALTER TABLE engagement ADD CONSTRAINT pk_engagement PRIMARY KEY (client_id, kind, campaign_id)")
