"""API Gateway: REST APIs in front of functions, reached as on AWS.

================= ===============================================================================
module            holds
================= ===============================================================================
``definition``    what an API is, and which method a request asks for
``apis``          the APIs, keys and usage plans of the account
``patches``       how updates say what is to change
``api``           API Gateway's own API
``request``       a client's request
``authorization`` signatures with policies, and API keys with usage plans
``throttling``    token buckets and quotas
``validation``    models and required parameters
``proxy``         the function's event, and its answer
``responses``     answers of the gateway itself
``execution``     a request's way through all of this; access logs and metrics
``door``          host names and paths
================= ===============================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.apigateway import urls

from local_cloud.apigateway.api import ApiGatewayApi
from local_cloud.apigateway.apis import Apis
from local_cloud.apigateway.door import Door
from local_cloud.apigateway.execution import Execution
from local_cloud.parity import Parity
from local_cloud.rest_json_api import RestJsonApi

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "address", "install", "tags_of"]

PARITY = [
    Parity(
        "API Gateway",
        "exact",
        "REST APIs with Lambda proxy integration: resources, methods, deployments as copies,"
        " stages; AWS_IAM with execute-api:Invoke in AWS's words, API keys, usage plans with"
        " throttling and quotas, throttling of methods; models (JSON Schema draft 4) and required"
        " parameters; gateway responses; binary media types; the function's event, and the limits"
        " of its answer; the function's resource policy; access logs with the account's role;"
        " metrics by API, stage and method",
    ),
    Parity(
        "API Gateway",
        "partial",
        "Reached by HTTP at <api>.execute-api.<region>.amazonaws.com when that name leads to the"
        " account's server, or at its /<api>/<stage>; validation errors other than the common ones"
        " are worded differently; execution logs are not written; the account's own limits do not"
        " throttle",
    ),
    Parity(
        "API Gateway",
        "refused",
        "Other integrations and authorizers, OpenAPI import, resource policies, private APIs,"
        " domain names, caches, canaries of stages, mutual TLS, tracing, documentation, mapping"
        " templates, HTTP and WebSocket APIs",
    ),
]


_installed: Apis | None = None


def install(cloud: LocalCloud) -> None:
    """Have APIs answered until the cloud stops."""
    apis = Apis()
    _remember(apis)
    cloud.on_stop(lambda: _remember(None))
    execution = Execution(cloud, apis)
    RestJsonApi(cloud, "apigateway", ApiGatewayApi(cloud, apis).operations()).install(urls)
    door = Door(cloud, apis, execution)
    cloud.gateway.hand_over(door.claims, door)
    cloud.on_stop(execution.stop)


def tags_of(path: str) -> dict[str, str]:
    """Tags that count for a path of API Gateway's, for instance ``/restapis/<id>/resources``."""
    return _installed.tags(path) if _installed else {}


def _remember(apis: Apis | None) -> None:
    global _installed  # noqa: PLW0603 - one process holds one local cloud
    _installed = apis


def address(cloud: LocalCloud, url: str) -> str:
    """Where the address that AWS gives an API is reached on this machine.

    Parameters
    ----------
    cloud
        The account.
    url
        ``https://<api>.execute-api.<region>.amazonaws.com/<stage>/…``.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> cloud = SimpleNamespace(endpoint_url="http://127.0.0.1:4566")
    >>> address(cloud, "https://abc.execute-api.xx-local-1.amazonaws.com/prod/predict")
    'http://127.0.0.1:4566/abc/prod/predict'
    """
    host, _, path = url.removeprefix("https://").partition("/")
    return f"{cloud.endpoint_url}/{host.partition('.')[0]}/{path}"
