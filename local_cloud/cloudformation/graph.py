"""In which order things that depend on each other are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from local_cloud.cloudformation.errors import TemplateError

__all__ = ["order"]


def order(dependencies: Mapping[str, Iterable[str]]) -> list[str]:
    """Names so that each comes after all that it depends on; otherwise as they were given.

    Parameters
    ----------
    dependencies
        Name -> names that it depends on; a name without an entry of its own is left out.

    Raises
    ------
    TemplateError
        When names depend on each other in a circle; it is named.

    Examples
    --------
    >>> order({"bucket": ["key"], "role": [], "key": []})
    ['role', 'key', 'bucket']
    """
    sorter = TopologicalSorter(
        {
            name: [item for item in sorted(set(needed)) if item in dependencies]
            for name, needed in dependencies.items()
        }
    )
    place = {name: index for index, name in enumerate(dependencies)}
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1]
        raise TemplateError(
            f"Circular dependency between resources: [{', '.join(reversed(circle))}]"
        ) from error
    found: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        found += ready
        sorter.done(*ready)
    return found
