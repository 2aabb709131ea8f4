"""Feeds: definitions of files that arrive again and again, their runs and refused rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('feed',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('definition', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('sample', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('schedule', sa.Text(), nullable=True),
    sa.Column('daily_at', sa.Time(), nullable=True),
    sa.Column('next_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('collecting_job_id', sa.BigInteger(), nullable=True),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("kind IN ('clients', 'accounts', 'balances', 'transactions', 'positions')", name=op.f('ck_feed_kind')),
    sa.CheckConstraint("schedule IN ('hourly', 'daily')", name=op.f('ck_feed_schedule')),
    sa.CheckConstraint("schedule <> 'daily' OR daily_at IS NOT NULL", name=op.f('ck_feed_daily_at')),
    sa.ForeignKeyConstraint(['collecting_job_id'], ['job.id'], name=op.f('fk_feed_collecting_job_id')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_feed_created_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_feed')),
    sa.UniqueConstraint('name', name=op.f('uq_feed_name'))
    )
    op.create_table('feed_run',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('feed_id', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('file_name', sa.Text(), nullable=False),
    sa.Column('file_id', sa.BigInteger(), nullable=True),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('sha256', sa.Text(), nullable=True),
    sa.Column('ends_with_line_end', sa.Boolean(), nullable=True),
    sa.Column('again', sa.Boolean(), nullable=False),
    sa.Column('columns', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('job_id', sa.BigInteger(), nullable=True),
    sa.Column('repeats_id', sa.BigInteger(), nullable=True),
    sa.Column('rows_read', sa.BigInteger(), nullable=False),
    sa.Column('left_out', sa.BigInteger(), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.Column('changed', sa.BigInteger(), nullable=False),
    sa.Column('unchanged', sa.BigInteger(), nullable=False),
    sa.Column('refused', sa.BigInteger(), nullable=False),
    sa.Column('clients_created', sa.BigInteger(), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('waiting', 'running', 'done', 'repeated', 'failed')", name=op.f('ck_feed_run_state')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_feed_run_created_by_id')),
    sa.ForeignKeyConstraint(['feed_id'], ['feed.id'], name=op.f('fk_feed_run_feed_id')),
    sa.ForeignKeyConstraint(['file_id'], ['stored_file.id'], name=op.f('fk_feed_run_file_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_feed_run_job_id')),
    sa.ForeignKeyConstraint(['repeats_id'], ['feed_run.id'], name=op.f('fk_feed_run_repeats_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_feed_run'))
    )
    op.create_index('ix_feed_run_feed_id', 'feed_run', ['feed_id', 'id'], unique=False)
    op.create_index('ix_feed_run_sha256', 'feed_run', ['feed_id', 'sha256'], unique=False, postgresql_where=sa.text("state = 'done'"))
    op.create_table('feed_refusal',
    sa.Column('run_id', sa.BigInteger(), nullable=False),
    sa.Column('row_number', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('cells', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['run_id'], ['feed_run.id'], name=op.f('fk_feed_refusal_run_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('run_id', 'row_number', name=op.f('pk_feed_refusal'))
    )


def downgrade() -> None:
    op.drop_table('feed_refusal')
    op.drop_index('ix_feed_run_sha256', table_name='feed_run', postgresql_where=sa.text("state = 'done'"))
    op.drop_index('ix_feed_run_feed_id', table_name='feed_run')
    op.drop_table('feed_run')
    op.drop_table('feed')
