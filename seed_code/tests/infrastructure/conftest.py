"""The synthesized template, its parts, and an interpreter of its state machine.

``pytest seed_code/tests/infrastructure --update-golden`` writes the golden files again.
"""

from __future__ import annotations

import copy
import fnmatch
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from infrastructure.workflow_input import workflow_input
from mlsystem import settings
from mlsystem.names import Names

PARAMETERS: dict[str, Any] = {
    "ProjectName": "churn",
    "DataBucketName": "bucket",
    "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/5b1f3a52-0d5b-4e2c-9d7f-000000000000",
    "DataKeyArn": "arn:aws:kms:eu-west-1:210987654321:key/5b1f3a52-0d5b-4e2c-9d7f-111111111111",
    "RepositoryName": "churn/image",
    "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary",
    "Release": "r-1",
    "ReleaseId": "r-1",
    "Serving": "endpoint",
    "ApiImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/churn/api@sha256:" + 64 * "b",
    "NotificationTopicArn": "arn:aws:sns:eu-west-1:123456789012:churn-notifications",
    "FileSystemArn": "arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/fs-0a",
    "AccessPointArn": "arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0a",
    "ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/churn/image@sha256:" + 64 * "a",
    "ModelArchiveUri": "s3://bucket/releases/r-1/model/job/output/model.tar.gz",
    "InstanceType": "ml.m5.large",
    "InstanceCount": 1,
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
}
PACKAGE_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/churn/1"
IMAGE = PARAMETERS["ImageUri"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files again")


@pytest.fixture(scope="session")
def update_golden(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--update-golden", default=False))


# --- the template -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def template(templates: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The workflow's template."""
    return templates["workflow"]


def resolve(value: Any, reference: Callable[[str], Any]) -> Any:
    """Return `value` with CloudFormation's functions replaced; every condition holds."""
    if isinstance(value, list):
        return [resolve(item, reference) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Ref"]:
        return reference(value["Ref"])
    if list(value) == ["Fn::GetAtt"]:
        return reference(".".join(value["Fn::GetAtt"]))
    if list(value) == ["Fn::Join"]:
        separator, parts = value["Fn::Join"]
        return separator.join(resolve(part, reference) for part in parts)
    if list(value) == ["Fn::Select"]:
        index, among = value["Fn::Select"]
        return resolve(among, reference)[index]
    if list(value) == ["Fn::Split"]:
        separator, whole = value["Fn::Split"]
        return resolve(whole, reference).split(separator)
    if list(value) == ["Fn::If"]:
        return resolve(value["Fn::If"][1], reference)
    return {key: resolve(item, reference) for key, item in value.items()}


def sample_value(name: str) -> Any:
    """Return what a parameter, or an attribute of a resource, is in the tests."""
    if name in PARAMETERS:
        return PARAMETERS[name]
    resource, _, attribute = name.partition(".")
    if attribute.endswith("Name"):
        return resource
    if attribute == "DnsEntries":
        return ["Z0:vpce-0a.example.com", "Z0:vpce-0a-eu-west-1a.example.com"]
    if attribute not in ("", "Arn"):
        return name
    return f"arn:aws:iam::123456789012:role/{resource}"


def _deployed(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        re.sub("[0-9A-F]{8}$", "", name): resolve(resource.get("Properties", {}), sample_value)
        for name, resource in template["Resources"].items()
    }


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Properties of the workflow's resources; logical id without the CDK's digest -> properties."""
    return _deployed(template)


@pytest.fixture(scope="session")
def dev_resources(templates: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same of the dev endpoint's."""
    return _deployed(templates["dev"])


@pytest.fixture(scope="session")
def production(templates: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same of production's, as it is with an endpoint; parameters that vary are their names."""
    return _deployed(templates["prod"])


def _definition(template: dict[str, Any], reference: Callable[[str], str]) -> dict[str, Any]:
    (machine,) = (
        resource
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    )
    found: dict[str, Any] = json.loads(
        resolve(machine["Properties"]["DefinitionString"], reference)
    )
    return found


@pytest.fixture(scope="session")
def symbolic_definition(template: dict[str, Any]) -> dict[str, Any]:
    """The state machine with ``${Name}`` in the place of what deployment fills in."""
    return _definition(template, lambda name: f"${{{name}}}")


@pytest.fixture
def definition(template: dict[str, Any]) -> dict[str, Any]:
    """The state machine as deployed; a fresh copy."""
    return _definition(template, sample_value)


# --- an execution's input -----------------------------------------------------------------------


@pytest.fixture
def make_input() -> Callable[..., dict[str, Any]]:
    """Return the input of an execution; keywords change the project's settings."""

    def make(*, champion: str | None = None, **sections: Any) -> dict[str, Any]:
        document = {
            "model": {"name": "churn", "problem": "binary", "target": "churn"},
            "evaluate": {"metric": "roc_auc", "threshold": 0.9},
            "deploy": {"by": "workflow"},
            **sections,
        }
        return workflow_input(
            settings.loads(json.dumps(document)),
            Names("churn", "r-1"),
            "bucket",
            IMAGE,
            champion_uri=champion,
        )

    return make


# --- the interpreter ----------------------------------------------------------------------------

# A task's answer: a result, or an error as (name, cause); no cause where AWS gives none.
Error = tuple[str, str | None]
Answer = dict[str, Any] | Error


@dataclass
class Execution:
    """How an execution ended and what it did."""

    status: str = "RUNNING"
    error: str = ""
    cause: str = ""
    output: Any = None
    states: list[str] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """State name and parameters of every call, attempts included."""

    def calls(self, state: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.requests if name == state]


class _FailError(Exception):
    def __init__(self, name: str, cause: str | None) -> None:
        super().__init__(name, cause)
        self.name, self.cause = name, cause


class Interpreter:
    """The part of the Amazon States Language (JSONPath) that the workflow uses.

    Source: https://states-language.net/spec.html. Tasks answer what the script says, one answer a
    call; the last one is repeated. Waiting takes no time.
    """

    def __init__(self, script: dict[str, list[Answer]]) -> None:
        self._script = {state: list(answers) for state, answers in script.items()}
        self.execution = Execution()

    def run(self, definition: dict[str, Any], data: Any) -> Execution:
        try:
            self.execution.output = self._branch(definition, copy.deepcopy(data))
            self.execution.status = "SUCCEEDED"
        except _FailError as failure:
            self.execution.status = "FAILED"
            self.execution.error, self.execution.cause = failure.name, failure.cause or ""
        return self.execution

    def _branch(self, definition: dict[str, Any], data: Any) -> Any:
        name: str | None = definition["StartAt"]
        while name is not None:
            state = definition["States"][name]
            self.execution.states.append(name)
            data, name = getattr(self, f"_{state['Type'].lower()}")(name, state, data)
        return data

    # --- states ---

    def _succeed(self, name: str, state: dict[str, Any], data: Any) -> tuple[Any, None]:
        return data, None

    def _fail(self, name: str, state: dict[str, Any], data: Any) -> tuple[Any, None]:
        error = evaluate(state["ErrorPath"], data) if "ErrorPath" in state else state["Error"]
        raise _FailError(error, evaluate(state["CausePath"], data))

    def _wait(self, name: str, state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        return data, state.get("Next")

    def _pass(self, name: str, state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        result = evaluate(state.get("InputPath", "$"), data)
        if "Parameters" in state:
            result = fill(state["Parameters"], result)
        return place(data, state.get("ResultPath", "$"), result), state.get("Next")

    def _choice(self, name: str, state: dict[str, Any], data: Any) -> tuple[Any, str]:
        return data, next(
            (rule["Next"] for rule in state["Choices"] if holds(rule, data)), state["Default"]
        )

    def _task(self, name: str, state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        def once() -> Any:
            if "TimeoutSecondsPath" in state:
                assert evaluate(state["TimeoutSecondsPath"], data) > 0
            self.execution.requests.append((name, fill(state["Parameters"], data)))
            answers = self._script[name]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, tuple):
                raise _FailError(*answer)
            return fill(state["ResultSelector"], answer) if "ResultSelector" in state else answer

        return self._attempt(state, data, once)

    def _parallel(self, name: str, state: dict[str, Any], data: Any) -> tuple[Any, str | None]:
        def once() -> Any:
            branch_input = fill(state["Parameters"], data)
            outputs = [self._branch(branch, branch_input) for branch in state["Branches"]]
            return fill(state["ResultSelector"], outputs)

        return self._attempt(state, data, once)

    def _attempt(
        self, state: dict[str, Any], data: Any, once: Callable[[], Any]
    ) -> tuple[Any, str | None]:
        left = [retrier["MaxAttempts"] for retrier in state.get("Retry", [])]
        while True:
            try:
                return place(data, state["ResultPath"], once()), state.get("Next")
            except json.JSONDecodeError as error:
                failure = _FailError("States.IntrinsicFailure", str(error))
            except _FailError as error:
                failure = error
            chosen = self._retrier(state, failure.name)
            if chosen is not None and left[chosen] > 0:
                left[chosen] -= 1
                continue
            for catcher in state.get("Catch", []):
                assert catcher["ErrorEquals"] == ["States.ALL"]
                output = {"Error": failure.name}
                if failure.cause is not None:
                    output["Cause"] = failure.cause
                return place(data, catcher["ResultPath"], output), catcher["Next"]
            raise failure

    @staticmethod
    def _retrier(state: dict[str, Any], error: str) -> int | None:
        matching = (
            index
            for index, retrier in enumerate(state.get("Retry", []))
            if error in retrier["ErrorEquals"]
        )
        return next(matching, None)


@pytest.fixture
def execute(
    definition: dict[str, Any], make_input: Callable[..., dict[str, Any]]
) -> Callable[..., Execution]:
    """Run the workflow: keywords are states and their answers, in the place of a good release's."""

    def run(data: dict[str, Any] | None = None, **answers: Answer | list[Answer]) -> Execution:
        changed = {
            state: answer if isinstance(answer, list) else [answer]
            for state, answer in answers.items()
        }
        return Interpreter({**GOOD_RELEASE, **changed}).run(definition, data or make_input())

    return run


def evaluation_body(passed: Any = True, **gate: Any) -> dict[str, Any]:
    """Return S3's answer with an ``evaluation.json`` of this decision."""
    decision = {"metric": "roc_auc", "value": 0.934, "reasons": [], **gate, "passed": passed}
    return {"Body": json.dumps({"gate": decision}), "ContentLength": 1}


# The first release of a project: its model package group and endpoint do not exist yet.
GOOD_RELEASE: dict[str, list[Answer]] = {
    "PrepareData": [{"ProcessingJobStatus": "Completed"}],
    "TrainModel": [{"TrainingJobStatus": "Completed"}],
    "EvaluateModel": [{"ProcessingJobStatus": "Completed"}],
    "ReadEvaluation": [evaluation_body()],
    "CreateModelPackageGroup": [{"ModelPackageGroupArn": "arn:group"}],
    "CreateModelPackage": [{"ModelPackageArn": PACKAGE_ARN}],
    "CreateModel": [{"ModelArn": "arn:model"}],
    "CreateEndpointConfig": [{"EndpointConfigArn": "arn:config"}],
    "FindEndpoint": [
        ("SageMaker.SageMakerException", 'Could not find endpoint "arn:endpoint". (Service: ...)')
    ],
    "CreateEndpoint": [{"EndpointArn": "arn:endpoint"}],
    "UpdateEndpoint": [{"EndpointArn": "arn:endpoint"}],
    "DeleteFailedEndpoint": [{}],
    "DescribeEndpoint": [
        {"EndpointStatus": "Creating", "EndpointConfigName": "churn-config-r-1"},
        {"EndpointStatus": "InService", "EndpointConfigName": "churn-config-r-1"},
    ],
}


@pytest.fixture
def good_release() -> dict[str, list[Answer]]:
    return GOOD_RELEASE


@pytest.fixture
def evaluation() -> Callable[..., dict[str, Any]]:
    return evaluation_body


# --- the language's expressions -----------------------------------------------------------------

_MISSING = object()


def look_up(path: str, data: Any) -> Any:
    """Return what the reference path `path` names, or ``_MISSING``."""
    assert re.fullmatch(r"\$(\.\w+|\[\d+\])*", path), f"{path}: not a reference path"
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        if key and isinstance(data, dict) and key in data:
            data = data[key]
        elif index and isinstance(data, list) and int(index) < len(data):
            data = data[int(index)]
        else:
            return _MISSING
    return data


def evaluate(expression: str, data: Any) -> Any:
    """Return the value of a path or an intrinsic function."""
    call = re.fullmatch(r"States\.(\w+)\((.*)\)", expression, re.DOTALL)
    if call is None:
        value = look_up(expression, data)
        if value is _MISSING:
            raise _FailError("States.Runtime", f"{expression} could not be found")
        return value
    return _FUNCTIONS[call[1]](*_arguments(call[2], data))


def _arguments(text: str, data: Any) -> Iterator[Any]:
    for literal, number, path in re.findall(r"'([^']*)'|(\d+)|(\$[\w.\[\]]*)", text):
        yield evaluate(path, data) if path else int(number) if number else literal


def _format(template: str, *values: Any) -> str:
    texts = iter(value if isinstance(value, str) else json.dumps(value) for value in values)
    return re.sub(r"{}", lambda _: next(texts), template)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Format": _format,
    "JsonToString": lambda value: json.dumps(value, separators=(",", ":")),
    "MathAdd": lambda one, other: one + other,
    "StringToJson": json.loads,
}


def fill(template: Any, data: Any) -> Any:
    """Return a payload template with its ``name.$`` fields evaluated."""
    if isinstance(template, list):
        return [fill(item, data) for item in template]
    if not isinstance(template, dict):
        return template
    return {
        key.removesuffix(".$"): evaluate(item, data) if key.endswith(".$") else fill(item, data)
        for key, item in template.items()
    }


def place(data: Any, path: str | None, result: Any) -> Any:
    """Return `data` with `result` at the reference path `path`."""
    if path is None:
        return data
    placed = {"$": copy.deepcopy(data)}
    *parents, last = ["$", *path.removeprefix("$").lstrip(".").split(".")]
    if path == "$":
        return result
    target: Any = placed
    for key in parents:
        target = target.setdefault(key, {})
    target[last] = result
    return placed["$"]


def holds(rule: dict[str, Any], data: Any) -> bool:
    """Return whether a rule of a Choice state holds."""
    if "And" in rule:
        return all(holds(part, data) for part in rule["And"])
    if "Or" in rule:
        return any(holds(part, data) for part in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], data)
    (operator,) = rule.keys() - {"Variable", "Next"}
    value, expected = look_up(rule["Variable"], data), rule[operator]
    if operator == "IsPresent":
        return (value is not _MISSING) == expected
    if value is _MISSING:
        raise _FailError("States.Runtime", f"{rule['Variable']} could not be found")
    return _OPERATORS[operator](value, expected, data)


def _boolean(value: Any) -> bool:
    assert isinstance(value, bool), f"{value!r}: check IsBoolean first"
    return value


_OPERATORS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "BooleanEquals": lambda value, expected, _: _boolean(value) == expected,
    "IsBoolean": lambda value, expected, _: isinstance(value, bool) == expected,
    "IsString": lambda value, expected, _: isinstance(value, str) == expected,
    "NumericLessThan": lambda value, expected, _: value < expected,
    "StringEquals": lambda value, expected, _: value == expected,
    "StringEqualsPath": lambda value, path, data: value == evaluate(path, data),
    "StringMatches": lambda value, pattern, _: (
        isinstance(value, str) and fnmatch.fnmatchcase(value, pattern)
    ),
}
