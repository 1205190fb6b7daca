"""Carries out what is to be done to one stack: create, update, roll back, delete.

A step that succeeds, or has begun, leaves an :class:`Undo`. When a later one fails they are taken
back, newest first: what was changed is changed back, what was replaced is there still, what was
made is deleted at the end. Nothing that was there is deleted before everything has succeeded, but
for the few resources of which there can be one only.

Source:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.cloudformation.definition import Surroundings
from local_cloud.cloudformation.deployer import (
    Deployer,
    ResourceError,
    StoppedError,
    reason_of,
)
from local_cloud.cloudformation.errors import CloudFormationError
from local_cloud.cloudformation.evaluation import Evaluation, Output
from local_cloud.cloudformation.plan import Action, action_of, compare, deletion_order
from local_cloud.cloudformation.resources.calls import State
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.table import TYPES
from local_cloud.cloudformation.stack import Stack, StackResource, Undo, now
from local_cloud.errors import LocalCloudError

__all__ = ["Engine"]

_REPLACING = (
    "Requested update requires the creation of a new physical resource; hence creating one."
)
_EXPECTED = (BotoCoreError, ClientError, CloudFormationError, LocalCloudError, ResourceError)
#: How often the deletion of something that is not needed any more is tried, as AWS tries it.
_ATTEMPTS = 3
_GONE = frozenset({"DELETE_COMPLETE", "DELETE_SKIPPED"})

#: Keeps the outputs of a stack: raises CloudFormationError when an export is taken or in use.
Publish = Callable[[Stack, Mapping[str, Output], frozenset[str]], None]


class _FailedError(Exception):
    """A step failed, and its event is written; the message is the stack's reason."""


class Engine:
    """Works on one stack, as one deployer, in one thread.

    Parameters
    ----------
    stack
        The stack; its definition says what it is to become.
    deployer
        Who makes its resources.
    surroundings
        What its template can ask for.
    publish
        Keeps its outputs.
    """

    def __init__(
        self, stack: Stack, deployer: Deployer, surroundings: Surroundings, publish: Publish
    ) -> None:
        self._stack = stack
        self._deployer = deployer
        self._surroundings = surroundings
        self._publish = publish

    # ---------------------------------------------------------------- operations

    def create(self) -> None:
        """Make everything; when that fails, do what the stack's `on_failure` says."""
        stack = self._stack
        try:
            self._apply()
        except _FailedError as error:
            self._creation_failed(str(error))
            return
        stack.undo.clear()
        stack.note("CREATE_COMPLETE")

    def _creation_failed(self, reason: str) -> None:
        stack = self._stack
        if stack.on_failure == "DO_NOTHING":
            stack.note("CREATE_FAILED", reason)
            return
        verb = "DELETE" if stack.on_failure == "DELETE" else "ROLLBACK"
        stack.note(f"{verb}_IN_PROGRESS", f"{reason} Rollback requested by user.")
        self._delete_all(verb, self._is_kept_in_rollback)

    def update(self, *, is_final: bool = True) -> None:
        """Bring the stack to its definition, or back to its previous one.

        Parameters
        ----------
        is_final
            Whether what is not needed any more is deleted at once; a nested stack waits for its
            parent's :meth:`clean_up` or :meth:`roll_back`.
        """
        try:
            self._apply()
        except _FailedError as error:
            self.roll_back(str(error))
            return
        self._stack.note("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        if is_final:
            self.clean_up()

    def clean_up(self) -> None:
        """Delete what a successful update has replaced or left out."""
        stack = self._stack
        replaced = {
            step.logical_id: step.before
            for step in stack.undo
            if step.before is not None
            and not step.was_deleted
            and (step.attempted is None or self._has_new_id(step))
        }
        evaluation = self._evaluation()
        left_out = {
            name: resource
            for name, resource in stack.resources.items()
            if name not in evaluation.active
        }
        for step in stack.undo:
            if step.before is not None and step.attempted is not None:
                resource = stack.resources[step.logical_id]
                kind = TYPES[resource.declared.type]
                kind.commit(self._deployer, step.before.state, resource.state)
        for name, resource in deletion_order({**replaced, **left_out}):
            policy = resource.declared.update_replace_policy if name in replaced else None
            is_kept = (policy or resource.declared.deletion_policy) != "Delete"
            self._delete_for_good(resource, is_kept=is_kept)
        for name in left_out:
            del stack.resources[name]
        stack.undo.clear()
        stack.previous = None
        stack.note("UPDATE_COMPLETE")

    def _has_new_id(self, step: Undo) -> bool:
        """Whether a change in place has made another resource, as one of a custom resource may."""
        before, after = step.before, self._stack.resources[step.logical_id]
        return before is not None and before.state.physical_id != after.state.physical_id

    def roll_back(self, reason: str, skipped: Iterable[str] = ()) -> None:
        """Take back every step of an update.

        Parameters
        ----------
        reason
            Why.
        skipped
            Logical ids that are left as they are.
        """
        stack = self._stack
        stack.note("UPDATE_ROLLBACK_IN_PROGRESS", reason)
        while stack.undo:
            step = stack.undo[-1]
            if step.logical_id not in skipped and not self._undone(step):
                failed = f"The following resource(s) failed to update: [{step.logical_id}]."
                stack.note("UPDATE_ROLLBACK_FAILED", failed)
                return
            stack.undo.pop()
        for resource in list(stack.resources.values()):
            if resource.status == "UPDATE_FAILED":  # before anything of it was changed
                self._note(resource, "UPDATE_COMPLETE")
        stack.note("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        while stack.doomed:
            doomed = stack.doomed[0]
            is_new = doomed.declared.logical_id not in stack.resources  # and not a replacement
            is_kept = is_new and self._is_kept_in_rollback(doomed)
            self._delete_for_good(doomed, is_kept=is_kept)
            stack.doomed.pop(0)
        if stack.previous is not None:
            stack.definition, stack.outputs, stack.imports = stack.previous
            stack.previous = None
        stack.note("UPDATE_ROLLBACK_COMPLETE")

    def delete(self, retained: Iterable[str] = ()) -> None:
        """Delete everything that is not to be retained."""
        kept = frozenset(retained)

        def is_kept(resource: StackResource) -> bool:
            declared = resource.declared
            return declared.logical_id in kept or declared.deletion_policy != "Delete"

        self._delete_all("DELETE", is_kept)

    # ---------------------------------------------------------------- making and changing

    def _evaluation(self) -> Evaluation:
        return Evaluation(self._stack.definition, self._surroundings, self._stack.states)

    def _apply(self) -> None:
        """Take the steps in order, then keep the outputs."""
        stack = self._stack
        evaluation = self._evaluation()
        for logical_id in evaluation.order:
            self._step(logical_id, evaluation)
            evaluation.resources.states[logical_id] = stack.resources[logical_id].state
        try:
            outputs = evaluation.outputs()
            self._publish(stack, outputs, frozenset(evaluation.imports))
        except CloudFormationError as error:
            raise _FailedError(str(error)) from error
        for logical_id, declared in evaluation.active.items():
            stack.resources[logical_id] = dataclasses.replace(
                stack.resources[logical_id],
                declared=declared,
                needs=evaluation.dependencies[logical_id],
            )

    def _step(self, logical_id: str, evaluation: Evaluation) -> None:
        before = self._stack.resources.get(logical_id)
        verb = "UPDATE" if before is not None else "CREATE"
        if before is None:
            self._stack.undo.append(Undo(logical_id))
        try:
            wanted = self._wanted(logical_id, evaluation)
            if before is None:
                self._note(wanted, "CREATE_IN_PROGRESS")
                self._make(wanted, verb)
            else:
                self._bring(before, wanted)
        except StoppedError:
            raise
        except Exception as error:
            self._report(error)
            failed = self._stack.resources.get(logical_id) or self._blank(logical_id, evaluation)
            self._note(failed, f"{verb}_FAILED", reason_of(error))
            reason = f"The following resource(s) failed to {verb.lower()}: [{logical_id}]."
            raise _FailedError(reason) from error

    def _wanted(self, logical_id: str, evaluation: Evaluation) -> StackResource:
        """The resource as it is to be, not made yet."""
        properties, problems = evaluation.properties(logical_id)
        if problems:
            raise ResourceError(
                f"Properties validation failed for resource {logical_id} with message:"
                f" {'; '.join(problems)}"
            )
        resource = self._blank(logical_id, evaluation)
        kind = TYPES[resource.declared.type]
        name = kind.new_name(self._stack.name, logical_id)
        policy = evaluation.update_policy(logical_id)
        return dataclasses.replace(
            resource,
            state=dataclasses.replace(kind.state(name, properties), update_policy=policy),
            wanted=properties,
            needs=evaluation.dependencies[logical_id],
            fingerprint=kind.fingerprint(self._deployer, properties),
        )

    @staticmethod
    def _blank(logical_id: str, evaluation: Evaluation) -> StackResource:
        return StackResource(evaluation.active[logical_id], State("", {}), {}, ())

    def _make(self, wanted: StackResource, verb: str, before: StackResource | None = None) -> None:
        """Make a resource; from when it is there, it can be taken back."""
        stack, logical_id = self._stack, wanted.declared.logical_id

        def identified(state: State) -> None:
            made = dataclasses.replace(wanted, state=state)
            if not any(step.logical_id == logical_id for step in stack.undo):
                stack.undo.append(Undo(logical_id, before))
            self._note(made, f"{verb}_IN_PROGRESS", "Resource creation Initiated")

        kind = TYPES[wanted.declared.type]
        state = kind.make(self._deployer, wanted.state, identified)
        self._note(dataclasses.replace(wanted, state=state), f"{verb}_COMPLETE")

    def _bring(self, before: StackResource, wanted: StackResource) -> None:
        """Change or replace a resource, or leave it, as its properties ask for."""
        kind = TYPES[wanted.declared.type]
        changes = compare(kind, before, wanted.wanted, self._deployer)
        action = action_of(changes)
        if action is Action.CHANGE:
            self._change(kind, before, wanted)
        elif action is Action.REPLACE:
            self._replace(kind, before, wanted)

    def _change(self, kind: ResourceType, before: StackResource, wanted: StackResource) -> None:
        current = dataclasses.replace(before.state, update_policy=wanted.state.update_policy)
        attempted = kind.changed(current, wanted.wanted)
        undo = Undo(before.declared.logical_id, before, attempted)
        self._stack.undo.append(undo)
        self._note(before, "UPDATE_IN_PROGRESS")
        state = kind.change(self._deployer, current, wanted.wanted, undo.started)
        self._note(dataclasses.replace(wanted, state=state), "UPDATE_COMPLETE")

    def _replace(self, kind: ResourceType, before: StackResource, wanted: StackResource) -> None:
        self._require_new_name(kind, before, wanted)
        self._note(before, "UPDATE_IN_PROGRESS", _REPLACING)
        if kind.schema.deletes_first:
            logical_id = before.declared.logical_id
            self._stack.undo.append(Undo(logical_id, before, was_deleted=True))
            kind.remove(self._deployer, before.state)
        self._make(wanted, "UPDATE", before)

    @staticmethod
    def _require_new_name(kind: ResourceType, before: StackResource, wanted: StackResource) -> None:
        """Two resources cannot have one name at the same time."""
        if kind.named is None or kind.schema.deletes_first:
            return
        name = wanted.wanted.get(kind.named)
        if name is not None and name == before.wanted.get(kind.named):
            raise ResourceError(
                "CloudFormation cannot update a stack when a custom-named resource requires"
                f" replacing. Rename {name} and update the stack again."
            )

    # ---------------------------------------------------------------- taking back

    def _undone(self, step: Undo) -> bool:
        """Take one step back; whether that succeeded."""
        current = self._stack.resources.get(step.logical_id)
        try:
            self._undo(step, current)
        except StoppedError:
            raise
        except Exception as error:
            self._report(error)
            failed = current or step.before
            if failed is not None:
                self._note(failed, "UPDATE_FAILED", reason_of(error))
            return False
        return True

    def _undo(self, step: Undo, current: StackResource | None) -> None:
        before = step.before
        if before is None:
            if current is not None:
                self._stack.doomed.append(self._stack.resources.pop(step.logical_id))
            return
        kind = TYPES[before.declared.type]
        state = before.state
        self._note(current or before, "UPDATE_IN_PROGRESS")
        if step.attempted is not None:
            reached = (current or before).state
            attempted = dataclasses.replace(step.attempted, physical_id=reached.physical_id)
            earlier = dataclasses.replace(before.state, update_policy={})
            state = kind.revert(self._deployer, earlier, attempted, step.started)
            if current is not None and state.physical_id != attempted.physical_id:
                self._stack.doomed.append(current)
        elif step.was_deleted:
            if current is not None:
                kind.remove(self._deployer, current.state)
            state = kind.make(self._deployer, before.state, lambda _: None)
        elif current is not None:
            self._stack.doomed.append(current)
        self._note(dataclasses.replace(before, state=state), "UPDATE_COMPLETE")

    # ---------------------------------------------------------------- deleting

    def _is_kept_in_rollback(self, resource: StackResource) -> bool:
        policy = resource.declared.deletion_policy
        return policy == "Retain" and not self._stack.retains_except_on_create

    def _delete_all(self, verb: str, is_kept: Callable[[StackResource], bool]) -> None:
        """Delete the resources in order; what another one that stays needs stays too."""
        stack = self._stack
        staying: list[str] = []
        failed: list[str] = []
        for name, resource in deletion_order(stack.resources):
            if resource.status in _GONE:
                continue
            if any(name in stack.resources[other].needs for other in staying):
                staying.append(name)
            elif not self._delete_one(resource, is_kept=is_kept(resource), is_listed=True):
                staying.append(name)
                failed.append(name)
        if failed:
            names = ", ".join(sorted(failed))
            stack.note(f"{verb}_FAILED", f"The following resource(s) failed to delete: [{names}].")
            return
        if verb == "DELETE":
            stack.deleted = now()
        stack.note(f"{verb}_COMPLETE")

    def _delete_for_good(self, resource: StackResource, *, is_kept: bool) -> None:
        """Delete what no stack will know any more; the last event says whether it stays."""
        for _ in range(_ATTEMPTS):
            if self._delete_one(resource, is_kept=is_kept):
                return

    def _delete_one(
        self, resource: StackResource, *, is_kept: bool, is_listed: bool = False
    ) -> bool:
        """Delete one resource; whether it is gone or, on purpose, not.

        `is_listed` says that the stack's list shows it: what was replaced is there no more.
        """
        note = self._note if is_listed else self._stack.note_resource
        if is_kept:
            note(resource, "DELETE_SKIPPED")
            return True
        note(resource, "DELETE_IN_PROGRESS")
        try:
            if resource.state.physical_id:
                TYPES[resource.declared.type].remove(self._deployer, resource.state)
        except StoppedError:
            raise
        except Exception as error:
            self._report(error)
            note(resource, "DELETE_FAILED", reason_of(error))
            return False
        note(resource, "DELETE_COMPLETE")
        return True

    # ---------------------------------------------------------------- history

    def _note(self, resource: StackResource, status: str, reason: str = "") -> None:
        """Keep a resource in the stack's list with a status, and append the event."""
        noted = dataclasses.replace(resource, status=status, reason=reason, changed=now())
        self._stack.resources[resource.declared.logical_id] = noted
        self._stack.note_resource(noted, status, reason)

    def _report(self, error: Exception) -> None:
        """Write down what nobody expected; the event has room for one line."""
        if not isinstance(error, _EXPECTED):
            self._deployer.write_down(error)
