"""Lists of client numbers for segments; the engagement there has been so far."""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('number_list',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('owner_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['owner_id'], ['user_account.id'], name=op.f('fk_number_list_owner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_number_list'))
    )
    op.create_table('listed_number',
    sa.Column('list_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['list_id'], ['number_list.id'], name=op.f('fk_listed_number_list_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('list_id', 'number', name=op.f('pk_listed_number'))
    )
    # What the ledger already knows of contacts and responses; delivery and tracking keep it up from here.
    for kind, at in (
        ('contacted', 'sent_at'), ('opened', 'opened_at'), ('clicked', 'clicked_at'), ('replied', 'replied_at'),
    ):
        op.execute(
            f"INSERT INTO engagement (client_id, kind, campaign_id, channel, first_at, last_at) "
            f"SELECT client_id, '{kind}', campaign_id, min(channel), min({at}), max({at}) FROM message "
            f"WHERE {at} IS NOT NULL GROUP BY client_id, campaign_id ON CONFLICT DO NOTHING"
        )


def downgrade() -> None:
    op.drop_table('listed_number')
    op.drop_table('number_list')
