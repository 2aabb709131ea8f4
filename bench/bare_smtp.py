"""`python -m bench.bare_smtp PORT STORE MESSAGES CONNECTIONS`: finished messages through bare pipelined sockets.

Reads the messages that the demo's sink kept, waits for a line on standard input, sends them over and over until so many
are taken, and says so. The next MAIL, RCPT and DATA leave with the body before them (RFC 2920).
"""

import socket
import sys
from itertools import cycle, islice
from pathlib import Path

from app.demo.sink import read_messages

_HEAD = "MAIL FROM:<news@firm.example>\r\nRCPT TO:<{}>\r\nDATA\r\n"


def _session(port: int) -> socket.socket:
    session = socket.create_connection(("127.0.0.1", port))
    session.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    session.recv(1000)
    session.sendall(b"EHLO bench.example\r\n")
    session.recv(1000)
    return session


def _wait_for(session: socket.socket, code: bytes, answers: bytearray) -> None:
    while code not in answers or not answers.endswith(b"\n"):
        data = session.recv(4096)
        if not data:
            raise ConnectionError
        answers += data
    answers.clear()


def main() -> None:
    port, store, count, connections = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    kept = [
        (_HEAD.format(recipient).encode(), mime.replace(b"\r\n.", b"\r\n.."))
        for recipient, mime in read_messages(store)
    ]
    # what leaves after a 354: the body and the commands of the message after it
    ready = [mime + b".\r\n" + after for (_head, mime), (after, _mime) in zip(kept, kept[1:] + kept[:1], strict=True)]
    sessions = [_session(port) for _ in range(connections)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for session in sessions:
        session.sendall(kept[0][0])
    answers = bytearray()
    for session, message in zip(cycle(sessions), islice(cycle(ready), count), strict=False):
        _wait_for(session, b"354 ", answers)
        session.sendall(message)
    for session in sessions:
        _wait_for(session, b"354 ", answers)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
