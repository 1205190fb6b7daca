"""AWS::ApplicationAutoScaling: scalable targets and their policies."""

from __future__ import annotations

from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.resources.calls import (
    Call,
    Code,
    Source,
    State,
    attr,
    given,
    naming,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.tag_forms import ARN, as_map, with_arn

__all__ = ["TYPES"]

_call = partial(Call, "application-autoscaling")
_MISSING = ("ObjectNotFoundException",)
#: What names a target, in the order of its physical id.
_NAMES = ("ResourceId", "ScalableDimension", "ServiceNamespace")
_TARGET = {name: naming(name) for name in _NAMES}
_FIND = _call(
    "DescribeScalableTargets",
    {
        "ServiceNamespace": naming("ServiceNamespace"),
        "ResourceIds": Source(lambda state: [state.properties["ResourceId"]]),
    },
)


def _arn(deployer: Deployer, state: State) -> str:
    (target,) = _FIND.run(deployer, state)["ScalableTargets"]
    return str(target["ScalableTargetARN"])


def _id(state: State) -> str:
    return "|".join(str(state.properties[name]) for name in _NAMES)


_SETTINGS = given("MaxCapacity", "MinCapacity", "RoleARN", "SuspendedState")
_REGISTER = _call(
    "RegisterScalableTarget",
    {**_SETTINGS, **given(*_NAMES), "Tags": prop("Tags", as_map)},
)


def _register(deployer: Deployer, state: State) -> dict[str, str]:
    _REGISTER.run(deployer, state)
    return {"Id": _id(state)}


SCALABLE_TARGET = ResourceType(
    name="AWS::ApplicationAutoScaling::ScalableTarget",
    create=Code(_register, (_REGISTER,)),
    made={"Id": "Id"},
    id=attr("Id"),
    parts=(
        Setting(_call("RegisterScalableTarget", {**_SETTINGS, **_TARGET}), made_with_resource=True),
        tags(
            with_arn(
                _call(
                    "TagResource",
                    {"ResourceARN": ARN, "Tags": Source(lambda state: as_map(state.item))},
                ),
                _arn,
            ),
            with_arn(_call("UntagResource", {"ResourceARN": ARN, "TagKeys": TAG_KEYS}), _arn),
        ),
    ),
    delete=(_call("DeregisterScalableTarget", _TARGET),),
    missing=_MISSING,
)


def _named(name: str) -> Source:
    """A name of the target, given by itself or as part of the target's id."""

    def value(state: State) -> Any:
        target_id = state.properties.get("ScalingTargetId")
        if name in state.properties or not isinstance(target_id, str):
            return state.properties.get(name, target_id)
        parts = target_id.split("|")
        if len(parts) != len(_NAMES):
            raise ResourceError(f"ScalingTargetId {target_id}: the id of a target is required")
        return parts[_NAMES.index(name)]

    return Source(value, (name, "ScalingTargetId"))


_POLICY = {name: _named(name) for name in _NAMES}
_OF_POLICY = {name: Source(source.value) for name, source in _POLICY.items()}
_PUT = {
    **_POLICY,
    **given("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration"),
}

SCALING_POLICY = ResourceType(
    name="AWS::ApplicationAutoScaling::ScalingPolicy",
    create=_call("PutScalingPolicy", _PUT),
    made={"Arn": "PolicyARN"},
    id=attr("Arn"),
    parts=(
        Setting(
            _call(
                "PutScalingPolicy",
                {
                    **_OF_POLICY,
                    "PolicyName": naming("PolicyName"),
                    **given("PolicyType", "TargetTrackingScalingPolicyConfiguration"),
                },
            ),
            made_with_resource=True,
        ),
    ),
    delete=(_call("DeleteScalingPolicy", {**_OF_POLICY, "PolicyName": naming("PolicyName")}),),
    missing=_MISSING,
)

TYPES = (SCALABLE_TARGET, SCALING_POLICY)
