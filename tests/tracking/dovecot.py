"""A Dovecot of its own: IMAP over TLS on a free port of this machine, mail in a temporary folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from ssl import create_default_context

import psutil
from imapclient import IMAPClient

from app.core.embedded import free_port
from tests.factories.certificates import Authority

PROGRAM = shutil.which("dovecot") or "/usr/sbin/dovecot"
USER, PASSWORD = "replies", "a password: with / and @"
PATIENCE = 20  # seconds until it answers

CONFIGURATION = """
base_dir = {root}/run
state_dir = {root}/state
instance_name = {root}
log_path = {root}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{root}/tls/127.0.0.1.pem
ssl_key = <{root}/tls/127.0.0.1.pem
mail_location = maildir:{root}/mail/%u
first_valid_uid = 0
first_valid_gid = 0
default_internal_user = {internal}
default_login_user = {login}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {root}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail/%u allow_all_users=yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
"""


class Dovecot:
    """One server, with one user."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.port = free_port()
        (root / "tls").mkdir()
        authority = Authority(root / "tls")
        authority.server("127.0.0.1")
        self.ca_file = authority.ca_file
        me = pwd.getpwuid(os.geteuid())
        privileged = me.pw_uid == 0
        (root / "users").write_text(f"{USER}:{{PLAIN.b64}}{b64encode(PASSWORD.encode()).decode()}\n")
        owner = pwd.getpwnam("nobody") if privileged else me
        (root / "mail").mkdir()
        if privileged:
            os.chown(root / "mail", owner.pw_uid, owner.pw_gid)
        self._settings = root / "dovecot.conf"
        self._settings.write_text(
            CONFIGURATION.format(
                root=root,
                internal="dovecot" if privileged else me.pw_name,
                login="dovenull" if privileged else me.pw_name,
                uid=owner.pw_uid,
                gid=owner.pw_gid,
                port=self.port,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([PROGRAM, "-F", "-c", str(self._settings)])
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with self.client():
                    return
            except Exception as error:
                if time.monotonic() > until or self._process.poll() is not None:
                    log = self._root / "log"
                    raise RuntimeError(log.read_text() if log.exists() else "no log") from error

    def stop(self) -> None:
        """End the processes it started, and so the connections they serve, and then itself."""
        if self._process is not None:
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            self._process.terminate()
            self._process.wait(timeout=PATIENCE)
            self._process = None

    @contextmanager
    def client(self) -> Iterator[IMAPClient]:
        """Somebody signed in, beside the one who is tried."""
        context = create_default_context(cafile=str(self.ca_file))
        client = IMAPClient("127.0.0.1", self.port, ssl_context=context, timeout=10)
        client.login(USER, PASSWORD)
        try:
            yield client
        finally:
            with suppress(Exception):
                client.logout()

    def deliver(self, *messages: bytes, folder: str = "INBOX") -> None:
        with self.client() as client:
            for raw in messages:
                client.append(folder, raw)

    def flags(self, folder: str = "INBOX") -> list[tuple[bytes, ...]]:
        """The flags of each message that is there."""
        with self.client() as client:
            client.select_folder(folder, readonly=True)
            uids = client.search()
            return [tuple(client.get_flags([uid])[uid]) for uid in uids]


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    """A server that runs until the block ends. Its folder can be entered by the users it runs as."""
    with tempfile.TemporaryDirectory(prefix="bellwether-dovecot-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        server = Dovecot(root)
        server.start()
        try:
            yield server
        finally:
            server.stop()
