"""AWS::IAM: roles and their policies."""

from __future__ import annotations

from functools import partial

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.resources.calls import (
    ID,
    ITEM,
    Call,
    Code,
    Source,
    State,
    given,
    item,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_call = partial(Call, "iam")
_MISSING = ("NoSuchEntity",)
_MOST_VERSIONS = 5  # of one managed policy

ROLE = ResourceType(
    name="AWS::IAM::Role",
    create=_call(
        "CreateRole",
        given(
            "AssumeRolePolicyDocument",
            "Description",
            "MaxSessionDuration",
            "Path",
            "PermissionsBoundary",
            "RoleName",
            "Tags",
        ),
    ),
    id=prop("RoleName"),
    named="RoleName",
    parts=(
        Setting(
            _call(
                "UpdateAssumeRolePolicy",
                {"RoleName": ID, "PolicyDocument": prop("AssumeRolePolicyDocument")},
            ),
            made_with_resource=True,
        ),
        Setting(
            _call(
                "UpdateRole",
                {
                    "RoleName": ID,
                    "Description": prop("Description", default=""),
                    "MaxSessionDuration": prop("MaxSessionDuration", default=3600),
                },
            ),
            made_with_resource=True,
        ),
        Setting(
            _call("PutRolePermissionsBoundary", {"RoleName": ID, **given("PermissionsBoundary")}),
            _call("DeleteRolePermissionsBoundary", {"RoleName": ID}),
            made_with_resource=True,
        ),
        Items(
            prop("Policies"),
            _call(
                "PutRolePolicy",
                {
                    "RoleName": ID,
                    "PolicyName": item("PolicyName"),
                    "PolicyDocument": item("PolicyDocument"),
                },
            ),
            _call("DeleteRolePolicy", {"RoleName": ID, "PolicyName": item("PolicyName")}),
            key=("PolicyName",),
            undone_before_deletion=True,
        ),
        Items(
            prop("ManagedPolicyArns"),
            _call("AttachRolePolicy", {"RoleName": ID, "PolicyArn": ITEM}),
            _call("DetachRolePolicy", {"RoleName": ID, "PolicyArn": ITEM}),
            undone_before_deletion=True,
        ),
        tags(
            _call("TagRole", {"RoleName": ID, "Tags": ITEM}),
            _call("UntagRole", {"RoleName": ID, "TagKeys": TAG_KEYS}),
        ),
    ),
    read=_call("GetRole", {"RoleName": ID}),
    attributes={"Arn": "Role.Arn", "RoleId": "Role.RoleId"},
    delete=(_call("DeleteRole", {"RoleName": ID}),),
    missing=_MISSING,
)


def _copies(state: State) -> list[dict[str, object]]:
    """One entry for each role that holds the policy."""
    properties = state.properties
    roles = properties.get("Roles")
    return [
        {
            "RoleName": role,
            "PolicyName": properties["PolicyName"],
            "PolicyDocument": properties["PolicyDocument"],
        }
        for role in (roles if isinstance(roles, list) else [])
    ]


_IN_ROLE = {"RoleName": item("RoleName"), "PolicyName": item("PolicyName")}


def _get_any_copy(deployer: Deployer, state: State) -> dict[str, object]:
    found: dict[str, object] = {}
    for copy in _copies(state):
        names = {"RoleName": copy["RoleName"], "PolicyName": copy["PolicyName"]}
        found = deployer.call("iam", "GetRolePolicy", names)
    return found


POLICY = ResourceType(
    name="AWS::IAM::Policy",
    exists=Code(_get_any_copy, extra_operations=(("iam", "GetRolePolicy"),)),
    id=Source(lambda state: state.name),
    parts=(
        Items(
            Source(_copies, ("Roles", "PolicyName", "PolicyDocument")),
            _call("PutRolePolicy", {**_IN_ROLE, "PolicyDocument": item("PolicyDocument")}),
            _call("DeleteRolePolicy", _IN_ROLE),
            key=("RoleName", "PolicyName"),
            undone_before_deletion=True,
        ),
    ),
    missing=_MISSING,
)


def _put_document(deployer: Deployer, state: State) -> None:
    """Add a default version; the oldest one makes place for it."""
    policy = {"PolicyArn": state.physical_id}
    versions = deployer.call("iam", "ListPolicyVersions", policy)["Versions"]
    others = sorted(
        (version for version in versions if not version["IsDefaultVersion"]),
        key=lambda version: version["CreateDate"],
    )
    if len(versions) >= _MOST_VERSIONS:
        oldest = {"VersionId": others[0]["VersionId"]}
        deployer.call("iam", "DeletePolicyVersion", {**policy, **oldest})
    _NEW_VERSION.run(deployer, state)


_VERSIONS = (("iam", "ListPolicyVersions"), ("iam", "DeletePolicyVersion"))
_NEW_VERSION = _call(
    "CreatePolicyVersion",
    {"PolicyArn": ID, "PolicyDocument": prop("PolicyDocument"), "SetAsDefault": True},
)


def _delete_versions(deployer: Deployer, state: State) -> None:
    policy = {"PolicyArn": state.physical_id}
    for version in deployer.call("iam", "ListPolicyVersions", policy)["Versions"]:
        if not version["IsDefaultVersion"]:
            which = {**policy, "VersionId": version["VersionId"]}
            deployer.call("iam", "DeletePolicyVersion", which)


MANAGED_POLICY = ResourceType(
    name="AWS::IAM::ManagedPolicy",
    create=_call(
        "CreatePolicy",
        {
            "PolicyName": prop("ManagedPolicyName"),
            **given("Description", "Path", "PolicyDocument"),
        },
    ),
    made={"PolicyArn": "Policy.Arn", "PolicyId": "Policy.PolicyId"},
    id=Source(lambda state: state.attributes["PolicyArn"]),
    named="ManagedPolicyName",
    longest_name=128,
    parts=(
        Setting(
            Code(_put_document, (_NEW_VERSION,), _VERSIONS),
            made_with_resource=True,
        ),
        Items(
            prop("Roles"),
            _call("AttachRolePolicy", {"RoleName": ITEM, "PolicyArn": ID}),
            _call("DetachRolePolicy", {"RoleName": ITEM, "PolicyArn": ID}),
            undone_before_deletion=True,
        ),
    ),
    delete=(
        Code(_delete_versions, extra_operations=_VERSIONS),
        _call("DeletePolicy", {"PolicyArn": ID}),
    ),
    missing=_MISSING,
)

TYPES = (ROLE, POLICY, MANAGED_POLICY)
