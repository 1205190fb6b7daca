"""A guard's own requests: to the function, exactly as API Gateway hands on a client's."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api.environment import SYNTHETIC

__all__ = ["Answer", "Caller"]


@dataclass(frozen=True)
class Answer:
    """What came back.

    Parameters
    ----------
    status
        Of HTTP; 0 when the function crashed.
    headers
        By their names in lower case.
    """

    status: int
    headers: dict[str, str]
    body: str
    inference_id: str
    seconds: float

    @property
    def parsed(self) -> Any:
        """The body, where it is JSON; else nothing."""
        try:
            return json.loads(self.body)
        except json.JSONDecodeError:
            return None


class Caller:
    """Asks one version or alias of the function.

    Parameters
    ----------
    client
        Of Lambda.
    function
        ARN of a version or an alias.
    name
        In the inference ids of its requests.
    check_time
        Raises when there is no time for another request.
    """

    def __init__(
        self,
        client: Any,
        function: str,
        name: str,
        check_time: Callable[[], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._client = client
        self._function = function
        self._name = name
        self._check_time = check_time
        self._clock = clock

    def ask(self, body: str, content_type: str, accept: str = "application/json") -> Answer:
        """Return the answer to a prediction request; a crash is an answer too."""
        self._check_time()
        inference_id = f"{SYNTHETIC}{self._name}-{uuid.uuid4().hex}"
        headers = {
            "Content-Type": content_type, "Accept": accept, "X-Inference-Id": inference_id,
        }  # fmt: skip
        event = {
            "resource": "/predict",
            "path": "/predict",
            "httpMethod": "POST",
            "headers": headers,
            "body": body,
            "isBase64Encoded": False,
            "requestContext": {"requestId": str(uuid.uuid4()), "stage": "check"},
        }
        started = self._clock()
        found = self._client.invoke(FunctionName=self._function, Payload=json.dumps(event).encode())
        answer = json.loads(found["Payload"].read())
        seconds = self._clock() - started
        if "FunctionError" in found:
            crash = str(answer.get("errorType") or answer.get("errorMessage") or "")
            return Answer(0, {}, crash, inference_id, seconds)
        given = {name.lower(): text for name, text in answer["headers"].items()}
        return Answer(answer["statusCode"], given, answer["body"], inference_id, seconds)
