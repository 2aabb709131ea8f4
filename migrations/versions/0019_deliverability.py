"""What becomes of messages by account and receiving domain; accounts that are archived or whose marketing is paused."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0019'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('channel_account', sa.Column('marketing_paused_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('channel_account', sa.Column('marketing_paused_for', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('channel_account', sa.Column('complaints_from', sa.Date(), nullable=True))
    op.add_column('channel_account', sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('message', sa.Column('deferred_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('message', sa.Column('unconfirmed_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('message', sa.Column('settled_by_id', sa.BigInteger(), nullable=True))
    op.create_index('ix_batch_failed', 'batch', ['run_id'], postgresql_where=sa.text('failed > 0'))
    op.create_index('ix_batch_unconfirmed', 'batch', ['run_id'], postgresql_where=sa.text('unconfirmed > 0'))
    op.create_table('arrival',
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('domain', sa.Text(), nullable=False),
    sa.Column('sent', sa.Integer(), nullable=False),
    sa.Column('delivered', sa.Integer(), nullable=False),
    sa.Column('deferred', sa.Integer(), nullable=False),
    sa.Column('refused', sa.Integer(), nullable=False),
    sa.Column('bounced', sa.Integer(), nullable=False),
    sa.Column('complained', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['channel_account.id'], name=op.f('fk_arrival_account_id')),
    sa.ForeignKeyConstraint(['run_id'], ['run.id'], name=op.f('fk_arrival_run_id')),
    sa.PrimaryKeyConstraint('run_id', 'day', 'account_id', 'domain', name=op.f('pk_arrival'))
    )
    op.create_index('ix_arrival_day', 'arrival', ['day', 'account_id'])
    op.create_table('arrival_count',
    sa.Column('run_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('counted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('due', sa.Boolean(), server_default='false', nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['run.id'], name=op.f('fk_arrival_count_run_id')),
    sa.PrimaryKeyConstraint('run_id', name=op.f('pk_arrival_count'))
    )
    op.create_index('ix_arrival_count_due', 'arrival_count', ['run_id'], postgresql_where=sa.text('due'))
    op.create_table('deliverability_settings',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('alarm_rate', sa.Double(), nullable=False),
    sa.Column('pause_rate', sa.Double(), nullable=False),
    sa.Column('window_days', sa.SmallInteger(), nullable=False),
    sa.Column('minimum_sent', sa.Integer(), nullable=False),
    sa.Column('sender_domains', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('dkim_selectors', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_deliverability_settings_single')),
    sa.CheckConstraint('alarm_rate > 0 AND pause_rate >= alarm_rate AND pause_rate <= 1', name=op.f('ck_deliverability_settings_rates')),
    sa.CheckConstraint('window_days BETWEEN 1 AND 90', name=op.f('ck_deliverability_settings_window_days')),
    sa.CheckConstraint('minimum_sent > 0', name=op.f('ck_deliverability_settings_minimum_sent')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deliverability_settings'))
    )
    op.create_table('dns_check',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('domain', sa.Text(), nullable=False),
    sa.Column('findings', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('checked_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dns_check'))
    )
    op.create_index('ix_dns_check_domain', 'dns_check', ['domain', 'id'])


def downgrade() -> None:
    op.drop_table('dns_check')
    op.drop_table('deliverability_settings')
    op.drop_table('arrival_count')
    op.drop_table('arrival')
    op.drop_index('ix_batch_unconfirmed', table_name='batch')
    op.drop_index('ix_batch_failed', table_name='batch')
    op.drop_column('message', 'settled_by_id')
    op.drop_column('message', 'unconfirmed_at')
    op.drop_column('message', 'deferred_at')
    op.drop_column('channel_account', 'archived_at')
    op.drop_column('channel_account', 'complaints_from')
    op.drop_column('channel_account', 'marketing_paused_for')
    op.drop_column('channel_account', 'marketing_paused_at')
