"""SMS: what they say, signatures and templates, the local mailbox, parked ones; whom a run reaches on each channel."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0016'
down_revision = '0019'
branch_labels = None
depends_on = None

STATES = "state IN ('not_submitted', 'pending', 'registered', 'refused')"


def upgrade() -> None:
    op.create_table('sms_signature',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('vendor_reference', sa.Text(), nullable=True),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint(STATES, name=op.f('ck_sms_signature_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sms_signature'))
    )
    op.create_index('uq_sms_signature_name', 'sms_signature', [sa.text('lower(name)')], unique=True, postgresql_where=sa.text('archived_at IS NULL'))
    op.create_table('sms_template',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('variables', postgresql.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('vendor_reference', sa.Text(), nullable=True),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint(STATES, name=op.f('ck_sms_template_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sms_template'))
    )
    op.create_index('uq_sms_template_name', 'sms_template', [sa.text('lower(name)')], unique=True, postgresql_where=sa.text('archived_at IS NULL'))
    op.create_table('sms_content',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('signature_id', sa.BigInteger(), nullable=True),
    sa.Column('template_id', sa.BigInteger(), nullable=True),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_sms_content_created_by_id')),
    sa.ForeignKeyConstraint(['signature_id'], ['sms_signature.id'], name=op.f('fk_sms_content_signature_id')),
    sa.ForeignKeyConstraint(['template_id'], ['sms_template.id'], name=op.f('fk_sms_content_template_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sms_content'))
    )
    op.create_table('mailbox_sms',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('recipient', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('parts', sa.BigInteger(), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mailbox_sms'))
    )
    op.create_index('ix_mailbox_sms_recipient', 'mailbox_sms', ['recipient'])
    op.create_table('parked_sms',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('external_id', sa.Text(), nullable=False),
    sa.Column('sender', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('acted', sa.Text(), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('settled_by_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['settled_by_id'], ['user_account.id'], name=op.f('fk_parked_sms_settled_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_parked_sms')),
    sa.UniqueConstraint('source', 'external_id', name=op.f('uq_parked_sms_source_external_id'))
    )
    op.create_index('ix_parked_sms_open', 'parked_sms', ['id'], postgresql_where=sa.text('settled_at IS NULL'))
    op.create_table('run_channel',
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('audience_id', sa.BigInteger(), nullable=False),
    sa.Column('eligible', sa.BigInteger(), nullable=False),
    sa.Column('exclusions', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['audience_id'], ['snapshot.id'], name=op.f('fk_run_channel_audience_id')),
    sa.ForeignKeyConstraint(['run_id'], ['run.id'], name=op.f('fk_run_channel_run_id')),
    sa.PrimaryKeyConstraint('run_id', 'channel', name=op.f('pk_run_channel'))
    )
    op.add_column('step', sa.Column('sms_content_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_step_sms_content_id'), 'step', 'sms_content', ['sms_content_id'], ['id'])


def downgrade() -> None:
    op.drop_constraint(op.f('fk_step_sms_content_id'), 'step', type_='foreignkey')
    op.drop_column('step', 'sms_content_id')
    op.drop_table('run_channel')
    op.drop_table('parked_sms')
    op.drop_table('mailbox_sms')
    op.drop_table('sms_content')
    op.drop_table('sms_template')
    op.drop_table('sms_signature')
