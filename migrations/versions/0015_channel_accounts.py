"""Accounts of channels and their limits, the way a message went, and the stop of all marketing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('channel_account',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('vendor', sa.Text(), nullable=False),
    sa.Column('settings', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('secret_name', sa.Text(), nullable=True),
    sa.Column('weight', sa.SmallInteger(), server_default='1', nullable=False),
    sa.Column('state', sa.Text(), server_default='active', nullable=False),
    sa.Column('state_reason', sa.Text(), nullable=True),
    sa.Column('resting_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failures', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('rate_per_second', sa.Double(), nullable=True),
    sa.Column('daily_limit', sa.BigInteger(), nullable=True),
    sa.Column('warm_up_from', sa.Date(), nullable=True),
    sa.Column('warm_up_first', sa.BigInteger(), nullable=True),
    sa.Column('warm_up_factor', sa.Double(), nullable=True),
    sa.Column('location', sa.Text(), server_default='domestic', nullable=False),
    sa.Column('legal_basis', sa.Text(), nullable=True),
    sa.Column('legal_basis_by_id', sa.BigInteger(), nullable=True),
    sa.Column('legal_basis_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('changed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state IN ('active', 'paused', 'resting')", name=op.f('ck_channel_account_state')),
    sa.CheckConstraint("location IN ('domestic', 'foreign')", name=op.f('ck_channel_account_location')),
    sa.CheckConstraint("weight BETWEEN 0 AND 100", name=op.f('ck_channel_account_weight')),
    sa.CheckConstraint("rate_per_second > 0", name=op.f('ck_channel_account_rate_per_second')),
    sa.CheckConstraint("daily_limit > 0", name=op.f('ck_channel_account_daily_limit')),
    sa.CheckConstraint("warm_up_first > 0 AND warm_up_factor >= 1", name=op.f('ck_channel_account_warm_up')),
    sa.ForeignKeyConstraint(['legal_basis_by_id'], ['user_account.id'], name=op.f('fk_channel_account_legal_basis_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_channel_account')),
    sa.UniqueConstraint('name', name=op.f('uq_channel_account_name'))
    )
    op.create_table('channel_limit',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=True),
    sa.Column('domain', sa.Text(), server_default='', nullable=False),
    sa.Column('rate_per_second', sa.Double(), nullable=True),
    sa.Column('tokens', sa.Double(), server_default='0', nullable=False),
    sa.Column('filled_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('day', sa.Date(), nullable=True),
    sa.Column('used', sa.BigInteger(), server_default='0', nullable=False),
    sa.CheckConstraint("rate_per_second > 0", name=op.f('ck_channel_limit_rate_per_second')),
    sa.ForeignKeyConstraint(['account_id'], ['channel_account.id'], name=op.f('fk_channel_limit_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_channel_limit')),
    sa.UniqueConstraint('account_id', 'domain', name=op.f('uq_channel_limit_account_id_domain'), postgresql_nulls_not_distinct=True)
    )
    op.create_table('marketing_stop',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('stopped_by_id', sa.BigInteger(), nullable=False),
    sa.Column('stopped_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('restarted_by_id', sa.BigInteger(), nullable=True),
    sa.Column('restarted_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("restarted_by_id IS NULL OR restarted_by_id <> stopped_by_id", name=op.f('ck_marketing_stop_a_second_person_restarts')),
    sa.ForeignKeyConstraint(['restarted_by_id'], ['user_account.id'], name=op.f('fk_marketing_stop_restarted_by_id')),
    sa.ForeignKeyConstraint(['stopped_by_id'], ['user_account.id'], name=op.f('fk_marketing_stop_stopped_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_marketing_stop'))
    )
    op.create_index('uq_marketing_stop_in_force', 'marketing_stop', [sa.text('(restarted_at IS NULL)')], unique=True, postgresql_where=sa.text('restarted_at IS NULL'))
    op.add_column('batch', sa.Column('account_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_batch_account_id'), 'batch', 'channel_account', ['account_id'], ['id'])
    op.add_column('message', sa.Column('account_id', sa.BigInteger(), nullable=True))
    op.add_column('message', sa.Column('domain', sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column('message', 'domain')
    op.drop_column('message', 'account_id')
    op.drop_constraint(op.f('fk_batch_account_id'), 'batch', type_='foreignkey')
    op.drop_column('batch', 'account_id')
    op.drop_table('marketing_stop')
    op.drop_table('channel_limit')
    op.drop_table('channel_account')
