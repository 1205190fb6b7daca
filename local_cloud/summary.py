"""What a run amounted to: ``summary.json`` for programs, a page for people."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

__all__ = [
    "EXIT_CODES", "Pipeline", "PipelineStage", "Prediction", "Stage", "StageStatus", "Status",
    "Summary",
]  # fmt: skip

Status = Literal["SUCCEEDED", "ROLLED_BACK", "REJECTED", "FAILED"]
StageStatus = Literal["WAITING", "RUNNING", "SUCCEEDED", "REJECTED", "FAILED", "SKIPPED"]

EXIT_CODES: dict[Status, int] = {"SUCCEEDED": 0, "ROLLED_BACK": 0, "REJECTED": 3, "FAILED": 1}
_COLORS = {"SUCCEEDED": "green", "ROLLED_BACK": "green", "REJECTED": "yellow", "FAILED": "red"}


@dataclass
class Stage:
    """One state of the workflow, or one action of the pipeline, as far as it came."""

    name: str
    status: StageStatus
    seconds: float
    error: str | None = None
    log: str | None = None
    """File with what it printed."""


@dataclass
class PipelineStage:
    """One stage of the pipeline, with those of its actions that have begun."""

    name: str
    status: StageStatus
    seconds: float
    actions: list[Stage] = field(default_factory=list)


@dataclass
class Pipeline:
    """The pipeline's execution that the release is."""

    name: str
    execution_id: str
    stages: list[PipelineStage] = field(default_factory=list)


@dataclass
class Prediction:
    """A question to the endpoint and its answer."""

    input: str | dict[str, Any]
    output: str | float


@dataclass
class Summary:
    """A run, written to ``.local/summary.json`` whatever its end."""

    blueprint: str
    release: str = ""
    status: Status = "FAILED"
    error: str | None = None
    project: dict[str, Any] | None = None
    pipeline: Pipeline | None = None
    stages: list[Stage] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    gate: dict[str, Any] | None = None
    model: dict[str, str] | None = None
    endpoint: dict[str, str] | None = None
    predictions: list[Prediction] = field(default_factory=list)
    golden_requests: dict[str, int] | None = None
    api: dict[str, Any] | None = None
    traffic: dict[str, Any] | None = None
    rollback: dict[str, Any] | None = None
    seconds: float = 0.0

    def rows(self) -> list[Stage]:
        """Return what a person follows: the pipeline's actions and the workflow's stages."""
        if self.pipeline is None:
            return self.stages
        found: list[Stage] = []
        for stage in self.pipeline.stages:
            for action in stage.actions:
                is_workflow = action.name == "RunWorkflow" and self.stages
                found += self.stages if is_workflow else [action]
        return found

    def write(self, path: Path) -> None:
        """Write the summary as JSON to `path`: whole or not at all."""
        temporary = path.with_name(f".{path.name}.partial")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)

    def show(self, console: Console, root: Path) -> None:
        """Print the summary for a person; `root` is the folder with logs and data."""
        console.print()
        color = _COLORS[self.status]
        release = f", release {self.release}" if self.release else ""
        title = f"[bold {color}]{self.status}[/]  {self.blueprint}{release}"
        console.print(f"{title}, {self.seconds:.1f} s", highlight=False, soft_wrap=True)
        if self.error:
            console.print(self.error, style="red", markup=False, highlight=False, soft_wrap=True)
        for label, text in self._facts(root):  # no table: it would fold what people copy
            console.print(f"[dim]{label:<12}[/]", end="")
            console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _facts(self, root: Path) -> list[tuple[str, str]]:
        facts = []
        if self.project:
            facts.append(("project", f"{self.project['name']}  {self.project['id']}"))
            facts.append(("stacks", "  ".join(self.project["stacks"])))
        if self.pipeline:
            stages = "  ".join(f"{each.name} {each.status}" for each in self.pipeline.stages)
            facts.append(("pipeline", f"{self.pipeline.name}  {stages}"))
        facts += [("metrics", "  ".join(f"{k} {v:.4g}" for k, v in self.metrics.items()))]
        if self.gate:
            facts.append(("gate", _gate_sentence(self.gate)))
        if self.model:
            facts.append(("model", self.model["package_arn"]))
        if self.endpoint:
            facts.append(("endpoint", f"{self.endpoint['name']}  {self.endpoint['url']}"))
        facts += [
            ("prediction", f"{_inline(prediction.input)}  →  {prediction.output}")
            for prediction in self.predictions
        ]
        if self.golden_requests:
            right, total = self.golden_requests["answered"], self.golden_requests["sent"]
            facts.append(("golden", f"{right} of {total} test rows answered as evaluated"))
        if self.api:
            facts.append(("api", f"{self.api['url']}  release {self.api['release']}"))
            facts.append(("answer", f"{_inline(self.api['input'])}  →  {self.api['output']}"))
        if self.traffic:
            facts.append(("traffic", _traffic_sentence(self.traffic)))
        if self.rollback:
            facts.append(("rollback", _rollback_sentence(self.rollback)))
        if self.endpoint and self.predictions:
            facts.append(("try", _curl(self.predictions[0].input, self.endpoint["url"])))
        facts += [
            ("logs", str(root / "logs")),
            ("objects", str(root / "s3")),
            ("summary", str(root / "summary.json")),
        ]
        return [(label, text) for label, text in facts if text]


def _gate_sentence(gate: dict[str, Any]) -> str:
    if not gate["passed"]:
        return "not passed: " + "; ".join(gate["reasons"])
    bound = "at least" if gate["direction"] == "minimum" else "at most"
    return f"passed: {gate['metric']} {gate['value']:.4g}, {bound} {gate['threshold']:g} required"


def _traffic_sentence(traffic: dict[str, Any]) -> str:
    shares = ", ".join(f"{count} by {release}" for release, count in traffic["releases"].items())
    return f"{traffic['requests']} requests, {traffic['failed_requests']} failed: {shares}"


def _rollback_sentence(rollback: dict[str, Any]) -> str:
    return (
        f"{rollback['guard']} after {rollback['seconds']:.1f} s: {rollback['reason']}; "
        f"{rollback['failed_requests']} of {rollback['requests']} requests failed, "
        f"{rollback['serving_release']} serves"
    )


def _curl(question: str | dict[str, Any], url: str) -> str:
    if isinstance(question, str):
        return f"curl -H 'Content-Type: text/csv' -d {shlex.quote(question)} {url}"
    body = json.dumps({"instances": [question]}, ensure_ascii=False)
    return f"curl -H 'Content-Type: application/json' -d {shlex.quote(body)} {url}"


def _inline(value: str | dict[str, Any]) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(f"{key}={item}" for key, item in value.items())
