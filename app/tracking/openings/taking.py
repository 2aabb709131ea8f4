"""Taking openings that were reported: each once by its source and the source's own id, however often it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text

from app.core.extensions import db
from app.tracking.openings.codes import clients_of_codes


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening as reported. `external_id` is the reporting system's own id for it.

    It is matched by what it carries: the client's number, a tracking code of ours, an e-mail address, a mobile number
    (E.164). `kind` is opening or transfer_in. `amount` (firm's currency) is the first deposit, or what was moved here.
    """

    external_id: str
    client_number: str | None
    opened_at: datetime
    account_number: str | None = None
    product: str | None = None
    amount: Decimal | None = None
    kind: str = "opening"
    email: str | None = None
    mobile: str | None = None
    tracking_code: str | None = None


_INSERT = text(
    """
    INSERT INTO account_opening
        (source, external_id, client_number, client_id, matched_by, account_number, product, opened_at, amount, kind,
         email, mobile, tracking_code)
    SELECT :source, reported.external_id, reported.client_number, coalesce(named.merged_into_id, named.id, coded.id),
           CASE WHEN named.id IS NOT NULL THEN 'number' WHEN coded.id IS NOT NULL THEN 'tracking_code' END,
           reported.account_number, reported.product, reported.opened_at, reported.amount, reported.kind,
           reported.email, reported.mobile, reported.tracking_code
    FROM unnest(CAST(:external_ids AS text[]), CAST(:client_numbers AS text[]), CAST(:account_numbers AS text[]),
                CAST(:products AS text[]), CAST(:times AS timestamptz[]), CAST(:amounts AS numeric[]),
                CAST(:kinds AS text[]), CAST(:emails AS text[]), CAST(:mobiles AS text[]), CAST(:codes AS text[]),
                CAST(:coded_clients AS bigint[]))
         AS reported (external_id, client_number, account_number, product, opened_at, amount, kind, email, mobile,
                      tracking_code, coded_client_id)
    LEFT JOIN client AS named ON named.number = reported.client_number
    LEFT JOIN client AS coded ON coded.id = reported.coded_client_id
    ON CONFLICT (source, external_id) DO NOTHING
    RETURNING external_id
    """
)


def insert_openings(*, source: str, openings: Sequence[Opening]) -> set[str]:
    """Write the openings that are not known yet, matched by number or tracking code where they can be.

    Returns the external ids of the new ones. What is left is matched by `matching.match_waiting`.
    """
    if not openings:
        return set()
    coded = clients_of_codes({opening.tracking_code for opening in openings if opening.tracking_code})
    return set(
        db.session.scalars(
            _INSERT,
            {
                "source": source,
                "external_ids": [opening.external_id for opening in openings],
                "client_numbers": [opening.client_number for opening in openings],
                "account_numbers": [opening.account_number for opening in openings],
                "products": [opening.product for opening in openings],
                "times": [opening.opened_at for opening in openings],
                "amounts": [opening.amount for opening in openings],
                "kinds": [opening.kind for opening in openings],
                "emails": [opening.email for opening in openings],
                "mobiles": [opening.mobile for opening in openings],
                "codes": [opening.tracking_code for opening in openings],
                "coded_clients": [coded.get(opening.tracking_code or "") for opening in openings],
            },
        )
    )
