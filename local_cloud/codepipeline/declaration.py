"""A pipeline's declaration: checked when it is put, so that it cannot fail for its form later.

Source: https://docs.aws.amazon.com/codepipeline/latest/userguide/pipeline-requirements.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from local_cloud.errors import UnsupportedError
from local_cloud.json_api import ApiError, refuse_others

__all__ = ["Action", "Declaration", "Rule", "Stage", "references"]

#: Category and provider -> keys of the configuration that are supported.
PROVIDERS: dict[tuple[str, str], frozenset[str]] = {
    ("Source", "CodeCommit"): frozenset(
        {"RepositoryName", "BranchName", "PollForSourceChanges", "OutputArtifactFormat"}
    ),
    ("Source", "S3"): frozenset({"S3Bucket", "S3ObjectKey", "PollForSourceChanges"}),
    ("Build", "CodeBuild"): frozenset({"ProjectName", "EnvironmentVariables", "PrimarySource"}),
    ("Test", "CodeBuild"): frozenset({"ProjectName", "EnvironmentVariables", "PrimarySource"}),
    ("Deploy", "CloudFormation"): frozenset(
        {
            "ActionMode", "StackName", "TemplatePath", "TemplateConfiguration", "RoleArn",
            "ParameterOverrides", "Capabilities", "OutputFileName",
        }
    ),
    ("Invoke", "StepFunctions"): frozenset(
        {"StateMachineArn", "ExecutionNamePrefix", "InputType", "Input"}
    ),
    ("Approval", "Manual"): frozenset({"NotificationArn", "CustomData", "ExternalEntityLink"}),
}  # fmt: skip
_REFERENCE = re.compile(r"#\{([\w@-]+)\.([\w@-]+)\}")
_PIPELINE = {"name", "roleArn", "artifactStore", "stages", "executionMode", "pipelineType"}
_ACTION = {
    "name", "actionTypeId", "runOrder", "configuration", "inputArtifacts", "outputArtifacts",
    "namespace", "roleArn", "timeoutInMinutes", "region",
}  # fmt: skip
_OPERATORS = {"EQ", "NE", "MATCHES"}
_LEAST_STAGES = 2
_ALWAYS = {"codepipeline", "variables"}


@dataclass(frozen=True)
class Action:
    """One action of a stage."""

    name: str
    category: str
    provider: str
    run_order: int
    configuration: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    namespace: str
    role_arn: str
    timeout_minutes: int | None
    type_id: Mapping[str, str]


@dataclass(frozen=True)
class Rule:
    """A VariableCheck, and what becomes of the stage when it is not met: ``FAIL`` or ``SKIP``."""

    name: str
    variable: str
    operator: str
    value: str
    result: str


@dataclass(frozen=True)
class Stage:
    """Actions in groups of the same run order, first group first."""

    name: str
    actions: tuple[Action, ...]
    rules: tuple[Rule, ...]

    def groups(self) -> list[list[Action]]:
        """Actions that run at the same time."""
        ordered = sorted(self.actions, key=lambda action: action.run_order)
        return [list(group) for _, group in groupby(ordered, lambda action: action.run_order)]


@dataclass(frozen=True)
class Declaration:
    """A whole pipeline; `document` is what was put."""

    name: str
    role_arn: str
    bucket: str
    kms_key_id: str
    stages: tuple[Stage, ...]
    variables: Mapping[str, str | None]
    document: Mapping[str, Any]

    @classmethod
    def read(cls, document: Mapping[str, Any], region: str) -> Declaration:
        """The declaration in a request.

        Raises
        ------
        ApiError
            When CodePipeline would refuse it.
        UnsupportedError
            When it asks for what is not here.
        """
        name, account = document["name"], _account_of(document["roleArn"])
        where = f"pipeline {name}"
        refuse_others(where, document, {*_PIPELINE, "variables", "version"})
        if document.get("executionMode") != "QUEUED" or document.get("pipelineType") != "V2":
            kind = document.get("pipelineType", "V1")
            mode = f"{kind} {document.get('executionMode', 'SUPERSEDED')}"
            raise UnsupportedError(
                where, f"type and execution mode {mode}", "V2 QUEUED is supported"
            )
        store = document.get("artifactStore")
        if store is None:
            raise _structure(f"{where} has no artifactStore")
        declaration = cls(
            name,
            document["roleArn"],
            store["location"],
            store.get("encryptionKey", {}).get("id", ""),
            tuple(_stage(where, stage, region, account) for stage in document["stages"]),
            {_["name"]: _.get("defaultValue") for _ in document.get("variables", [])},
            document,
        )
        _check_order(declaration)
        return declaration

    def stage(self, name: str) -> Stage:
        """A stage by its name."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ApiError("StageNotFoundException", f"Pipeline {self.name} has no stage {name}")


def references(text: str) -> list[tuple[str, str]]:
    """Namespace and name of every ``#{namespace.name}`` in a text."""
    return _REFERENCE.findall(text)


def _account_of(arn: str) -> str:
    return arn.split(":")[4]


def _stage(where: str, stage: Mapping[str, Any], region: str, account: str) -> Stage:
    where = f"{where}, stage {stage['name']}"
    refuse_others(where, stage, {"name", "actions", "beforeEntry", "blockers"})
    if stage.get("blockers"):
        raise UnsupportedError(where, "blockers", "a stage without them is supported")
    actions = tuple(_action(where, action, region, account) for action in stage["actions"])
    if len({action.name for action in actions}) < len(actions) or not actions:
        raise _structure(f"{where} needs actions whose names are unique in it")
    conditions = (stage.get("beforeEntry") or {}).get("conditions", [])
    rules = tuple(rule for condition in conditions for rule in _rules(where, condition))
    return Stage(stage["name"], actions, rules)


def _rules(where: str, condition: Mapping[str, Any]) -> Iterator[Rule]:
    result = condition.get("result", "FAIL")
    if result not in {"FAIL", "SKIP"}:
        raise UnsupportedError(where, f"condition result {result}", "FAIL or SKIP is supported")
    for rule in condition["rules"]:
        provider = rule["ruleTypeId"]["provider"]
        refuse_others(
            f"{where}, rule {rule['name']}", rule, {"name", "ruleTypeId", "configuration"}
        )
        configuration = rule.get("configuration", {})
        operator = configuration.get("Operator", "EQ")
        if provider != "VariableCheck" or operator not in _OPERATORS:
            raise UnsupportedError(
                where,
                f"rule {provider} {operator}",
                f"VariableCheck with {', '.join(sorted(_OPERATORS))} is supported",
            )
        yield Rule(
            rule["name"],
            configuration["Variable"],
            operator,
            configuration.get("Value", ""),
            result,
        )


def _action(where: str, action: Mapping[str, Any], region: str, account: str) -> Action:
    where = f"{where}, action {action['name']}"
    refuse_others(where, action, _ACTION)
    kind = action["actionTypeId"]
    supported = PROVIDERS.get((kind["category"], kind["provider"]))
    if supported is None or kind["owner"] != "AWS":
        known = ", ".join(f"{category} {provider}" for category, provider in PROVIDERS)
        raise UnsupportedError(
            where,
            f"{kind['owner']} {kind['category']} {kind['provider']}",
            f"AWS {known} are supported",
        )
    configuration = action.get("configuration", {})
    refuse_others(f"{where}, configuration", configuration, supported)
    _check_values(where, kind["category"], configuration)
    if action.get("region", region) != region:
        raise UnsupportedError(where, f"region {action['region']}", f"{region} is supported")
    role = action.get("roleArn")
    if role and _account_of(role) != account:
        raise UnsupportedError(
            where, f"role {role} of another account", f"the one account {account} is supported"
        )
    return Action(
        action["name"],
        kind["category"],
        kind["provider"],
        action.get("runOrder", 1),
        configuration,
        tuple(_["name"] for _ in action.get("inputArtifacts", [])),
        tuple(_["name"] for _ in action.get("outputArtifacts", [])),
        action.get("namespace", ""),
        action.get("roleArn", ""),
        action.get("timeoutInMinutes"),
        kind,
    )


def _check_values(where: str, category: str, configuration: Mapping[str, str]) -> None:
    if category == "Source" and configuration.get("PollForSourceChanges", "true") != "false":
        raise UnsupportedError(
            where, "PollForSourceChanges true", "'false', with an event rule, is supported"
        )
    allowed = {
        "OutputArtifactFormat": {"CODE_ZIP"},
        "ActionMode": {"CREATE_UPDATE", "REPLACE_ON_FAILURE", "DELETE_ONLY"},
        "InputType": {"Literal", "FilePath"},
    }
    for name, values in allowed.items():
        value = configuration.get(name)
        if value is not None and value not in values:
            supported = f"{' or '.join(sorted(values))} is supported"
            raise UnsupportedError(where, f"{name} {value}", supported)


def _check_order(declaration: Declaration) -> None:
    """Sources come first, alone; what an action takes, an action before it makes."""
    stages = declaration.stages
    if len(stages) < _LEAST_STAGES or len({stage.name for stage in stages}) < len(stages):
        raise _structure("a pipeline needs at least two stages whose names are unique in it")
    for index, stage in enumerate(stages):
        if any((action.category == "Source") != (index == 0) for action in stage.actions):
            raise _structure("source actions, and they alone, are in the first stage")
    made: set[str] = set()
    spaces = set(_ALWAYS)
    for stage in stages:
        for rule in stage.rules:
            _check_references(f"rule {rule.name}", rule.variable, spaces, declaration)
        for group in stage.groups():
            for action in group:
                where = f"action {action.name} of stage {stage.name}"
                for name in action.inputs:
                    if name not in made:
                        raise _structure(f"{where}: no action before it makes artifact {name}")
                for text in action.configuration.values():
                    _check_references(where, text, spaces, declaration)
            for action in group:
                made |= set(action.outputs)
                spaces |= {action.namespace} - {""}


def _check_references(where: str, text: str, spaces: set[str], declaration: Declaration) -> None:
    for space, name in references(text):
        if space not in spaces:
            raise _structure(
                f"{where}: #{{{space}.{name}}}: no action before it has namespace {space}"
            )
        if space == "variables" and name not in declaration.variables:
            raise _structure(f"{where}: #{{{space}.{name}}}: the pipeline has no variable {name}")


def _structure(message: str) -> ApiError:
    return ApiError("InvalidStructureException", message)
