"""The state machine's shape: a golden file, and rules that every workflow of ours keeps."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from statelint.linter import Linter

GOLDEN = Path(__file__).parent / "golden" / "training_workflow.asl.json"

Definition = dict[str, Any]


def test_the_definition_is_the_reviewed_one(symbolic_definition, update_golden):
    text = json.dumps(symbolic_definition, indent=2, sort_keys=True) + "\n"
    if update_golden:
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8"), (
        "the workflow changed: run `make golden` and review the difference"
    )


def test_statelint_finds_nothing(definition):
    assert Linter.validate(definition) == []


# --- our rules: each returns what breaks it, as <State>: <found>; <rule>. <remedy>. -------------


def machines(definition: Definition) -> Iterator[tuple[Definition, bool]]:
    """Yield the machine and its branches, and whether an error there is caught from outside."""
    yield definition, False
    for state in definition["States"].values():
        for branch in state.get("Branches", []):
            for inner, _ in machines(branch):
                yield inner, bool(state.get("Catch"))


def states(definition: Definition) -> Iterator[tuple[str, dict[str, Any]]]:
    for machine, _ in machines(definition):
        yield from machine["States"].items()


def targets(state: dict[str, Any]) -> set[str]:
    """Return the states that `state` can go on to."""
    nexts = {state.get("Next"), state.get("Default")}
    nexts |= {rule["Next"] for rule in [*state.get("Choices", []), *state.get("Catch", [])]}
    return nexts - {None}


def every_state_is_reachable(definition: Definition) -> Iterator[str]:
    for machine, _ in machines(definition):
        seen: set[str] = set()
        ahead = {machine["StartAt"]}
        while ahead:
            name = ahead.pop()
            seen.add(name)
            ahead |= targets(machine["States"][name]) - seen
        for name in machine["States"].keys() - seen:
            yield f"{name}: no way leads there; every state is reachable. Remove or link it."


def every_name_is_used_once(definition: Definition) -> Iterator[str]:
    names = [name for name, _ in states(definition)]
    for name in {name for name in names if names.count(name) > 1}:
        yield f"{name}: {names.count(name)} times; names are unique in the whole. Rename one."


def every_task_tries_again(definition: Definition) -> Iterator[str]:
    for name, state in states(definition):
        if state["Type"] == "Task" and not state.get("Retry"):
            yield f"{name}: no Retry; throttling is tried again. Give it a policy of tasks.py."


def nothing_retries_every_error(definition: Definition) -> Iterator[str]:
    too_wide = {"States.ALL", "States.TaskFailed", "States.Timeout"}
    for name, state in states(definition):
        for retrier in state.get("Retry", []):
            for error in too_wide & set(retrier["ErrorEquals"]):
                yield (
                    f"{name}: Retry of {error}; only errors that another try can heal. "
                    "Name the service's errors."
                )


def every_retry_is_bounded_and_spread(definition: Definition) -> Iterator[str]:
    required = {"MaxAttempts", "MaxDelaySeconds", "IntervalSeconds", "BackoffRate"}
    for name, state in states(definition):
        for retrier in state.get("Retry", []):
            for missing in sorted(required - retrier.keys()):
                yield f"{name}: Retry without {missing}; every retry is bounded. Add it."
            if retrier.get("JitterStrategy") != "FULL":
                yield f"{name}: Retry without jitter; tries are spread. Add JitterStrategy FULL."


def every_error_is_caught(definition: Definition) -> Iterator[str]:
    for machine, caught_outside in machines(definition):
        for name, state in machine["States"].items():
            if state["Type"] in {"Task", "Parallel"} and not caught_outside:
                caught = [error for rule in state.get("Catch", []) for error in rule["ErrorEquals"]]
                if "States.ALL" not in caught:
                    yield f"{name}: no Catch of States.ALL; errors end in a named Fail. Add it."


def every_catch_keeps_the_input(definition: Definition) -> Iterator[str]:
    for name, state in states(definition):
        for catcher in state.get("Catch", []):
            if catcher.get("ResultPath") != "$.failure":
                yield f"{name}: Catch to {catcher.get('ResultPath')}; to $.failure. Change it."


def every_task_has_a_timeout(definition: Definition) -> Iterator[str]:
    for name, state in states(definition):
        if state["Type"] == "Task" and not {"TimeoutSeconds", "TimeoutSecondsPath"} & state.keys():
            yield f"{name}: no timeout; a task ends some time. Add TimeoutSeconds."


def every_choice_has_a_default(definition: Definition) -> Iterator[str]:
    for name, state in states(definition):
        if state["Type"] == "Choice" and "Default" not in state:
            yield f"{name}: no Default; what no rule foresees fails closed. Add it."


def every_fail_carries_error_and_cause(definition: Definition) -> Iterator[str]:
    for name, state in states(definition):
        if state["Type"] == "Fail":
            if not {"Error", "ErrorPath"} & state.keys() or "CausePath" not in state:
                yield f"{name}: no Error or no CausePath; a Fail says what and why. Add it."
            if state.get("Error", name) != name:
                yield f"{name}: Error {state['Error']!r}; the error is the state's name. Rename."


def every_fail_follows_an_error_or_a_decision(definition: Definition) -> Iterator[str]:
    for machine, _ in machines(definition):
        through = {
            name for name, state in machine["States"].items() if state["Type"] in {"Choice", "Pass"}
        }
        for name, state in machine["States"].items():
            if state["Type"] == "Fail":
                before = {
                    one for one in machine["States"] if name in targets(machine["States"][one])
                }
                if not before <= through:
                    yield f"{name}: follows {before - through}; explained first. Use failures.py."


def every_name_is_pascal_case(definition: Definition) -> Iterator[str]:
    for name, _ in states(definition):
        if not (name[0].isupper() and name.isalnum()):
            yield f"{name}: not PascalCase; state names are. Rename it."


def every_loop_counts(definition: Definition) -> Iterator[str]:
    for machine, _ in machines(definition):
        for name in machine["States"]:
            for cycle in cycles(machine, name):
                counts = any(
                    "MathAdd" in json.dumps(machine["States"][state]) for state in cycle
                ) and any("NumericLessThan" in json.dumps(machine["States"][s]) for s in cycle)
                if not counts:
                    yield f"{name}: a loop without a count; loops end. Count and compare."


def cycles(machine: Definition, start: str) -> Iterator[list[str]]:
    """Yield the paths from `start` back to it."""
    ahead = [[start]]
    while ahead:
        path = ahead.pop()
        for name in targets(machine["States"][path[-1]]):
            if name == start:
                yield path
            elif name not in path:
                ahead.append([*path, name])


Rule = Callable[[Definition], Iterator[str]]
Change = Callable[[Definition], None]


def _deploy(definition: Definition) -> dict[str, Any]:
    return definition["States"]["DeployEndpoint"]["Branches"][0]["States"]


def _change(name: str, **fields: Any) -> Change:
    """Return a change of one state; None removes a field."""

    def change(definition: Definition) -> None:
        state = dict(states(definition))[name]
        for key, value in fields.items():
            if value is None:
                del state[key]
            else:
                state[key] = value

    return change


# Each rule, and a change of the workflow that it must find.
RULES: list[tuple[Rule, Change]] = [
    (every_state_is_reachable, _change("TrainModel", Next="ReleaseSucceeded")),
    (
        every_name_is_used_once,
        lambda it: _deploy(it).update(TrainModel=copy.deepcopy(_deploy(it)["CreateModel"])),
    ),
    (every_task_tries_again, _change("CreateModel", Retry=[])),
    (nothing_retries_every_error, _change("TrainModel", Retry=[{"ErrorEquals": ["States.ALL"]}])),
    (every_retry_is_bounded_and_spread, _change("TrainModel", Retry=[{"ErrorEquals": ["A.B"]}])),
    (every_error_is_caught, _change("ReadEvaluation", Catch=None)),
    (every_error_is_caught, _change("DeployEndpoint", Catch=None)),
    (
        every_catch_keeps_the_input,
        _change("TrainModel", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "TrainFailed"}]),
    ),
    (every_task_has_a_timeout, _change("DescribeEndpoint", TimeoutSeconds=None)),
    (every_choice_has_a_default, _change("CheckGate", Default=None)),
    (every_fail_carries_error_and_cause, _change("TrainFailed", CausePath=None)),
    (every_fail_carries_error_and_cause, _change("TrainFailed", Error="Failed")),
    (every_fail_follows_an_error_or_a_decision, _change("TrainModel", Next="TrainFailed")),
    (every_name_is_pascal_case, lambda it: it["States"].update(train_model={"Type": "Succeed"})),
    (every_loop_counts, _change("CountWait", Parameters={})),
]


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _ in RULES))
def test_the_workflow_keeps_the_rule(rule, definition):
    assert list(rule(definition)) == []


@pytest.mark.parametrize(("rule", "change"), RULES)
def test_the_rule_finds_what_breaks_it(rule, change, definition):
    change(definition)
    assert list(rule(definition))


def test_the_stages_are_those_that_people_follow(definition):
    ways: list[str] = []
    name = definition["StartAt"]
    while name is not None:
        state = definition["States"][name]
        ways.append(name)
        name = state.get("Next") or (state.get("Choices") or [{}])[0].get("Next")
    assert ways == [
        "PrepareData", "TrainModel", "EvaluateModel", "ReadEvaluation", "CheckGate",
        "RegisterModel", "ChooseDeployer", "DeployEndpoint", "ReleaseSucceeded",
    ]  # fmt: skip
