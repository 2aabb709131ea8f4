"""value models: who activated a version, the runs that computed classes, and what may not be overridden"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('class_run',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('on_date', sa.Date(), nullable=False),
    sa.Column('versions', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('cut_points', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('done_up_to', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('written', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('moves', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_class_run'))
    )
    op.add_column('model_version', sa.Column('activated_by_id', sa.BigInteger(), nullable=True))
    op.add_column('model_version', sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('model_version', sa.Column('revision', sa.BigInteger(), server_default='1', nullable=False))
    op.create_foreign_key(op.f('fk_model_version_activated_by_id'), 'model_version', 'user_account', ['activated_by_id'], ['id'])
    op.create_check_constraint(op.f('ck_class_override_model'), 'class_override', "model <> 'suitability'")
    op.execute('ALTER TABLE client_class SET (fillfactor = 90)')  # room on the page for the classes that change


def downgrade() -> None:
    op.execute('ALTER TABLE client_class RESET (fillfactor)')
    op.drop_constraint(op.f('ck_class_override_model'), 'class_override', type_='check')
    op.drop_constraint(op.f('fk_model_version_activated_by_id'), 'model_version', type_='foreignkey')
    op.drop_column('model_version', 'revision')
    op.drop_column('model_version', 'retired_at')
    op.drop_column('model_version', 'activated_by_id')
    op.drop_table('class_run')
