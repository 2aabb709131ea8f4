"""A real Postfix of its own on a free port of loopback: takes mail for example.com and keeps it in a Maildir."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from pwd import getpwnam
from socket import create_connection
from tempfile import gettempdir

from app.core.embedded import free_port

DAEMONS = Path("/usr/lib/postfix/sbin")
PATIENCE = 20.0
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
mail_owner = postfix
myhostname = relay.example.net
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
message_size_limit = 200000
smtpd_client_connection_count_limit = 0
smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/relay.example.net.pem
virtual_mailbox_domains = example.com
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {{kept@example.com=kept/}} {{maria@example.com=kept/}} {{josé@example.com=kept/}} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_recipient_restrictions =
    check_recipient_access inline:{{ {{later@example.com=450 4.2.1 later}} {{never@example.com=550 5.7.1 no}} }},
    reject_unlisted_recipient, permit_mynetworks, reject
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True)
class Postfix:
    port: int
    folder: Path

    def kept(self, count: int) -> list[Message]:
        """The messages that were delivered, once there are so many."""
        end = time.monotonic() + PATIENCE
        new = self.folder / "mail" / "kept" / "new"
        while len(files := list(new.iterdir()) if new.exists() else []) < count:
            if time.monotonic() > end:
                raise AssertionError(f"{len(files)} of {count} messages came: {self.log()}")
            time.sleep(0.05)
        return [message_from_bytes(path.read_bytes()) for path in files]

    def log(self) -> str:
        path = self.folder / "mail.log"
        return path.read_text()[-3_000:] if path.exists() else ""


def is_installed() -> bool:
    """Only root may start it: it drops its privileges itself."""
    return (DAEMONS / "master").exists() and os.getuid() == 0


@contextmanager
def postfix(folder: Path) -> Iterator[Postfix]:
    """`folder` holds `relay.example.net.pem`, key and certificate. Everything else is made there."""
    owner, nobody = getpwnam("postfix"), getpwnam("nobody")
    for place in (folder, *folder.parents):  # its processes are not root's
        if place == Path(gettempdir()):
            break
        place.chmod(0o755)
    (folder / "relay.example.net.pem").chmod(0o600)
    (folder / "data").mkdir()
    shutil.chown(folder / "data", owner.pw_uid)
    (folder / "mail").mkdir()
    shutil.chown(folder / "mail", nobody.pw_uid)
    (folder / "queue").mkdir()
    port = free_port()
    settings = {"folder": folder, "daemons": DAEMONS, "uid": nobody.pw_uid, "gid": nobody.pw_gid, "port": port}
    (folder / "main.cf").write_text(_MAIN.format(**settings))
    (folder / "master.cf").write_text(_MASTER.format(**settings))
    subprocess.run(["postfix", "-c", str(folder), "check"], check=True, capture_output=True)
    with subprocess.Popen([DAEMONS / "master", "-c", str(folder), "-d"], cwd=folder) as process:
        try:
            _wait_for(port)
            yield Postfix(port, folder)
        finally:
            process.send_signal(signal.SIGTERM)


def _wait_for(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with create_connection(("127.0.0.1", port), timeout=1) as knocking:
                if knocking.recv(3) == b"220":
                    return
        except OSError:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)
