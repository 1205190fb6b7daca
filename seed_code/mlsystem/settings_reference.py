"""Documents generated from :mod:`mlsystem.settings`: JSON Schema and reference page."""

from __future__ import annotations

import json
import types
import typing
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mlsystem.settings import HYPERPARAMETERS, METRICS, Settings

__all__ = ["json_schema", "reference"]

_HEADER = """\
# Settings: `project.yml`

Every key, generated from `seed_code/mlsystem/settings.py`. An unknown key is refused. Editors that
read the first line of the file (`# yaml-language-server: $schema=...`) complete and check keys as
you type.

The shortest file that works:

```yaml
model:
  name: churn
  problem: binary
  target: churn
evaluate:
  metric: roc_auc
  threshold: 0.85
```
"""


def json_schema() -> str:
    """Return the JSON Schema (draft 2020-12) of ``project.yml``."""
    schema = Settings.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2) + "\n"


def reference() -> str:
    """Return the reference page, Markdown."""
    parts = [_HEADER]
    for name, field in Settings.model_fields.items():
        parts.append(f"## `{name}`\n\n{_section_of(field).__doc__}\n")
        parts.append(_table(_section_of(field), f"{name}."))
    parts.append("## Hyperparameters\n\nOf `model.hyperparameters`, by `model.algorithm`.\n")
    for algorithm, kind in HYPERPARAMETERS.items():
        parts.append(f"### `{algorithm}`\n\n{kind.__doc__}\n")
        parts.append(_table(kind, ""))
    parts.append("## Metrics\n\nOf `evaluate.metric`, by `model.problem`.\n")
    parts.append(_metrics())
    return "\n".join(parts)


def _table(section: type[BaseModel], prefix: str) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    rows += _rows(section, prefix)
    return "\n".join(rows) + "\n"


def _rows(section: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in section.model_fields.items():
        inner = _section_of(field)
        if issubclass(inner, BaseModel):
            rows += _rows(inner, f"{prefix}{name}.")
            continue
        description = " ".join((field.description or "").split())
        kind = _type(field.annotation) + _bounds(field)
        cells = (f"`{prefix}{name}`", kind, _default(field), description)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def _section_of(field: FieldInfo) -> Any:
    return field.annotation if isinstance(field.annotation, type) else object


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(kind) for kind in arguments if kind is not type(None))
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"map of {_type(arguments[1])}"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names[annotation]


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(constraint, name):,}"
        for constraint in field.metadata
        for name, sign in signs.items()
        if isinstance(getattr(constraint, name, None), int | float)
    ]
    return f", {', '.join(found)}" if found else ""


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "**required**"
    if field.default is None or field.default in ((), {}):
        return ""
    return f"`{json.dumps(field.default, ensure_ascii=False)}`"


def _metrics() -> str:
    rows = ["| problem | metric | the gate's threshold is |", "|---|---|---|"]
    words = {"minimum": "the least it may be", "maximum": "the most it may be"}
    rows += [
        f"| {problem} | `{metric}` | {words[direction]} |"
        for problem, metrics in METRICS.items()
        for metric, direction in metrics.items()
    ]
    return "\n".join(rows) + "\n"
