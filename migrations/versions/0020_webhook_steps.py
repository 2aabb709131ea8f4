"""What webhook steps say, and whose consent counts for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0020'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('webhook_content',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('contact', sa.Text(), nullable=False),
    sa.Column('data', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("contact IN ('email', 'sms', 'call')", name=op.f('ck_webhook_content_contact')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_webhook_content_created_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_webhook_content'))
    )
    op.add_column('step', sa.Column('webhook_content_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_step_webhook_content_id'), 'step', 'webhook_content', ['webhook_content_id'], ['id'])


def downgrade() -> None:
    op.drop_constraint(op.f('fk_step_webhook_content_id'), 'step', type_='foreignkey')
    op.drop_column('step', 'webhook_content_id')
    op.drop_table('webhook_content')
