"""Services whose API is ours and speaks REST with JSON: see :mod:`local_cloud.json_api` for others.

An operation is found by method and path in the service's own model, and is answered in its form,
with the status that the model gives to results and to errors.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from moto.core.request import Request
from moto.core.serialize import RestJSONSerializer, SerializationContext
from moto.core.utils import get_service_model

from local_cloud.json_api import Answer, ApiError, JsonApi

__all__ = ["RestJsonApi"]


class RestJsonApi(JsonApi):
    """Answers the requests to one service.

    A result's ``StatusCode`` is the answer's where the model says so; a payload is bytes.
    """

    def install(self, urls: Any) -> None:
        """Stand in for moto's service, whose module ``urls`` this is, until the cloud stops."""
        self._cloud.replace(urls, "url_paths", {"{0}/.*$": self.answer})

    def answer(self, request: Request, _url: str, _headers: object) -> Answer:
        """Status, headers and body, as moto's server wants them."""
        model, parameters = self.asked(request)
        payload = _payload(model.input_shape)
        if payload is not None:
            parameters[payload] = request.get_data()
        try:
            result = self.carried_out(request, model, parameters)
        except ApiError as error:
            return self._error(error)
        return _rendered(model, result)

    def _error(self, error: ApiError) -> Answer:
        shape = get_service_model(self.service).shape_for_error_code(error.code)
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
