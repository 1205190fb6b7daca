"""The production stack's template: a release that answers, and how it comes to.

::

    ReleaseAssets ─┐
    Endpoint ──────┼─▶ ApiVersion ─▶ ReleaseCheck ─▶ LiveAlias ─▶ Api
    (or none)      │       └──────▶ alarms ─▶ DeploymentGroup ─┘
    ApiFunction ───┘

A release changes nothing of the one before: it makes its own endpoint, alarms and version, asks
CodeDeploy to move the alias, and only when that has succeeded the old ones are deleted. All that
differs between projects and releases is a parameter, so the template of an earlier release, with
its parameters, is the way back to it.
"""

from __future__ import annotations

from aws_cdk import CfnOutput, Fn, LegacyStackSynthesizer, Stack, Tags
from constructs import Construct

from infrastructure.parameters import archive_uri
from infrastructure.production_api import make_api
from infrastructure.production_endpoint import make_endpoint
from infrastructure.production_functions import make_functions
from infrastructure.production_network import make_network
from infrastructure.production_release import declare
from infrastructure.production_traffic import move_traffic
from infrastructure.workflow_input import PROJECT_TAG

__all__ = ["ProductionStack"]


class ProductionStack(Stack):
    """Endpoint, functions, traffic and API of the release that is in production."""

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(
            scope,
            name,
            description="Production: a release behind an API, reached by shifting traffic",
            synthesizer=LegacyStackSynthesizer(),
        )
        release = declare(self)
        Tags.of(self).add(PROJECT_TAG, release.project.name)
        archive = archive_uri(self)
        endpoint = make_endpoint(self, release, archive)
        # The name is the same in both; from the endpoint it also says that the endpoint is there.
        endpoint_name: str = Fn.condition_if(
            release.has_endpoint.logical_id, endpoint.attr_endpoint_name, release.name
        ).to_string()
        network = make_network(self, release)
        functions = make_functions(self, release, network, endpoint_name, archive)
        alias = move_traffic(self, release, functions, release.name)
        make_api(self, release, alias)
        CfnOutput(self, "ServingRelease", value=release.id, description="What is in production")
