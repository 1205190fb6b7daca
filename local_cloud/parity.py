"""What of each service is exact, partial or refused: the data behind ``docs/parity.md``.

Every module of the local cloud has a ``PARITY`` list, written beside the code that it describes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import local_cloud

__all__ = ["Parity", "collect", "table"]

Level = Literal["exact", "partial", "refused"]
_LEVELS: tuple[Level, ...] = ("exact", "partial", "refused")


@dataclass(frozen=True)
class Parity:
    """One statement about one service.

    Parameters
    ----------
    service
        The service as AWS names it, for instance ``Step Functions``.
    level
        ``exact``: a project cannot tell the difference; ``partial``: the text says which;
        ``refused``: answered with an error that names it.
    what
        One sentence or list of things, without a full stop.
    """

    service: str
    level: Level
    what: str


def collect() -> list[Parity]:
    """Every statement of every module of the package, once, in the order of the modules' names."""
    statements: list[Parity] = []
    for module in sorted(
        info.name for info in pkgutil.walk_packages(local_cloud.__path__, "local_cloud.")
    ):
        if not module.endswith("__main__"):
            statements += getattr(importlib.import_module(module), "PARITY", [])
    return list(dict.fromkeys(statements))  # a package may hand on its module's


def table(statements: Iterable[Parity] | None = None) -> str:
    """Markdown: one row per service, one column per level."""
    rows: dict[str, dict[Level, list[str]]] = {}
    for statement in collect() if statements is None else statements:
        levels = rows.setdefault(statement.service, {level: [] for level in _LEVELS})
        levels[statement.level].append(statement.what)
    lines = ["| service | exact | partial | refused |", "|---|---|---|---|"]
    for service, levels in sorted(rows.items(), key=lambda row: row[0].casefold()):
        cells = ["<br>".join(text.replace("|", "\\|") for text in levels[_]) for _ in _LEVELS]
        lines.append(f"| {service} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
