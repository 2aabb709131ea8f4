"""Text messages through an HTTP gateway, by the real workers."""

from collections.abc import Iterator
from importlib.util import find_spec

from bench.delivery_book import DeliveryBook, PartMissing
from bench.figures import Measure


def measures(book: DeliveryBook) -> Iterator[Measure]:
    if find_spec("app.channels.sms") is None or find_spec("app.channels.sms.http_gateway") is None:
        raise PartMissing("there is no gateway for text messages yet")
    raise PartMissing("not measured yet")
