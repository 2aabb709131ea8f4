"""Until when the registration of an investment adviser is valid."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user_account", sa.Column("registration_until", sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column("user_account", "registration_until")
