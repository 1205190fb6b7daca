"""Services whose API is ours and speaks REST with JSON: see :mod:`local_cloud.json_api` for others.

An operation is found by method and path in the service's own model, and is answered in its form,
with the status that the model gives to results and to errors.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.validate import ParamValidator
from moto.core.request import Request
from moto.core.serialize import RestJSONSerializer, SerializationContext
from moto.core.utils import get_service_model

from local_cloud.errors import UnsupportedError
from local_cloud.iam import Identity
from local_cloud.json_api import ApiError, Operation
from local_cloud.requests import identify, read_signature

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["RestJsonApi"]

Answer = tuple[int, dict[str, str], str | bytes]


class RestJsonApi:
    """Answers the requests to one service.

    Parameters
    ----------
    cloud
        The account.
    service
        As boto3 names it, which is its signing name too.
    operations
        What is supported, by the operations' names. A result's ``StatusCode`` is the answer's where
        the model says so; a payload is bytes.
    """

    def __init__(
        self, cloud: LocalCloud, service: str, operations: Mapping[str, Operation]
    ) -> None:
        self._cloud = cloud
        self._service = service
        self._operations = operations

    def install(self, urls: Any) -> None:
        """Stand in for moto's service, whose module ``urls`` this is, until the cloud stops."""
        self._cloud.replace(urls, "url_paths", {"{0}/.*$": self.answer})

    def answer(self, request: Request, _url: str, _headers: object) -> Answer:
        """Status, headers and body, as moto's server wants them."""
        call = identify(request, self._service)
        operation = self._operations.get(call.operation)
        if operation is None:
            raise UnsupportedError(
                self._service,
                f"the operation {call.operation}",
                f"one of {', '.join(sorted(self._operations))} is supported",
            )
        model = get_service_model(self._service).operation_model(call.operation)
        parameters = {k: v for k, v in call.parameters.items() if v is not None}
        payload = _payload(model.input_shape)
        if payload is not None:
            parameters[payload] = request.get_data()
        try:
            _validate(parameters, model.input_shape)
            result = operation(parameters, self._caller(request)) or {}
        except ApiError as error:
            return self._error(error)
        return _rendered(model, result)

    def _caller(self, request: Request) -> Identity:
        signature = read_signature(request)
        identity = self._cloud.account.identity(signature.access_key) if signature else None
        if identity is None:
            raise ApiError(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        return identity

    def _error(self, error: ApiError) -> Answer:
        shape = get_service_model(self._service).shape_for_error_code(error.code)
        status = shape.metadata.get("error", {}).get("httpStatusCode", 400) if shape else 400
        headers = {"Content-Type": "application/json", "x-amzn-errortype": error.code}
        body = {"Type": "User", "message": str(error), "Message": str(error)}
        return status, headers, json.dumps(body)


def _payload(shape: Any) -> str | None:
    """The member that is the request's body as it is."""
    if shape is None or "payload" not in shape.serialization:
        return None
    name: str = shape.serialization["payload"]
    return name if shape.members[name].type_name == "blob" else None


def _validate(parameters: Mapping[str, Any], shape: Any) -> None:
    if shape is None:
        return
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise ApiError("ValidationException", report.generate_report())


def _rendered(model: Any, result: Mapping[str, Any]) -> Answer:
    answer = RestJSONSerializer(model, SerializationContext(str(uuid.uuid4()))).serialize(result)
    members = model.output_shape.members if model.output_shape else {}
    status = next(
        (
            result[name]
            for name, shape in members.items()
            if shape.serialization.get("location") == "statusCode" and name in result
        ),
        model.http.get("responseCode", 200),
    )
    return int(status), {**answer["headers"]}, answer["body"]
