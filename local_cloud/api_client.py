"""Questions to a project's prediction API, as an application asks them: signed, over HTTP.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

__all__ = ["Answer", "ApiClient"]

_TIMEOUT_SECONDS = 30
#: What a connection that could not be made, or broke, counts as.
_NO_ANSWER = 0


@dataclass(frozen=True)
class Answer:
    """What the API said."""

    status: int
    release: str
    text: str
    at: float
    """When it came: seconds of the monotonic clock."""


class ApiClient:
    """An application with credentials of its own; its threads keep a connection each.

    Parameters
    ----------
    url
        Of the API's stage.
    region
        That requests are signed for.
    environment
        With ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and perhaps ``AWS_SESSION_TOKEN``.
    """

    def __init__(self, url: str, region: str, environment: Mapping[str, str]) -> None:
        self.url = url
        self._host = urlsplit(url).netloc
        credentials = Credentials(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN"),
        )
        self._signer = SigV4Auth(credentials, "execute-api", region)
        self._own = threading.local()

    def predict(self, body: str, content_type: str = "application/json") -> Answer:
        """Return the answer to ``POST /predict``; no answer at all has the status 0."""
        url = f"{self.url}/predict"
        request = AWSRequest("POST", url, {"Content-Type": content_type}, body.encode())
        self._signer.add_auth(request)
        try:
            connection = self._connection()
            connection.request("POST", urlsplit(url).path, body.encode(), dict(request.headers))
            found = connection.getresponse()
            text = found.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Answer(_NO_ANSWER, "", str(error), time.monotonic())
        return Answer(found.status, found.headers.get("X-Release", ""), text, time.monotonic())

    def close(self) -> None:
        """Close the calling thread's connection."""
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._own.connection = None

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, timeout=_TIMEOUT_SECONDS)
            self._own.connection = connection
        return connection
