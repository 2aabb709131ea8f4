"""One index over client numbers instead of two: what is unique also finds numbers that begin with something.

The new index is built while the table is in use; the old ones go in a moment's lock.
"""

from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute('CREATE UNIQUE INDEX CONCURRENTLY uq_client_number_prefix ON client (number text_pattern_ops)')
    op.execute('ALTER TABLE client DROP CONSTRAINT uq_client_number')
    op.execute('ALTER INDEX uq_client_number_prefix RENAME TO uq_client_number')
    op.execute('DROP INDEX ix_client_number_prefix')


def downgrade() -> None:
    op.execute('ALTER INDEX uq_client_number RENAME TO uq_client_number_prefix')
    op.execute('ALTER TABLE client ADD CONSTRAINT uq_client_number UNIQUE (number)')
    op.execute('DROP INDEX uq_client_number_prefix')
    op.execute('CREATE INDEX ix_client_number_prefix ON client (number text_pattern_ops)')
