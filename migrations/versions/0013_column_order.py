"""The columns of the client table in an order that reads fast: those of fixed width first, then what rules ask most,
then texts, then the slots of custom fields by turns (the first of each kind, the second of each kind, ...).

PostgreSQL walks past every column before the one it wants, in every row. `merged_into_id`, which nearly every question
about clients asks, stood behind eighty slots, and the first number behind all slots for texts.

A table cannot be given another order of columns, so it is written anew. It is one transaction, during which nobody
reads or writes the client table, nor writes to a table that refers to it; it needs the table's size in free disk
space twice (once for the write-ahead log). A million clients took 64 s on two busy cores: see docs/performance.md.
Privileges given by hand on the table are gone afterwards. A view made by hand over it stops the migration before
anything is changed.
"""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

SLOTS = {'text': 24, 'number': 24, 'date': 12, 'yesno': 12, 'list': 8}


def slots(kinds):
    """The slots kind by kind."""
    return [f'{kind}_{position:02}' for kind in kinds for position in range(1, SLOTS[kind] + 1)]


ORDER = [
    'id', 'branch_id', 'created_at', 'updated_at', 'adviser_id', 'second_adviser_id', 'merged_into_id',
    'referred_by_id', 'birth_date', 'opened_on', 'risk_assessed_on', 'risk_level', 'qualified_investor',
    'professional_investor', 'personalisation_refused', 'email_consent', 'sms_consent', 'call_consent', 'status',
    'kind', 'total_assets', 'flags', 'tags', 'city', 'number', 'name', 'first_name', 'last_name', 'gender', 'email',
    'mobile', 'locale', 'time_zone', 'identity_number', 'source', 'email_problem', 'mobile_problem',
    *sorted(slots(SLOTS), key=lambda slot: slot[-2:]),
]
ORDER_BEFORE = [
    'id', 'number', 'kind', 'name', 'first_name', 'last_name', 'gender', 'birth_date', 'email', 'mobile', 'city',
    'locale', 'time_zone', 'branch_id', 'adviser_id', 'status', 'source', 'risk_level', 'risk_assessed_on',
    'qualified_investor', 'opened_on', 'total_assets', 'flags', 'tags', 'email_consent', 'sms_consent', 'call_consent',
    'created_at', 'updated_at', *slots(['text', 'number', 'date', 'yesno']), 'second_adviser_id', 'identity_number',
    'merged_into_id', 'professional_investor', 'referred_by_id', 'personalisation_refused', *slots(['list']),
    'email_problem', 'mobile_problem',
]

COLUMNS = """
    SELECT attname, quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
        || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '') || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = 'client'::regclass AND attnum > 0 AND NOT attisdropped
"""
# Constraints of the table by itself come first, so that the key is there for those that refer to it.
CONSTRAINTS = """
    SELECT format('ALTER TABLE %I ADD CONSTRAINT %I %s', 'client', conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid = 'client'::regclass AND contype IN ('p', 'u', 'c', 'f')
    ORDER BY contype = 'f', conname
"""
INDEXES = """
    SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'client'::regclass
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
    ORDER BY indexrelid
"""
REFERRING = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE confrelid = 'client'::regclass AND conrelid <> confrelid AND conparentid = 0
    ORDER BY conrelid, conname
"""


def rewrite(order):
    """Write the client table anew with its columns in this order; what else belongs to it stays as it was."""
    connection = op.get_bind()
    op.execute('LOCK TABLE client IN ACCESS EXCLUSIVE MODE')
    columns = dict(connection.execute(sa.text(COLUMNS)).all())
    if set(columns) != set(order):
        raise ValueError(f'the client table has other columns than expected: {set(columns) ^ set(order)}')
    sequence = connection.scalar(sa.text("SELECT pg_get_serial_sequence('client', 'id')"))
    constraints = connection.scalars(sa.text(CONSTRAINTS)).all()
    indexes = connection.scalars(sa.text(INDEXES)).all()
    referring = connection.execute(sa.text(REFERRING)).all()

    names = ', '.join(order)
    op.execute('ALTER TABLE client RENAME TO client_before')
    op.execute(f"CREATE TABLE client ({', '.join(columns[name] for name in order)}) WITH (fillfactor = 85)")
    op.execute(f'INSERT INTO client ({names}) SELECT {names} FROM client_before')
    op.execute(f'ALTER SEQUENCE {sequence} OWNED BY client.id')
    for drop, _add in referring:
        op.execute(sa.text(drop))
    op.execute('DROP TABLE client_before')
    for statement in [*indexes, *constraints, *(add for _drop, add in referring)]:
        connection.exec_driver_sql(statement)
    op.execute('ANALYZE client')


def upgrade():
    rewrite(ORDER)


def downgrade():
    rewrite(ORDER_BEFORE)
