"""CodeBuild: projects whose builds are real processes that run the buildspec's commands.

=============== =================================================================
module          holds
=============== =================================================================
``buildspec``   what the file says
``machine``     what stands for the container
``shell``       commands that share folder and variables
``build``       phases, source, artifacts, logs
``reports``     groups of reports
``aws``         the ``aws`` on a build's PATH
``api``         projects and builds
=============== =================================================================
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from moto.codebuild import urls

from local_cloud.codebuild.api import Builds
from local_cloud.json_api import JsonApi
from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity(
        "CodeBuild",
        "exact",
        "Projects; builds of a buildspec 0.2 from archives in S3 or of a pipeline: variables,"
        " exported variables, phases in one shell, finally, on-failure (ABORT, CONTINUE),"
        " artifacts and secondary artifacts as ZIP; the build role's credentials; timeouts,"
        " stopping; phases with the command that failed; log groups; report groups; events",
    ),
    Parity(
        "CodeBuild",
        "partial",
        "A build is processes of the current user, with its own folders and environment; its Python"
        " is a virtual environment of this machine's version, shared by builds whose sources have"
        " the same requirements files, so that what is installed stays; report groups stay empty;"
        " `docker` and `aws` on its PATH are stand-ins (docker login, build, tag, push, images,"
        " inspect; aws <service> <operation>)",
    ),
    Parity(
        "CodeBuild",
        "refused",
        "Sources other than S3 and CodePipeline, Parameter Store and Secrets Manager variables,"
        " caches, batch builds, VPC settings, file systems, fleets, webhooks, other runtimes",
    ),
]


def install(cloud: LocalCloud) -> None:
    """Run builds below ``.local/codebuild``; what the last run left is removed."""
    shutil.rmtree(cloud.root / "codebuild", ignore_errors=True)
    builds = Builds(cloud)
    JsonApi(cloud, "codebuild", builds.operations()).install(urls)
    cloud.on_stop(builds.stop)
