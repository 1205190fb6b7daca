"""AWS::CloudFormation::Stack: a stack as a resource of another one."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from local_cloud.cloudformation import sources
from local_cloud.cloudformation.definition import Content
from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.intrinsics import is_known, text_of
from local_cloud.cloudformation.resources.calls import State
from local_cloud.cloudformation.resources.parts import Part
from local_cloud.cloudformation.resources.resource_type import ResourceType

if TYPE_CHECKING:
    from local_cloud.cloudformation.stack import Stack

__all__ = ["TYPES"]

_WAITING = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"


class NestedStack(ResourceType):
    """Works through the account's stacks instead of calls of one service.

    What an update of the inner stack does not need any more is kept until the outer one has
    succeeded, and taken back when it has not.
    """

    def has_attribute(self, name: str) -> bool:
        """Outputs of the inner stack, whichever they are."""
        return name.startswith("Outputs.")

    def fingerprint(self, deployer: Deployer, properties: Mapping[str, Any]) -> str:
        """Digest of the inner template: its address may stay while its text changes."""
        url = properties["TemplateURL"]
        if not is_known(url):
            return ""
        return hashlib.sha256(sources.fetch(deployer, url).encode()).hexdigest()

    def make(self, deployer: Deployer, wanted: State, identified: Callable[[State], None]) -> State:
        """Create the inner stack."""
        place = deployer.cloud
        arn = f"arn:aws:cloudformation:{place.region}:{place.account_id}:stack/{wanted.name}/*"
        deployer.check("cloudformation:CreateStack", arn)
        inner = deployer.stacks.open_nested(deployer, wanted.name, _content(deployer, wanted))
        state = dataclasses.replace(wanted, physical_id=inner.id)
        identified(state)
        deployer.stacks.engine(inner, deployer).create()
        if inner.status != "CREATE_COMPLETE":
            raise _failure(inner, "created")
        return _with_outputs(state, inner)

    def change(
        self, deployer: Deployer, before: State, wanted: Mapping[str, Any], started: list[Part]
    ) -> State:
        """Update the inner stack; what it does not need any more stays for now."""
        del started  # the inner stack knows itself what it has begun
        deployer.check("cloudformation:UpdateStack", before.physical_id)
        after = self.changed(before, wanted)
        inner = deployer.stacks.find(before.physical_id)
        if deployer.stacks.redefine_nested(deployer, inner, _content(deployer, after)):
            deployer.stacks.engine(inner, deployer).update(is_final=False)
            if inner.status != _WAITING:
                raise _failure(inner, "updated")
        return _with_outputs(after, inner)

    def revert(self, deployer: Deployer, before: State, after: State, started: list[Part]) -> State:
        """Roll the inner stack back, unless it has done so itself."""
        del after, started
        inner = deployer.stacks.find(before.physical_id)
        if inner.status == _WAITING:
            deployer.stacks.engine(inner, deployer).roll_back("The outer stack rolls back.")
        if inner.status == "UPDATE_ROLLBACK_FAILED":
            raise _failure(inner, "rolled back")
        return before

    def commit(self, deployer: Deployer, before: State, after: State) -> None:
        """Delete what the inner stack's update has replaced or left out."""
        del before
        inner = deployer.stacks.find(after.physical_id)
        if inner.status == _WAITING:
            deployer.stacks.engine(inner, deployer).clean_up()

    def remove(self, deployer: Deployer, state: State) -> None:
        """Delete the inner stack."""
        inner = deployer.stacks.find(state.physical_id)
        if inner.is_deleted:
            return
        deployer.check("cloudformation:DeleteStack", state.physical_id)
        inner.note("DELETE_IN_PROGRESS")
        deployer.stacks.engine(inner, deployer).delete()
        if not inner.is_deleted:
            raise _failure(inner, "deleted")


def _content(deployer: Deployer, state: State) -> Content:
    """Template, parameters and tags of the inner stack; lists are written with commas."""
    properties = state.properties
    given: dict[str, str | None] = {
        name: ",".join(map(text_of, value)) if isinstance(value, list) else text_of(value)
        for name, value in properties.get("Parameters", {}).items()
    }
    tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
    return Content(sources.fetch(deployer, properties["TemplateURL"]), given, tags)


def _with_outputs(state: State, inner: Stack) -> State:
    outputs = {f"Outputs.{name}": output.value for name, output in inner.outputs.items()}
    return dataclasses.replace(state, attributes=outputs)


def _failure(inner: Stack, done: str) -> ResourceError:
    return ResourceError(f"Embedded stack {inner.id} was not successfully {done}: {inner.reason}")


TYPES = (
    NestedStack(
        name="AWS::CloudFormation::Stack",
        fixed=("Parameters", "Tags", "TemplateURL"),
        volatile=frozenset({"*"}),
        longest_name=128,
    ),
)
