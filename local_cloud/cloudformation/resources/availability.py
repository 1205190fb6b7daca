"""Which operations the local cloud has.

An API that is not here cannot be called, so a property, or a type, that needs it is refused before
anything is made. When a module brings the API, the type is there without a change here.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterable

from moto.core.utils import camelcase_to_underscores

from local_cloud.cloudformation.resources.calls import Operation
from local_cloud.services import REFUSED, SERVICES

__all__ = ["missing"]


def missing(operations: Iterable[Operation]) -> list[str]:
    """Operations that cannot be called here."""
    return [
        f"{service}:{operation}"
        for service, operation in sorted(set(operations))
        if not _is_available(service, operation)
    ]


def _is_available(service: str, operation: str) -> bool:
    if (service, operation) in REFUSED:
        return False
    if not any(service in services for services in SERVICES.values()):
        return False
    implemented = _implemented(service)
    return implemented is None or camelcase_to_underscores(operation) in implemented


def _implemented(service: str) -> frozenset[str] | None:
    """Methods that answer a service's requests; ``None`` where they are not told apart so."""
    name = f"moto.{service}.urls"
    if importlib.util.find_spec(f"moto.{service}") is None:
        return None
    handlers = importlib.import_module(name).url_paths.values()
    owners = {getattr(handler, "__self__", None) for handler in handlers
              if handler.__name__ == "dispatch"}  # fmt: skip
    if not owners or None in owners:
        return None
    return frozenset(name for owner in owners for name in _methods(owner))


@functools.cache
def _methods(owner: type) -> frozenset[str]:
    return frozenset(dir(owner))
