"""What calls of Lambda need: a resource is a function, with a version or alias where one is named.

Written from the Service Authorization Reference, for :mod:`local_cloud.actions`.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["LAMBDA"]

Resources = Callable[[Mapping[str, Any]], list[str]]


def _function(parameters: Mapping[str, Any]) -> list[str]:
    """The function, without what follows its name."""
    whole = str(parameters["FunctionName"])
    return [f"function:{whole.rpartition('function:')[2].partition(':')[0]}"]


def _qualified(parameters: Mapping[str, Any]) -> list[str]:
    """The function, and its version or alias where the request names one."""
    (function,) = _function(parameters)
    whole = str(parameters["FunctionName"]).rpartition("function:")[2]
    qualifier = parameters.get("Qualifier") or whole.partition(":")[2]
    return [f"{function}:{qualifier}" if qualifier else function]


def _tagged(parameters: Mapping[str, Any]) -> list[str]:
    return [str(parameters["Resource"])]


def _anything(_: Mapping[str, Any]) -> list[str]:
    return ["*"]


_OPERATIONS: dict[str, Resources] = {
    "AddPermission": _function,
    "CreateAlias": _function,
    "CreateFunction": _function,
    "DeleteAlias": _function,
    "DeleteFunction": _qualified,
    "DeleteFunctionConcurrency": _function,
    "DeleteFunctionEventInvokeConfig": _qualified,
    "GetAlias": _function,
    "GetFunction": _qualified,
    "GetFunctionConcurrency": _function,
    "GetFunctionConfiguration": _qualified,
    "GetFunctionEventInvokeConfig": _qualified,
    "GetPolicy": _qualified,
    "ListAliases": _function,
    "ListFunctions": _anything,
    "ListTags": _tagged,
    "ListVersionsByFunction": _function,
    "PublishVersion": _function,
    "PutFunctionConcurrency": _function,
    "PutFunctionEventInvokeConfig": _qualified,
    "RemovePermission": _function,
    "TagResource": _tagged,
    "UntagResource": _tagged,
    "UpdateAlias": _function,
    "UpdateFunctionCode": _function,
    "UpdateFunctionConfiguration": _function,
    "UpdateFunctionEventInvokeConfig": _qualified,
}

#: Operation -> actions, each with its resources; the action of most has their name.
LAMBDA: dict[str, list[tuple[str, Resources]]] = {
    **{name: [(name, resources)] for name, resources in _OPERATIONS.items()},
    "Invoke": [("InvokeFunction", _qualified)],
}
