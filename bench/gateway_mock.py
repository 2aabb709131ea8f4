"""`python -m bench.gateway_mock PORT`: a gateway of SMS that accepts everything.

A body with a list "messages" gets a list "results" of as many; any other is one message.
"""

import json
import sys
from itertools import count

from bench.http_mock import serve

_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
_numbers = count(1)


def answer(body: bytes) -> bytes:
    """As the settings of `bench/delivery_sms.py` read it: an id and the word "ok" for each message."""
    asked = json.loads(body)
    messages = asked.get("messages")
    said = _accepted() if messages is None else {"results": [_accepted() for _message in messages]}
    text = json.dumps(said).encode()
    return _HEAD.format(len(text)).encode() + text


def _accepted() -> dict[str, str]:
    return {"id": f"g{next(_numbers)}", "status": "ok"}


if __name__ == "__main__":
    serve(int(sys.argv[1]), answer)
