"""Stacks, resources, events and change sets in the words of CloudFormation's API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from local_cloud.cloudformation import validation
from local_cloud.cloudformation.change_sets import ChangeSet
from local_cloud.cloudformation.definition import Definition
from local_cloud.cloudformation.parameters import Parameter
from local_cloud.cloudformation.plan import Action, Change, Step
from local_cloud.cloudformation.resources.table import TYPES
from local_cloud.cloudformation.stack import Event, Stack, StackResource
from local_cloud.cloudformation.template import Template

__all__ = [
    "capabilities",
    "change_set",
    "change_set_summary",
    "event",
    "parameter",
    "resource",
    "stack",
    "stack_summary",
]

Description = dict[str, Any]


def _without_empty(item: Mapping[str, Any]) -> Description:
    return {name: value for name, value in item.items() if value not in (None, "")}


# ------------------------------------------------------------------------------ stacks


def stack_summary(stack: Stack) -> Description:
    """Of ListStacks."""
    return _without_empty(
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "TemplateDescription": stack.definition.template.description,
            **_state(stack),
        }
    )


def _state(stack: Stack) -> Description:
    return {
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "ParentId": stack.parent_id,
        "RootId": stack.root_id,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


def stack(stack: Stack) -> Description:
    """Of DescribeStacks."""
    return _without_empty(
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "Description": stack.definition.template.description,
            **_state(stack),
            **_definition(stack.definition),
            "DisableRollback": stack.on_failure == "DO_NOTHING",
            "EnableTerminationProtection": stack.is_protected,
            "RollbackConfiguration": {},
            "RoleARN": stack.role_arn,
            "Outputs": [
                _without_empty(
                    {
                        "OutputKey": output.name,
                        "OutputValue": output.value,
                        "Description": output.description,
                        "ExportName": output.export_name,
                    }
                )
                for output in stack.outputs.values()
            ],
        }
    )


def _definition(definition: Definition) -> Description:
    declared = definition.template.parameters
    return {
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": declared[name].shown(text)}
            for name, text in definition.parameters.items()
        ],
        "Capabilities": list(definition.capabilities),
        "NotificationARNs": [],
        "Tags": [{"Key": key, "Value": value} for key, value in definition.tags.items()],
    }


# ------------------------------------------------------------------------------ resources, events


def resource(resource: StackResource) -> Description:
    """Of DescribeStackResources and its kin, but for stack and time."""
    return _without_empty(
        {
            "LogicalResourceId": resource.declared.logical_id,
            "PhysicalResourceId": resource.state.physical_id,
            "ResourceType": resource.declared.type,
            "ResourceStatus": resource.status,
            "ResourceStatusReason": resource.reason,
            "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
        }
    )


def event(stack: Stack, event: Event) -> Description:
    """Of DescribeStackEvents."""
    return {
        "PhysicalResourceId": "",
        **_without_empty(
            {
                "StackId": stack.id,
                "StackName": stack.name,
                "EventId": event.id,
                "LogicalResourceId": event.logical_id,
                "PhysicalResourceId": event.physical_id,
                "ResourceType": event.type,
                "Timestamp": event.time,
                "ResourceStatus": event.status,
                "ResourceStatusReason": event.reason,
                "ClientRequestToken": event.token,
            }
        ),
    }


# ------------------------------------------------------------------------------ templates


def parameter(parameter: Parameter) -> Description:
    """What ValidateTemplate and GetTemplateSummary both say of a parameter."""
    described = {
        "ParameterKey": parameter.name,
        "DefaultValue": parameter.default,
        "NoEcho": parameter.no_echo,
        "Description": parameter.description,
    }
    return {name: value for name, value in described.items() if value is not None}


def capabilities(template: Template) -> Description:
    """What the caller must acknowledge, and why."""
    needed = validation.capabilities(template)
    if not needed:
        return {}
    types = {_.type for _ in template.resources.values() if _.type.startswith("AWS::IAM::")}
    reason = f"The following resource(s) require capabilities: [{', '.join(sorted(types))}]"
    return {"Capabilities": list(needed), "CapabilitiesReason": reason}


# ------------------------------------------------------------------------------ change sets


def change_set_summary(change_set: ChangeSet) -> Description:
    """Of ListChangeSets."""
    return _without_empty(
        {
            "ChangeSetName": change_set.name,
            "ChangeSetId": change_set.id,
            "StackId": change_set.stack.id,
            "StackName": change_set.stack.name,
            "Description": change_set.description,
            "CreationTime": change_set.created,
            "ExecutionStatus": change_set.execution_status,
            "Status": change_set.status,
            "StatusReason": change_set.reason,
            "IncludeNestedStacks": False,
        }
    )


def change_set(change_set: ChangeSet) -> Description:
    """Of DescribeChangeSet."""
    steps = change_set.plan.steps if change_set.plan else ()
    return {
        **change_set_summary(change_set),
        **_definition(change_set.definition),
        "OnStackFailure": change_set.on_failure,
        "Changes": [
            {"Type": "Resource", "ResourceChange": _change(step)}
            for step in steps
            if step.action is not Action.KEEP
        ],
    }


def _change(step: Step) -> Description:
    is_replaced = step.action is Action.REPLACE
    described: Description = {
        "Action": "Modify" if is_replaced else step.action.value,
        "LogicalResourceId": step.logical_id,
        "PhysicalResourceId": step.physical_id,
        "ResourceType": step.type,
        "Scope": sorted({_attribute(step, change) for change in step.changes}),
        "Details": list(_details(step)),
    }
    if step.changes:
        certain = "True" if _is_certain(step) else "Conditional"
        described["Replacement"] = certain if is_replaced else "False"
    return _without_empty(described)


def _is_certain(step: Step) -> bool:
    """Whether a value that is known already asks for a new resource."""
    return any(change.replaces and change.is_known for change in step.changes)


def _details(step: Step) -> Iterator[Description]:
    replaced = "Always" if _is_certain(step) else "Conditionally"
    for change in step.changes:
        yield {
            "Target": {
                "Attribute": _attribute(step, change),
                "Name": change.name,
                "RequiresRecreation": replaced if change.replaces else "Never",
            },
            "Evaluation": "Static" if change.is_known else "Dynamic",
            "ChangeSource": "DirectModification",
        }


def _attribute(step: Step, change: Change) -> str:
    return "Tags" if change.name == TYPES[step.type].schema.tag_property else "Properties"
