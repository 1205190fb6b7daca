"""What a person sees while a release runs: stage, elapsed time, the last line of the log."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from local_cloud.summary import Stage

__all__ = ["Progress"]

_MARKS = {
    "SUCCEEDED": "[green]✓[/]", "REJECTED": "[yellow]✗[/]", "FAILED": "[red]✗[/]",
    "SKIPPED": "[dim]-[/]",
}  # fmt: skip
_HEARTBEAT_SECONDS = 10.0
_LINE_WIDTH = 100


class Progress:
    """A live table on a terminal; elsewhere a line per change and a heartbeat.

    Use as a context manager; call :meth:`step` for set-up work and :meth:`update` with the
    stages of the workflow.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=False)
        self._stages: list[Stage] = []
        self._shown: dict[str, str] = {}
        self._last_output = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.update(self._table("", finished=True))
            self._live.stop()

    def step(self, text: str) -> None:
        """Say what is being set up."""
        if self._console.is_terminal:
            self._live.update(Spinner("dots", text=Text(text)))
        else:
            self._line(text)

    def section(self, title: str) -> None:
        """Leave what is there, and begin anew below `title`."""
        if self._console.is_terminal:
            self._live.update("")
            self._console.print(self._table("", finished=True))
        self._stages, self._shown = [], {}
        self._console.print(f"\n[bold]{title}[/]")

    def say(self, text: str) -> None:
        """Print what a person should read, above what moves."""
        self._line(text)

    def update(self, stages: Iterable[Stage], log_line: str | None) -> None:
        """Show where the workflow is; `log_line` is the newest line of the running job's log."""
        self._stages = list(stages)
        if self._console.is_terminal:
            self._live.update(self._table(log_line or ""))
            return
        for stage in self._stages:
            if self._shown.get(stage.name) != stage.status:
                self._shown[stage.name] = stage.status
                self._line(_sentence(stage))
        quiet = time.monotonic() - self._last_output
        running = [stage for stage in self._stages if stage.status == "RUNNING"]
        if running and log_line and quiet > _HEARTBEAT_SECONDS:
            self._line(f"{_sentence(running[-1])}: {textwrap.shorten(log_line, _LINE_WIDTH)}")

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._last_output = time.monotonic()

    def _table(self, log_line: str, *, finished: bool = False) -> Table:
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(width=2)
        table.add_column(min_width=16)
        table.add_column(justify="right", min_width=8)
        table.add_column(overflow="ellipsis", no_wrap=True, style="dim")
        for stage in self._stages:
            running = stage.status == "RUNNING" and not finished
            mark = Spinner("dots") if running else Text.from_markup(_MARKS.get(stage.status, " "))
            note = log_line if running else (stage.error or "").split("\n")[0]
            table.add_row(mark, stage.name, f"{stage.seconds:.1f} s", Text(note))
        return table


def _sentence(stage: Stage) -> str:
    if stage.status == "RUNNING":
        return f"{stage.name} running ({stage.seconds:.0f} s)"
    return f"{stage.name} {stage.status.lower()} in {stage.seconds:.1f} s"
