"""Contact tasks of advisers with their scripts and results, absences with deputies, the firm's rules of the work."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('advising_rules',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('daily_cap', sa.BigInteger(), server_default='25', nullable=False),
    sa.Column('grace_days', sa.BigInteger(), server_default='2', nullable=False),
    sa.Column('escalation_days', sa.BigInteger(), server_default='3', nullable=False),
    sa.Column('holidays', postgresql.ARRAY(sa.Date()), server_default='{}', nullable=False),
    sa.Column('placed_on', sa.Date(), nullable=True),
    sa.CheckConstraint('daily_cap BETWEEN 1 AND 500', name=op.f('ck_advising_rules_daily_cap')),
    sa.CheckConstraint('escalation_days BETWEEN 1 AND 60', name=op.f('ck_advising_rules_escalation_days')),
    sa.CheckConstraint('grace_days BETWEEN 0 AND 60', name=op.f('ck_advising_rules_grace_days')),
    sa.CheckConstraint('id = 1', name=op.f('ck_advising_rules_one_row')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_advising_rules'))
    )
    op.create_table('absence',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('deputy_id', sa.BigInteger(), nullable=True),
    sa.Column('first_day', sa.Date(), nullable=False),
    sa.Column('last_day', sa.Date(), nullable=False),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('deputy_id <> user_id', name=op.f('ck_absence_deputy_is_another')),
    sa.CheckConstraint('first_day <= last_day', name=op.f('ck_absence_days_in_order')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_absence_created_by_id')),
    sa.ForeignKeyConstraint(['deputy_id'], ['user_account.id'], name=op.f('fk_absence_deputy_id')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.id'], name=op.f('fk_absence_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_absence'))
    )
    op.create_index('ix_absence_deputy_id', 'absence', ['deputy_id', 'first_day'], unique=False)
    op.create_index('ix_absence_user_id', 'absence', ['user_id', 'first_day'], unique=False)
    op.create_table('call_script',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), server_default='call', nullable=False),
    sa.Column('goal', sa.Text(), nullable=False),
    sa.Column('words', sa.Text(), nullable=False),
    sa.Column('parts', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('objections', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("kind IN ('call', 'visit')", name=op.f('ck_call_script_kind')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_call_script_created_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_call_script'))
    )
    op.create_table('result_import',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('file_name', sa.Text(), nullable=False),
    sa.Column('rows', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('taken', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('known', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('refused', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('created_by_id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_result_import_created_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_result_import'))
    )
    op.create_table('contact_result',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('task_ids', postgresql.ARRAY(sa.BigInteger()), nullable=False),
    sa.Column('actor_id', sa.BigInteger(), nullable=False),
    sa.Column('outcome', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('again_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('source', sa.Text(), server_default='page', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("outcome IN ('reached', 'no_answer', 'interested', 'appointment', 'opened', 'refused', 'wrong_number')", name=op.f('ck_contact_result_outcome')),
    sa.CheckConstraint("source IN ('page', 'file')", name=op.f('ck_contact_result_source')),
    sa.ForeignKeyConstraint(['actor_id'], ['user_account.id'], name=op.f('fk_contact_result_actor_id')),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_contact_result_client_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contact_result')),
    sa.UniqueConstraint('key', name=op.f('uq_contact_result_key'))
    )
    op.create_index('ix_contact_result_actor_id', 'contact_result', ['actor_id', 'at'], unique=False)
    op.create_index('ix_contact_result_client_id', 'contact_result', ['client_id', 'at'], unique=False)
    op.create_table('adviser_task',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.BigInteger(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('campaign_id', sa.BigInteger(), nullable=False),
    sa.Column('step_id', sa.BigInteger(), nullable=False),
    sa.Column('script_id', sa.BigInteger(), nullable=False),
    sa.Column('segment_id', sa.BigInteger(), nullable=True),
    sa.Column('kind', sa.Text(), server_default='call', nullable=False),
    sa.Column('priority', sa.SmallInteger(), server_default='2', nullable=False),
    sa.Column('branch_id', sa.BigInteger(), nullable=True),
    sa.Column('adviser_id', sa.BigInteger(), nullable=True),
    sa.Column('deputy_for_id', sa.BigInteger(), nullable=True),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('planned_on', sa.Date(), nullable=True),
    sa.Column('due_on', sa.Date(), nullable=False),
    sa.Column('again_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('result', sa.Text(), nullable=True),
    sa.Column('result_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('tried_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reached_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('escalated_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('escalated_to_id', sa.BigInteger(), nullable=True),
    sa.Column('withdrawn_reason', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("kind IN ('call', 'visit')", name=op.f('ck_adviser_task_kind')),
    sa.CheckConstraint("result IN ('reached', 'no_answer', 'interested', 'appointment', 'opened', 'refused', 'wrong_number')", name=op.f('ck_adviser_task_result')),
    sa.CheckConstraint("state IN ('open', 'again', 'escalated', 'done', 'not_contacted', 'withdrawn')", name=op.f('ck_adviser_task_state')),
    sa.ForeignKeyConstraint(['adviser_id'], ['user_account.id'], name=op.f('fk_adviser_task_adviser_id')),
    sa.ForeignKeyConstraint(['branch_id'], ['branch.id'], name=op.f('fk_adviser_task_branch_id')),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_adviser_task_campaign_id')),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_adviser_task_client_id')),
    sa.ForeignKeyConstraint(['deputy_for_id'], ['user_account.id'], name=op.f('fk_adviser_task_deputy_for_id')),
    sa.ForeignKeyConstraint(['escalated_to_id'], ['user_account.id'], name=op.f('fk_adviser_task_escalated_to_id')),
    sa.ForeignKeyConstraint(['script_id'], ['call_script.id'], name=op.f('fk_adviser_task_script_id')),
    sa.ForeignKeyConstraint(['segment_id'], ['segment.id'], name=op.f('fk_adviser_task_segment_id')),
    sa.ForeignKeyConstraint(['step_id'], ['step.id'], name=op.f('fk_adviser_task_step_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_adviser_task')),
    sa.UniqueConstraint('message_id', name=op.f('uq_adviser_task_message_id'))
    )
    op.create_index('ix_adviser_task_adviser_id', 'adviser_task', ['adviser_id', 'planned_on'], unique=False, postgresql_where=sa.text("state IN ('open', 'again', 'escalated')"))
    op.create_index('ix_adviser_task_campaign_id', 'adviser_task', ['campaign_id', 'state'], unique=False)
    op.create_index('ix_adviser_task_client_id', 'adviser_task', ['client_id', 'id'], unique=False)
    op.create_index('ix_adviser_task_due_on', 'adviser_task', ['due_on'], unique=False, postgresql_where=sa.text("state IN ('open', 'again', 'escalated')"))
    op.create_index('ix_adviser_task_result_at', 'adviser_task', ['result_at'], unique=False, postgresql_where=sa.text('result_at IS NOT NULL'))
    op.add_column('step', sa.Column('call_script_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_step_call_script_id'), 'step', 'call_script', ['call_script_id'], ['id'])


def downgrade() -> None:
    op.drop_constraint(op.f('fk_step_call_script_id'), 'step', type_='foreignkey')
    op.drop_column('step', 'call_script_id')
    op.drop_table('adviser_task')
    op.drop_table('contact_result')
    op.drop_table('result_import')
    op.drop_table('advising_rules')
    op.drop_table('call_script')
    op.drop_table('absence')
