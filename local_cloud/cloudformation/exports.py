"""What stacks export and import: names are unique, and stay while somebody imports them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from local_cloud.cloudformation.errors import CloudFormationError
from local_cloud.cloudformation.evaluation import Output
from local_cloud.cloudformation.stack import Stack

__all__ = ["Export", "Exports"]


@dataclass(frozen=True)
class Export:
    """One value that other stacks may import."""

    name: str
    value: str
    stack: Stack


class Exports:
    """The exports of an account.

    Parameters
    ----------
    stacks
        Gives the stacks that are there.
    """

    def __init__(self, stacks: Callable[[], Iterable[Stack]]) -> None:
        self._stacks = stacks
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Export]:
        for stack in self._stacks():
            for output in stack.outputs.values():
                if output.export_name is not None:
                    yield Export(output.export_name, output.value, stack)

    def value(self, name: str, importer: Stack) -> str | None:
        """Value of another stack's export; ``None`` when there is none of that name."""
        others = (export for export in self if export.stack is not importer)
        return next((export.value for export in others if export.name == name), None)

    def importers(self, name: str) -> list[str]:
        """Names of the stacks that import an export."""
        return sorted(stack.name for stack in self._stacks() if name in stack.imports)

    def publish(self, stack: Stack, outputs: Mapping[str, Output], imports: frozenset[str]) -> None:
        """Keep a stack's outputs and imports.

        Raises
        ------
        CloudFormationError
            When another stack has an export of that name, or an export that is imported would
            change or vanish; then everything stays.
        """
        wanted = {
            output.export_name: output.value
            for output in outputs.values()
            if output.export_name is not None
        }
        with self._lock:
            for export in self:
                if export.stack is not stack and export.name in wanted:
                    raise CloudFormationError(
                        f"Export with name {export.name} is already exported by stack"
                        f" {export.stack.name}."
                    )
                if export.stack is stack and wanted.get(export.name) != export.value:
                    done = "updated" if export.name in wanted else "deleted"
                    self._require_unused(export.name, done)
            stack.outputs, stack.imports = dict(outputs), imports

    def require_unused(self, stack: Stack) -> None:
        """Return when nobody imports what a stack exports.

        Raises
        ------
        CloudFormationError
            When somebody does.
        """
        for export in self:
            if export.stack is stack:
                self._require_unused(export.name, "deleted")

    def _require_unused(self, name: str, done: str) -> None:
        users = self.importers(name)
        if users:
            raise CloudFormationError(
                f"Export {name} cannot be {done} as it is in use by {' and '.join(users)}"
            )
