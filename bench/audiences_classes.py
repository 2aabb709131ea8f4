"""Classes of the whole book by all value models: the first time, when one client in a hundred moved, and a preview."""

from collections.abc import Iterator

from sqlalchemy import func, select, text

from app.clients.classes.computing import compute_all
from app.clients.classes.models import ClientClass
from app.clients.classes.parsing import dump_parameters, parse_parameters
from app.clients.classes.queries import class_sizes, preview_moves
from app.clients.classes.versions import active_parameters
from app.clients.metrics.models import ClientMetrics
from app.clients.metrics.service import refresh_metrics
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from bench.big_book import Book
from bench.figures import Measure
from bench.measuring import seconds

_MOVED = text(
    """
    UPDATE client_metrics
    SET total_assets = total_assets * 7 + 60000, fees_365 = coalesce(fees_365, 0) + 900,
        turnover_rate_365 = coalesce(turnover_rate_365, 0) + 3, last_transaction_on = as_of
    WHERE client_id % 100 = 0
    """
)


def measures(book: Book) -> Iterator[Measure]:
    if not db.session.scalar(select(ClientMetrics.client_id).limit(1)):
        with unit_of_work():
            refresh_metrics()
    _run("TRUNCATE client_class, class_change, class_run", "VACUUM ANALYZE client_metrics")
    yield Measure("classes, first time", book.clients, seconds(compute_all), "s", bound=60, on="value")
    assert db.session.scalar(select(func.count(ClientClass.client_id))) == book.clients
    _run("VACUUM ANALYZE client_class")
    with unit_of_work() as session:
        session.execute(_MOVED)
    _run("VACUUM ANALYZE client_metrics")
    yield Measure("classes, 1 % moved", book.clients, seconds(compute_all), "s", bound=20, on="value")
    model = "profit_stability"
    changed = parse_parameters(model, dump_parameters(active_parameters(model)) | {"profit_cut": "60"})
    taken = seconds(lambda: preview_moves(model, changed, user=None))
    yield Measure("preview of a value model", book.clients, taken, "s")
    yield Measure("sizes of all classes", book.clients, seconds(lambda: class_sizes(user=None)), "s")
    db.session.rollback()


def _run(*statements: str) -> None:
    """Each by itself, outside of a transaction."""
    db.session.rollback()
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))
