"""A load generator: so many connections, each with one request under way, for so many seconds.

One thread, epoll and non-blocking sockets, so that it needs less of its core than any server that
it measures needs of another. Every answer's status is checked, and every so-many-th body.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["Load", "post", "run"]

_CHECK_EVERY = 97
_CHUNK = 256 * 1024


@dataclass
class Load:
    """What came of a run.

    Parameters
    ----------
    seconds
        How long it took.
    latencies
        Seconds from sending a request to having its whole answer, each.
    """

    seconds: float
    latencies: list[float] = field(default_factory=list)

    @property
    def requests_per_second(self) -> float:
        """Answers that came, by second."""
        return len(self.latencies) / self.seconds


class _Connection:
    """A connection that repeats: send a request, receive its answer."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.index = 0
        self.sent_at = 0.0
        self._received = b""

    def send(self, index: int, request: bytes) -> None:
        self.index = index
        self._received = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Return the body of the answer; None while it is not whole."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"an answer of {self._received[:300]!r}")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return body if len(body) >= int(length) else None


def post(path: str, content_type: str, body: bytes) -> bytes:
    """Return a request as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def run(
    address: tuple[str, int],
    requests: Sequence[bytes],
    check: Callable[[int, bytes], None],
    *,
    connections: int,
    seconds: float,
) -> Load:
    """Send `requests` round and round; `check` gets index and body of some of the answers.

    Raises
    ------
    ConnectionError
        A connection was closed, or an answer's status is not 200.
    """
    poll = select.epoll()
    opened = [_Connection(address) for _ in range(connections)]
    by_descriptor = {connection.socket.fileno(): connection for connection in opened}
    started = time.perf_counter()
    load = Load(seconds=0)
    n_sent = 0
    try:
        for descriptor, connection in by_descriptor.items():
            poll.register(descriptor, select.EPOLLIN)
            connection.send(n_sent % len(requests), requests[n_sent % len(requests)])
            n_sent += 1
        while time.perf_counter() - started < seconds:
            for descriptor, _ in poll.poll(1):
                connection = by_descriptor[descriptor]
                body = connection.receive()
                if body is None:
                    continue
                load.latencies.append(time.perf_counter() - connection.sent_at)
                if len(load.latencies) % _CHECK_EVERY == 0:
                    check(connection.index, body)
                connection.send(n_sent % len(requests), requests[n_sent % len(requests)])
                n_sent += 1
        load.seconds = time.perf_counter() - started
    finally:
        poll.close()
        for connection in opened:
            connection.socket.close()
    return load
