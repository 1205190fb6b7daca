"""Who is to blame when there is no prediction: the client, the model, or nobody.

This decides whether a release is rolled back, so it is one table. A client's mistake
(:class:`~mlsystem.errors.RequestError`, :class:`RelayedError`) never counts against the release; a
:class:`ModelFailureError` always does; a :class:`ThrottledError` is nobody's.

========================================== ====== ============== ================================
what SageMaker answered                    status blames         why
========================================== ====== ============== ================================
ModelError, container answered 422         422    client         only the model can tell that the
                                                                 numbers are beyond its reach
ModelError, container answered other 4xx   502    model          the contract said that the
                                                                 request is right: model and API
                                                                 disagree
ModelError, container answered 5xx         502    model
ModelError, container answered 503         503    model          it is not there yet, or no more
ModelError without an answer (0), 504      504    model          SageMaker did not wait longer
ModelNotReadyException,                    503    model          nothing answers for the release
ServiceUnavailable, InternalFailure,
InternalDependencyException
ThrottlingException and its like           429    nobody         the account's quota: releases
                                                                 share it
anything else (no such endpoint, denied)   502    model          the release cannot ask its model
no answer in time                          504    model
no connection                              503    model
an answer that is none                     502    model          :mod:`api.agreement`
========================================== ====== ============== ================================

References
----------
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

__all__ = ["ModelFailureError", "RelayedError", "ThrottledError", "of_answer", "of_service"]

_UNPROCESSABLE: Final = HTTPStatus.UNPROCESSABLE_ENTITY.value
_BAD_GATEWAY: Final = HTTPStatus.BAD_GATEWAY.value
_UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE.value
_TIMEOUT: Final = HTTPStatus.GATEWAY_TIMEOUT.value

_BY_CONTAINER_STATUS: Final = {0: _TIMEOUT, _UNAVAILABLE: _UNAVAILABLE, _TIMEOUT: _TIMEOUT}
_ABSENT: Final = {
    "InternalDependencyException",
    "InternalFailure",
    "InternalServerException",
    "ModelNotReadyException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
}
_THROTTLED: Final = {"Throttling", "ThrottlingException", "TooManyRequestsException"}


class ModelFailureError(Exception):
    """The release did not do its part.

    Parameters
    ----------
    status
        Of the answer to the client: 500, 502, 503 or 504.
    reason
        For the log; without values of requests.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RelayedError(Exception):
    """The client made a mistake that only the model could see.

    Parameters
    ----------
    status
        What the container answered, 422.
    detail
        The container's own words, for the client alone: they may hold values.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail


class ThrottledError(Exception):
    """SageMaker takes no more requests of this account for now."""


def of_service(response: Mapping[str, Any]) -> RelayedError | ModelFailureError | ThrottledError:
    """Return what to raise for an error that SageMaker answered.

    Parameters
    ----------
    response
        ``botocore.exceptions.ClientError.response``.
    """
    code = response.get("Error", {}).get("Code", "")
    if code == "ModelError":
        return _of_container(response)
    if code in _THROTTLED:
        return ThrottledError(code)
    return ModelFailureError(
        _UNAVAILABLE if code in _ABSENT else _BAD_GATEWAY, f"SageMaker: {code}"
    )


def _of_container(response: Mapping[str, Any]) -> RelayedError | ModelFailureError:
    status = response.get("OriginalStatusCode", 0)
    if status == _UNPROCESSABLE:
        return RelayedError(status, _detail(response.get("OriginalMessage", "")))
    return ModelFailureError(
        _BY_CONTAINER_STATUS.get(status, _BAD_GATEWAY), f"the container answered {status}"
    )


def _detail(text: str) -> str:
    """Return what the container's problem document (RFC 9457) says."""
    try:
        problem = json.loads(text)
    except json.JSONDecodeError:
        problem = None
    detail = problem.get("detail") if isinstance(problem, dict) else None
    known = detail if isinstance(detail, str) else ""
    return known or "The model cannot answer these numbers."


def of_answer(reason: str) -> ModelFailureError:
    """Return what to raise for an answer that is not what the model's contract promises."""
    return ModelFailureError(_BAD_GATEWAY, f"the answer: {reason}")
