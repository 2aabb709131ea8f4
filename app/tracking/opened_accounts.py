"""Account openings as what the variants of a step are compared by."""

from pyroaring import BitMap64
from sqlalchemy import select

from app.core.extensions import db
from app.delivery.models import Run, RunTest
from app.tracking.models import AccountOpening


def opened_accounts(run: Run, test: RunTest) -> BitMap64:
    """Clients who opened an account from the launch to the end of the test, prompted or not."""
    opened = select(AccountOpening.client_id).where(
        AccountOpening.client_id.is_not(None),
        AccountOpening.opened_at >= run.created_at,
        AccountOpening.opened_at <= test.ends_at,
    )
    return BitMap64(db.session.scalars(opened))
