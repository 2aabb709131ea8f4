"""When and how a campaign's messages leave, what it offers, and the version of the words each batch was sent with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None

STATES = (
    'draft', 'in_review', 'approved', 'scheduled', 'running', 'paused', 'complete', 'cancelled'
)
NEW_STATES = ('held', 'revising')


def upgrade() -> None:
    _allow_states(STATES + NEW_STATES)
    op.add_column('campaign', sa.Column('product_name', sa.Text(), nullable=True))
    op.add_column('campaign', sa.Column('product_risk', sa.SmallInteger(), nullable=True))
    op.add_column('campaign', sa.Column('product_private', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('campaign', sa.Column('product_kind', sa.Text(), nullable=True))
    op.add_column('campaign', sa.Column('product_term_months', sa.SmallInteger(), nullable=True))
    op.add_column('campaign', sa.Column('priority', sa.SmallInteger(), server_default='2', nullable=False))
    op.add_column('campaign', sa.Column('send_from', sa.Time(), nullable=True))
    op.add_column('campaign', sa.Column('send_until', sa.Time(), nullable=True))
    op.add_column('campaign', sa.Column('send_days', postgresql.ARRAY(sa.SmallInteger()), nullable=True))
    op.add_column('campaign', sa.Column('local_time', sa.Time(), nullable=True))
    op.add_column('campaign', sa.Column('spread_hours', sa.SmallInteger(), nullable=True))
    op.add_column('campaign', sa.Column('approved_count', sa.BigInteger(), nullable=True))
    op.add_column('campaign', sa.Column('held_count', sa.BigInteger(), nullable=True))
    op.create_check_constraint(op.f('ck_campaign_priority'), 'campaign', 'priority BETWEEN 1 AND 3')
    op.create_check_constraint(op.f('ck_campaign_product_risk'), 'campaign', 'product_risk BETWEEN 1 AND 5')
    op.create_check_constraint(
        op.f('ck_campaign_a_notice_offers_nothing'), 'campaign', "purpose <> 'statutory' OR product_risk IS NULL"
    )
    op.create_check_constraint(op.f('ck_campaign_spread_hours'), 'campaign', 'spread_hours BETWEEN 1 AND 168')
    op.create_table('second_check',
    sa.Column('campaign_id', sa.BigInteger(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('product_risk', sa.SmallInteger(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('checked_by_id', sa.BigInteger(), nullable=False),
    sa.Column('checked_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_second_check_campaign_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['checked_by_id'], ['user_account.id'], name=op.f('fk_second_check_checked_by_id')),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_second_check_client_id')),
    sa.PrimaryKeyConstraint('campaign_id', 'client_id', name=op.f('pk_second_check'))
    )
    op.create_table('sending_rules',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('caps', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('quiet_from', sa.Time(), nullable=False),
    sa.Column('quiet_until', sa.Time(), nullable=False),
    sa.Column('quiet_channels', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('launch_tolerance', sa.Double(), nullable=False),
    sa.Column('changed_by_id', sa.BigInteger(), nullable=True),
    sa.Column('changed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_sending_rules_one_row')),
    sa.ForeignKeyConstraint(['changed_by_id'], ['user_account.id'], name=op.f('fk_sending_rules_changed_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sending_rules'))
    )
    op.add_column('batch', sa.Column('content_id', sa.BigInteger(), nullable=True))
    op.add_column('batch', sa.Column('domain', sa.Text(), nullable=True))
    op.create_index('ix_batch_domain', 'batch', ['domain', 'due_at'], postgresql_where=sa.text("state = 'open' AND domain IS NOT NULL"))


def downgrade() -> None:
    op.drop_index('ix_batch_domain', table_name='batch')
    op.drop_column('batch', 'domain')
    op.drop_column('batch', 'content_id')
    op.drop_table('sending_rules')
    op.drop_table('second_check')
    for name in ('spread_hours', 'a_notice_offers_nothing', 'product_risk', 'priority'):
        op.drop_constraint(op.f(f'ck_campaign_{name}'), 'campaign', type_='check')
    for name in ('held_count', 'approved_count', 'spread_hours', 'local_time', 'send_days', 'send_until', 'send_from',
                 'priority', 'product_term_months', 'product_kind', 'product_private', 'product_risk', 'product_name'):
        op.drop_column('campaign', name)
    op.execute("UPDATE campaign SET state = 'paused' WHERE state = 'revising'")
    op.execute("UPDATE campaign SET state = 'draft', approved_by_id = NULL WHERE state = 'held'")
    _allow_states(STATES)


def _allow_states(states: tuple[str, ...]) -> None:
    op.drop_constraint(op.f('ck_campaign_state'), 'campaign', type_='check')
    op.create_check_constraint(
        op.f('ck_campaign_state'), 'campaign', f"state IN ({', '.join(repr(state) for state in states)})"
    )
