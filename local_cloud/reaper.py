"""A program that ends registered process groups when its parent is gone.

Run as a file with ``python -I -S``: standard library only, no import of the package. It reads
``+<group>`` and ``-<group>`` lines; at end of file, which comes also when the parent was killed
with SIGKILL, it sends SIGTERM to every group still registered, and SIGKILL after a grace.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 3.0


def read_groups(lines) -> set[int]:  # type: ignore[no-untyped-def]
    """Process groups that are registered when the lines end."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line[:1] == b"+":
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def send(groups: set[int], number: int) -> set[int]:
    """Send a signal to each group; return the groups that exist."""
    existing = set()
    for group in groups:
        try:
            os.killpg(group, number)
            existing.add(group)
        except (ProcessLookupError, PermissionError):
            pass
    return existing


def main() -> None:
    """Wait for the parent to end, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = send(read_groups(sys.stdin.buffer), signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while groups and time.monotonic() < deadline:
        time.sleep(0.05)
        groups = send(groups, 0)
    send(groups, signal.SIGKILL)


if __name__ == "__main__":
    main()
