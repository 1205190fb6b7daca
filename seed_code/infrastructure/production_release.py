"""What the parts of the production stack share: the release, and where it answers from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aws_cdk import CfnCondition, Fn, ICfnConditionExpression
from constructs import Construct

from infrastructure.grants import Project, arn
from infrastructure.parameters import choice, key, parameter, project, release_label

__all__ = ["Release", "condition", "declare"]

_RELEASE_LENGTH = 80


@dataclass(frozen=True)
class Release:
    """A release of a project; values of the template's parameters."""

    project: Project
    id: str
    """The pipeline execution's id: names folders, and who has answered."""
    label: str
    """The same in short: ends names."""
    serving: str
    """``endpoint`` or ``lambda``."""
    has_endpoint: CfnCondition
    """Whether it is answered from SageMaker."""
    topic_arn: str
    """Who is told."""

    @property
    def stack_name(self) -> str:
        """What the names of the stack's own things begin with, as in ``mlsystem.names``."""
        return f"{self.project.name}-prod"

    @property
    def name(self) -> str:
        """What the names of the release's own things begin with."""
        return f"{self.stack_name}-{self.label}"

    @property
    def api_name(self) -> str:
        """Name of the API, and of the function behind it."""
        return f"{self.project.name}-api"

    @property
    def function_arn(self) -> str:
        """ARN of that function."""
        return arn("lambda", f"function:{self.api_name}")

    @property
    def alias_arn(self) -> str:
        """ARN of the alias that traffic goes to."""
        return f"{self.function_arn}:live"


def declare(scope: Construct) -> Release:
    """Return the release that the parameters of the template `scope` describe."""
    serving = choice(
        scope,
        "Serving",
        "Where predictions come from: SageMaker instances, or the API's function itself.",
        "endpoint",
        "lambda",
    )
    return Release(
        project=_project(scope),
        id=parameter(
            scope,
            "ReleaseId",
            "The release: id of the pipeline's execution.",
            pattern="[a-zA-Z0-9](-*[a-zA-Z0-9])*",
            required="letters, digits and hyphens, no hyphen first or last",
            length=_RELEASE_LENGTH,
        ),
        label=release_label(scope),
        serving=serving,
        has_endpoint=condition(scope, "HasEndpoint", Fn.condition_equals(serving, "endpoint")),
        topic_arn=parameter(
            scope,
            "NotificationTopicArn",
            "Hears of alarms, and of releases that were taken back.",
            pattern="arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+",
            required="the ARN of a topic",
            length=512,
        ),
    )


def _project(scope: Construct) -> Project:
    """Return the project, whose bucket and images may be in another account than production."""
    return replace(
        project(scope),
        data_key_arn=key(scope, "DataKeyArn", "Key that encrypts the bucket's objects."),
        registry=Fn.select(0, Fn.split(".", Fn.ref("ImageUri"))),
    )


def condition(scope: Construct, name: str, expression: ICfnConditionExpression) -> CfnCondition:
    """Return a condition of the template."""
    return CfnCondition(scope, name, expression=expression)
