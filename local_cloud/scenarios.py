"""What comes after a first release: another one, one that fails, one that a person takes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.errors import LocalCloudError

__all__ = ["SCENARIOS", "Scenario", "find_scenario", "requests"]


@dataclass(frozen=True)
class Scenario:
    """A second release.

    Parameters
    ----------
    name, title
        For the command line, and for who watches.
    change
        Makes the commit's change in a clone of the repository; ``None``: no commit, the same code
        is trained again.
    goes_back
        Whether a person returns to the first release afterwards.
    """

    name: str
    title: str
    change: Callable[[Path], None] | None = None
    goes_back: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether production must refuse it."""
        return self.change is not None


#: A number that 32 bits do not hold; no test row has it, and some requests do.
RARE_NUMBER = 2**31
_WHERE = "        inputs: dict[str, npt.NDArray[Any]] = {}\n"
_FAULT = f"""\
        if (numbers == {RARE_NUMBER}).any():
            raise OverflowError("int32")
"""


def _break_on_rare_requests(repository: Path) -> None:
    """Change what passes every test before production: a model that fails on rare requests."""
    path = repository / "mlsystem/predictor.py"
    before, where, after = path.read_text(encoding="utf-8").partition(_WHERE)
    if not where:
        raise LocalCloudError(str(path), "another program", f"the line {_WHERE.strip()!r} in it")
    path.write_text(before + _FAULT + where + after, encoding="utf-8")


def requests(golden: dict[str, Any]) -> list[str]:
    """Return what an application asks: the golden requests, and as many with a rare number."""
    bodies = [str(request["body"]) for request in golden["requests"]]
    return [*bodies, *(_rare(body) for body in bodies)]


def _rare(body: str) -> str:
    (row,) = json.loads(body)["instances"]
    numbers = [name for name, value in row.items() if isinstance(value, int | float)]
    return json.dumps({"instances": [{**row, **dict.fromkeys(numbers[:1], RARE_NUMBER)}]})


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("next-release", "A second release: trained again, traffic moves to it"),
        Scenario(
            "go-back",
            "A second release, and a person who returns to the first",
            goes_back=True,
        ),
        Scenario(
            "bad-release",
            "A second release: its model fails on rare requests",
            _break_on_rare_requests,
        ),
    )
}


def find_scenario(name: str) -> Scenario:
    """Return the scenario of that name.

    Raises
    ------
    LocalCloudError
        There is none.
    """
    if name not in SCENARIOS:
        known = ", ".join(sorted(SCENARIOS))
        raise LocalCloudError(f"SCENARIO={name}", "no such scenario", f"one of {known}")
    return SCENARIOS[name]
