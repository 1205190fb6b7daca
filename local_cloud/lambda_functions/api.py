"""Lambda's API: functions, versions, aliases, policies, and events.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from local_cloud.errors import UnsupportedError
from local_cloud.iam import Identity
from local_cloud.json_api import ApiError, Operation, Parameters, refuse_others
from local_cloud.lambda_functions import configuration
from local_cloud.lambda_functions.asynchronous import Events
from local_cloud.lambda_functions.function import LATEST, Alias, Function, Version
from local_cloud.lambda_functions.invocation import MOST_EVENT_BYTES, MOST_REQUEST_BYTES
from local_cloud.lambda_functions.registry import Functions, Reference

__all__ = ["LambdaApi"]

_EVENT_CONFIG = {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"}
_PERMISSION = {
    "Action", "FunctionName", "Principal", "Qualifier", "RevisionId", "SourceAccount", "SourceArn",
    "StatementId",
}  # fmt: skip


class LambdaApi:
    """Answers Lambda's operations.

    Parameters
    ----------
    functions
        The functions of the account.
    events
        The queue of asynchronous events.
    """

    def __init__(self, functions: Functions, events: Events) -> None:
        self._functions = functions
        self._events = events

    def operations(self) -> dict[str, Operation]:
        """What the API answers, by the operations' names."""
        readers: dict[str, Callable[[Parameters], dict[str, Any] | None]] = {
            "AddPermission": self._add_permission,
            "CreateAlias": self._create_alias,
            "DeleteAlias": self._delete_alias,
            "DeleteFunction": self._delete_function,
            "DeleteFunctionConcurrency": self._delete_concurrency,
            "DeleteFunctionEventInvokeConfig": self._delete_event_config,
            "GetAlias": self._get_alias,
            "GetFunction": self._get_function,
            "GetFunctionConcurrency": self._get_concurrency,
            "GetFunctionConfiguration": self._get_configuration,
            "GetFunctionEventInvokeConfig": self._get_event_config,
            "GetPolicy": self._get_policy,
            "Invoke": self._invoke,
            "ListAliases": self._list_aliases,
            "ListFunctions": self._list_functions,
            "ListTags": self._list_tags,
            "ListVersionsByFunction": self._list_versions,
            "PublishVersion": self._publish_version,
            "PutFunctionConcurrency": self._put_concurrency,
            "PutFunctionEventInvokeConfig": self._put_event_config,
            "RemovePermission": self._remove_permission,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "UpdateAlias": self._update_alias,
            "UpdateFunctionConfiguration": self._update_configuration,
            "UpdateFunctionEventInvokeConfig": self._update_event_config,
        }
        writers: dict[str, Operation] = {
            "CreateFunction": self._create_function,
            "UpdateFunctionCode": self._update_code,
        }
        return {**{name: _anybody(reader) for name, reader in readers.items()}, **writers}

    # ---------------------------------------------------------------- functions

    def _create_function(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        name = self._functions.refer(asked["FunctionName"]).name
        settings = configuration.with_defaults(name, asked)
        configuration.check(self._functions.cloud, self._functions.arn(name), settings, asked)
        uri = asked["Code"].get("ImageUri")
        if uri is None:
            raise _invalid(
                "Please provide ImageUri when creating a function with packageType Image."
            )
        arn = self._functions.arn(name)
        image = configuration.pull(self._functions.cloud, arn, uri, identity)
        latest = Version(name, arn, LATEST, settings, uri, image)
        function = Function(name, arn, latest, dict(asked.get("Tags", {})))
        self._functions.add(function)
        return self._published(function, asked)

    def _update_code(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        known = {"Architectures", "FunctionName", "ImageUri", "Publish", "RevisionId"}
        refuse_others("lambda:UpdateFunctionCode", asked, known)
        function = self._function(asked)
        _check_revision(asked, function.latest.revision)
        if "ImageUri" not in asked:
            raise _invalid("Please provide an ImageUri.")
        image = configuration.pull(self._functions.cloud, function.arn, asked["ImageUri"], identity)
        settings = {
            **function.latest.settings,
            **{key: asked[key] for key in ("Architectures",) if key in asked},
        }
        latest = _renewed(
            function.latest, settings=settings, image_uri=asked["ImageUri"], image=image
        )
        self._functions.replace_latest(function, latest)
        return self._published(function, asked)

    def _update_configuration(self, asked: Parameters) -> dict[str, Any]:
        function = self._function(asked)
        _check_revision(asked, function.latest.revision)
        given = {key: asked[key] for key in configuration.SETTINGS if key in asked}
        settings = configuration.with_defaults(function.name, {**function.latest.settings, **given})
        configuration.check(self._functions.cloud, function.arn, settings, asked)
        self._functions.replace_latest(function, _renewed(function.latest, settings=settings))
        return function.latest.describe()

    def _published(self, function: Function, asked: Parameters) -> dict[str, Any]:
        if asked.get("Publish"):
            return self._publish(function, "").describe()
        return function.latest.describe()

    def _get_function(self, asked: Parameters) -> dict[str, Any]:
        reference = self._reference(asked)
        function, version = self._functions.get(reference.name), self._functions.version(reference)
        host, _, _ = version.image_uri.partition(":")
        resolved = f"{host.partition('@')[0]}@sha256:{version.image.digest}"
        concurrency = {"Concurrency": self._get_concurrency(asked)} if function.reserved else {}
        return {
            "Code": {
                "ImageUri": version.image_uri,
                "RepositoryType": "ECR",
                "ResolvedImageUri": resolved,
            },
            "Configuration": version.describe(),
            "Tags": function.tags,
            **concurrency,
        }

    def _get_configuration(self, asked: Parameters) -> dict[str, Any]:
        return self._functions.version(self._reference(asked)).describe()

    def _list_functions(self, _: Parameters) -> dict[str, Any]:
        return {"Functions": [function.latest.describe() for function in self._functions.all()]}

    def _delete_function(self, asked: Parameters) -> dict[str, Any]:
        reference = self._reference(asked)
        function = self._functions.get(reference.name)
        number = reference.qualifier
        if not number:
            self._functions.remove(function)
            return {"StatusCode": 204}
        users = [
            alias.name
            for alias in function.aliases.values()
            if number in {alias.version, *alias.weights}
        ]
        if users:
            raise ApiError(
                "ResourceConflictException",
                f"Unable to delete version because the following aliases reference it: {users}",
            )
        if number == LATEST:
            raise _invalid("$LATEST version cannot be deleted "
                           "without deleting the function.")  # fmt: skip
        self._functions.remove_version(function, number)
        function.statements.pop(number, None)
        return {"StatusCode": 204}

    # ---------------------------------------------------------------- versions

    def _publish_version(self, asked: Parameters) -> dict[str, Any]:
        known = {"CodeSha256", "Description", "FunctionName", "RevisionId"}
        refuse_others("lambda:PublishVersion", asked, known)
        function = self._function(asked)
        _check_revision(asked, function.latest.revision)
        digest = asked.get("CodeSha256", function.latest.image.digest)
        if digest != function.latest.image.digest:
            raise _invalid(
                f"CodeSHA256 ({digest}) is different from current CodeSHA256 in $LATEST "
                f"({function.latest.image.digest}). Please try again with the CodeSHA256 in "
                "$LATEST.",
            )
        return self._publish(function, asked.get("Description", "")).describe()

    def _publish(self, function: Function, description: str) -> Version:
        """A new version, or the last one when nothing has changed since."""
        with self._functions.lock:
            latest = function.latest
            last = function.versions.get(str(function.published))
            if last is not None and last.is_like(latest):
                return last
            function.published += 1
            number = str(function.published)
            version = _renewed(
                latest,
                number=number,
                arn=self._functions.arn(function.name, number),
                settings={
                    **latest.settings,
                    "Description": description or latest.settings["Description"],
                },
            )
            function.versions[number] = version
            return version

    def _list_versions(self, asked: Parameters) -> dict[str, Any]:
        function = self._function(asked)
        return {"Versions": [_.describe() for _ in (function.latest, *function.versions.values())]}

    # ---------------------------------------------------------------- aliases

    def _create_alias(self, asked: Parameters) -> dict[str, Any]:
        function, name = self._function(asked), asked["Name"]
        if name in function.aliases:
            arn = self._functions.arn(function.name, name)
            raise ApiError("ResourceConflictException", f"Alias already exists: {arn}")
        if name.isdigit():
            raise _invalid("An alias cannot be a number.")
        alias = Alias(
            name,
            self._functions.arn(function.name, name),
            asked["FunctionVersion"],
            asked.get("Description", ""),
            _weights(asked),
        )
        return self._keep(function, alias)

    def _update_alias(self, asked: Parameters) -> dict[str, Any]:
        function, alias = self._alias(asked)
        _check_revision(asked, alias.revision)
        weights = _weights(asked) if "RoutingConfig" in asked else alias.weights
        changed = Alias(
            alias.name,
            alias.arn,
            asked.get("FunctionVersion", alias.version),
            asked.get("Description", alias.description),
            weights,
        )
        return self._keep(function, changed)

    def _keep(self, function: Function, alias: Alias) -> dict[str, Any]:
        numbers = [alias.version, *alias.weights]
        for number in numbers:
            if function.version(number) is None:
                arn = self._functions.arn(function.name, number)
                raise ApiError("ResourceNotFoundException", f"Function not found: {arn}")
        if alias.weights and LATEST in numbers:
            raise _invalid("$LATEST is not supported for an alias pointing to more than 1 version")
        if alias.version in alias.weights:
            raise _invalid(
                f"Invalid function version {alias.version}. Function version {alias.version} is "
                "already used in the alias."
            )
        if any(not 0 <= weight <= 1 for weight in alias.weights.values()):
            raise _invalid("Additional version weights must be between 0.0 and 1.0.")  # fmt: skip
        function.aliases[alias.name] = alias
        return alias.describe()

    def _get_alias(self, asked: Parameters) -> dict[str, Any]:
        return self._alias(asked)[1].describe()

    def _delete_alias(self, asked: Parameters) -> None:
        function = self._function(asked)
        function.aliases.pop(asked["Name"], None)
        function.statements.pop(asked["Name"], None)

    def _list_aliases(self, asked: Parameters) -> dict[str, Any]:
        function, version = self._function(asked), asked.get("FunctionVersion")
        found = function.aliases.values()
        return {
            "Aliases": [_.describe() for _ in found if version in {None, _.version, *_.weights}]
        }

    def _alias(self, asked: Parameters) -> tuple[Function, Alias]:
        function = self._function(asked)
        alias = function.aliases.get(asked["Name"])
        if alias is None:
            arn = self._functions.arn(function.name, asked["Name"])
            raise ApiError("ResourceNotFoundException", f"Cannot find alias arn: {arn}")
        return function, alias

    # ---------------------------------------------------------------- policies

    def _add_permission(self, asked: Parameters) -> dict[str, Any]:
        refuse_others("lambda:AddPermission", asked, _PERMISSION)
        reference = self._existing(asked)
        function, statement_id = self._functions.get(reference.name), asked["StatementId"]
        principal = asked["Principal"]
        if not principal.endswith(".amazonaws.com"):
            raise UnsupportedError(
                "lambda:AddPermission",
                f"principal {principal}",
                "services are supported; roles have policies of their own",
            )
        conditions: dict[str, dict[str, str]] = {}
        if "SourceArn" in asked:
            conditions["ArnLike"] = {"AWS:SourceArn": asked["SourceArn"]}
        if "SourceAccount" in asked:
            conditions["StringEquals"] = {"AWS:SourceAccount": asked["SourceAccount"]}
        statement = {
            "Sid": statement_id,
            "Effect": "Allow",
            "Principal": {"Service": principal},
            "Action": asked["Action"],
            "Resource": self._functions.arn(reference.name, reference.qualifier),
            **({"Condition": conditions} if conditions else {}),
        }
        statements = function.statements.setdefault(reference.qualifier, {})
        if statement_id in statements:
            raise ApiError(
                "ResourceConflictException",
                f"The statement id ({statement_id}) provided already exists. Please provide a new "
                "statement id, or remove the existing statement.",
            )
        statements[statement_id] = statement
        return {"Statement": json.dumps(statement)}

    def _remove_permission(self, asked: Parameters) -> None:
        reference = self._reference(asked)
        statements = self._functions.get(reference.name).statements.get(reference.qualifier, {})
        if statements.pop(asked["StatementId"], None) is None:
            raise ApiError(
                "ResourceNotFoundException",
                f"Statement {asked['StatementId']} is not found in resource policy.",
            )

    def _get_policy(self, asked: Parameters) -> dict[str, Any]:
        reference = self._existing(asked)
        function = self._functions.get(reference.name)
        statements = function.statements.get(reference.qualifier)
        if not statements:
            raise ApiError(
                "ResourceNotFoundException", "The resource you requested does not exist."
            )
        policy = {
            "Version": "2012-10-17",
            "Id": "default",
            "Statement": list(statements.values()),
        }
        return {"Policy": json.dumps(policy), "RevisionId": function.latest.revision}

    # ---------------------------------------------------------------- concurrency

    def _put_concurrency(self, asked: Parameters) -> dict[str, Any]:
        function = self._function(asked)
        function.reserved = asked["ReservedConcurrentExecutions"]
        return self._get_concurrency(asked)

    def _get_concurrency(self, asked: Parameters) -> dict[str, Any]:
        reserved = self._function(asked).reserved
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    def _delete_concurrency(self, asked: Parameters) -> None:
        self._function(asked).reserved = None

    # ---------------------------------------------------------------- asynchronous events

    def _put_event_config(self, asked: Parameters) -> dict[str, Any]:
        return self._set_event_config(asked, {})

    def _update_event_config(self, asked: Parameters) -> dict[str, Any]:
        return self._set_event_config(asked, self._event_config(asked))

    def _set_event_config(self, asked: Parameters, before: Mapping[str, Any]) -> dict[str, Any]:
        known = {*_EVENT_CONFIG, "FunctionName", "Qualifier"}
        refuse_others("lambda event invoke config", asked, known)
        reference = self._existing(asked)
        given = {name: asked[name] for name in _EVENT_CONFIG if name in asked}
        configs = self._functions.get(reference.name).event_configs
        configs[reference.qualifier or LATEST] = {**before, **given}
        return self._get_event_config(asked)

    def _get_event_config(self, asked: Parameters) -> dict[str, Any]:
        reference = self._reference(asked)
        arn = self._functions.arn(reference.name, reference.qualifier or LATEST)
        return {**self._event_config(asked), "FunctionArn": arn}

    def _delete_event_config(self, asked: Parameters) -> None:
        self._event_config(asked)
        reference = self._reference(asked)
        del self._functions.get(reference.name).event_configs[reference.qualifier or LATEST]

    def _event_config(self, asked: Parameters) -> dict[str, Any]:
        reference = self._reference(asked)
        configs = self._functions.get(reference.name).event_configs
        found = configs.get(reference.qualifier or LATEST)
        if found is None:
            arn = self._functions.arn(reference.name, reference.qualifier or LATEST)
            raise ApiError(
                "ResourceNotFoundException",
                f"The function {arn} doesn't have an EventInvokeConfig",
            )
        return found

    # ---------------------------------------------------------------- tags

    def _tag(self, asked: Parameters) -> None:
        self._tagged(asked).tags.update(asked["Tags"])

    def _untag(self, asked: Parameters) -> None:
        tags = self._tagged(asked).tags
        for key in asked["TagKeys"]:
            tags.pop(key, None)

    def _list_tags(self, asked: Parameters) -> dict[str, Any]:
        return {"Tags": self._tagged(asked).tags}

    def _tagged(self, asked: Parameters) -> Function:
        return self._functions.get(self._functions.refer(asked["Resource"]).name)

    # ---------------------------------------------------------------- events

    def _invoke(self, asked: Parameters) -> dict[str, Any]:
        known = {
            "ClientContext", "FunctionName", "InvocationType", "LogType", "Payload", "Qualifier",
        }  # fmt: skip
        refuse_others("lambda:Invoke", asked, known)
        kind = asked.get("InvocationType", "RequestResponse")
        reference = self._existing(asked)
        payload = _event(asked.get("Payload", b""), kind)
        context = base64.b64decode(asked.get("ClientContext", "")).decode()
        if kind == "DryRun":
            return {"StatusCode": 204}
        if kind == "Event":
            self._events.put(reference, payload, context)
            return {"StatusCode": 202}
        outcome = self._functions.invoke(
            reference, payload, client_context=context, with_tail=asked.get("LogType") == "Tail"
        )
        log = base64.b64encode(outcome.log_tail.encode()).decode()
        return {
            "StatusCode": 200,
            "ExecutedVersion": outcome.version or self._functions.version(reference).number,
            "Payload": outcome.payload,
            **({"FunctionError": "Unhandled"} if outcome.is_error else {}),
            **({"LogResult": log} if log else {}),
        }

    # ---------------------------------------------------------------- parts

    def _reference(self, asked: Parameters) -> Reference:
        return self._functions.refer(asked["FunctionName"], asked.get("Qualifier"))

    def _existing(self, asked: Parameters) -> Reference:
        reference = self._reference(asked)
        self._functions.version(reference)
        return reference

    def _function(self, asked: Parameters) -> Function:
        return self._functions.get(self._functions.refer(asked["FunctionName"]).name)


def _anybody(operation: Callable[[Parameters], dict[str, Any] | None]) -> Operation:
    """An operation that does not depend on who calls it."""
    return lambda asked, _: operation(asked)


def _renewed(version: Version, **changes: Any) -> Version:
    """A version with changes, a revision and a time of its own."""
    members = {_.name: getattr(version, _.name) for _ in dataclasses.fields(version)}
    kept = {name: members[name] for name in members if name not in {"modified", "revision"}}
    return Version(**{**kept, **changes})


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValueException", message)


def _check_revision(asked: Parameters, revision: str) -> None:
    if asked.get("RevisionId", revision) != revision:
        raise ApiError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id",
        )


def _weights(asked: Parameters) -> dict[str, float]:
    weights = (asked.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if len(weights) > 1:
        raise _invalid(
            f"Number of items in AdditionalVersionWeights cannot be greater than 1: {weights}",
        )
    return {version: float(weight) for version, weight in weights.items()}


def _event(payload: bytes, kind: str) -> bytes:
    most = MOST_EVENT_BYTES if kind == "Event" else MOST_REQUEST_BYTES
    if len(payload) > most:
        raise ApiError(
            "RequestTooLargeException",
            f"{len(payload)} byte payload is too large for the {kind} invocation type (limit "
            f"{most} bytes)",
        )
    if not payload:
        return b"{}"
    try:
        json.loads(payload)
    except ValueError as error:
        raise ApiError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: {error}",
        ) from error
    return payload
