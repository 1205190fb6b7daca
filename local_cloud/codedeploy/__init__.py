"""CodeDeploy for Lambda: an alias's traffic moves to another version, watched and taken back.

=============== =================================================================
module          holds
=============== =================================================================
``strategies``  deployment configurations: steps of traffic
``revision``    the AppSpec
``groups``      applications and deployment groups
``deployment``  one deployment: hooks, steps, alarms
``api``         requests and answers, events, triggers, rollbacks
=============== =================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.codedeploy import urls

from local_cloud.codedeploy.api import CodeDeploy
from local_cloud.json_api import JsonApi
from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity(
        "CodeDeploy",
        "exact",
        "Lambda: applications, deployment groups, deployment configurations (canary, linear, all at"
        " once, the predefined ones); deployments of an AppSpec: hook functions and their word,"
        " weights of the alias, alarms asked before and during, an alarm that does not exist,"
        " stopping, automatic rollback as a deployment of its own, one deployment of a group at a"
        " time, error codes, every call with the group's role; events, triggers of topics, tags",
    ),
    Parity(
        "CodeDeploy",
        "partial",
        "Minutes of a strategy, and the hour of a hook, shrink by the factor of all waits; lists"
        " come in one page; a deployment of a stack says that a user made it; AWS does not document"
        " with which code an alarm that does not exist ends a deployment (here"
        " CODEDEPLOY_RESOURCE_CANNOT_BE_FOUND)",
    ),
    Parity(
        "CodeDeploy",
        "refused",
        "Servers and ECS, revisions in S3 and on GitHub, alarms of one deployment only",
    ),
]


def install(cloud: LocalCloud) -> None:
    """Deploy until `cloud` stops."""
    codedeploy = CodeDeploy(cloud)
    JsonApi(cloud, "codedeploy", codedeploy.operations()).install(urls)
    cloud.on_stop(codedeploy.stop)
