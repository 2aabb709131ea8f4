"""`python -m app.demo`: the synthetic firm, or with --data the whole job on a real file."""

import argparse
import os
import sys
from pathlib import Path

from flask_migrate import upgrade
from sqlalchemy import exists, select

from app import create_app
from app.clients.models import Client
from app.config import ConfigError, load_config
from app.core.embedded import adopt_running, embedded_servers
from app.core.extensions import db
from app.demo import real_run
from app.demo.firm import build_firm, demo_sign_ins
from app.demo.processes import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Build the demo firm or run the job on a real file.")
    parser.add_argument("--data", type=Path, help="a client file such as bank-full.csv")
    parser.add_argument("--prepare", action="store_true", help="migrate and fill an empty database (used by make run)")
    arguments = parser.parse_args()
    var_dir = Path(os.environ.get("VAR_DIR", ROOT / "var")).resolve()
    if arguments.data is not None:
        if not arguments.data.is_file():
            sys.stderr.write(f"There is no file {arguments.data}.\n")
            return 2
        return real_run.run(arguments.data.resolve(), var_dir=var_dir)
    adopt_running(var_dir, os.environ)
    with embedded_servers(var_dir, os.environ):
        return prepare(announce=arguments.prepare)


def prepare(*, announce: bool) -> int:
    """Migrate; build the firm where there are no clients yet; say where to sign in."""
    try:
        config = load_config()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    app = create_app(config, web=False)
    with app.app_context():
        upgrade()
        if db.session.scalar(select(exists().where(Client.id.is_not(None)))):
            real_run.say("The database already has clients; nothing was added.")
        else:
            real_run.say("Building the demo firm: 20,000 clients, branches, advisers, past campaigns ...")
            build_firm()
    if announce:
        real_run.say(f"\nBellwether: {config.base_url}\n\nDemo sign-ins:")
    for role, email, password in demo_sign_ins():
        real_run.say(f"  {role:<22} {email:<36} {password}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
