"""A plan is data: steps that can be shown, compared and carried out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from scripts.account import Account

__all__ = ["Plan", "Step", "carry_out"]


class Step(Protocol):
    """One thing to do; doing it again does no harm."""

    def __str__(self) -> str:
        """What will be done, as a sentence's predicate: ``delete the stack a``."""
        ...

    def run(self, account: Account) -> None:
        """Do it, and return when it is done."""
        ...


@dataclass(frozen=True)
class Plan:
    """Steps in their order, and what is left as it is, by name and reason."""

    steps: tuple[Step, ...]
    kept: tuple[str, ...] = field(default=())


def carry_out(plan: Plan, account: Account, *, dry_run: bool, out: TextIO = sys.stdout) -> None:
    """Show a plan, and unless it is a dry run, do it."""
    if dry_run:
        _show("would ", plan.steps, out)
    else:
        for step in plan.steps:
            print(step, file=out, flush=True)
            step.run(account)
    if not plan.steps:
        print("nothing to do", file=out)
    _show("kept: ", plan.kept, out)


def _show(prefix: str, items: Sequence[object] | Iterable[object], out: TextIO) -> None:
    for item in items:
        print(f"{prefix}{item}", file=out)
