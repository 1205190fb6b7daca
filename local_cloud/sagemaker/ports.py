"""Ports of the loopback address that stay ours from the choice until we let them go."""

from __future__ import annotations

import socket
import sys

from local_cloud.server import HOST

__all__ = ["Port"]


class Port:
    """A free port, reserved.

    On Linux a socket stays bound to it without listening: the system then gives the port to nobody
    who asks for a free one, neither as a server nor as a client, while a program that sets
    ``SO_REUSEADDR``, as servers do, may listen on it. Other systems do not let two sockets have one
    port, so there it is only chosen.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self._socket.close()

    def release(self) -> None:
        """Let the port go."""
        self._socket.close()
