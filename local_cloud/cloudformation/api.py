"""CloudFormation's API: requests in, answers out, in the words of its service model.

An operation, or a parameter with a meaning, that is not handled is refused by name.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.request import Request as HTTPRequest
from moto.core.serialize import QuerySerializer, SerializationContext
from moto.core.utils import get_service_model

from local_cloud.cloud import Credentials, LocalCloud
from local_cloud.cloudformation import sources, template, validation
from local_cloud.cloudformation.change_set import ChangeSet
from local_cloud.cloudformation.errors import CloudFormationError
from local_cloud.cloudformation.plan import Action, Step
from local_cloud.cloudformation.resources.table import TYPES
from local_cloud.cloudformation.stack import Event, Stack, StackResource
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
        "DisableValidation", "DeploymentMode", "ImportExistingResources", "IncludeNestedStacks",
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

    def answer(self, request: HTTPRequest, _url: str, _headers: object) -> Answer:
        """Status, headers and body, as moto's server wants them."""
        call = identify(request, "cloudformation")
        operation = _OPERATIONS.get(call.operation)
        model = get_service_model("cloudformation").operation_model(call.operation)
        context = SerializationContext(str(uuid.uuid4()))
        if operation is None:
            raise UnsupportedError(
                "CloudFormation",
                f"the operation {call.operation}",
                f"one of {', '.join(_OPERATIONS)} is supported",
            )
        _refuse(call.parameters)
        try:
            result = operation(self._stacks, self._caller(request), call.parameters)
        except CloudFormationError as error:
            return _error(error, context.request_id)
        answer = QuerySerializer(model, context).serialize(result)
        return answer["status_code"], dict(answer["headers"]), str(answer["body"])

    def _caller(self, request: HTTPRequest) -> Credentials:
        signature = read_signature(request)
        identity = self._cloud.account.identity(signature.access_key) if signature else None
        if identity is None:
            raise CloudFormationError("The security token included in the request is invalid.")
        return identity.credentials


def _refuse(asked: Parameters) -> None:
    for name in sorted(_REFUSED & set(asked)):
        if asked[name] not in (None, [], {}, "", False):
            raise UnsupportedError(
                "CloudFormation", f"the parameter {name}", "a request without it is supported"
            )


def _error(error: CloudFormationError, request_id: str) -> Answer:
    shape = {"Type": "Sender", "Code": error.code, "Message": str(error)}
    body = "".join(f"<{name}>{_escaped(text)}</{name}>" for name, text in shape.items())
    return (
        400,
        {"Content-Type": "text/xml"},
        f"<ErrorResponse><Error>{body}</Error><RequestId>{request_id}</RequestId></ErrorResponse>",
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# ------------------------------------------------------------------------------ requests


def _request(caller: Credentials, asked: Parameters) -> Request:
    tags = asked.get("Tags")
    return Request(
        credentials=caller,
        name=asked["StackName"],
        body=None if asked.get("UsePreviousTemplate") else asked.get("TemplateBody"),
        url=None if asked.get("UsePreviousTemplate") else asked.get("TemplateURL"),
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
    return {
        item["ParameterKey"]: None
        if item.get("UsePreviousValue")
        else item.get("ParameterValue", "")
        for item in items
    }


def _on_failure(asked: Parameters) -> str:
    if asked.get("OnFailure") and "DisableRollback" in asked:
        raise CloudFormationError("You can specify either DisableRollback or OnFailure, not both")
    if asked.get("DisableRollback"):
        return "DO_NOTHING"
    return str(asked.get("OnStackFailure") or asked.get("OnFailure") or "ROLLBACK")


# ------------------------------------------------------------------------------ stacks


def _create_stack(stacks: Stacks, caller: Credentials, asked: Parameters) -> dict[str, Any]:
    return {"StackId": stacks.create(_request(caller, asked)).id}


def _update_stack(stacks: Stacks, caller: Credentials, asked: Parameters) -> dict[str, Any]:
    if asked.get("DisableRollback"):
        raise UnsupportedError(
            "CloudFormation",
            "an update with DisableRollback",
            "an update that is rolled back when it fails is supported",
        )
    return {"StackId": stacks.update(_request(caller, asked)).id}


def _delete_stack(stacks: Stacks, caller: Credentials, asked: Parameters) -> dict[str, Any]:
    if asked.get("DeletionMode", "STANDARD") != "STANDARD":
        raise UnsupportedError("CloudFormation", "a forced deletion", "STANDARD is supported")
    stacks.delete(_request(caller, asked), asked.get("RetainResources") or ())
    return {}


def _continue_update_rollback(
    stacks: Stacks, caller: Credentials, asked: Parameters
) -> dict[str, Any]:
    stacks.continue_rollback(_request(caller, asked), asked.get("ResourcesToSkip") or ())
    return {}


def _update_termination_protection(
    stacks: Stacks, _: Credentials, asked: Parameters
) -> dict[str, Any]:
    is_protected = bool(asked["EnableTerminationProtection"])
    return {"StackId": stacks.protect(asked["StackName"], is_protected=is_protected).id}


def _describe_stacks(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    name = asked.get("StackName")
    found = [stacks.find(name)] if name else [_ for _ in stacks.all() if not _.is_deleted]
    return {"Stacks": [_stack(stack) for stack in found]}


def _stack(stack: Stack) -> dict[str, Any]:
    described = {
        **_stack_summary(stack),
        "Description": stack.definition.template.description,
        "Parameters": _parameters(stack.definition.template, stack.definition.parameters),
        "DisableRollback": stack.on_failure == "DO_NOTHING",
        "EnableTerminationProtection": stack.is_protected,
        "RollbackConfiguration": {},
        "NotificationARNs": [],
        "Capabilities": list(stack.definition.capabilities),
        "RoleARN": stack.role_arn,
        "Tags": [{"Key": key, "Value": value} for key, value in stack.definition.tags.items()],
        "Outputs": [
            {
                "OutputKey": output.name,
                "OutputValue": output.value,
                "Description": output.description or None,
                "ExportName": output.export_name,
            }
            for output in stack.outputs.values()
        ],
    }
    return {name: value for name, value in described.items() if value not in (None, "")}


def _stack_summary(stack: Stack) -> dict[str, Any]:
    summary = {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "ParentId": stack.parent_id,
        "RootId": stack.root_id,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }
    return {name: value for name, value in summary.items() if value not in (None, "")}


def _parameters(declared: Template, texts: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"ParameterKey": name, "ParameterValue": declared.parameters[name].shown(text)}
        for name, text in texts.items()
    ]


def _list_stacks(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    wanted = asked.get("StackStatusFilter") or []
    found = [stack for stack in stacks.all() if not wanted or stack.status in wanted]
    return {
        "StackSummaries": [
            {
                **_stack_summary(stack),
                "TemplateDescription": stack.definition.template.description,
            }
            for stack in found
        ]
    }


# ------------------------------------------------------------------------------ resources, events


def _describe_stack_events(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    stack = stacks.find(asked["StackName"])
    return {"StackEvents": [_event(stack, event) for event in reversed(stack.events)]}


def _event(stack: Stack, event: Event) -> dict[str, Any]:
    described = {
        "StackId": stack.id,
        "StackName": stack.name,
        "EventId": event.id,
        "LogicalResourceId": event.logical_id,
        "PhysicalResourceId": event.physical_id,
        "ResourceType": event.type,
        "Timestamp": event.time,
        "ResourceStatus": event.status,
        "ResourceStatusReason": event.reason or None,
        "ClientRequestToken": event.token or None,
    }
    return {name: value for name, value in described.items() if value is not None}


def _describe_stack_resource(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    stack = stacks.find(asked["StackName"])
    name = asked["LogicalResourceId"]
    resource = stack.resources.get(name)
    if resource is None:
        raise CloudFormationError(f"Resource {name} does not exist for stack {stack.name}")
    time = {"LastUpdatedTimestamp": resource.changed}
    return {"StackResourceDetail": {**_of_stack(stack), **_resource(resource), **time}}


def _describe_stack_resources(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    physical_id, logical_id = asked.get("PhysicalResourceId"), asked.get("LogicalResourceId")
    stack = _owner(stacks, physical_id) if physical_id else stacks.find(asked["StackName"])
    return {
        "StackResources": [
            {**_of_stack(stack), **_resource(resource), "Timestamp": resource.changed}
            for resource in list(stack.resources.values())
            if logical_id in {None, resource.declared.logical_id}
        ]
    }


def _owner(stacks: Stacks, physical_id: str) -> Stack:
    for stack in stacks.all():
        if any(state.physical_id == physical_id for state in stack.states.values()):
            return stack
    raise CloudFormationError(f"Stack for {physical_id} does not exist")


def _list_stack_resources(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    stack = stacks.find(asked["StackName"])
    return {
        "StackResourceSummaries": [
            {**_resource(resource), "LastUpdatedTimestamp": resource.changed}
            for resource in list(stack.resources.values())
        ]
    }


def _of_stack(stack: Stack) -> dict[str, Any]:
    return {"StackId": stack.id, "StackName": stack.name}


def _resource(resource: StackResource) -> dict[str, Any]:
    described = {
        "LogicalResourceId": resource.declared.logical_id,
        "PhysicalResourceId": resource.state.physical_id or None,
        "ResourceType": resource.declared.type,
        "ResourceStatus": resource.status,
        "ResourceStatusReason": resource.reason or None,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }
    return {name: value for name, value in described.items() if value is not None}


# ------------------------------------------------------------------------------ templates


def _get_template(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    if asked.get("ChangeSetName"):
        found = stacks.find_change_set(asked["ChangeSetName"], asked.get("StackName")).definition
    else:
        found = stacks.find(asked["StackName"]).definition
    stages = ["Original", "Processed"]
    return {"TemplateBody": found.template.text, "StagesAvailable": stages}


def _parsed(stacks: Stacks, caller: Credentials, asked: Parameters) -> Template:
    if asked.get("StackName"):
        return stacks.find(asked["StackName"]).definition.template
    deployer = stacks.deployer(caller)
    text = sources.template_text(deployer, asked.get("TemplateBody"), asked.get("TemplateURL"))
    if text is None:
        raise CloudFormationError("Either Template URL or Template Body must be specified.")
    return template.parse(text)


def _validate_template(stacks: Stacks, caller: Credentials, asked: Parameters) -> dict[str, Any]:
    parsed = _parsed(stacks, caller, asked)
    declared = [
        {
            "ParameterKey": parameter.name,
            "DefaultValue": parameter.default,
            "NoEcho": parameter.no_echo,
            "Description": parameter.description,
        }
        for parameter in parsed.parameters.values()
    ]
    return {
        "Parameters": [_without_none(item) for item in declared],
        "Description": parsed.description,
        **_capabilities(parsed),
    }


def _get_template_summary(stacks: Stacks, caller: Credentials, asked: Parameters) -> dict[str, Any]:
    parsed = _parsed(stacks, caller, asked)
    declared = [
        {
            "ParameterKey": parameter.name,
            "DefaultValue": parameter.default,
            "ParameterType": parameter.type,
            "NoEcho": parameter.no_echo,
            "Description": parameter.description,
            "ParameterConstraints": {"AllowedValues": list(parameter.allowed_values or ())},
        }
        for parameter in parsed.parameters.values()
    ]
    return {
        "Parameters": [_without_none(item) for item in declared],
        "Description": parsed.description,
        "ResourceTypes": sorted({resource.type for resource in parsed.resources.values()}),
        "Version": "2010-09-09",
        "Metadata": json.dumps(parsed.data.get("Metadata", {})),
        "DeclaredTransforms": [],
        **_capabilities(parsed),
    }


def _capabilities(parsed: Template) -> dict[str, Any]:
    needed = validation.capabilities(parsed)
    if not needed:
        return {}
    types = sorted({_.type for _ in parsed.resources.values() if _.type.startswith("AWS::IAM::")})
    reason = f"The following resource(s) require capabilities: [{', '.join(types)}]"
    return {"Capabilities": list(needed), "CapabilitiesReason": reason}


def _without_none(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}


# ------------------------------------------------------------------------------ exports


def _list_exports(stacks: Stacks, _: Credentials, __: Parameters) -> dict[str, Any]:
    return {
        "Exports": [
            {"Name": name, "Value": value, "ExportingStackId": owner}
            for name, value, owner in stacks.exports()
        ]
    }


def _list_imports(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    name = asked["ExportName"]
    users = stacks.importers(name)
    if not users:
        raise CloudFormationError(f"Export '{name}' is not imported by any stack.")
    return {"Imports": users}


# ------------------------------------------------------------------------------ change sets


def _create_change_set(stacks: Stacks, caller: Credentials, asked: Parameters) -> dict[str, Any]:
    kind = asked.get("ChangeSetType") or "UPDATE"
    if kind not in {"CREATE", "UPDATE"}:
        raise UnsupportedError("CloudFormation", f"a change set of type {kind}", "CREATE or UPDATE")
    change_set = stacks.create_change_set(
        _request(caller, asked), asked["ChangeSetName"], kind, asked.get("Description") or ""
    )
    return {"Id": change_set.id, "StackId": change_set.stack.id}


def _describe_change_set(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    change_set = stacks.find_change_set(asked["ChangeSetName"], asked.get("StackName"))
    definition = change_set.definition
    steps = change_set.plan.steps if change_set.plan else ()
    return {
        **_change_set_summary(change_set),
        "Parameters": _parameters(definition.template, definition.parameters),
        "Capabilities": list(definition.capabilities),
        "Tags": [{"Key": key, "Value": value} for key, value in definition.tags.items()],
        "NotificationARNs": [],
        "OnStackFailure": change_set.on_failure,
        "Changes": [
            {"Type": "Resource", "ResourceChange": _change(step)}
            for step in steps
            if step.action is not Action.KEEP
        ],
    }


def _change_set_summary(change_set: ChangeSet) -> dict[str, Any]:
    described = {
        "ChangeSetName": change_set.name,
        "ChangeSetId": change_set.id,
        "StackId": change_set.stack.id,
        "StackName": change_set.stack.name,
        "Description": change_set.description or None,
        "CreationTime": change_set.created,
        "ExecutionStatus": change_set.execution_status,
        "Status": change_set.status,
        "StatusReason": change_set.reason or None,
        "IncludeNestedStacks": False,
    }
    return _without_none(described)


def _change(step: Step) -> dict[str, Any]:
    is_replaced = step.action is Action.REPLACE
    certain = any(change.replaces and change.is_known for change in step.changes)
    replacement = "False" if not is_replaced else ("True" if certain else "Conditional")
    described = {
        "Action": "Modify" if is_replaced else step.action.value,
        "LogicalResourceId": step.logical_id,
        "PhysicalResourceId": step.physical_id or None,
        "ResourceType": step.type,
        "Replacement": replacement if step.changes else None,
        "Scope": _scope(step),
        "Details": [
            {
                "Target": {
                    "Attribute": _attribute(step, change.name),
                    "Name": change.name,
                    "RequiresRecreation": _recreation(replaces=change.replaces, certain=certain),
                },
                "Evaluation": "Static" if change.is_known else "Dynamic",
                "ChangeSource": "DirectModification",
            }
            for change in step.changes
        ],
    }
    return _without_none(described)


def _attribute(step: Step, name: str) -> str:
    return "Tags" if name == TYPES[step.type].schema.tag_property else "Properties"


def _scope(step: Step) -> list[str]:
    return sorted({_attribute(step, change.name) for change in step.changes})


def _recreation(*, replaces: bool, certain: bool) -> str:
    if not replaces:
        return "Never"
    return "Always" if certain else "Conditionally"


def _execute_change_set(stacks: Stacks, caller: Credentials, asked: Parameters) -> dict[str, Any]:
    change_set = stacks.find_change_set(asked["ChangeSetName"], asked.get("StackName"))
    if asked.get("DisableRollback"):
        raise UnsupportedError(
            "CloudFormation", "a change set executed with DisableRollback", "one without it"
        )
    stacks.execute(_request(caller, {**asked, "StackName": change_set.stack.id}), change_set)
    return {}


def _delete_change_set(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    stacks.delete_change_set(stacks.find_change_set(asked["ChangeSetName"], asked.get("StackName")))
    return {}


def _list_change_sets(stacks: Stacks, _: Credentials, asked: Parameters) -> dict[str, Any]:
    found = stacks.change_sets(stacks.find(asked["StackName"]))
    return {"Summaries": [_change_set_summary(change_set) for change_set in found]}


_OPERATIONS: dict[str, Callable[[Stacks, Credentials, Parameters], dict[str, Any]]] = {
    "ContinueUpdateRollback": _continue_update_rollback,
    "CreateChangeSet": _create_change_set,
    "CreateStack": _create_stack,
    "DeleteChangeSet": _delete_change_set,
    "DeleteStack": _delete_stack,
    "DescribeChangeSet": _describe_change_set,
    "DescribeStackEvents": _describe_stack_events,
    "DescribeStackResource": _describe_stack_resource,
    "DescribeStackResources": _describe_stack_resources,
    "DescribeStacks": _describe_stacks,
    "ExecuteChangeSet": _execute_change_set,
    "GetTemplate": _get_template,
    "GetTemplateSummary": _get_template_summary,
    "ListChangeSets": _list_change_sets,
    "ListExports": _list_exports,
    "ListImports": _list_imports,
    "ListStackResources": _list_stack_resources,
    "ListStacks": _list_stacks,
    "UpdateStack": _update_stack,
    "UpdateTerminationProtection": _update_termination_protection,
    "ValidateTemplate": _validate_template,
}
