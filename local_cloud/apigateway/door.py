"""Where APIs are reached: at their own host name, or below a path of the account's server.

``https://<api>.execute-api.<region>.amazonaws.com/<stage>/…`` is what AWS calls an API; whoever
connects to the account's server with that host name is answered. Without names,
``http://127.0.0.1:<port>/<api>/<stage>/…`` is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from moto.core.request import Request

from local_cloud.apigateway.apis import Apis
from local_cloud.apigateway.execution import Execution
from local_cloud.apigateway.request import ClientRequest
from local_cloud.requests import Signature

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Door"]


class Door:
    """A WSGI application for requests to APIs.

    Parameters
    ----------
    cloud
        The account.
    apis
        Its APIs.
    execution
        Answers.
    """

    def __init__(self, cloud: LocalCloud, apis: Apis, execution: Execution) -> None:
        self._apis = apis
        self._execution = execution
        self._suffix = f"execute-api.{cloud.region}.amazonaws.com"
        self._host = re.compile(rf"([a-z0-9]+)\.{re.escape(self._suffix)}(?::\d+)?")

    def claims(self, environ: Mapping[str, Any], signature: Signature | None) -> bool:
        """Whether a request is for an API; one of S3 may have a path that looks so."""
        if self._host.fullmatch(environ.get("HTTP_HOST", "")):
            return True
        is_s3 = signature is not None and signature.service == "s3"
        api_id = environ["PATH_INFO"].removeprefix("/").partition("/")[0]
        return not is_s3 and self._apis.find(api_id) is not None

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        raw = Request(environ)
        raw.from_wsgi_server = True
        body: bytes = raw.get_data()
        host = self._host.fullmatch(environ.get("HTTP_HOST", ""))
        path: str = environ["PATH_INFO"]
        if host:
            api_id = host[1]
        else:
            _, api_id, *rest = path.split("/", 2)
            path = f"/{rest[0] if rest else ''}"
        domain = f"{api_id}.{self._suffix}"
        request = ClientRequest.read(environ, path, domain, body)
        answer = self._execution.answer(api_id, request, raw)
        start_response(f"{answer.status} {_phrase(answer.status)}", list(answer.headers))
        return [answer.body]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
