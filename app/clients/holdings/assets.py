"""The client's total assets, kept on the client row for lists and segments: they follow the newest balances."""

from datetime import date

from sqlalchemy import Connection, text


def follow_balances(connection: Connection, clients: str, *, on_date: date) -> int:
    """Set the total assets of some clients from the newest balance of each of their accounts, in one statement.

    Accounts closed by `on_date` do not count, nor does what is owed (a balance below zero). A client none of whose
    accounts ever had a balance keeps what another source said. `clients` is SQL of ours that selects client_id.
    Returns how many clients changed.
    """
    changed = connection.execute(
        text(
            f"""
            UPDATE client SET total_assets = followed.total, updated_at = now()
            FROM (
                SELECT a.client_id,
                    coalesce(sum(newest.amount) FILTER (
                        WHERE newest.amount > 0 AND (a.closed_on IS NULL OR a.closed_on > :on_date)), 0) AS total
                FROM ({clients}) AS touched
                JOIN account a ON a.client_id = touched.client_id
                JOIN LATERAL (
                    SELECT b.amount FROM balance b WHERE b.account_id = a.id ORDER BY b.on_date DESC LIMIT 1
                ) AS newest ON true
                GROUP BY a.client_id
            ) AS followed
            WHERE client.id = followed.client_id AND client.total_assets IS DISTINCT FROM followed.total
            """  # noqa: S608 - no input in it
        ),
        {"on_date": on_date},
    )
    return int(changed.rowcount)
