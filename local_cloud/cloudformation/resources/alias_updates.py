"""A Lambda alias that names another version: CodeDeploy moves its traffic, where a policy says so.

It does so when an alias is updated, never when one is made; an update that is taken back moves the
alias back at once.

Source:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.resources.calls import ID, Call, Source, State

__all__ = ["OPERATIONS", "POLICY", "move"]

_NAME = "CodeDeployLambdaAliasUpdate"
#: Members of the policy, with whether each is required.
POLICY: Mapping[str, Mapping[str, bool]] = {
    _NAME: {
        "AfterAllowTrafficHook": False,
        "ApplicationName": True,
        "BeforeAllowTrafficHook": False,
        "DeploymentGroupName": True,
    }
}
#: A canary and its hooks may take hours.
_LONGEST_SECONDS = 86_400.0
_ENDINGS = ("Succeeded", "Failed", "Stopped")
_BUSY = "DeploymentLimitExceededException"


def _policy(state: State) -> Mapping[str, Any]:
    found: Mapping[str, Any] = state.update_policy.get(_NAME) or {}
    return found


def _revision(state: State) -> dict[str, Any]:
    """The AppSpec; the version that the alias names is in `item`."""
    policy = _policy(state)
    hooks = [
        {event: policy[f"{event}Hook"]}
        for event in ("BeforeAllowTraffic", "AfterAllowTraffic")
        if policy.get(f"{event}Hook")
    ]
    properties = {
        "Name": state.properties["FunctionName"],
        "Alias": state.properties["Name"],
        "CurrentVersion": state.item,
        "TargetVersion": state.properties["FunctionVersion"],
    }
    resource = {"Type": "AWS::Lambda::Function", "Properties": properties}
    content = {"version": 0.0, "Resources": [{"alias": resource}], "Hooks": hooks}
    return {"revisionType": "AppSpecContent", "appSpecContent": {"content": json.dumps(content)}}


_CREATE = Call(
    "codedeploy",
    "CreateDeployment",
    {
        "applicationName": Source(lambda state: _policy(state)["ApplicationName"]),
        "deploymentGroupName": Source(lambda state: _policy(state)["DeploymentGroupName"]),
        "revision": Source(_revision),
    },
)
_GET = Call("codedeploy", "GetDeployment", {"deploymentId": ID})
OPERATIONS = (*_CREATE.operations, *_GET.operations)


def move(deployer: Deployer, state: State, version: str) -> bool:
    """Move an alias's traffic from a version to the one of its properties.

    Returns
    -------
    Whether that was done; without a policy, or another version, there is nothing to do.

    Raises
    ------
    ResourceError
        When the deployment did not succeed.
    """
    if not _policy(state) or version == str(state.properties["FunctionVersion"]):
        return False
    info = _wait(deployer, _begin(deployer, state, version))
    if info["status"] != "Succeeded":
        raise ResourceError(_why(deployer, info))
    return True


def _begin(deployer: Deployer, state: State, version: str) -> str:
    asked = State(state.name, state.properties, item=version, update_policy=state.update_policy)
    try:
        return str(_CREATE.run(deployer, asked)["deploymentId"])
    except ClientError as error:
        if error.response["Error"].get("Code") != _BUSY:
            raise
        message = error.response["Error"].get("Message", "")
        raise ResourceError(f"A conflicting deployment is in progress: {message}") from error


def _wait(deployer: Deployer, deployment_id: str) -> Mapping[str, Any]:
    """What is known about a deployment when it is over."""
    pauses = deployer.pauses(_LONGEST_SECONDS)
    while True:
        info: Mapping[str, Any] = _GET.run(deployer, State("", {}, deployment_id))["deploymentInfo"]
        if info["status"] in _ENDINGS:
            return info
        pauses.pause(f"deployment {deployment_id} is {info['status']}")


def _why(deployer: Deployer, info: Mapping[str, Any]) -> str:
    error = info.get("errorInformation", {})
    reason = (
        f"CodeDeploy deployment {info['deploymentId']} {info['status'].lower()}:"
        f" {error.get('message', 'no reason was given')} (Error code: {error.get('code', '')})"
    )
    rollback_id = info.get("rollbackInfo", {}).get("rollbackDeploymentId")
    if rollback_id is None:
        return reason
    succeeded = _wait(deployer, rollback_id)["status"] == "Succeeded"
    return f"{reason}. Rollback {'successful' if succeeded else 'failed'}"
