"""Who makes a stack's resources: one set of credentials, and the calls made with it.

Every call of every resource goes through the account's door like anybody else's, so a permission
that the deploying role lacks fails the stack here as it does on AWS.
"""

from __future__ import annotations

import copy
import threading
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore import xform_name
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.actions import Need
from local_cloud.cloud import Credentials, LocalCloud

if TYPE_CHECKING:
    from local_cloud.cloudformation.stack import Stack
    from local_cloud.cloudformation.stacks import Stacks

__all__ = [
    "Deployer",
    "Deployers",
    "Pauses",
    "ResourceError",
    "StoppedError",
    "has_sign",
    "reason_of",
]

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5


class ResourceError(Exception):
    """A resource could not be made as it is wanted; the message is for the stack's event."""


class StoppedError(Exception):
    """The cloud stops while a stack is being worked on."""


class Deployers:
    """Makes the :class:`Deployer` of an identity; one per cloud.

    Parameters
    ----------
    cloud
        The account.
    stacks
        Its stacks, of which one may be a resource of another.
    """

    def __init__(self, cloud: LocalCloud, stacks: Stacks) -> None:
        self.cloud = cloud
        self.stacks = stacks
        self.stopping = threading.Event()
        self._session = boto3.session.Session()  # reads each service's model once
        self._lock = threading.Lock()  # a session is not thread-safe
        self._clients: dict[tuple[str, str], Any] = {}

    def of(self, credentials: Credentials) -> Deployer:
        """Who calls with these credentials."""
        return Deployer(self, credentials)

    def close(self) -> None:
        """Stop everybody who works or waits, and close the connections."""
        self.stopping.set()
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def client(self, service: str, credentials: Credentials) -> Any:
        """boto3 client; the same one for the same credentials."""
        key = (service, credentials.access_key)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._session.client(
                    service,
                    region_name=self.cloud.region,
                    endpoint_url=self.cloud.endpoint_url,
                    aws_access_key_id=credentials.access_key,
                    aws_secret_access_key=credentials.secret_key,
                    aws_session_token=credentials.session_token or None,
                    config=Config(retries={"total_max_attempts": 1}),
                )
        return self._clients[key]


class Deployer:
    """Calls of one identity.

    Parameters
    ----------
    deployers
        Of the cloud.
    credentials
        Of the stack's role, or of whoever called CloudFormation.
    stack
        On which it works.
    """

    def __init__(
        self, deployers: Deployers, credentials: Credentials, stack: Stack | None = None
    ) -> None:
        self.cloud = deployers.cloud
        self.stacks = deployers.stacks
        self.stack = stack
        self._tolerated: tuple[str, ...] = ()
        self._deployers = deployers
        self._credentials = credentials

    def within(self, stack: Stack) -> Deployer:
        """The same identity, working on a stack."""
        inside = copy.copy(self)
        inside.stack = stack
        return inside

    def tolerating(self, signs: tuple[str, ...]) -> Deployer:
        """The same identity, for whom a call that fails with one of these signs has no answer."""
        tolerant = copy.copy(self)
        tolerant._tolerated = signs  # noqa: SLF001 - it is one of us
        return tolerant

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one API call.

        Parameters
        ----------
        service, operation
            As boto3 and AWS name them: ``ec2``, ``CreateVpc``.
        parameters
            Of the operation.

        Raises
        ------
        ClientError
            What the service answers.
        StoppedError
            When the cloud stops.
        """
        if self._deployers.stopping.is_set():
            raise StoppedError(f"{service}:{operation}")
        client = self._deployers.client(service, self._credentials)
        try:
            answer: dict[str, Any] = getattr(client, xform_name(operation))(**parameters)
        except ClientError as error:
            if not has_sign(error, self._tolerated):
                raise
            return {}
        return answer

    def check(self, action: str, resource: str) -> None:
        """Return when this identity may do something that is no call of its own.

        Raises
        ------
        DeniedError
            When it may not.
        """
        account = self.cloud.account
        identity = account.identity(self._credentials.access_key)
        if identity is not None and identity.role is not None:
            account.check(identity, [Need(action, resource)])

    def write_down(self, error: Exception) -> None:
        """Append the traceback of an error that nobody expected to the cloud's log."""
        log = self.cloud.root / "logs" / "local_cloud.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)

    def pauses(self, seconds: float) -> Pauses:
        """Waits between polls, until so many seconds are over."""
        return Pauses(self._deployers.stopping, seconds)


class Pauses:
    """Waits that become longer, up to a deadline."""

    def __init__(self, stopping: threading.Event, seconds: float) -> None:
        self._stopping = stopping
        self._deadline = time.monotonic() + seconds
        self._next = _FIRST_PAUSE_SECONDS

    def pause(self, waiting_for: str) -> None:
        """Wait a little.

        Raises
        ------
        ResourceError
            When the deadline is over.
        StoppedError
            When the cloud stops.
        """
        if time.monotonic() > self._deadline:
            raise ResourceError(f"Exceeded attempts to wait: {waiting_for}")
        if self._stopping.wait(self._next):
            raise StoppedError(waiting_for)
        self._next = min(2 * self._next, _LONGEST_PAUSE_SECONDS)


def has_sign(error: ClientError, signs: tuple[str, ...]) -> bool:
    """Whether an error is one of those: by its code or, for a sign with a space, by its text."""
    details = error.response["Error"]
    code, message = details.get("Code", ""), details.get("Message", "")
    return any(sign in message if " " in sign else sign == code for sign in signs)


def reason_of(error: Exception) -> str:
    """What a stack's event says about an error, as AWS's resource handlers say it."""
    if isinstance(error, ClientError):
        details = error.response["Error"]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return (
            f'Resource handler returned message: "{details.get("Message", "")}'
            f' (Operation: {error.operation_name}, Status Code: {status})"'
            f" (HandlerErrorCode: {_handler_code(details.get('Code', ''))})"
        )
    if isinstance(error, BotoCoreError):
        return f'Resource handler returned message: "{error}" (HandlerErrorCode: InvalidRequest)'
    return str(error)


#: Part of a service's error code -> code of the resource handlers' contract.
#: https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-test-contract-errors.html
_HANDLER_CODES = {
    "AccessDenied": "AccessDenied",
    "Unauthorized": "AccessDenied",
    "AlreadyExists": "AlreadyExists",
    "AlreadyOwned": "AlreadyExists",
    "EntityAlreadyExists": "AlreadyExists",
    "NotFound": "NotFound",
    "NoSuch": "NotFound",
    "Throttl": "Throttling",
    "Limit": "ServiceLimitExceeded",
    "Conflict": "ResourceConflict",
    "Internal": "ServiceInternalError",
}


def _handler_code(code: str) -> str:
    return next((name for part, name in _HANDLER_CODES.items() if part in code), "InvalidRequest")
