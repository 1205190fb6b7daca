"""Requests to an endpoint, as an application sends them, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from mlsystem.errors import PlatformError

__all__ = ["Answer", "Endpoint", "wait_until_in_service"]

_OK = 200
_WAIT = {"Delay": 10, "MaxAttempts": 90}


@dataclass(frozen=True)
class Answer:
    """What the container answered, through SageMaker."""

    status: int
    content_type: str
    """Empty for an error: SageMaker does not hand it on."""
    body: str


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that requests are sent to.

    Parameters
    ----------
    runtime
        Client of ``sagemaker-runtime``.
    name
        The endpoint's.
    """

    runtime: Any
    name: str
    clock: Callable[[], float] = time.perf_counter

    def ask(self, body: str, content_type: str, accept: str = "application/json") -> Answer:
        """Return the answer to a request; an error of the container is an answer too."""
        try:
            found = self.runtime.invoke_endpoint(
                EndpointName=self.name, Body=body.encode(), ContentType=content_type, Accept=accept
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ModelError":
                raise
            response: dict[str, Any] = dict(error.response)
            return Answer(response["OriginalStatusCode"], "", response["OriginalMessage"])
        return Answer(_OK, found["ContentType"], found["Body"].read().decode())

    def latencies_ms(self, body: str, content_type: str, n_requests: int) -> list[float]:
        """Return how long each of `n_requests` equal requests took, one after the other."""
        found = []
        for _ in range(n_requests):
            started = self.clock()
            self.ask(body, content_type)
            found.append((self.clock() - started) * 1_000)
        return found


def wait_until_in_service(sagemaker: Any, name: str, config: str) -> None:
    """Return when the endpoint `name` serves the endpoint configuration `config`.

    Raises
    ------
    PlatformError
        It failed, serves another configuration, or did not come into service in 15 minutes.
    """
    try:
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=_WAIT)
    except WaiterError as error:
        last: Any = error.last_response
        reason = last.get("FailureReason") or last.get("Error", {}).get("Message")
        found = f"{last.get('EndpointStatus', 'no answer')}{f', {reason}' if reason else ''}"
        raise PlatformError(
            f"endpoint {name}", found, "InService", f"Its log is /aws/sagemaker/Endpoints/{name}"
        ) from error
    serves = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    if serves != config:
        raise PlatformError(
            f"endpoint {name}", f"in service with {serves}", f"{config}, this release's",
            "Start the release again",
        )  # fmt: skip
