"""Facts changed by people, corrections, notes, households, duplicates and merges; more about the firm's own fields."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('client_change',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('actor_id', sa.BigInteger(), nullable=True),
    sa.Column('field', sa.Text(), nullable=False),
    sa.Column('before', sa.Text(), nullable=True),
    sa.Column('after', sa.Text(), nullable=True),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['actor_id'], ['user_account.id'], name=op.f('fk_client_change_actor_id')),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_client_change_client_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_client_change'))
    )
    op.create_index('ix_client_change_client_id', 'client_change', ['client_id', 'at'])
    op.create_table('client_correction',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('field', sa.Text(), nullable=False),
    sa.Column('before', sa.Text(), nullable=True),
    sa.Column('after', sa.Text(), nullable=True),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('proposed_by_id', sa.BigInteger(), nullable=False),
    sa.Column('proposed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('decided_by_id', sa.BigInteger(), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.CheckConstraint("field IN ('email', 'mobile')", name=op.f('ck_client_correction_field')),
    sa.CheckConstraint("state IN ('open', 'confirmed', 'refused', 'superseded')", name=op.f('ck_client_correction_state')),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_client_correction_client_id')),
    sa.ForeignKeyConstraint(['decided_by_id'], ['user_account.id'], name=op.f('fk_client_correction_decided_by_id')),
    sa.ForeignKeyConstraint(['proposed_by_id'], ['user_account.id'], name=op.f('fk_client_correction_proposed_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_client_correction'))
    )
    op.create_index('ix_client_correction_client_id', 'client_correction', ['client_id'])
    op.create_index('uq_client_correction_open', 'client_correction', ['client_id', 'field'], unique=True, postgresql_where=sa.text("state = 'open'"))
    op.create_index('ix_client_correction_waiting', 'client_correction', ['id'], postgresql_where=sa.text("state = 'open'"))
    op.create_table('client_note',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('author_id', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('edited_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['author_id'], ['user_account.id'], name=op.f('fk_client_note_author_id')),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_client_note_client_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_client_note'))
    )
    op.create_index('ix_client_note_client_id', 'client_note', ['client_id', 'id'])
    op.create_table('household',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_household'))
    )
    op.create_table('household_member',
    sa.Column('client_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('household_id', sa.BigInteger(), nullable=False),
    sa.Column('is_head', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('joined_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_household_member_client_id')),
    sa.ForeignKeyConstraint(['household_id'], ['household.id'], name=op.f('fk_household_member_household_id')),
    sa.PrimaryKeyConstraint('client_id', name=op.f('pk_household_member'))
    )
    op.create_index('ix_household_member_household_id', 'household_member', ['household_id'])
    op.create_index('uq_household_member_head', 'household_member', ['household_id'], unique=True, postgresql_where=sa.text('is_head'))
    op.create_table('duplicate_pair',
    sa.Column('first_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('second_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('signs', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('strength', sa.SmallInteger(), nullable=False),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('found_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('decided_by_id', sa.BigInteger(), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.CheckConstraint('first_id < second_id', name=op.f('ck_duplicate_pair_order')),
    sa.CheckConstraint("state IN ('open', 'dismissed', 'merged')", name=op.f('ck_duplicate_pair_state')),
    sa.ForeignKeyConstraint(['decided_by_id'], ['user_account.id'], name=op.f('fk_duplicate_pair_decided_by_id')),
    sa.ForeignKeyConstraint(['first_id'], ['client.id'], name=op.f('fk_duplicate_pair_first_id')),
    sa.ForeignKeyConstraint(['second_id'], ['client.id'], name=op.f('fk_duplicate_pair_second_id')),
    sa.PrimaryKeyConstraint('first_id', 'second_id', name=op.f('pk_duplicate_pair'))
    )
    op.create_index('ix_duplicate_pair_second_id', 'duplicate_pair', ['second_id'])
    op.create_index('ix_duplicate_pair_open', 'duplicate_pair', ['strength', 'first_id', 'second_id'], postgresql_where=sa.text("state = 'open'"))
    op.create_table('client_merge',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('loser_id', sa.BigInteger(), nullable=False),
    sa.Column('survivor_id', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('actor_id', sa.BigInteger(), nullable=True),
    sa.Column('moved', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.CheckConstraint('loser_id <> survivor_id', name=op.f('ck_client_merge_two')),
    sa.ForeignKeyConstraint(['actor_id'], ['user_account.id'], name=op.f('fk_client_merge_actor_id')),
    sa.ForeignKeyConstraint(['loser_id'], ['client.id'], name=op.f('fk_client_merge_loser_id')),
    sa.ForeignKeyConstraint(['survivor_id'], ['client.id'], name=op.f('fk_client_merge_survivor_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_client_merge')),
    sa.UniqueConstraint('loser_id', name=op.f('uq_client_merge_loser_id'))
    )
    op.create_index('ix_client_merge_survivor_id', 'client_merge', ['survivor_id'])
    op.create_index('ix_client_referred_by_id', 'client', ['referred_by_id'], postgresql_where=sa.text('referred_by_id IS NOT NULL'))
    op.add_column('custom_field', sa.Column('description', sa.Text(), nullable=True))
    op.add_column('custom_field', sa.Column('position', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('custom_field', sa.Column('edited_by', sa.Text(), server_default='staff', nullable=False))
    op.add_column('custom_field', sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('custom_field', sa.Column('freeing_at', sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f('ck_custom_field_edited_by'), 'custom_field', "edited_by IN ('staff', 'managers', 'feeds')")
    op.execute('UPDATE custom_field SET position = id')
    op.execute('CREATE SEQUENCE lead_number')


def downgrade() -> None:
    op.execute('DROP SEQUENCE lead_number')
    op.drop_constraint(op.f('ck_custom_field_edited_by'), 'custom_field', type_='check')
    op.drop_column('custom_field', 'freeing_at')
    op.drop_column('custom_field', 'archived_at')
    op.drop_column('custom_field', 'edited_by')
    op.drop_column('custom_field', 'position')
    op.drop_column('custom_field', 'description')
    op.drop_index('ix_client_referred_by_id', table_name='client')
    for name in ('client_merge', 'duplicate_pair', 'household_member', 'household', 'client_note', 'client_correction', 'client_change'):
        op.drop_table(name)
