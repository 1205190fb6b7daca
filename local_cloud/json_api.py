"""Services whose API is ours: JSON requests in, answers out, by the service's model.

moto keeps little of these services, so nothing of it is called: its server only brings the request.
An operation that is not in the table is refused by name.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from botocore.validate import ParamValidator
from moto.core.request import Request
from moto.core.serialize import JSONSerializer, SerializationContext
from moto.core.utils import get_service_model

from local_cloud.errors import UnsupportedError
from local_cloud.iam import Identity
from local_cloud.requests import identify, read_signature

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Answer", "ApiError", "JsonApi", "Operation", "refuse_others"]

Parameters = Mapping[str, Any]
#: Answers one operation: its parameters, and who calls.
Operation = Callable[[Parameters, Identity], "dict[str, Any] | None"]
Answer = tuple[int, dict[str, str], str | bytes]


class ApiError(Exception):
    """An error of a service, with its code as the service's model names it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class JsonApi:
    """Answers the requests to one service.

    Parameters
    ----------
    cloud
        The account.
    service
        As boto3 names it, which is its signing name too.
    operations
        What is supported, by the operations' names.
    """

    def __init__(
        self, cloud: LocalCloud, service: str, operations: Mapping[str, Operation]
    ) -> None:
        self._cloud = cloud
        self.service = service
        self._operations = operations

    def install(self, urls: Any) -> None:
        """Stand in for moto's service, whose module ``urls`` this is, until the cloud stops."""
        self._cloud.replace(urls, "url_paths", {"{0}/$": self.answer})

    def answer(self, request: Request, _url: str, _headers: object) -> Answer:
        """Status, headers and body, as moto's server wants them."""
        model, parameters = self.asked(request)
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        try:
            result = self.carried_out(request, model, parameters)
        except ApiError as error:
            body = {"__type": error.code, "message": str(error)}
            return 400, {**headers, "x-amzn-errortype": error.code}, json.dumps(body)
        context = SerializationContext(str(uuid.uuid4()))
        return 200, headers, str(JSONSerializer(model, context).serialize(result)["body"])

    def asked(self, request: Request) -> tuple[Any, dict[str, Any]]:
        """Return the model of the operation that is asked for, and its parameters.

        Raises
        ------
        UnsupportedError
            The operation is none of those that are supported.
        """
        call = identify(request, self.service)
        if call.operation not in self._operations:
            raise UnsupportedError(
                self.service,
                f"the operation {call.operation}",
                f"one of {', '.join(sorted(self._operations))} is supported",
            )
        model = get_service_model(self.service).operation_model(call.operation)
        return model, {k: v for k, v in call.parameters.items() if v is not None}

    def carried_out(self, request: Request, model: Any, parameters: Parameters) -> dict[str, Any]:
        """Return what the operation of `model` comes to; raise ApiError when it refuses."""
        _validate(parameters, model.input_shape)
        return self._operations[model.name](parameters, self._caller(request)) or {}

    def _caller(self, request: Request) -> Identity:
        signature = read_signature(request)
        identity = self._cloud.account.identity(signature.access_key) if signature else None
        if identity is None:
            raise ApiError(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        return identity


def _validate(parameters: Parameters, shape: Any) -> None:
    if shape is None:
        return
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise ApiError("ValidationException", report.generate_report())


def refuse_others(where: str, given: Mapping[str, Any], supported: Collection[str]) -> None:
    """Refuse the first member whose effect is not here; one that says nothing is taken.

    Raises
    ------
    UnsupportedError
        With the member's name.
    """
    for name in sorted(set(given) - set(supported)):
        if given[name] not in (None, "", [], {}, False):
            raise UnsupportedError(
                where, f"{name}", f"of its members {', '.join(sorted(supported))} are supported"
            )
