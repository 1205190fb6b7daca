"""What calls of API Gateway need: an action is an HTTP method, a resource the path that it is for.

Source:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from moto.core.utils import get_service_model

__all__ = ["API_GATEWAY"]

_VERBS = {
    "Create": "POST",
    "Delete": "DELETE",
    "Get": "GET",
    "Put": "PUT",
    "Tag": "PUT",
    "Untag": "DELETE",
    "Update": "PATCH",
}
_OPERATIONS = (
    "CreateApiKey", "CreateDeployment", "CreateModel", "CreateRequestValidator", "CreateResource",
    "CreateRestApi", "CreateStage", "CreateUsagePlan", "CreateUsagePlanKey", "DeleteApiKey",
    "DeleteDeployment", "DeleteGatewayResponse", "DeleteMethod", "DeleteModel",
    "DeleteRequestValidator", "DeleteResource", "DeleteRestApi", "DeleteStage", "DeleteUsagePlan",
    "DeleteUsagePlanKey", "GetAccount", "GetApiKey", "GetApiKeys", "GetDeployment",
    "GetGatewayResponse", "GetMethod", "GetModel", "GetRequestValidator", "GetResource",
    "GetResources", "GetRestApi", "GetRestApis", "GetStage", "GetStages", "GetTags",
    "GetUsagePlan", "GetUsagePlans", "PutGatewayResponse", "PutIntegration", "PutMethod",
    "PutMethodResponse", "TagResource", "UntagResource", "UpdateAccount", "UpdateApiKey",
    "UpdateDeployment", "UpdateModel", "UpdateRequestValidator", "UpdateRestApi", "UpdateStage",
    "UpdateUsagePlan",
)  # fmt: skip
_PLACE = re.compile(r"\{([^}]+)\}")

Resources = Callable[[Mapping[str, Any]], list[str]]


def _path(operation: str, parameters: Mapping[str, Any]) -> list[str]:
    """The path of a request, which is how API Gateway names what it is about."""
    model = get_service_model("apigateway").operation_model(operation)
    names = {
        shape.serialization.get("name"): name for name, shape in model.input_shape.members.items()
    }

    def value(match: re.Match[str]) -> str:
        return quote(str(parameters.get(names[match[1]], "*")), safe="*")

    return [_PLACE.sub(value, model.http["requestUri"])]


def _verb(operation: str) -> str:
    return next(verb for prefix, verb in _VERBS.items() if operation.startswith(prefix))


#: Operation -> its action, with its resource.
API_GATEWAY: dict[str, list[tuple[str, Resources]]] = {
    name: [(_verb(name), partial(_path, name))] for name in _OPERATIONS
}
