"""`python -m bench.sendgrid_mock PORT DESCRIPTION`: takes what the vendor's description of `POST /v3/mail/send` allows.

Answers 202 where the body fits the description and 400 where it does not.
"""

import json
import sys
from pathlib import Path
from typing import Any

from bench.http_mock import serve
from bench.schema_check import compile_schema

_ANSWER = "HTTP/1.1 {}\r\nX-Message-Id: mock\r\nContent-Length: 0\r\n\r\n"
TAKEN, REFUSED = _ANSWER.format("202 Accepted").encode(), _ANSWER.format("400 Bad Request").encode()


def mail_send_schema(description: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of the request's body, and the document that it refers to."""
    document = json.loads(description.read_text())
    body = document["components"]["requestBodies"]["PostMailSend"]
    return body["content"]["application/json"]["schema"], document


if __name__ == "__main__":
    fits = compile_schema(*mail_send_schema(Path(sys.argv[2])))
    serve(int(sys.argv[1]), lambda body: TAKEN if fits(json.loads(body)) else REFUSED)
