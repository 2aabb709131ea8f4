"""Export files of other products, whose opt-outs and consents are taken over."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('client_switch',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('product', sa.Text(), nullable=False),
    sa.Column('file_id', sa.BigInteger(), nullable=False),
    sa.Column('file_name', sa.Text(), nullable=False),
    sa.Column('everyone_out', sa.Boolean(), nullable=False),
    sa.Column('wording', sa.Text(), nullable=True),
    sa.Column('legal_basis', sa.Text(), nullable=True),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('job_id', sa.BigInteger(), nullable=True),
    sa.Column('rows_total', sa.BigInteger(), nullable=True),
    sa.Column('rows_done', sa.BigInteger(), nullable=False),
    sa.Column('counts', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('refused', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('looking', 'ready', 'running', 'done', 'failed')", name=op.f('ck_client_switch_state')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_client_switch_created_by_id')),
    sa.ForeignKeyConstraint(['file_id'], ['stored_file.id'], name=op.f('fk_client_switch_file_id')),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_client_switch_job_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_client_switch'))
    )
    op.create_index('ix_client_switch_created_by_id', 'client_switch', ['created_by_id', 'id'], unique=False)


def downgrade() -> None:
    op.drop_table('client_switch')
