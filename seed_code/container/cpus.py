"""How many CPUs this container may use, which is often fewer than the machine has."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_cpus"]

_CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Return the number of whole CPUs, at least 1, that this process may use.

    The lesser of the CPUs that it may be scheduled on, and of its control group's quota.

    References
    ----------
    ``cpu.max`` of control groups v2: https://docs.kernel.org/admin-guide/cgroup-v2.html;
    ``cpu.cfs_quota_us`` of v1: https://docs.kernel.org/scheduler/sched-bwc.html
    """
    scheduled = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _quota(cgroup)
    return max(1, min(scheduled or 1, int(quota)) if quota else scheduled or 1)


def _quota(cgroup: Path) -> float | None:
    """Return the quota in CPUs; None when there is none, or it cannot be read."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # "max" is no number
        return None
