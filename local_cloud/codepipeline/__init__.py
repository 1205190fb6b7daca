"""CodePipeline: V2 pipelines in mode QUEUED, whose actions call the services with their own roles.

=============== =================================================================
module          holds
=============== =================================================================
``declaration`` what a pipeline says, checked
``artifacts``   archives in the pipeline's bucket
``job``         what an action has to work with
``providers``   what each provider does
``execution``   stages and actions of one execution, variables, events
``pipeline``    executions that queue before stages
``api``         requests and answers
=============== =================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.codepipeline import urls

from local_cloud.codepipeline.api import Pipelines
from local_cloud.json_api import JsonApi
from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity(
        "CodePipeline",
        "exact",
        "V2 pipelines in mode QUEUED: stages that hold one execution, actions by run order and side"
        " by side, artifacts, namespaces and variables, a role per action, transitions, stopping,"
        " retrying a stage, source revisions, entry conditions with VariableCheck (FAIL, SKIP),"
        " events; providers CodeCommit, S3, CodeBuild, CloudFormation (CREATE_UPDATE,"
        " REPLACE_ON_FAILURE, DELETE_ONLY), Step Functions, manual approval",
    ),
    Parity(
        "CodePipeline",
        "partial",
        "A pipeline with a variable without value does not start when it is created; the timeout"
        " of an approval shrinks by the factor of all waits; lists come in one page; services are"
        " asked ten times a second; the output artifact of a state machine is output.json",
    ),
    Parity(
        "CodePipeline",
        "refused",
        "Type V1, modes SUPERSEDED and PARALLEL, other providers, polling for changes, triggers,"
        " other rules, conditions on success and failure, rollback, other regions, roles of other"
        " accounts, change sets",
    ),
]


def install(cloud: LocalCloud) -> None:
    """Run pipelines until `cloud` stops."""
    pipelines = Pipelines(cloud)
    JsonApi(cloud, "codepipeline", pipelines.operations()).install(urls)
    cloud.on_stop(pipelines.stop)
