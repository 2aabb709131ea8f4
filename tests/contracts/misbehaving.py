"""Servers on loopback that misbehave as they are told, and keep the bytes of what they were given whole.

A `manner` is one of MANNERS. What was read whole up to the end of its body is in `taken`, whatever was answered.
"""

import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

MANNERS = (
    "good",
    "silent",  # accepts the connection and never says a word
    "cut_before_body",
    "cut_after_body",
    "silent_after_body",
    "busy",  # refused for now
    "refused",  # refused for good
    "broken",  # an error of the server's own, after the body
    "garbage",
    "garbage_after_body",
)
GARBAGE = b"\x00\xff\xfenothing of sense\r\n\r\n"
HTTP_STATUS = {"good": 202, "busy": 429, "refused": 400, "broken": 500}


class MisbehavingServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, speak: Callable[[socket.socket, "MisbehavingServer"], None]) -> None:
        self.manner = "good"
        self.answer = b""  # the body of a good answer over HTTP
        self.taken: list[bytes] = []
        self.end = threading.Event()

        class Handler(socketserver.BaseRequestHandler):
            server: MisbehavingServer

            def handle(self) -> None:
                try:
                    speak(self.request, self.server)
                except OSError:
                    """The client went away."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def hang(self) -> None:
        """Until the test is over."""
        self.end.wait(20)


@contextmanager
def misbehaving(speak: Callable[[socket.socket, MisbehavingServer], None]) -> Iterator[MisbehavingServer]:
    with MisbehavingServer(speak) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.end.set()
            server.shutdown()


def speak_smtp(client: socket.socket, server: MisbehavingServer) -> None:
    """Enough of RFC 5321 with PIPELINING."""
    if server.manner == "silent":
        return server.hang()
    if server.manner == "garbage":
        return client.sendall(GARBAGE)
    client.sendall(b"220 relay.example ESMTP\r\n")
    answers = {
        b"EHLO": b"250-relay.example\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n",
        b"RCPT": {"busy": b"451 4.3.2 later\r\n", "refused": b"550 5.1.1 no such user\r\n"}.get(
            server.manner, b"250 ok\r\n"
        ),
        b"QUIT": b"221 bye\r\n",
    }
    lines = client.makefile("rb")
    refused = server.manner in ("busy", "refused")
    for line in lines:
        verb = line[:4].upper()
        if verb != b"DATA":
            client.sendall(answers.get(verb, b"250 ok\r\n"))
            continue
        if server.manner == "cut_before_body":
            return None
        if refused:
            client.sendall(b"554 5.5.1 no valid recipients\r\n")
            continue
        client.sendall(b"354 go on\r\n")
        body = b""
        for part in lines:
            if part == b".\r\n":
                break
            body += part
        else:
            return None
        server.taken.append(body)
        if server.manner == "silent_after_body":
            return server.hang()
        if server.manner == "cut_after_body":
            return None
        answer = {"broken": b"554 5.3.0 internal error\r\n", "garbage_after_body": GARBAGE}
        client.sendall(answer.get(server.manner, b"250 2.0.0 queued as 7\r\n"))
    return None


def _head(stream: BinaryIO) -> bytes:
    """The lines of a request until the empty one; less at the end of the connection, which reads as empty lines."""
    lines: list[bytes] = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        lines.append(line)
    return b"".join(lines)


def speak_http(client: socket.socket, server: MisbehavingServer) -> None:
    """Enough of HTTP/1.1 with kept-alive connections."""
    if server.manner == "silent":
        return server.hang()
    stream = client.makefile("rb")
    while head := _head(stream) if server.manner != "garbage" else b"-":
        if server.manner in ("garbage", "cut_before_body"):
            return client.sendall(GARBAGE) if server.manner == "garbage" else None
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if length is None:
            return None
        body = stream.read(int(length[1]))
        if len(body) < int(length[1]):
            return None
        if server.manner not in ("busy", "refused"):
            server.taken.append(head + body)
        if server.manner == "silent_after_body":
            return server.hang()
        if server.manner == "cut_after_body":
            return None
        if server.manner == "garbage_after_body":
            return client.sendall(GARBAGE)
        answer = server.answer if server.manner == "good" else b""
        client.sendall(
            b"HTTP/1.1 %d Word\r\nContent-Length: %d\r\n\r\n" % (HTTP_STATUS[server.manner], len(answer)) + answer
        )
    return None
