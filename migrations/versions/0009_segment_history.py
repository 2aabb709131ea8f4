"""Who was in a segment on a day; who froze a snapshot and whom it could not have reached."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('segment_day',
    sa.Column('segment_id', sa.BigInteger(), nullable=False),
    sa.Column('on_date', sa.Date(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=True),
    sa.Column('bitmap', sa.LargeBinary(), nullable=True),
    sa.Column('counted_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['segment_id'], ['segment.id'], name=op.f('fk_segment_day_segment_id')),
    sa.PrimaryKeyConstraint('segment_id', 'on_date', name=op.f('pk_segment_day'))
    )
    op.add_column('snapshot', sa.Column('exclusions', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('snapshot', sa.Column('created_by_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_snapshot_created_by_id'), 'snapshot', 'user_account', ['created_by_id'], ['id'])
    op.add_column('api_key', sa.Column('resources', postgresql.ARRAY(sa.Text()), server_default='{account-openings}', nullable=False))


def downgrade() -> None:
    op.drop_column('api_key', 'resources')
    op.drop_constraint(op.f('fk_snapshot_created_by_id'), 'snapshot', type_='foreignkey')
    op.drop_column('snapshot', 'created_by_id')
    op.drop_column('snapshot', 'exclusions')
    op.drop_table('segment_day')
