"""ownership"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'ownership',
        sa.Column('id', sa.BigInteger(), nullable=False),
        sa.Column('client_id', sa.BigInteger(), nullable=False),
        sa.Column('adviser_id', sa.BigInteger(), nullable=False),
        sa.Column('role', sa.Text(), nullable=False),
        sa.Column('since', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('by_id', sa.BigInteger(), nullable=True),
        sa.Column('reason', sa.Text(), nullable=True),
        sa.CheckConstraint("role IN ('owner', 'second', 'credit')", name=op.f('ck_ownership_role')),
        sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_ownership_client_id_client')),
        sa.ForeignKeyConstraint(['adviser_id'], ['user_account.id'], name=op.f('fk_ownership_adviser_id_user_account')),
        sa.ForeignKeyConstraint(['by_id'], ['user_account.id'], name=op.f('fk_ownership_by_id_user_account')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_ownership')),
    )
    op.create_index('ix_ownership_client_id', 'ownership', ['client_id'])
    op.create_index(
        'ix_ownership_adviser_id', 'ownership', ['adviser_id'], postgresql_where=sa.text('until IS NULL')
    )
    op.create_index(
        'uq_ownership_present', 'ownership', ['client_id', 'role'],
        unique=True, postgresql_where=sa.text('until IS NULL'),
    )
    op.create_table(
        'ownership_settings',
        sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('default_capacity', sa.Integer(), nullable=False),
        sa.CheckConstraint('id = 1', name=op.f('ck_ownership_settings_single')),
        sa.CheckConstraint(
            'default_capacity BETWEEN 1 AND 100000', name=op.f('ck_ownership_settings_default_capacity')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_ownership_settings')),
    )


def downgrade() -> None:
    op.drop_table('ownership_settings')
    op.drop_table('ownership')
