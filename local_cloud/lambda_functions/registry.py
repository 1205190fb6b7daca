"""The functions of the account, and how events reach them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_cloud.json_api import ApiError
from local_cloud.lambda_functions.function import LATEST, Function, Version
from local_cloud.lambda_functions.invocation import Invocation, Outcome
from local_cloud.lambda_functions.pool import Pool
from local_cloud.policies import Request, statement_matches

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Functions", "Reference"]

_NAME = re.compile(
    r"(?:arn:aws:lambda:(?P<region>[^:]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_-]{1,140})(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]+))?"
)
#: How long an environment is kept without events, and how often it is looked for such.
_IDLE_SECONDS = 300.0
_LOOK_SECONDS = 15.0
_UNITS = {
    "ConcurrentExecutions": "Count",
    "Duration": "Milliseconds",
    "Errors": "Count",
    "Invocations": "Count",
    "Throttles": "Count",
}


@dataclass(frozen=True)
class Reference:
    """What a request calls a function.

    Parameters
    ----------
    name
        Of the function.
    qualifier
        Version or alias; empty without.
    """

    name: str
    qualifier: str = ""

    @property
    def resource(self) -> str:
        """As the dimension ``Resource`` of the metrics says it."""
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name


class Functions:
    """The functions of the account.

    Parameters
    ----------
    cloud
        The account.
    """

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.lock = threading.RLock()
        self._functions: dict[str, Function] = {}
        self._pools: dict[str, Pool] = {}  # by the revision of a version
        self._stopping = threading.Event()
        threading.Thread(target=self._look_after, name="functions", daemon=True).start()

    # ---------------------------------------------------------------- finding

    def all(self) -> list[Function]:
        """Every function, by name."""
        return [function for _, function in sorted(self._functions.items())]

    def arn(self, name: str, qualifier: str = "") -> str:
        """ARN of a function, version or alias."""
        place = f"arn:aws:lambda:{self.cloud.region}:{self.cloud.account_id}:function:{name}"
        return f"{place}:{qualifier}" if qualifier else place

    def refer(self, text: str, qualifier: str | None = None) -> Reference:
        """What a name, or a whole or partial ARN, and a qualifier mean.

        Raises
        ------
        ApiError
            When it is none, or they contradict each other.
        """
        found = _NAME.fullmatch(text)
        if found is None or found["region"] not in {None, self.cloud.region}:
            raise ApiError("ResourceNotFoundException", f"Function not found: {text}")
        inside = found["qualifier"] or ""
        if qualifier and inside and qualifier != inside:
            raise ApiError(
                "InvalidParameterValueException",
                "The derived qualifier from the function name does not match the specified "
                "qualifier.",
            )
        return Reference(found["name"], qualifier or inside)

    def get(self, name: str) -> Function:
        """A function by its name.

        Raises
        ------
        ApiError
            When there is none.
        """
        function = self._functions.get(name)
        if function is None:
            raise ApiError("ResourceNotFoundException", f"Function not found: {self.arn(name)}")
        return function

    def version(self, reference: Reference) -> Version:
        """The version that is meant; an alias stands for its own, without weights."""
        function = self.get(reference.name)
        alias = function.aliases.get(reference.qualifier)
        found = function.version(alias.version if alias else reference.qualifier or LATEST)
        if found is None:
            raise self._not_found(reference)
        return found

    def _not_found(self, reference: Reference) -> ApiError:
        arn = self.arn(reference.name, reference.qualifier)
        return ApiError("ResourceNotFoundException", f"Function not found: {arn}")

    # ---------------------------------------------------------------- keeping

    def add(self, function: Function) -> None:
        """Keep a new function."""
        with self.lock:
            if function.name in self._functions:
                raise ApiError(
                    "ResourceConflictException", f"Function already exist: {function.name}"
                )
            self._functions[function.name] = function

    def replace_latest(self, function: Function, latest: Version) -> None:
        """Change what ``$LATEST`` is."""
        before, function.latest = function.latest, latest
        self._retire([before])

    def remove(self, function: Function) -> None:
        """Forget a function with everything of it."""
        with self.lock:
            self._functions.pop(function.name, None)
        self._retire([function.latest, *function.versions.values()])

    def remove_version(self, function: Function, number: str) -> None:
        """Forget a version."""
        with self.lock:
            version = function.versions.pop(number, None)
        if version is not None:
            self._retire([version])

    def _retire(self, versions: list[Version]) -> None:
        for version in versions:
            pool = self._pools.pop(version.revision, None)
            if pool is not None:
                pool.close()

    # ---------------------------------------------------------------- invoking

    def check_service(self, principal: str, source_arn: str, reference: Reference) -> None:
        """Return when the function's policy lets a service invoke it for a resource.

        Parameters
        ----------
        principal
            For instance ``apigateway.amazonaws.com``.
        source_arn
            For which resource it works.
        reference
            The function, version or alias.

        Raises
        ------
        ApiError
            When it does not.
        """
        arn = self.arn(reference.name, reference.qualifier)
        context = {
            "aws:sourcearn": (source_arn,),
            "aws:sourceaccount": (self.cloud.account_id,),
            "aws:principalisawsservice": ("true",),
        }
        request = Request("lambda:InvokeFunction", arn, context, principals=frozenset({principal}))
        statements = self.get(reference.name).statements.get(reference.qualifier, {})
        if not any(statement_matches(statement, request) for statement in statements.values()):
            raise ApiError(
                "AccessDeniedException",
                f"{principal} is not authorized to perform: lambda:InvokeFunction on resource: "
                f"{arn} because no resource-based policy allows the lambda:InvokeFunction action",
            )

    def invoke(
        self,
        reference: Reference,
        payload: bytes,
        *,
        client_context: str = "",
        with_tail: bool = False,
    ) -> Outcome:
        """Have an event handled, and wait for what comes of it.

        Parameters
        ----------
        reference
            Function, and version or alias; an alias chooses a version by its weights.
        payload
            The event, JSON.
        client_context
            Passed on, JSON.
        with_tail
            Whether the last lines of the log are wanted.

        Raises
        ------
        ApiError
            When there is no such function, or it handles as many events as it may.
        """
        function = self.get(reference.name)
        with self.lock:  # a version that an alias has just let go is not deleted in between
            alias = function.aliases.get(reference.qualifier)
            number = alias.choose() if alias else reference.qualifier or LATEST
            version = function.version(number)
        if version is None:
            raise self._not_found(reference)
        sets = _dimensions(reference, number if alias else None)
        with self._slot(function, sets):
            arn = self.arn(reference.name, reference.qualifier)
            invocation = Invocation(payload, arn, client_context=client_context)
            outcome = self._pool(version).run(invocation, with_tail=with_tail)
        values = {
            "Invocations": 1.0,
            "Errors": float(outcome.is_error),
            "Duration": outcome.duration_ms,
        }
        self._measure(sets, values)
        return outcome

    @contextmanager
    def _slot(self, function: Function, sets: list[dict[str, str]]) -> Iterator[None]:
        """One of the events that a function may handle at the same time."""
        with self.lock:
            is_throttled = function.reserved is not None and function.in_flight >= function.reserved
            if not is_throttled:
                function.in_flight += 1
            count = float(function.in_flight)
        if is_throttled:
            self._measure(sets, {"Throttles": 1.0})
            raise ApiError("TooManyRequestsException", "Rate Exceeded.")
        self._measure(sets[:1], {"ConcurrentExecutions": count})
        try:
            yield
        finally:
            with self.lock:
                function.in_flight -= 1

    def _measure(self, sets: list[dict[str, str]], values: dict[str, float]) -> None:
        for dimensions in sets:
            self.cloud.metrics.record("AWS/Lambda", dimensions, values, units=_UNITS)

    def _pool(self, version: Version) -> Pool:
        with self.lock:
            pool = self._pools.get(version.revision)
            if pool is None:
                pool = self._pools[version.revision] = Pool(self.cloud, version)
            return pool

    # ---------------------------------------------------------------- ending

    def stop(self) -> None:
        """End every process."""
        self._stopping.set()
        with self.lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.stop()

    def _look_after(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            for pool in list(self._pools.values()):
                pool.end_idle(_IDLE_SECONDS)


def _dimensions(reference: Reference, executed: str | None) -> list[dict[str, str]]:
    """The sets of dimensions that an event's metrics have.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
    """
    whole = {"FunctionName": reference.name}
    resource = {**whole, "Resource": reference.resource}
    sets = [whole, resource]
    return [*sets, {**resource, "ExecutedVersion": executed}] if executed else sets
