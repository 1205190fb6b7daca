"""A plan is data: steps that can be shown, compared and carried out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

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


def carry_out(plan: Plan, account: Account, *, dry_run: bool) -> None:
    """Show a plan, and unless it is a dry run, do it."""
    for step in plan.steps:
        print(f"would {step}" if dry_run else step, flush=True)
        if not dry_run:
            step.run(account)
    if not plan.steps:
        print("nothing to do")
    for each in plan.kept:
        print(f"kept: {each}")
