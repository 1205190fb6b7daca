"""EventBridge: the default bus, whose rules really match and whose schedules really fire.

Rules and targets are kept by moto; what matches them, and what they start, is here. Whoever has
something to tell calls :func:`emit`.
"""

from __future__ import annotations

from local_cloud.events.bus import PARITY, emit, install

__all__ = ["PARITY", "emit", "install"]
