"""A load of HTTP requests from a process of its own: `python -m bench.load PORT PATHS_FILE --seconds 4`.

Kept-alive connections to 127.0.0.1 ask for the paths of a file by turns. Without `--rate` each asks again as soon as it
is answered; with it, so many requests a second fall due whatever the server does, and a request's time counts from when
it was due, so that a server that stands still is not flattered. Prints one JSON line and stops by itself.
"""

import argparse
import json
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path

MOST_SECONDS = 60


class Connection:
    """One connection: a request on its way, or none."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._answer = b""

    def ask(self, request: bytes, due: float) -> None:
        self.due = due
        self._answer = b""
        self.socket.sendall(request)

    def read(self) -> int | None:
        """The status once the whole answer is here, else None. Raises ConnectionError."""
        part = self.socket.recv(65_536)
        if not part:
            raise ConnectionError
        self._answer += part
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return None
        lowered = head.lower()
        place = lowered.find(b"content-length:")
        length = int(lowered[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        return int(head[9:12]) if len(body) >= length else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("paths", type=Path)
    parser.add_argument("--connections", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rate", type=float, default=0.0)
    given = parser.parse_args()
    requests = [
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Mozilla/5.0 (iPhone)\r\n\r\n".encode()
        for path in given.paths.read_text().splitlines()
    ]
    print_result(run(given.port, requests, given.connections, min(given.seconds, MOST_SECONDS), given.rate))


def run(port: int, requests: list[bytes], connections: int, seconds: float, rate: float) -> dict[str, float]:
    """Ask for so long; `late` are requests that were due and could not be begun in time to be answered."""
    poll = select.epoll()
    by_number: dict[int, Connection] = {}
    for _number in range(connections):
        made = Connection(port)
        by_number[made.socket.fileno()] = made
        poll.register(made.socket.fileno(), select.EPOLLIN)
    idle, times, wrong, asked = deque(by_number.values()), list[float](), 0, 0
    start = time.perf_counter()
    end = start + seconds
    while (now := time.perf_counter()) < end:
        while idle:
            due = start + asked / rate if rate else now
            if due > now:
                break
            idle.popleft().ask(requests[asked % len(requests)], due)
            asked += 1
        wait = max(0.0, start + asked / rate - now) if rate and idle else end - now
        for number, _events in poll.poll(min(wait, 0.05)):
            connection = by_number[number]
            status = connection.read()
            if status is not None:
                times.append(time.perf_counter() - connection.due)
                wrong += status not in (200, 302)
                idle.append(connection)
    taken = time.perf_counter() - start
    times.sort()
    return {
        "answers": len(times),
        "rate": len(times) / taken,
        "wrong": wrong,
        "late": max(0.0, rate * taken - asked),
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
    }


def print_result(result: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
