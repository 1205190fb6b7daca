"""Production's template: what a release is, what guards it, and that nothing changes it unnoticed.

``pytest seed_code/tests/infrastructure --update-golden`` writes the golden file again.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.environment import ApiEnvironment, AssetsEnvironment, GuardEnvironment
from mlsystem.names import Names

GOLDEN = Path(__file__).parent / "golden/prod.template.json"
NAMES = Names("churn", "r-1")
RUNTIME_URL = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"
ALARMS = ("Crashes", "MoreErrors", "Slow", "ApiErrors", "ModelErrors")


def test_the_template_is_the_reviewed_one(templates, update_golden):
    text = json.dumps(templates["prod"], indent=2, sort_keys=True) + "\n"
    if update_golden:
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), "see the diff after: make golden"


def named(templates, *kinds):
    """Return logical ids of resources by their type's last word."""
    return [
        name
        for name, resource in templates["prod"]["Resources"].items()
        if resource["Type"].split("::")[-1] in kinds
    ]


def needs(templates, name):
    """Return everything that must be there before the resource `name`."""
    resources = templates["prod"]["Resources"]
    found, waiting = set(), [name]
    while waiting:
        body = resources[waiting.pop()]
        text = json.dumps({key: body[key] for key in body if key != "Type"})
        near = set(re.findall(r'"Ref": "(\w+)"', text))
        near |= set(re.findall(r'"Fn::GetAtt": \["(\w+)"', text)) | set(body.get("DependsOn", []))
        new = (near & set(resources)) - found
        found |= new
        waiting += new
    return found


# --- names --------------------------------------------------------------------------------------


def test_names_are_those_of_mlsystem(production):
    assert production["Model"]["ModelName"] == NAMES.prod_model
    assert production["EndpointConfig"]["EndpointConfigName"] == NAMES.prod_endpoint_config
    assert production["Endpoint"]["EndpointName"] == NAMES.prod_endpoint
    functions = {
        "ApiFunction": NAMES.api_function, "AssetsFunction": NAMES.assets_function,
        "BeforeHook": NAMES.before_hook, "AfterHook": NAMES.after_hook,
    }  # fmt: skip
    for name, expected in functions.items():
        assert production[name]["FunctionName"] == expected


@pytest.mark.parametrize(
    ("name", "key"),
    [("Model", "ModelName"), ("EndpointConfig", "EndpointConfigName"),
     ("Endpoint", "EndpointName"), *((f"{alarm}Alarm", "AlarmName") for alarm in ALARMS)],
)  # fmt: skip
def test_what_is_a_releases_own_is_named_after_it(production, name, key):
    """So the next one's is made beside it, and it is deleted when traffic has moved."""
    assert production[name][key].startswith("churn-prod-r-1")


# --- the order of things ------------------------------------------------------------------------


def test_a_version_is_made_when_its_assets_and_endpoint_are_there(templates):
    assert {"ReleaseAssets", "Endpoint", "ApiFunction"} <= needs(templates, "ApiVersion")


def test_traffic_comes_only_to_what_was_checked(templates):
    """CodeDeploy's hooks do not run when the alias is made: the first release has a check too."""
    before = needs(templates, "LiveAlias")
    assert {"ReleaseCheck", "DeploymentGroup", "BeforeHook", "AfterHook"} <= before
    assert {"ApiVersion", "Endpoint", "WayToEndpoint"} <= needs(templates, "ReleaseCheck")
    for reachable in ("ApiStage", "Predict", "Health", "ApiMayAsk"):
        assert "LiveAlias" in needs(templates, reachable), reachable


def test_nothing_of_a_release_is_deleted_before_nobody_asks_it(templates):
    """What a custom resource names directly is deleted after it, whatever else changes."""
    check = templates["prod"]["Resources"]["ReleaseCheck"]["Properties"]
    assert check["Version"] == {"Ref": "ApiVersion"}
    assert "Endpoint.EndpointName" in json.dumps(check["Endpoint"]).replace('", "', ".")
    assert check["TimeoutSeconds"] == {"Ref": "ApiTimeoutSeconds"}


def test_the_alias_moves_by_codedeploy_with_both_hooks(templates):
    alias = templates["prod"]["Resources"]["LiveAlias"]
    assert alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"] == {
        "ApplicationName": {"Ref": "Deployments"},
        "DeploymentGroupName": {"Ref": "DeploymentGroup"},
        "BeforeAllowTrafficHook": {"Ref": "BeforeHook"},
        "AfterAllowTrafficHook": {"Ref": "AfterHook"},
    }


def test_each_release_is_another_version(production):
    assert production["ApiVersion"]["Description"] == "Release r-1"
    assert production["ApiFunction"]["Environment"]["Variables"]["RELEASE"] == "r-1"


def test_a_change_of_the_api_is_another_deployment(templates):
    parts = named(templates, "Resource", "Method", "Model", "RequestValidator", "GatewayResponse")
    parts.remove("Model")  # SageMaker's
    deployments = named(templates, "Deployment")
    assert len(deployments) == 2
    for name in deployments:
        assert set(parts) <= set(templates["prod"]["Resources"][name]["DependsOn"])


# --- alarms -------------------------------------------------------------------------------------


def test_alarms_stop_a_deployment_and_are_referenced(templates):
    group = templates["prod"]["Resources"]["DeploymentGroup"]["Properties"]
    found = re.findall(r'"Ref": "(\w+)Alarm"', json.dumps(group["AlarmConfiguration"]["Alarms"]))
    assert tuple(found) == ALARMS
    assert group["AlarmConfiguration"]["IgnorePollAlarmFailure"] is False
    assert group["AutoRollbackConfiguration"]["Enabled"] is True
    assert set(group["AutoRollbackConfiguration"]["Events"]) == {
        "DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST",
    }  # fmt: skip


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_no_data_means_and_returns_one_number(production, name):
    alarm = production[f"{name}Alarm"]
    assert alarm["TreatMissingData"] == "notBreaching"
    assert [metric["ReturnData"] for metric in alarm["Metrics"]].count(True) == 1
    for metric in alarm["Metrics"]:
        assert metric.get("MetricStat", {}).get("Period", 60) == 60


def dimensions(alarm, number=0):
    metric = alarm["Metrics"][number]["MetricStat"]["Metric"]
    return metric["Namespace"], {one["Name"]: one["Value"] for one in metric["Dimensions"]}


def test_crashes_are_those_of_the_version_behind_the_alias(production):
    assert dimensions(production["CrashesAlarm"]) == (
        "AWS/Lambda",
        {"FunctionName": "churn-api", "Resource": "churn-api:live",
         "ExecutedVersion": "ApiVersion.Version"},
    )  # fmt: skip


def test_a_clients_mistake_is_no_alarm(production):
    """InvocationModelErrors counts 4XX too, and so would 4XXError."""
    metrics = {
        metric["MetricStat"]["Metric"]["MetricName"]
        for name in ALARMS
        for metric in production[f"{name}Alarm"]["Metrics"]
        if "MetricStat" in metric
    }
    assert metrics == {
        "Errors", "ModelErrors", "Requests", "Latency", "5XXError", "Invocation5XXErrors",
    }  # fmt: skip


def more_errors(production, **values):
    """Return what the alarm compares, for sums of a minute; None where there is no data."""
    alarm, known = production["MoreErrorsAlarm"], dict(values)
    functions = {
        "FILL": lambda value, other: other if value is None else value,
        "IF": lambda holds, yes, no: yes if holds else no,
    }
    for metric in alarm["Metrics"]:
        if "Expression" in metric:
            try:
                known[metric["Id"]] = eval(metric["Expression"], functions, known)
            except TypeError:  # an operation on what is not there
                known[metric["Id"]] = None
    (returned,) = (metric["Id"] for metric in alarm["Metrics"] if metric["ReturnData"])
    return known[returned]


COUNTS = st.integers(0, 1_000)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_release_is_compared_with_the_other(production, errors, right, other_errors, other_right):
    requests, other = errors + right, other_errors + other_right
    found = more_errors(
        production, errors=errors, requests=requests or None,
        all_errors=errors + other_errors, all_requests=requests + other,
    )  # fmt: skip
    if requests == 0:
        assert found is None, "nobody asked it: no verdict"
    else:
        expected = 100 * errors / requests - (100 * other_errors / other if other else 0)
        assert found == pytest.approx(expected)


# --- endpoint -----------------------------------------------------------------------------------


def test_the_endpoint_is_isolated_encrypted_and_in_two_zones(production, templates):
    assert production["Model"]["EnableNetworkIsolation"] is True
    assert production["EndpointConfig"]["KmsKeyId"].startswith("arn:aws:kms:")
    assert templates["prod"]["Parameters"]["InstancesMin"]["MinValue"] == 2


def test_what_is_asked_and_answered_is_kept_encrypted_by_release(production):
    capture = production["EndpointConfig"]["DataCaptureConfig"]
    assert capture["DestinationS3Uri"] == f"s3://bucket/{NAMES.capture_prefix}"
    assert capture["KmsKeyId"].startswith("arn:aws:kms:")
    assert {option["CaptureMode"] for option in capture["CaptureOptions"]} == {"Input", "Output"}


def test_machines_follow_the_requests(production):
    target = production["ScalableTarget"]
    assert target["ResourceId"] == "endpoint/Endpoint/variant/primary"
    (variant,) = production["EndpointConfig"]["ProductionVariants"]
    assert variant["InitialInstanceCount"] == target["MinCapacity"]
    tracked = production["ScalingPolicy"]["TargetTrackingScalingPolicyConfiguration"]
    metric = tracked["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantInvocationsPerInstance"


def test_without_an_endpoint_nothing_of_one_is_there(templates):
    conditions = {
        name: resource.get("Condition") for name, resource in templates["prod"]["Resources"].items()
    }
    with_endpoint = {name for name, condition in conditions.items() if condition == "HasEndpoint"}
    assert {re.sub("[0-9A-F]{8}$", "", name) for name in with_endpoint} == {
        "Endpoint", "EndpointConfig", "EndpointRole", "Model", "ModelErrorsAlarm",
        "RuntimeSecurityGroup", "WayToEndpoint", "ScalableTarget", "ScalingPolicy",
    }  # fmt: skip
    variables = templates["prod"]["Resources"]["ApiFunction"]["Properties"]["Environment"]
    condition, _, otherwise = variables["Variables"][RUNTIME_URL]["Fn::If"]
    assert (condition, otherwise) == ("HasEndpoint", {"Ref": "AWS::NoValue"})


def test_the_way_to_the_endpoint_is_asked_by_its_own_name(production):
    """A network has one private DNS for a service: another way to it would be in the way."""
    assert production["WayToEndpoint"]["PrivateDnsEnabled"] is False
    variables = production["ApiFunction"]["Environment"]["Variables"]
    assert variables[RUNTIME_URL] == "https://vpce-0a.example.com"


# --- functions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "environment", "command"),
    [
        ("ApiFunction", ApiEnvironment, "api.app.handler"),
        ("AssetsFunction", AssetsEnvironment, "api.assets.handler"),
        ("BeforeHook", GuardEnvironment, "api.checks.handler"),
        ("AfterHook", GuardEnvironment, "api.checks.handler"),
    ],
)
def test_a_function_is_told_what_it_reads(production, name, environment, command):
    function = production[name]
    assert set(function["Environment"]["Variables"]) - {RUNTIME_URL} == {
        field.name.upper() for field in fields(environment)
    }
    assert function["ImageConfig"] == {"Command": [command]}
    assert function["Code"]["ImageUri"].endswith("@sha256:" + 64 * "b")


def test_guards_ask_the_version_before_and_the_alias_after(templates, production):
    variables = templates["prod"]["Resources"]["BeforeHook"]["Properties"]["Environment"]
    assert variables["Variables"]["FUNCTION"] == {"Ref": "ApiVersion"}
    after = production["AfterHook"]["Environment"]["Variables"]["FUNCTION"]
    assert after == "arn:aws:lambda:eu-west-1:123456789012:function:churn-api:live"


def test_only_what_reads_assets_is_in_the_network(production):
    for name in ("ApiFunction", "AssetsFunction"):
        assert production[name]["VpcConfig"]["SubnetIds"] == [
            "arn:aws:iam::123456789012:role/PrivateSubnetA",
            "arn:aws:iam::123456789012:role/PrivateSubnetB",
        ]  # how the tests write any parameter
        (mounted,) = production[name]["FileSystemConfigs"]
        assert mounted["LocalMountPath"] == "/mnt/assets"
    for name in ("BeforeHook", "AfterHook"):
        assert "VpcConfig" not in production[name]


# --- the API ------------------------------------------------------------------------------------


def test_a_body_must_be_a_list_of_rows_that_can_be_answered(production):
    schema = production["PredictionRequest"]["Schema"]
    rows = schema["properties"]["instances"]
    most = production["ApiFunction"]["Environment"]["Variables"]["MAX_INSTANCES"]
    assert (rows["minItems"], rows["maxItems"]) == (1, int(most))
    assert schema["additionalProperties"] is False


def test_nobody_is_let_in_by_default(templates):
    for name in ("Predict", "Health"):
        method = templates["prod"]["Resources"][name]["Properties"]
        assert method["AuthorizationType"] == {"Fn::If": ["UsesKey", "NONE", "AWS_IAM"]}
        assert method["ApiKeyRequired"] == {"Fn::If": ["UsesKey", True, False]}


def test_logs_say_nothing_of_what_was_sent_or_answered(production):
    stage = production["ApiStage"]
    logged = json.loads(stage["AccessLogSetting"]["Format"])
    assert all(re.fullmatch(r"\$context\.[\w.]+", value) for value in logged.values())
    told = re.compile("body|message|error$", re.IGNORECASE)
    assert not [value for value in logged.values() if told.search(value)]
    assert logged["refused"] == "$context.error.responseType"
    (every_method,) = stage["MethodSettings"]
    assert (every_method["LoggingLevel"], every_method["DataTraceEnabled"]) == ("OFF", False)


@pytest.mark.parametrize("name", ["BadBodyAnswer", "RefusedAnswer", "FailedAnswer"])
def test_the_gateways_own_answers_are_problems(production, name):
    answer = production[name]
    text = answer["ResponseTemplates"]["application/json"]
    filled = re.sub(r"\$context\.error\.messageString", '"why"', text)
    assert set(json.loads(filled)) == {"type", "title", "detail"}
    media_type = answer["ResponseParameters"]["gatewayresponse.header.Content-Type"]
    assert media_type == "'application/problem+json'"


# --- who may do what ----------------------------------------------------------------------------


def grants(production, role, effect="Allow"):
    """Yield action, resource and condition of what `role` may do, or may not."""
    for policy in production[role]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == effect:
                actions, resources = statement["Action"], statement["Resource"]
                for action in [actions] if isinstance(actions, str) else actions:
                    for resource in [resources] if isinstance(resources, str) else resources:
                        yield action, resource, statement.get("Condition", {})


ACTIONS = {
    "ApiRole": {"elasticfilesystem:ClientMount", "sagemaker:InvokeEndpoint"},
    "AssetsRole": {
        "elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite", "kms:Decrypt",
        "kms:GenerateDataKey", "s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject",
    },
    "GuardRole": {
        "cloudwatch:GetMetricStatistics", "codedeploy:PutLifecycleEventHookExecutionStatus",
        "kms:Decrypt", "kms:GenerateDataKey", "lambda:InvokeFunction", "s3:AbortMultipartUpload",
        "s3:GetObject", "s3:ListBucket", "s3:PutObject", "sagemaker:DescribeEndpoint",
        "sagemaker:DescribeEndpointConfig", "sns:Publish",
    },
    "ShiftRole": {
        "cloudwatch:DescribeAlarms", "lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig",
        "lambda:InvokeFunction", "lambda:UpdateAlias",
    },
}  # fmt: skip
NETWORK = {
    "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
}  # fmt: skip
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}


@pytest.mark.parametrize("role", ACTIONS)
def test_a_role_may_do_what_its_function_does(production, role):
    found = {action for action, _, _ in grants(production, role)}
    logs = set() if role == "ShiftRole" else LOGS
    network = NETWORK if role in ("ApiRole", "AssetsRole") else set()
    assert found == ACTIONS[role] | logs | network


@pytest.mark.parametrize("role", ACTIONS)
def test_a_star_stands_only_where_aws_knows_no_resource(production, role):
    everywhere = {action for action, resource, _ in grants(production, role) if resource == "*"}
    assert everywhere <= {
        "cloudwatch:GetMetricStatistics", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
    }  # fmt: skip


@pytest.mark.parametrize(("role", "function"), [("ApiRole", "api"), ("AssetsRole", "assets")])
def test_code_may_not_use_what_lambda_needs_for_the_network(production, role, function):
    denied = list(grants(production, role, "Deny"))
    assert {action for action, _, _ in denied} == NETWORK
    arn = f"arn:aws:lambda:eu-west-1:123456789012:function:churn-{function}"
    for _, resource, condition in denied:
        assert resource == "*"
        assert condition == {"ArnEquals": {"lambda:SourceFunctionArn": arn}}


@pytest.mark.parametrize("role", ["ApiRole", "AssetsRole"])
def test_files_are_reached_through_the_access_point(production, role):
    for action, resource, condition in grants(production, role):
        if action.startswith("elasticfilesystem:"):
            assert resource.endswith("file-system/fs-0a")
            (point,) = condition["StringEquals"].values()
            assert point.endswith("access-point/fsap-0a")


def test_who_moves_traffic_is_codedeploy_for_this_group(production):
    (statement,) = production["ShiftRole"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "codedeploy.amazonaws.com"}
    assert statement["Condition"]["ArnLike"]["aws:SourceArn"].endswith(
        ":deploymentgroup:churn-prod/*"
    )


# --- who is told --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "paths"), [("AlarmRule", 3), ("TakenBackRule", 4)])
def test_a_message_is_text_with_what_the_event_says(production, name, paths):
    (target,) = production[name]["Targets"]
    transformer = target["InputTransformer"]
    assert len(transformer["InputPathsMap"]) == paths
    text = transformer["InputTemplate"]
    for path in transformer["InputPathsMap"]:
        assert f"<{path}>" in text
        text = text.replace(f"<{path}>", "x")
    assert isinstance(json.loads(text), str)
