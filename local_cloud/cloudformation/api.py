"""CloudFormation's API: requests in, answers out, in the words of its service model.

An operation, or a parameter with a meaning, that is not handled is refused by name.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from moto.core.request import Request as HTTPRequest
from moto.core.serialize import QuerySerializer, SerializationContext
from moto.core.utils import get_service_model

from local_cloud.cloud import Credentials, LocalCloud
from local_cloud.cloudformation import descriptions, sources, template
from local_cloud.cloudformation.change_sets import ChangeSet, ChangeSets
from local_cloud.cloudformation.errors import CloudFormationError
from local_cloud.cloudformation.stack import Stack
from local_cloud.cloudformation.stacks import Request, Stacks
from local_cloud.cloudformation.template import Template
from local_cloud.errors import UnsupportedError
from local_cloud.requests import identify, read_signature

__all__ = ["Api"]

Parameters = Mapping[str, Any]
Answer = tuple[int, dict[str, str], str]

#: Parameters whose effect is not here; a value that asks for none is taken.
_REFUSED = frozenset(
    {
        "DeploymentMode", "DisableValidation", "ImportExistingResources", "IncludeNestedStacks",
        "NotificationARNs", "ResourceTypes", "ResourcesToImport", "RetainStacks",
        "RollbackConfiguration", "StackPolicyBody", "StackPolicyDuringUpdateBody",
        "StackPolicyDuringUpdateURL", "StackPolicyURL", "TimeoutInMinutes",
    }
)  # fmt: skip


class Api:
    """Answers the requests to one cloud's CloudFormation.

    Parameters
    ----------
    cloud
        The account.
    stacks
        Its stacks.
    """

    def __init__(self, cloud: LocalCloud, stacks: Stacks) -> None:
        self._cloud = cloud
        self._stacks = stacks
        self._change_sets = ChangeSets(stacks)
        self._operations: dict[str, Callable[[Credentials, Parameters], dict[str, Any]]] = {
            "ContinueUpdateRollback": self._continue_update_rollback,
            "CreateChangeSet": self._create_change_set,
            "CreateStack": self._create_stack,
            "DeleteChangeSet": self._delete_change_set,
            "DeleteStack": self._delete_stack,
            "DescribeChangeSet": self._describe_change_set,
            "DescribeStackEvents": self._describe_stack_events,
            "DescribeStackResource": self._describe_stack_resource,
            "DescribeStackResources": self._describe_stack_resources,
            "DescribeStacks": self._describe_stacks,
            "ExecuteChangeSet": self._execute_change_set,
            "GetTemplate": self._get_template,
            "GetTemplateSummary": self._get_template_summary,
            "ListChangeSets": self._list_change_sets,
            "ListExports": self._list_exports,
            "ListImports": self._list_imports,
            "ListStackResources": self._list_stack_resources,
            "ListStacks": self._list_stacks,
            "UpdateStack": self._update_stack,
            "UpdateTerminationProtection": self._update_termination_protection,
            "ValidateTemplate": self._validate_template,
        }

    def answer(self, request: HTTPRequest, _url: str, _headers: object) -> Answer:
        """Status, headers and body, as moto's server wants them."""
        call = identify(request, "cloudformation")
        operation = self._operations.get(call.operation)
        if operation is None:
            raise UnsupportedError(
                "CloudFormation",
                f"the operation {call.operation}",
                f"one of {', '.join(self._operations)} is supported",
            )
        _refuse(call.parameters)
        context = SerializationContext(str(uuid.uuid4()))
        try:
            result = operation(self._caller(request), call.parameters)
        except CloudFormationError as error:
            return _error(error, context.request_id)
        model = get_service_model("cloudformation").operation_model(call.operation)
        answer = QuerySerializer(model, context).serialize(result)
        return answer["status_code"], dict(answer["headers"]), str(answer["body"])

    def _caller(self, request: HTTPRequest) -> Credentials:
        signature = read_signature(request)
        identity = self._cloud.account.identity(signature.access_key) if signature else None
        if identity is None:
            raise CloudFormationError("The security token included in the request is invalid.")
        return identity.credentials

    # ---------------------------------------------------------------- stacks

    def _create_stack(self, caller: Credentials, asked: Parameters) -> dict[str, Any]:
        return {"StackId": self._stacks.create(_request(caller, asked)).id}

    def _update_stack(self, caller: Credentials, asked: Parameters) -> dict[str, Any]:
        _refuse_without_rollback(asked)
        return {"StackId": self._stacks.update(_request(caller, asked)).id}

    def _delete_stack(self, caller: Credentials, asked: Parameters) -> dict[str, Any]:
        if asked.get("DeletionMode", "STANDARD") != "STANDARD":
            raise UnsupportedError("CloudFormation", "a forced deletion", "STANDARD is supported")
        self._stacks.delete(_request(caller, asked), asked.get("RetainResources") or ())
        return {}

    def _continue_update_rollback(self, caller: Credentials, asked: Parameters) -> dict[str, Any]:
        skipped = asked.get("ResourcesToSkip") or ()
        self._stacks.continue_rollback(_request(caller, asked), skipped)
        return {}

    def _update_termination_protection(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        is_protected = bool(asked["EnableTerminationProtection"])
        return {"StackId": self._stacks.protect(asked["StackName"], is_protected=is_protected).id}

    def _describe_stacks(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        if asked.get("StackName"):
            found = [self._stacks.find(asked["StackName"])]
        else:
            found = [stack for stack in self._stacks.all() if not stack.is_deleted]
        return {"Stacks": [descriptions.stack(stack) for stack in found]}

    def _list_stacks(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        wanted = asked.get("StackStatusFilter") or []
        found = [stack for stack in self._stacks.all() if not wanted or stack.status in wanted]
        return {"StackSummaries": [descriptions.stack_summary(stack) for stack in found]}

    # ---------------------------------------------------------------- resources, events

    def _describe_stack_events(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        stack = self._stacks.find(asked["StackName"])
        events = [descriptions.event(stack, event) for event in reversed(stack.events)]
        return {"StackEvents": events}

    def _describe_stack_resource(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        stack, name = self._stacks.find(asked["StackName"]), asked["LogicalResourceId"]
        if name not in stack.resources:
            raise CloudFormationError(f"Resource {name} does not exist for stack {stack.name}")
        (detail,) = _resources(stack, "LastUpdatedTimestamp", name)
        return {"StackResourceDetail": detail}

    def _describe_stack_resources(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        physical_id = asked.get("PhysicalResourceId")
        stack = self._owner(physical_id) if physical_id else self._stacks.find(asked["StackName"])
        return {"StackResources": _resources(stack, "Timestamp", asked.get("LogicalResourceId"))}

    def _list_stack_resources(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        stack = self._stacks.find(asked["StackName"])
        return {"StackResourceSummaries": _resources(stack, "LastUpdatedTimestamp", None)}

    def _owner(self, physical_id: str) -> Stack:
        for stack in self._stacks.all():
            if any(state.physical_id == physical_id for state in stack.states.values()):
                return stack
        raise CloudFormationError(f"Stack for {physical_id} does not exist")

    # ---------------------------------------------------------------- templates

    def _get_template(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        if asked.get("ChangeSetName"):
            text = self._change_set(asked).definition.template.text
        else:
            text = self._stacks.find(asked["StackName"]).definition.template.text
        return {"TemplateBody": text, "StagesAvailable": ["Original", "Processed"]}

    def _validate_template(self, caller: Credentials, asked: Parameters) -> dict[str, Any]:
        parsed = self._parsed(caller, asked)
        return {
            "Parameters": [descriptions.parameter(item) for item in parsed.parameters.values()],
            "Description": parsed.description,
            **descriptions.capabilities(parsed),
        }

    def _get_template_summary(self, caller: Credentials, asked: Parameters) -> dict[str, Any]:
        parsed = self._parsed(caller, asked)
        return {
            "Parameters": [
                {
                    **descriptions.parameter(item),
                    "ParameterType": item.type,
                    "ParameterConstraints": {"AllowedValues": list(item.allowed_values or ())},
                }
                for item in parsed.parameters.values()
            ],
            "Description": parsed.description,
            "ResourceTypes": sorted({resource.type for resource in parsed.resources.values()}),
            "Version": "2010-09-09",
            "Metadata": json.dumps(parsed.data.get("Metadata", {})),
            "DeclaredTransforms": [],
            **descriptions.capabilities(parsed),
        }

    def _parsed(self, caller: Credentials, asked: Parameters) -> Template:
        if asked.get("StackName"):
            return self._stacks.find(asked["StackName"]).definition.template
        reader = self._stacks.caller(caller)
        text = sources.template_text(reader, asked.get("TemplateBody"), asked.get("TemplateURL"))
        if text is None:
            raise CloudFormationError("Either Template URL or Template Body must be specified.")
        return template.parse(text)

    # ---------------------------------------------------------------- exports

    def _list_exports(self, _: Credentials, __: Parameters) -> dict[str, Any]:
        return {
            "Exports": [
                {"Name": export.name, "Value": export.value, "ExportingStackId": export.stack.id}
                for export in self._stacks.exports
            ]
        }

    def _list_imports(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        users = self._stacks.exports.importers(asked["ExportName"])
        if not users:
            raise CloudFormationError(
                f"Export '{asked['ExportName']}' is not imported by any stack."
            )
        return {"Imports": users}

    # ---------------------------------------------------------------- change sets

    def _create_change_set(self, caller: Credentials, asked: Parameters) -> dict[str, Any]:
        kind = asked.get("ChangeSetType") or "UPDATE"
        if kind not in {"CREATE", "UPDATE"}:
            raise UnsupportedError(
                "CloudFormation", f"a change set of type {kind}", "CREATE or UPDATE is supported"
            )
        made = self._change_sets.create(
            _request(caller, asked), asked["ChangeSetName"], kind, asked.get("Description") or ""
        )
        return {"Id": made.id, "StackId": made.stack.id}

    def _describe_change_set(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        return descriptions.change_set(self._change_set(asked))

    def _execute_change_set(self, caller: Credentials, asked: Parameters) -> dict[str, Any]:
        _refuse_without_rollback(asked)
        change_set = self._change_set(asked)
        request = _request(caller, {**asked, "StackName": change_set.stack.id})
        self._change_sets.execute(request, change_set)
        return {}

    def _delete_change_set(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        self._change_sets.delete(self._change_set(asked))
        return {}

    def _list_change_sets(self, _: Credentials, asked: Parameters) -> dict[str, Any]:
        found = self._change_sets.of(self._stacks.find(asked["StackName"]))
        return {"Summaries": [descriptions.change_set_summary(item) for item in found]}

    def _change_set(self, asked: Parameters) -> ChangeSet:
        return self._change_sets.find(asked["ChangeSetName"], asked.get("StackName"))


# ------------------------------------------------------------------------------ requests


def _request(caller: Credentials, asked: Parameters) -> Request:
    tags = asked.get("Tags")
    is_new_template = not asked.get("UsePreviousTemplate")
    return Request(
        credentials=caller,
        name=asked["StackName"],
        body=asked.get("TemplateBody") if is_new_template else None,
        url=asked.get("TemplateURL") if is_new_template else None,
        parameters=_given(asked.get("Parameters") or []),
        tags=None if tags is None else {tag["Key"]: tag["Value"] for tag in tags},
        capabilities=tuple(asked.get("Capabilities") or ()),
        role_arn=asked.get("RoleARN"),
        token=asked.get("ClientRequestToken") or "",
        on_failure=_on_failure(asked),
        retains_except_on_create=bool(asked.get("RetainExceptOnCreate")),
        is_protected=bool(asked.get("EnableTerminationProtection")),
    )


def _given(items: list[Mapping[str, Any]]) -> dict[str, str | None]:
    """Name -> text; ``None`` for the value that the stack has."""
    return {
        item["ParameterKey"]: None if item.get("UsePreviousValue") else item["ParameterValue"]
        for item in items
    }


def _on_failure(asked: Parameters) -> str:
    if asked.get("OnFailure") and "DisableRollback" in asked:
        raise CloudFormationError("You can specify either DisableRollback or OnFailure, not both")
    if asked.get("DisableRollback"):
        return "DO_NOTHING"
    return str(asked.get("OnStackFailure") or asked.get("OnFailure") or "ROLLBACK")


def _refuse(asked: Parameters) -> None:
    for name in sorted(_REFUSED & set(asked)):
        if asked[name] not in (None, [], {}, "", False):
            raise UnsupportedError(
                "CloudFormation", f"the parameter {name}", "a request without it is supported"
            )


def _refuse_without_rollback(asked: Parameters) -> None:
    if asked.get("DisableRollback"):
        raise UnsupportedError(
            "CloudFormation",
            "an update with DisableRollback",
            "an update that is rolled back when it fails is supported",
        )


# ------------------------------------------------------------------------------ answers


def _resources(stack: Stack, time: str, logical_id: str | None) -> list[dict[str, Any]]:
    return [
        {
            "StackId": stack.id,
            "StackName": stack.name,
            **descriptions.resource(resource),
            time: resource.changed,
        }
        for resource in list(stack.resources.values())
        if logical_id in {None, resource.declared.logical_id}
    ]


def _error(error: CloudFormationError, request_id: str) -> Answer:
    shape = {"Type": "Sender", "Code": error.code, "Message": str(error)}
    body = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in shape.items())
    return (
        400,
        {"Content-Type": "text/xml"},
        f"<ErrorResponse><Error>{body}</Error><RequestId>{request_id}</RequestId></ErrorResponse>",
    )
