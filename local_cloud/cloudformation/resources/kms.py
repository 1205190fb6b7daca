"""AWS::KMS: keys and aliases."""

from __future__ import annotations

from functools import partial

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.resources.calls import (
    ID,
    Call,
    Code,
    Source,
    State,
    attr,
    given,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.tag_forms import with_prefix

__all__ = ["TYPES"]

_call = partial(Call, "kms")


def _rotate(deployer: Deployer, state: State) -> None:
    (_ROTATION_ON if state.properties.get("EnableKeyRotation") else _ROTATION_OFF).run(
        deployer, state
    )


def _enable(deployer: Deployer, state: State) -> None:
    (_ENABLE if state.properties.get("Enabled", True) else _DISABLE).run(deployer, state)


_ROTATION_ON = _call("EnableKeyRotation", {"KeyId": ID, **given("RotationPeriodInDays")})
_ROTATION_OFF = _call("DisableKeyRotation", {"KeyId": ID})
_ENABLE = _call("EnableKey", {"KeyId": ID})
_DISABLE = _call("DisableKey", {"KeyId": ID})

KEY = ResourceType(
    name="AWS::KMS::Key",
    create=_call(
        "CreateKey",
        {
            **given(
                "BypassPolicyLockoutSafetyCheck",
                "Description",
                "KeySpec",
                "KeyUsage",
                "MultiRegion",
                "Origin",
            ),
            "Policy": prop("KeyPolicy"),
            "Tags": prop("Tags", with_prefix),
        },
    ),
    made={"Arn": "KeyMetadata.Arn", "KeyId": "KeyMetadata.KeyId"},
    id=attr("KeyId"),
    parts=(
        Setting(
            Code(_rotate, (_ROTATION_ON, _ROTATION_OFF), extra_properties=("EnableKeyRotation",)),
        ),
        Setting(
            _call(
                "PutKeyPolicy",
                {"KeyId": ID, "PolicyName": "default", "Policy": prop("KeyPolicy")},
            ),
            made_with_resource=True,
        ),
        Setting(
            _call(
                "UpdateKeyDescription",
                {"KeyId": ID, "Description": prop("Description", default="")},
            ),
            made_with_resource=True,
        ),
        tags(
            _call("TagResource", {"KeyId": ID, "Tags": Source(lambda s: with_prefix(s.item))}),
            _call("UntagResource", {"KeyId": ID, "TagKeys": TAG_KEYS}),
        ),
        Setting(Code(_enable, (_ENABLE, _DISABLE), extra_properties=("Enabled",))),
    ),
    delete=(_call("ScheduleKeyDeletion", {"KeyId": ID, **given("PendingWindowInDays")}),),
    missing=("NotFoundException", " is pending deletion"),
    fixed=("BypassPolicyLockoutSafetyCheck",),
    immutable=("KeySpec", "KeyUsage", "MultiRegion", "Origin"),
)

ALIAS = ResourceType(
    name="AWS::KMS::Alias",
    create=_call("CreateAlias", given("AliasName", "TargetKeyId")),
    id=prop("AliasName"),
    parts=(
        Setting(
            _call("UpdateAlias", {"AliasName": ID, **given("TargetKeyId")}), made_with_resource=True
        ),
    ),
    delete=(_call("DeleteAlias", {"AliasName": ID}),),
    missing=("NotFoundException",),
)

TYPES = (KEY, ALIAS)
