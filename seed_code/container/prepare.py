"""``prepare``: a processing job that turns the raw files into what training reads."""

from __future__ import annotations

from container.paths import Paths
from mlsystem import data, settings

__all__ = ["main"]


def main(paths: Paths) -> None:
    """Prepare the job's files; see :func:`mlsystem.data.prepare`."""
    data.prepare(
        settings.load(paths.settings),
        source=paths.raw_data,
        destination=paths.prepared,
        progress=lambda line: print(f"prepare: {line}", flush=True),
    )
