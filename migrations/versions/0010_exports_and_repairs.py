"""Exports that a second person allows and that expire; the work of repairing addresses."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('repair_task',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_by_id', sa.BigInteger(), nullable=True),
    sa.CheckConstraint("channel IN ('email', 'phone')", name=op.f('ck_repair_task_channel')),
    sa.CheckConstraint("reason IN ('missing', 'bounced', 'wrong')", name=op.f('ck_repair_task_reason')),
    sa.CheckConstraint("state IN ('open', 'done', 'dismissed')", name=op.f('ck_repair_task_state')),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_repair_task_client_id')),
    sa.ForeignKeyConstraint(['closed_by_id'], ['user_account.id'], name=op.f('fk_repair_task_closed_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_repair_task'))
    )
    op.create_index('ix_repair_task_client_id', 'repair_task', ['client_id'], unique=False)
    op.create_index('uq_repair_task_open', 'repair_task', ['client_id', 'channel'], unique=True,
                    postgresql_where=sa.text("state = 'open'"))
    op.create_table('client_export',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('source_id', sa.BigInteger(), nullable=True),
    sa.Column('filters', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('columns', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('format', sa.Text(), nullable=False),
    sa.Column('unmasked', sa.Boolean(), nullable=False),
    sa.Column('purpose', sa.Text(), nullable=False),
    sa.Column('rows', sa.BigInteger(), nullable=True),
    sa.Column('file_id', sa.BigInteger(), nullable=True),
    sa.Column('requested_by_id', sa.BigInteger(), nullable=False),
    sa.Column('requested_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('decided_by_id', sa.BigInteger(), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decision', sa.Text(), nullable=True),
    sa.Column('ready_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('downloads', sa.BigInteger(), server_default='0', nullable=False),
    sa.CheckConstraint("format IN ('csv', 'xlsx')", name=op.f('ck_client_export_format')),
    sa.CheckConstraint("state IN ('asked', 'writing', 'ready', 'refused', 'failed', 'expired')",
                       name=op.f('ck_client_export_state')),
    sa.CheckConstraint('decided_by_id IS DISTINCT FROM requested_by_id',
                       name=op.f('ck_client_export_maker_is_not_checker')),
    sa.ForeignKeyConstraint(['decided_by_id'], ['user_account.id'], name=op.f('fk_client_export_decided_by_id')),
    sa.ForeignKeyConstraint(['file_id'], ['stored_file.id'], name=op.f('fk_client_export_file_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['requested_by_id'], ['user_account.id'], name=op.f('fk_client_export_requested_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_client_export'))
    )
    op.create_index('ix_client_export_requested_by_id', 'client_export', ['requested_by_id', 'id'], unique=False)


def downgrade() -> None:
    op.drop_table('client_export')
    op.drop_table('repair_task')
