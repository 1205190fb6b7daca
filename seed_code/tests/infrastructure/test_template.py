"""The template as AWS and the security rules see it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infrastructure import node


def test_cdk_nag_finds_nothing(tmp_path):
    """What it would find stands beside each role in permissions.py, with the reason."""
    node.use()
    from aws_cdk import Validations
    from cdk_nag import AwsSolutionsChecks

    from infrastructure import app

    made = app.app(tmp_path)
    Validations.of(made).add_plugins(AwsSolutionsChecks(made))
    made.synth()  # raises where there is a finding
    report = json.loads((tmp_path / "validation-report.json").read_text())
    assert report["pluginReports"] == []


@pytest.mark.exhaustive
def test_cdk_nag_would_find_a_star_that_is_not_acknowledged(tmp_path):
    node.use()
    from aws_cdk import Validations
    from aws_cdk import aws_iam as iam
    from cdk_nag import AwsSolutionsChecks

    from infrastructure import app

    made = app.app(tmp_path)
    role = made.node.find_child("workflow").node.find_child("TrainRole")
    statement = iam.PolicyStatement(actions=["s3:GetObject"], resources=["arn:aws:s3:::other/*"])
    role.add_to_policy(statement)
    Validations.of(made).add_plugins(AwsSolutionsChecks(made))
    with pytest.raises(Exception, match="wildcard permissions"):
        made.synth()


@pytest.mark.exhaustive
def test_a_star_needs_a_reason():
    node.use()
    from infrastructure.grants import Grant

    with pytest.raises(ValueError, match="a \\* without a reason"):
        Grant(["s3:GetObject"], ["*"])


def test_they_need_nothing_but_themselves(templates):
    for template in templates.values():
        text = json.dumps(template)
        assert "BootstrapVersion" not in text
        assert "cdk-bootstrap" not in text
        assert "AWS::CDK::Metadata" not in text
        assert "Rules" not in template


def test_they_are_short_enough_to_be_deployed_without_a_bucket(synthesized):
    output = synthesized / "output"
    written = [Path(line) for line in (synthesized / "stdout").read_text().splitlines()]
    assert written == [output / f"{name}.json" for name in ("workflow", "dev", "prod")]
    assert sorted(output.iterdir()) == sorted(written)
    assert max(path.stat().st_size for path in written) <= 51_200
    assert (synthesized / "stderr").read_text() == ""


def test_parameters_say_what_they_accept(templates):
    for template in templates.values():
        for name, parameter in template["Parameters"].items():
            assert parameter["Description"].endswith("."), name
            assert parameter["ConstraintDescription"], name
            assert "MaxLength" in parameter or "MaxValue" in parameter, name
            assert ("Default" in parameter) == (name == "PermissionsBoundaryArn"), name


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("ProjectName", ["churn", "a-1"], ["Churn", "1a", "a_b", "a--b", "a-", ""]),
        ("DataBucketName", ["abc", "a.b-c"], ["ab", "A-bucket", "-ab", "s3://bucket"]),
        (
            "KmsKeyArn",
            ["arn:aws:kms:eu-west-1:123456789012:key/mrk-1"],
            ["alias/key", "arn:aws:kms:eu-west-1:123456789012:alias/key"],
        ),
        ("RepositoryName", ["churn", "team/churn_1"], ["Churn", "/churn", "churn:tag", "a//b"]),
        (
            "PermissionsBoundaryArn",
            ["no-permissions-boundary", "arn:aws:iam::123456789012:policy/path/name-1"],
            ["", "none", "arn:aws:iam::123456789012:role/name"],
        ),
        ("Release", ["a", "5b1f-0a1b2c3d"], ["", "-a", "a-", "a_b"]),
        (
            "ImageUri",
            [
                "1.dkr.ecr.eu-west-1.amazonaws.com/a@sha256:" + 64 * "a",
                "127.0.0.1:1/a@sha256:" + 64 * "a",
            ],
            ["a:latest", "a@sha256:a", "a"],
        ),
        (
            "ModelArchiveUri",
            ["s3://b/releases/r/model/job/output/model.tar.gz"],
            ["s3://b/data/model.tar.gz", "https://b/releases/r/model/model.tar.gz"],
        ),
        ("InstanceType", ["ml.m5.large"], ["m5.large", "ml.m5"]),
        ("ReleaseId", ["5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000"], ["", "a/b", "-a"]),
        ("Serving", ["endpoint", "lambda"], ["", "Endpoint", "endpoints"]),
        ("TrafficShift", ["own", "CodeDeployDefault.LambdaAllAtOnce"],
         ["canary", "CodeDeployDefault.ECSAllAtOnce"]),
        ("PrivateSubnetA", ["subnet-0a1b"], ["subnet-", "sg-0a"]),
        ("NotificationTopicArn", ["arn:aws:sns:eu-west-1:123456789012:a-b"], ["a-b"]),
        ("AccessPointArn",
         ["arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0a"],
         ["fsap-0a", "arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/fs-0a"]),
    ],
)  # fmt: skip
def test_patterns_of_parameters(name, good, bad, templates):
    declared = templates["dev"]["Parameters"] | templates["prod"]["Parameters"]
    pattern = declared[name]["AllowedPattern"]
    assert [value for value in good if not re.search(pattern, value)] == []
    assert [value for value in bad if re.search(pattern, value)] == []


def test_the_state_machine_is_watched_without_its_data(resources):
    machine = resources["TrainingWorkflow"]
    logging = machine["LoggingConfiguration"]
    assert machine["StateMachineName"] == "churn-training"
    assert machine["TracingConfiguration"] == {"Enabled": True}
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)
    log = resources["WorkflowLog"]
    assert log["LogGroupName"] == "/aws/vendedlogs/states/churn-training"
    assert log["RetentionInDays"] == 90
    assert log["KmsKeyId"].startswith("arn:aws:kms:")


def test_roles_are_the_projects_and_limited(resources, dev_resources, production):
    stacks = (resources, dev_resources, production)
    roles = [it for stack in stacks for name, it in stack.items() if name.endswith("Role")]
    assert len(roles) == 11
    for role in roles:
        assert role["Path"] == "/mlsystem/churn/"
        assert role["PermissionsBoundary"] == "arn:aws:iam::123456789012:policy/boundary"
        assert role["Tags"] == [{"Key": "mlsystem-project", "Value": "churn"}]


def test_a_role_needs_no_boundary(templates):
    for template in templates.values():
        default = template["Parameters"]["PermissionsBoundaryArn"]["Default"]
        assert template["Conditions"]["HasPermissionsBoundary"] == {
            "Fn::Not": [{"Fn::Equals": [{"Ref": "PermissionsBoundaryArn"}, default]}]
        }
