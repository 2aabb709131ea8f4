"""Changes of facts by files: all fields changed at once in one row, with the file; and which file brought a client."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('client_change', sa.Column('changes', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('client_change', sa.Column('import_id', sa.BigInteger(), nullable=True))
    op.add_column('client_change', sa.Column('feed_run_id', sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f('fk_client_change_import_id'), 'client_change', 'client_import', ['import_id'], ['id'])
    op.create_foreign_key(op.f('fk_client_change_feed_run_id'), 'client_change', 'feed_run', ['feed_run_id'], ['id'])
    op.execute('UPDATE client_change SET changes = jsonb_build_object(field, jsonb_build_array(before, after))')
    op.alter_column('client_change', 'changes', nullable=False)
    op.drop_column('client_change', 'field')
    op.drop_column('client_change', 'before')
    op.drop_column('client_change', 'after')
    op.create_table('client_arrival',
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('import_id', sa.BigInteger(), nullable=True),
    sa.Column('feed_run_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['feed_run_id'], ['feed_run.id'], name=op.f('fk_client_arrival_feed_run_id')),
    sa.ForeignKeyConstraint(['import_id'], ['client_import.id'], name=op.f('fk_client_arrival_import_id')),
    sa.PrimaryKeyConstraint('at', name=op.f('pk_client_arrival'))
    )


def downgrade() -> None:
    op.drop_table('client_arrival')
    op.execute("DELETE FROM client_change WHERE source IN ('import', 'feed')")
    for name in ('field', 'before', 'after'):
        op.add_column('client_change', sa.Column(name, sa.Text(), nullable=True))
    op.execute(
        'WITH whole AS (DELETE FROM client_change RETURNING *) '
        'INSERT INTO client_change (client_id, at, actor_id, source, reason, changes, field, before, after) '
        "SELECT client_id, at, actor_id, source, reason, '{}', key, value ->> 0, value ->> 1 "
        'FROM whole CROSS JOIN jsonb_each(changes) ORDER BY id'
    )
    op.alter_column('client_change', 'field', nullable=False)
    op.drop_constraint(op.f('fk_client_change_feed_run_id'), 'client_change', type_='foreignkey')
    op.drop_constraint(op.f('fk_client_change_import_id'), 'client_change', type_='foreignkey')
    op.drop_column('client_change', 'feed_run_id')
    op.drop_column('client_change', 'import_id')
    op.drop_column('client_change', 'changes')
