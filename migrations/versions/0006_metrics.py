"""metrics: runs over the whole book, and the clients who changed since"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('metrics_run',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('as_of', sa.Date(), nullable=False),
    sa.Column('clients', sa.BigInteger(), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_metrics_run'))
    )
    op.create_table('stale_client',
    sa.Column('client_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.PrimaryKeyConstraint('client_id', name=op.f('pk_stale_client'))
    )


def downgrade() -> None:
    op.drop_table('stale_client')
    op.drop_table('metrics_run')
