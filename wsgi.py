"""The web process (`granian --interface wsgi wsgi:app`) and what the `flask` command starts from.

Where no addresses are set, the embedded servers of a running `make run` are used, so the command line works beside it.
"""

import os
from pathlib import Path

from app import start
from app.core.embedded import adopt_running

adopt_running(Path(os.environ.get("VAR_DIR", "var")).resolve(), os.environ)
app = start()
