"""The client book in full: teams, owners, positions, metrics, classes, engagement; balances and transactions by month."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

LIST_SLOTS = [f'list_{position:02}' for position in range(1, 9)]
FIELD_TYPES = "type IN ('text', 'choice', 'number', 'money', 'date', 'yesno'{more})"


def upgrade() -> None:
    op.create_unique_constraint(op.f('uq_account_id_client_id'), 'account', ['id', 'client_id'])
    op.create_table('client_class',
    sa.Column('client_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('aum_tier', sa.Text(), nullable=True),
    sa.Column('contribution_turnover', sa.Text(), nullable=True),
    sa.Column('profit_stability', sa.Text(), nullable=True),
    sa.Column('life_cycle', sa.Text(), nullable=True),
    sa.Column('suitability', sa.SmallInteger(), nullable=True),
    sa.Column('scorecard', sa.Text(), nullable=True),
    sa.Column('contribution', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('stability', sa.Double(), nullable=True),
    sa.Column('score', sa.Double(), nullable=True),
    sa.Column('potential', sa.Double(), nullable=True),
    sa.Column('computed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('suitability BETWEEN 0 AND 5', name=op.f('ck_client_class_suitability')),
    sa.PrimaryKeyConstraint('client_id', name=op.f('pk_client_class'))
    )
    op.create_table('client_metrics',
    sa.Column('client_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('as_of', sa.Date(), nullable=False),
    sa.Column('total_assets', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('average_balance_30', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('average_balance_90', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('average_balance_365', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('assets_change_30', sa.Double(), nullable=True),
    sa.Column('assets_change_90', sa.Double(), nullable=True),
    sa.Column('debt', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('average_debt_365', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('net_inflow_30', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('net_inflow_90', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('net_inflow_365', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('trades_30', sa.Integer(), nullable=True),
    sa.Column('trades_90', sa.Integer(), nullable=True),
    sa.Column('trades_365', sa.Integer(), nullable=True),
    sa.Column('traded_value_30', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('traded_value_90', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('traded_value_365', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('turnover_rate_365', sa.Double(), nullable=True),
    sa.Column('fees_30', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('fees_90', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('fees_365', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('last_trade_on', sa.Date(), nullable=True),
    sa.Column('last_transaction_on', sa.Date(), nullable=True),
    sa.Column('active_months_365', sa.Integer(), nullable=True),
    sa.Column('order_channel', sa.Text(), nullable=True),
    sa.Column('open_accounts', sa.Integer(), nullable=True),
    sa.Column('product_kinds', postgresql.ARRAY(sa.Text()), nullable=True),
    sa.Column('product_kind_count', sa.Integer(), nullable=True),
    sa.Column('position_value', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('position_ratio', sa.Double(), nullable=True),
    sa.Column('profit_loss', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('underwater_share', sa.Double(), nullable=True),
    sa.Column('last_contact_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('computed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('client_id', name=op.f('pk_client_metrics'))
    )
    op.create_table('team',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('parent_id', sa.BigInteger(), nullable=True),
    sa.Column('path', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['parent_id'], ['team.id'], name=op.f('fk_team_parent_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_team')),
    sa.UniqueConstraint('name', name=op.f('uq_team_name'))
    )
    op.create_index('ix_team_path', 'team', ['path'], unique=False, postgresql_ops={'path': 'text_pattern_ops'})
    op.create_table('model_version',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Text(), server_default='draft', nullable=False),
    sa.Column('parameters', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('effective_on', sa.Date(), nullable=True),
    sa.Column('created_by_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('activated_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("model IN ('aum_tier', 'contribution_turnover', 'profit_stability', 'life_cycle', 'suitability', 'scorecard')", name=op.f('ck_model_version_model')),
    sa.CheckConstraint("state IN ('draft', 'scheduled', 'active', 'retired')", name=op.f('ck_model_version_state')),
    sa.ForeignKeyConstraint(['created_by_id'], ['user_account.id'], name=op.f('fk_model_version_created_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_model_version'))
    )
    op.create_index('uq_model_version_active', 'model_version', ['model'], unique=True, postgresql_where=sa.text("state = 'active'"))
    op.create_index('uq_model_version_number', 'model_version', ['model', 'number'], unique=True)
    op.create_table('class_change',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('was', sa.Text(), nullable=True),
    sa.Column('is_now', sa.Text(), nullable=True),
    sa.Column('on_date', sa.Date(), nullable=False),
    sa.Column('version_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_class_change_client_id')),
    sa.ForeignKeyConstraint(['version_id'], ['model_version.id'], name=op.f('fk_class_change_version_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_class_change'))
    )
    op.create_index('ix_class_change_client_id', 'class_change', ['client_id', 'model', 'on_date'], unique=False)
    op.create_index('ix_class_change_model', 'class_change', ['model', 'on_date'], unique=False)
    op.create_table('class_override',
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('class_code', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('expires_on', sa.Date(), nullable=False),
    sa.Column('set_by_id', sa.BigInteger(), nullable=True),
    sa.Column('set_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_class_override_client_id')),
    sa.ForeignKeyConstraint(['set_by_id'], ['user_account.id'], name=op.f('fk_class_override_set_by_id')),
    sa.PrimaryKeyConstraint('client_id', 'model', name=op.f('pk_class_override'))
    )
    op.create_table('engagement',
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('campaign_id', sa.BigInteger(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('first_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("kind IN ('contacted', 'opened', 'clicked', 'replied')", name=op.f('ck_engagement_kind')),
    sa.ForeignKeyConstraint(['client_id'], ['client.id'], name=op.f('fk_engagement_client_id')),
    sa.PrimaryKeyConstraint('client_id', 'kind', 'campaign_id', name=op.f('pk_engagement'))
    )
    op.create_index('ix_engagement_campaign_id', 'engagement', ['campaign_id', 'kind'], unique=False)
    op.create_index('ix_engagement_kind', 'engagement', ['kind', 'last_at'], unique=False)
    op.create_table('position',
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('product_code', sa.Text(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('product_name', sa.Text(), nullable=True),
    sa.Column('product_kind', sa.Text(), nullable=False),
    sa.Column('product_risk', sa.SmallInteger(), nullable=True),
    sa.Column('value', sa.Numeric(precision=18, scale=2), nullable=False),
    sa.Column('cost', sa.Numeric(precision=18, scale=2), nullable=True),
    sa.Column('on_date', sa.Date(), nullable=False),
    sa.ForeignKeyConstraint(['account_id', 'client_id'], ['account.id', 'account.client_id'], name=op.f('fk_position_account_id_client_id'), onupdate='CASCADE'),
    sa.PrimaryKeyConstraint('account_id', 'product_code', name=op.f('pk_position'))
    )
    op.create_index('ix_position_client_id', 'position', ['client_id'], unique=False)
    op.add_column('account', sa.Column('activated_on', sa.Date(), nullable=True))
    op.add_column('account', sa.Column('matures_on', sa.Date(), nullable=True))
    op.create_index('ix_account_opened_on', 'account', ['opened_on'], unique=False)
    partition_by_month()
    op.add_column('client', sa.Column('second_adviser_id', sa.BigInteger(), nullable=True))
    op.add_column('client', sa.Column('identity_number', sa.Text(), nullable=True))
    op.add_column('client', sa.Column('merged_into_id', sa.BigInteger(), nullable=True))
    op.add_column('client', sa.Column('professional_investor', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('client', sa.Column('referred_by_id', sa.BigInteger(), nullable=True))
    op.add_column('client', sa.Column('personalisation_refused', sa.Boolean(), server_default='false', nullable=False))
    for slot in LIST_SLOTS:
        op.add_column('client', sa.Column(slot, postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column('client', sa.Column('email_problem', sa.Text(), nullable=True))
    op.add_column('client', sa.Column('mobile_problem', sa.Text(), nullable=True))
    op.create_index('ix_client_identity_number', 'client', ['identity_number'], unique=False, postgresql_where=sa.text('identity_number IS NOT NULL'))
    op.create_index('ix_client_merged_into_id', 'client', ['merged_into_id'], unique=False, postgresql_where=sa.text('merged_into_id IS NOT NULL'))
    op.create_index('ix_client_second_adviser_id', 'client', ['second_adviser_id'], unique=False, postgresql_where=sa.text('second_adviser_id IS NOT NULL'))
    op.create_foreign_key(op.f('fk_client_merged_into_id'), 'client', 'client', ['merged_into_id'], ['id'])
    op.create_foreign_key(op.f('fk_client_second_adviser_id'), 'client', 'user_account', ['second_adviser_id'], ['id'])
    op.create_foreign_key(op.f('fk_client_referred_by_id'), 'client', 'client', ['referred_by_id'], ['id'])
    op.add_column('user_account', sa.Column('team_id', sa.BigInteger(), nullable=True))
    op.add_column('user_account', sa.Column('leads_team', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('user_account', sa.Column('client_capacity', sa.Integer(), nullable=True))
    op.add_column('user_account', sa.Column('marketing_post', sa.Boolean(), server_default='true', nullable=False))
    op.add_column('user_account', sa.Column('registration_number', sa.Text(), nullable=True))
    op.add_column('user_account', sa.Column('frozen_at', sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(op.f('fk_user_account_team_id'), 'user_account', 'team', ['team_id'], ['id'])
    op.drop_constraint(op.f('ck_custom_field_type'), 'custom_field', type_='check')
    op.create_check_constraint(op.f('ck_custom_field_type'), 'custom_field', FIELD_TYPES.format(more=", 'multichoice'"))


def downgrade() -> None:
    op.execute("DELETE FROM custom_field WHERE type = 'multichoice'")
    op.drop_constraint(op.f('ck_custom_field_type'), 'custom_field', type_='check')
    op.create_check_constraint(op.f('ck_custom_field_type'), 'custom_field', FIELD_TYPES.format(more=''))
    op.drop_constraint(op.f('fk_user_account_team_id'), 'user_account', type_='foreignkey')
    op.drop_column('user_account', 'frozen_at')
    op.drop_column('user_account', 'registration_number')
    op.drop_column('user_account', 'marketing_post')
    op.drop_column('user_account', 'client_capacity')
    op.drop_column('user_account', 'leads_team')
    op.drop_column('user_account', 'team_id')
    op.drop_constraint(op.f('fk_client_referred_by_id'), 'client', type_='foreignkey')
    op.drop_constraint(op.f('fk_client_second_adviser_id'), 'client', type_='foreignkey')
    op.drop_constraint(op.f('fk_client_merged_into_id'), 'client', type_='foreignkey')
    op.drop_index('ix_client_second_adviser_id', table_name='client', postgresql_where=sa.text('second_adviser_id IS NOT NULL'))
    op.drop_index('ix_client_merged_into_id', table_name='client', postgresql_where=sa.text('merged_into_id IS NOT NULL'))
    op.drop_index('ix_client_identity_number', table_name='client', postgresql_where=sa.text('identity_number IS NOT NULL'))
    for slot in LIST_SLOTS:
        op.drop_column('client', slot)
    op.drop_column('client', 'mobile_problem')
    op.drop_column('client', 'email_problem')
    op.drop_column('client', 'personalisation_refused')
    op.drop_column('client', 'referred_by_id')
    op.drop_column('client', 'professional_investor')
    op.drop_column('client', 'merged_into_id')
    op.drop_column('client', 'identity_number')
    op.drop_column('client', 'second_adviser_id')
    undo_partitions()
    op.drop_index('ix_account_opened_on', table_name='account')
    op.drop_column('account', 'matures_on')
    op.drop_column('account', 'activated_on')
    op.drop_index('ix_position_client_id', table_name='position')
    op.drop_table('position')
    op.drop_index('ix_engagement_kind', table_name='engagement')
    op.drop_index('ix_engagement_campaign_id', table_name='engagement')
    op.drop_table('engagement')
    op.drop_table('class_override')
    op.drop_index('ix_class_change_model', table_name='class_change')
    op.drop_index('ix_class_change_client_id', table_name='class_change')
    op.drop_table('class_change')
    op.drop_index('uq_model_version_number', table_name='model_version')
    op.drop_index('uq_model_version_active', table_name='model_version', postgresql_where=sa.text("state = 'active'"))
    op.drop_table('model_version')
    op.drop_index('ix_team_path', table_name='team', postgresql_ops={'path': 'text_pattern_ops'})
    op.drop_table('team')
    op.drop_constraint(op.f('uq_account_id_client_id'), 'account', type_='unique')
    op.drop_table('client_metrics')
    op.drop_table('client_class')


def partition_by_month() -> None:
    """Balances and transactions move into tables partitioned by month, with the client beside the account."""
    for table, columns in (
        ('balance', 'account_id, on_date, amount'),
        ('transaction', 'source, external_id, on_date, account_id, kind, amount, fee, order_channel'),
    ):
        op.rename_table(table, f'old_{table}')
        op.execute(f"ALTER TABLE old_{table} RENAME CONSTRAINT pk_{table} TO pk_old_{table}")
        if table == 'transaction':
            op.drop_index('ix_transaction_account_id', table_name='old_transaction')
            op.execute("ALTER SEQUENCE transaction_id_seq RENAME TO old_transaction_id_seq")
        create_partitioned(table)
        make_months(table)
        op.execute(
            f'INSERT INTO "{table}" ({columns}, client_id) '
            f'SELECT {", ".join("old." + name for name in columns.split(", "))}, account.client_id '
            f'FROM old_{table} AS old JOIN account ON account.id = old.account_id'
        )
        op.drop_table(f'old_{table}')


def create_partitioned(table: str) -> None:
    of_account = sa.ForeignKeyConstraint(
        ['account_id', 'client_id'], ['account.id', 'account.client_id'],
        name=f'fk_{table}_account_id_client_id', onupdate='CASCADE',
    )
    if table == 'balance':
        op.create_table('balance',
        sa.Column('account_id', sa.BigInteger(), nullable=False),
        sa.Column('on_date', sa.Date(), nullable=False),
        sa.Column('client_id', sa.BigInteger(), nullable=False),
        sa.Column('amount', sa.Numeric(precision=18, scale=2), nullable=False),
        of_account,
        sa.PrimaryKeyConstraint('account_id', 'on_date', name='pk_balance'),
        postgresql_partition_by='RANGE (on_date)',
        )
        op.create_index('ix_balance_client_id', 'balance', ['client_id', 'on_date'], unique=False)
        return
    op.create_table('transaction',
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('external_id', sa.Text(), nullable=False),
    sa.Column('on_date', sa.Date(), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('client_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=18, scale=2), nullable=False),
    sa.Column('fee', sa.Numeric(precision=18, scale=2), server_default='0', nullable=False),
    sa.Column('order_channel', sa.Text(), nullable=True),
    of_account,
    sa.PrimaryKeyConstraint('source', 'external_id', 'on_date', name='pk_transaction'),
    postgresql_partition_by='RANGE (on_date)',
    )
    op.create_index('ix_transaction_account_id', 'transaction', ['account_id', 'on_date'], unique=False)
    op.create_index('ix_transaction_client_id', 'transaction', ['client_id', 'on_date'], unique=False)


def make_months(table: str) -> None:
    """A partition for each month that the old table has rows of."""
    op.execute(
        f"""
        DO $$ DECLARE month date; BEGIN
            FOR month IN SELECT DISTINCT date_trunc('month', on_date)::date FROM old_{table} LOOP
                EXECUTE format('CREATE TABLE {table}_%s PARTITION OF "{table}" FOR VALUES FROM (%L) TO (%L)',
                               to_char(month, 'YYYYMM'), month, (month + interval '1 month')::date);
            END LOOP;
        END $$
        """
    )


def undo_partitions() -> None:
    """One table each again. Of corrections under the same source and id the newest date stays."""
    op.rename_table('balance', 'new_balance')
    op.execute("ALTER TABLE new_balance RENAME CONSTRAINT pk_balance TO pk_new_balance")
    op.create_table('balance',
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('on_date', sa.Date(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=18, scale=2), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name='fk_balance_account_id'),
    sa.PrimaryKeyConstraint('account_id', 'on_date', name='pk_balance')
    )
    op.execute("INSERT INTO balance (account_id, on_date, amount) SELECT account_id, on_date, amount FROM new_balance")
    op.drop_table('new_balance')
    op.rename_table('transaction', 'new_transaction')
    op.execute("ALTER TABLE new_transaction RENAME CONSTRAINT pk_transaction TO pk_new_transaction")
    op.drop_index('ix_transaction_account_id', table_name='new_transaction')
    op.create_table('transaction',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('account_id', sa.BigInteger(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('external_id', sa.Text(), nullable=False),
    sa.Column('on_date', sa.Date(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=18, scale=2), nullable=False),
    sa.Column('fee', sa.Numeric(precision=18, scale=2), server_default='0', nullable=False),
    sa.Column('order_channel', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name='fk_transaction_account_id'),
    sa.PrimaryKeyConstraint('id', name='pk_transaction'),
    sa.UniqueConstraint('source', 'external_id', name='uq_transaction_source_external_id')
    )
    op.create_index('ix_transaction_account_id', 'transaction', ['account_id', 'on_date'], unique=False)
    op.execute(
        "INSERT INTO transaction (account_id, source, external_id, on_date, kind, amount, fee, order_channel) "
        "SELECT DISTINCT ON (source, external_id) account_id, source, external_id, on_date, kind, amount, fee, "
        "order_channel FROM new_transaction ORDER BY source, external_id, on_date DESC"
    )
    op.drop_table('new_transaction')
