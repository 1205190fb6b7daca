"""How traffic moves from one release to the next, and what takes it back.

The alias ``live`` of the API's function names the version that answers. CloudFormation does not set
it: it asks CodeDeploy to move it there, a share at a time, as ``deploy.production.strategy`` of
project.yml says. Before, a hook asks the new version; while it moves, alarms watch; after, another
hook asks again. Whatever says no, the alias returns to the version before, the update of the stack
fails, and CloudFormation takes back all the rest.

================== =================================================================================
alarm              goes off when
================== =================================================================================
``crashes``        the version's function ended without an answer
``more-errors``    a larger share of its requests failed than of the other version's
``slow``           its answers take longer than they may
``model-errors``   its endpoint failed requests
``api-errors``     the API answered with 5XX, whoever is to blame
================== =================================================================================

Each belongs to one release, like all that it watches: a new one has never gone off. A client's
mistake is none of them, and no data is no fault: the hooks see to it that there is some.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, CfnCodeDeployLambdaAliasUpdate, CfnUpdatePolicy, Fn
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infrastructure import production_permissions as permissions
from infrastructure.parameters import choice, number, parameter
from infrastructure.production_functions import Functions
from infrastructure.production_release import Release, condition

__all__ = ["ALIAS", "STAGE", "move_traffic"]

ALIAS = "live"
STAGE = "prod"
"""Of the API, as metrics know it."""

_PERIOD_SECONDS = 60
_NAMESPACE = "MLSystem"
_MOST_ERRORS = 1_000_000
_ROLLBACK_EVENTS = ("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST")


def move_traffic(
    scope: Construct, release: Release, functions: Functions, endpoint_name: str
) -> lambda_.CfnAlias:
    """Return the alias, which moves to the release's version when it is updated."""
    alarms = _alarms(scope, release, functions.version, endpoint_name)
    application = codedeploy.CfnApplication(
        scope,
        "Deployments",
        application_name=release.stack_name,
        compute_platform="Lambda",
    )
    group = codedeploy.CfnDeploymentGroup(
        scope,
        "DeploymentGroup",
        application_name=application.ref,
        deployment_group_name=release.stack_name,
        service_role_arn=permissions.shift_role(scope, release).role_arn,
        deployment_config_name=_strategy(scope),
        deployment_style=codedeploy.CfnDeploymentGroup.DeploymentStyleProperty(
            deployment_type="BLUE_GREEN", deployment_option="WITH_TRAFFIC_CONTROL"
        ),
        auto_rollback_configuration=codedeploy.CfnDeploymentGroup.AutoRollbackConfigurationProperty(
            enabled=True, events=list(_ROLLBACK_EVENTS)
        ),
        alarm_configuration=_stopped_by(scope, alarms),
    )
    alias = lambda_.CfnAlias(
        scope,
        "LiveAlias",
        name=ALIAS,
        function_name=release.api_name,
        function_version=functions.version.attr_version,
    )
    alias.cfn_options.update_policy = CfnUpdatePolicy(
        code_deploy_lambda_alias_update=CfnCodeDeployLambdaAliasUpdate(
            application_name=application.ref,
            deployment_group_name=group.ref,
            before_allow_traffic_hook=functions.before.ref,
            after_allow_traffic_hook=functions.after.ref,
        )
    )
    alias.add_resource_dependency(functions.check)
    alias.add_resource_dependency(_tell(scope, release))
    return alias


def _strategy(scope: Construct) -> str:
    """Return the name of CodeDeploy's configuration, or of one made here with own numbers."""
    named = parameter(
        scope,
        "TrafficShift",
        "How traffic moves: a configuration that CodeDeploy has, or own for the numbers below.",
        pattern="(own|CodeDeployDefault\\.Lambda[a-zA-Z0-9]+)",
        required="own, or CodeDeployDefault.Lambda...",
        length=100,
    )
    kind = choice(scope, "TrafficKind", "Of own numbers.", "canary", "linear", "all-at-once")
    percent = number(scope, "TrafficPercent", "Share that moves at a time.", least=1, most=99)
    minutes = number(scope, "TrafficMinutes", "Time between shares.", least=1, most=2_880)
    is_own = condition(scope, "OwnShift", Fn.condition_equals(named, "own"))
    is_canary = condition(scope, "IsCanary", Fn.condition_equals(kind, "canary"))
    steps = {
        "Type": Fn.condition_if(is_canary.logical_id, "TimeBasedCanary", "TimeBasedLinear"),
        "TimeBasedCanary": Fn.condition_if(
            is_canary.logical_id,
            {"CanaryPercentage": percent, "CanaryInterval": minutes},
            Aws.NO_VALUE,
        ),
        "TimeBasedLinear": Fn.condition_if(
            is_canary.logical_id,
            Aws.NO_VALUE,
            {"LinearPercentage": percent, "LinearInterval": minutes},
        ),
    }
    own = codedeploy.CfnDeploymentConfig(scope, "OwnStrategy", compute_platform="Lambda")
    own.add_property_override("TrafficRoutingConfig", steps)
    own.cfn_options.condition = is_own
    chosen: str = Fn.condition_if(is_own.logical_id, own.ref, named).to_string()
    return chosen


# --- alarms -------------------------------------------------------------------------------------


def _alarms(
    scope: Construct, release: Release, version: lambda_.CfnVersion, endpoint_name: str
) -> list[cloudwatch.CfnAlarm]:
    """Return the alarms, the one about the endpoint last."""
    make = _Alarms(scope, release)
    own = _dimensions(Project=release.project.name, Release=release.id)
    everybody = _dimensions(Project=release.project.name)
    crashes = make.alarm(
        "crashes",
        "The release's function ended without an answer",
        number(scope, "AlarmCrashes", "So many.", least=1, most=_MOST_ERRORS),
        _metric(
            "crashes",
            "AWS/Lambda",
            "Errors",
            _dimensions(
                FunctionName=release.api_name,
                Resource=f"{release.api_name}:{ALIAS}",
                ExecutedVersion=version.attr_version,
            ),
            returned=True,
        ),
    )
    more_errors = make.alarm(
        "more-errors",
        "A larger share of the release's requests failed than of the other's",
        number(scope, "AlarmErrorPercent", "Points more.", least=0, most=100),
        _metric("errors", _NAMESPACE, "ModelErrors", own),
        _metric("requests", _NAMESPACE, "Requests", own),
        _metric("all_errors", _NAMESPACE, "ModelErrors", everybody),
        _metric("all_requests", _NAMESPACE, "Requests", everybody),
        _expression("share", "100 * FILL(errors, 0) / requests"),
        # Of the other release, while there is one: whoever answers besides this one.
        _expression("other_errors", "FILL(all_errors, 0) - FILL(errors, 0)"),
        _expression(
            "other_share",
            "100 * other_errors / IF(all_requests > requests, all_requests - requests, 1)",
        ),
        _expression("more", "share - other_share", returned=True),
        comparison="GreaterThanThreshold",
    )
    slow = make.alarm(
        "slow",
        "The release's answers take too long",
        number(scope, "AlarmLatencyMs", "Most for 99 of 100 answers.", least=0, most=60_000),
        _metric("latency", _NAMESPACE, "Latency", own, "p99", returned=True),
        comparison="GreaterThanThreshold",
        minutes=2,
    )
    api_errors = make.alarm(
        "api-errors",
        "The API answers with 5XX",
        number(scope, "AlarmApiErrorPercent", "Share of all requests.", least=0, most=100),
        _metric(
            "errors",
            "AWS/ApiGateway",
            "5XXError",
            _dimensions(ApiName=release.api_name, Stage=STAGE),
            "Average",
        ),
        _expression("share", "100 * errors", returned=True),
        comparison="GreaterThanThreshold",
    )
    model_errors = make.alarm(
        "model-errors",
        "The release's endpoint failed requests",
        number(scope, "AlarmModelErrors", "So many.", least=1, most=_MOST_ERRORS),
        _metric(
            "errors",
            "AWS/SageMaker",
            "Invocation5XXErrors",
            _dimensions(EndpointName=endpoint_name, VariantName="primary"),
            returned=True,
        ),
    )
    model_errors.cfn_options.condition = release.has_endpoint
    return [crashes, more_errors, slow, api_errors, model_errors]


class _Alarms:
    """Makes alarms of a release."""

    def __init__(self, scope: Construct, release: Release) -> None:
        self._scope, self._release = scope, release

    def alarm(
        self,
        name: str,
        description: str,
        threshold: float,
        *metrics: cloudwatch.CfnAlarm.MetricDataQueryProperty,
        comparison: str = "GreaterThanOrEqualToThreshold",
        minutes: int = 1,
    ) -> cloudwatch.CfnAlarm:
        return cloudwatch.CfnAlarm(
            self._scope,
            "".join(map(str.capitalize, name.split("-"))) + "Alarm",
            alarm_name=f"{self._release.name}-{name}",
            alarm_description=description,
            comparison_operator=comparison,
            threshold=threshold,
            evaluation_periods=minutes,
            datapoints_to_alarm=minutes,
            treat_missing_data="notBreaching",
            metrics=list(metrics),
        )


def _dimensions(**values: str) -> list[cloudwatch.CfnAlarm.DimensionProperty]:
    return [
        cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
        for name, value in values.items()
    ]


def _metric(
    name: str,
    namespace: str,
    metric: str,
    dimensions: Sequence[cloudwatch.CfnAlarm.DimensionProperty],
    statistic: str = "Sum",
    *,
    returned: bool = False,
) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
    return cloudwatch.CfnAlarm.MetricDataQueryProperty(
        id=name,
        return_data=returned,
        metric_stat=cloudwatch.CfnAlarm.MetricStatProperty(
            metric=cloudwatch.CfnAlarm.MetricProperty(
                namespace=namespace, metric_name=metric, dimensions=dimensions
            ),
            period=_PERIOD_SECONDS,
            stat=statistic,
        ),
    )


def _expression(
    name: str, expression: str, *, returned: bool = False
) -> cloudwatch.CfnAlarm.MetricDataQueryProperty:
    return cloudwatch.CfnAlarm.MetricDataQueryProperty(
        id=name, expression=expression, return_data=returned
    )


def _stopped_by(
    scope: Construct, alarms: Sequence[cloudwatch.CfnAlarm]
) -> codedeploy.CfnDeploymentGroup.AlarmConfigurationProperty:
    """Return what stops a deployment. Alarms that cannot be read do too."""
    *always, of_endpoint = alarms
    assert of_endpoint.cfn_options.condition  # noqa: S101 - the last one, by _alarms
    obeyed = condition(
        scope,
        "ObeysAlarms",
        Fn.condition_equals(
            choice(
                scope,
                "AlarmsStop",
                "Whether alarms stop a release; a return to an earlier one has no time for them.",
                "yes",
                "no",
            ),
            "yes",
        ),
    )
    named = codedeploy.CfnDeploymentGroup.AlarmProperty
    names: list[Any] = [named(name=alarm.ref) for alarm in always]
    names.append(
        Fn.condition_if(
            of_endpoint.cfn_options.condition.logical_id,
            {"Name": of_endpoint.ref},
            Aws.NO_VALUE,
        )
    )
    return codedeploy.CfnDeploymentGroup.AlarmConfigurationProperty(
        enabled=Fn.condition_if(obeyed.logical_id, True, False),
        alarms=names,
        ignore_poll_alarm_failure=False,
    )


# --- who is told --------------------------------------------------------------------------------


def _tell(scope: Construct, release: Release) -> events.CfnRule:
    """Tell the topic what went off, and, by the returned rule, which release was taken back."""
    events.CfnRule(
        scope,
        "AlarmRule",
        name=f"{release.stack_name}-alarm",
        description="Tells which alarm of production went off, and why",
        state="ENABLED",
        event_pattern={
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {
                "alarmName": [{"prefix": f"{release.stack_name}-"}],
                "state": {"value": ["ALARM"]},
            },
        },
        targets=[
            _message(
                release,
                "Alarm <alarm> of production went off at <time>: <reason>",
                alarm="$.detail.alarmName",
                time="$.time",
                reason="$.detail.state.reason",
            )
        ],
    )
    return events.CfnRule(
        scope,
        "TakenBackRule",
        name=f"{release.stack_name}-taken-back",
        description="Tells that traffic went back to the release before",
        state="ENABLED",
        event_pattern={
            "source": ["aws.codedeploy"],
            "detail-type": ["CodeDeploy Deployment State-change Notification"],
            "detail": {"application": [release.stack_name], "state": ["FAILURE", "STOP"]},
        },
        targets=[
            _message(
                release,
                f"Release {release.id} of <application> was taken back: deployment <deployment> "
                "ended at <time> with <state>. The release before it serves.",
                deployment="$.detail.deploymentId",
                application="$.detail.application",
                time="$.time",
                state="$.detail.state",
            )
        ],
    )


def _message(release: Release, text: str, **paths: str) -> events.CfnRule.TargetProperty:
    return events.CfnRule.TargetProperty(
        id="topic",
        arn=release.topic_arn,
        input_transformer=events.CfnRule.InputTransformerProperty(
            input_paths_map=paths, input_template=f'"{text}"'
        ),
    )
