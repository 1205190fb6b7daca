"""Custom resources: made, changed and deleted by a function of the template's author.

The function is told what to do, and answers to an address of its own. What it answers decides: its
id of the resource, its attributes, its failure. When an update gives another id, the resource with
the old one is deleted after everything has succeeded.

Source:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

from __future__ import annotations

import dataclasses
import functools
import json
import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from local_cloud.cloudformation.custom_responses import WrongResponseError, responses
from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.intrinsics import Unknown, text_of
from local_cloud.cloudformation.resources.calls import Operation, State
from local_cloud.cloudformation.resources.parts import Part
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.schema import Schema

__all__ = ["TYPES", "is_custom", "resource_type"]

_NAME = "AWS::CloudFormation::CustomResource"
_PREFIX = "Custom::"
#: How long a function may take to answer when the template does not say.
_DEFAULT_SECONDS = 3600
_MOST_ID_LENGTH = 1024
#: Any property is right: what it means is the function's business.
_DOCUMENT = {
    "properties": {
        "ServiceTimeout": {"type": "integer", "minimum": 1, "maximum": 3600},
        "ServiceToken": {"type": "string"},
    },
    "required": ["ServiceToken"],
    "tagging": {"taggable": False},
}


def is_custom(name: str) -> bool:
    """Whether a type is the template's author's own."""
    return name.startswith(_PREFIX)


@functools.cache
def resource_type(name: str) -> ResourceType:
    """The type with a name of the template's author, for instance ``Custom::ReleaseAssets``."""
    return CustomResource(
        name=name,
        fixed=("ServiceTimeout", "ServiceToken"),
        immutable=("ServiceToken",),
        volatile=frozenset({"*"}),
    )


class CustomResource(ResourceType):
    """Works through a function instead of calls of one service."""

    @property
    def schema(self) -> Schema:
        """The two properties that CloudFormation knows."""
        return Schema(self.name, _DOCUMENT)

    @property
    def operations(self) -> frozenset[Operation]:
        """The function is invoked."""
        return frozenset({("lambda", "Invoke")})

    def operations_for(self, properties: Mapping[str, Any]) -> frozenset[Operation]:
        """The same for all."""
        del properties
        return self.operations

    def operations_to_change(self, names: Iterable[str]) -> frozenset[Operation]:
        """The same for all."""
        del names
        return self.operations

    def has_attribute(self, name: str) -> bool:
        """Whichever the function answers."""
        del name
        return True

    def new_name(self, stack_name: str, logical_id: str) -> str:
        """What the function is told: the logical id is unique in the stack."""
        del stack_name
        return logical_id

    def make(self, deployer: Deployer, wanted: State, identified: Callable[[State], None]) -> State:
        """Have the function make the resource; one that failed has to be deleted, too."""
        stack = deployer.stack.name if deployer.stack else ""
        fallback = f"{stack}-{wanted.name}-{secrets.token_hex(6).upper()}"
        try:
            response = self._ask(deployer, "Create", wanted)
            if response["Status"] == "FAILED":
                fallback = response.get("PhysicalResourceId") or fallback
            state = _answered(wanted, response)
        except (ResourceError, WrongResponseError) as error:
            identified(dataclasses.replace(wanted, physical_id=fallback))
            raise ResourceError(str(error)) from error
        identified(state)
        return state

    def change(
        self, deployer: Deployer, before: State, wanted: Mapping[str, Any], started: list[Part]
    ) -> State:
        """Have the function change the resource; the one with another id is left for later."""
        del started
        after = self.changed(before, wanted)
        return self._update(deployer, before, after)

    def revert(self, deployer: Deployer, before: State, after: State, started: list[Part]) -> State:
        """Have the function change it back; the one with another id is left for later."""
        del started
        return self._update(deployer, after, dataclasses.replace(before, physical_id=""))

    def remove(self, deployer: Deployer, state: State) -> None:
        """Have the function delete the resource."""
        try:
            _answered(state, self._ask(deployer, "Delete", state))
        except WrongResponseError as error:
            raise ResourceError(str(error)) from error

    def _update(self, deployer: Deployer, before: State, after: State) -> State:
        old = {"OldResourceProperties": _texts(before.properties)}
        asked = dataclasses.replace(after, physical_id=before.physical_id)
        try:
            return _answered(asked, self._ask(deployer, "Update", asked, old))
        except WrongResponseError as error:
            raise ResourceError(str(error)) from error

    def _ask(
        self,
        deployer: Deployer,
        verb: str,
        state: State,
        extras: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What the function answers."""
        path = responses.expect()
        request = {
            "RequestType": verb,
            "RequestId": str(uuid.uuid4()),
            "ResponseURL": f"{deployer.cloud.endpoint_url}{path}",
            "ResourceType": self.name,
            "LogicalResourceId": state.name,
            "StackId": deployer.stack.id if deployer.stack else "",
            "ResourceProperties": _texts(state.properties),
            **({"PhysicalResourceId": state.physical_id} if verb != "Create" else {}),
            **(extras or {}),
        }
        function = str(state.properties["ServiceToken"])
        payload = json.dumps({**request, "ServiceToken": function}).encode()
        try:
            event = {"InvocationType": "Event", "Payload": payload}
            deployer.call("lambda", "Invoke", {"FunctionName": function, **event})
            return _wait(deployer, path, request, state)
        finally:
            responses.forget(path)


def _wait(
    deployer: Deployer, path: str, request: Mapping[str, Any], state: State
) -> dict[str, Any]:
    request_id = request["RequestId"]
    pauses = deployer.pauses(float(state.properties.get("ServiceTimeout", _DEFAULT_SECONDS)))
    while (response := responses.take(path)) is None:
        try:
            pauses.pause(f"custom resource {state.name}")
        except ResourceError as error:
            raise ResourceError(
                "CloudFormation did not receive a response from your Custom Resource. Please check"
                f" your logs for requestId [{request_id}]."
            ) from error
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if response.get(name) != request[name]:
            raise WrongResponseError(f"Invalid response: {name} is not that of the request")
    if response.get("Status") not in {"SUCCESS", "FAILED"}:
        raise WrongResponseError(f"Invalid response status {response.get('Status')!r}")
    return response


def _answered(state: State, response: Mapping[str, Any]) -> State:
    """The resource as the function says it is."""
    if response["Status"] == "FAILED":
        raise ResourceError(
            "Received response status [FAILED] from custom resource. Message returned:"
            f" {response.get('Reason')} (RequestId: {response['RequestId']})"
        )
    physical_id = response.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not 0 < len(physical_id) <= _MOST_ID_LENGTH:
        raise WrongResponseError("Invalid PhysicalResourceId")
    data = response.get("Data") or {}
    if not isinstance(data, dict):
        raise WrongResponseError("Invalid response: Data is no object")
    return dataclasses.replace(state, physical_id=physical_id, attributes=data)


def _texts(value: Any) -> Any:
    """Properties as the function gets them: what is no list and no object is text."""
    if isinstance(value, Mapping):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return value if isinstance(value, Unknown) else text_of(value)


TYPES = (resource_type(_NAME),)
