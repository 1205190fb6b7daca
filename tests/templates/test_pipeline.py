"""The pipeline: stages in their order, variables that somebody sets, and what starts it."""

import json
import re

import pytest
from cfn import needs
from cfn.evaluation import ROOT, load

KEY = "model-p-default"
#: What CodePipeline itself provides.
#: https://docs.aws.amazon.com/codepipeline/latest/userguide/reference-variables.html
PROVIDED = {
    "codepipeline": {"PipelineExecutionId"},
    "variables": {"RETRAIN"},
    "Source": {"CommitId"},
}
#: What the buildspecs export (seed_code/buildspec*.yml) and the dev stack outputs.
EXPORTED = {
    "Build": {"TRAIN"},
    "DevStack": {"EndpointName"},
    "TestDev": {"METRICS", "TESTS"},
}


def pipeline(stack=None):
    return (stack or needs.project()).resources["Pipeline"].properties


def actions(stack=None):
    for stage in pipeline(stack)["Stages"]:
        for action in sorted(stage["Actions"], key=lambda each: each.get("RunOrder", 1)):
            yield stage["Name"], action


def test_releases_queue():
    assert pipeline()["PipelineType"] == "V2"
    assert pipeline()["ExecutionMode"] == "QUEUED"


def test_the_way_of_a_release():
    assert [(stage, action["Name"]) for stage, action in actions()] == [
        ("Source", "Code"),
        ("Build", "Build"),
        ("Train", "DeployWorkflow"),
        ("Train", "RunWorkflow"),
        ("Dev", "DeployDev"),
        ("Dev", "TestDev"),
        ("Dev", "Approve"),
        ("Prod", "RecordApproval"),
        ("Prod", "DeployProd"),
        ("Prod", "RecordChampion"),
    ]


def without_production():
    return needs.project(Production="no")


def test_the_way_without_production_ends_with_the_approval():
    *_, last = actions(without_production())
    assert (last[0], last[1]["Name"]) == ("Dev", "Approve")


def test_what_answers_is_never_replaced():
    """REPLACE_ON_FAILURE would delete a stack whose update could not be taken back."""
    (deploy,) = [action for _, action in actions()
                 if action["Name"] == "DeployProd"]  # fmt: skip
    assert deploy["Configuration"]["ActionMode"] == "CREATE_UPDATE"
    assert deploy["Configuration"]["StackName"] == f"{KEY}-prod"
    assert deploy["Configuration"]["TemplateConfiguration"] == "Approval::prod-configuration.json"


def test_without_production_nothing_of_it_is_there():
    resources = without_production().resources
    for name in ("ReleaseProject", "ReleaseLogGroup", "ReleaseRole", "ProductionRole"):
        assert name not in resources
        assert name in needs.project().resources
    assert "-prod/" not in str(resources["PipelineRole"].properties)


def test_what_has_not_changed_is_not_trained():
    stages = {stage["Name"]: stage for stage in pipeline(needs.project())["Stages"]}
    for name in ("Train", "Dev", "Prod"):
        (condition,) = stages[name]["BeforeEntry"]["Conditions"]
        assert condition["Result"] == "SKIP"
        (rule,) = condition["Rules"]
        assert rule["RuleTypeId"]["Provider"] == "VariableCheck"
        assert rule["Configuration"] == {
            "Variable": "#{Build.TRAIN}", "Operator": "EQ", "Value": "yes",
        }  # fmt: skip
    for name in ("Source", "Build"):
        assert "BeforeEntry" not in stages[name]


def test_an_endpoint_under_review_is_not_replaced():
    """The approval is in the stage of the endpoint, and a stage takes one release at a time."""
    dev = {action["Name"]: action["RunOrder"] for stage, action in actions() if stage == "Dev"}
    assert dev["DeployDev"] < dev["TestDev"] < dev["Approve"]


def test_every_variable_is_set_before_it_is_read():
    known = {name: set(PROVIDED[name]) for name in ("codepipeline", "variables")}
    for stage in pipeline(needs.project())["Stages"]:
        for condition in stage.get("BeforeEntry", {}).get("Conditions", []):
            assert_known(known, json.dumps(condition))
        for action in sorted(stage["Actions"], key=lambda each: each.get("RunOrder", 1)):
            assert_known(known, json.dumps(action["Configuration"]))
            namespace = action.get("Namespace")
            if namespace:
                known[namespace] = EXPORTED.get(namespace) or PROVIDED[namespace]


def assert_known(known, text):
    for namespace, name in re.findall(r"#\{(\w+)\.(\w+)\}", text):
        assert name in known.get(namespace, ()), f"#{{{namespace}.{name}}}"


def test_every_exported_variable_is_read():
    text = (ROOT / "pipeline.yml").read_text(encoding="utf-8")
    for namespace, names in EXPORTED.items():
        for name in names:
            assert f"#{{{namespace}.{name}}}" in text


def test_every_artifact_is_made_before_it_is_used():
    made = set()
    for _, action in actions(needs.project()):
        assert {artifact["Name"] for artifact in action.get("InputArtifacts", [])} <= made
        made |= {artifact["Name"] for artifact in action.get("OutputArtifacts", [])}
    assert made == {"Code", "Build", "Approval"}


def test_the_environment_of_an_action_is_json():
    for _, action in actions(needs.project()):
        text = action["Configuration"].get("EnvironmentVariables", "[]")
        assert all(set(entry) == {"name", "value"} for entry in json.loads(text))


def test_what_a_person_approves_is_said_in_the_request():
    (approve,) = [action for _, action in actions() if action["Name"] == "Approve"]
    text = approve["Configuration"]["CustomData"]
    for part in ("PipelineExecutionId", "CommitId", "METRICS", "TESTS", "EndpointName"):
        assert part in text
    assert approve["Configuration"]["NotificationArn"].endswith(f":{KEY}-notifications")
    assert approve["Configuration"]["ExternalEntityLink"].startswith("https://eu-west-1.console")


def test_stacks_are_deployed_with_their_deploy_role_alone():
    resources = needs.project().resources
    for stage, action in actions(needs.project()):
        if action["ActionTypeId"]["Provider"] == "CloudFormation":
            role = resources["ProductionRole" if stage == "Prod" else "DeployRole"]
            assert action["Configuration"]["RoleArn"] == role.arn
            assert action["Configuration"]["Capabilities"] == "CAPABILITY_IAM"
            assert "RoleArn" not in action


# --- what starts it -----------------------------------------------------------------------------


def rules(**parameters):
    stack = needs.project(**parameters)
    return {rule.name.removeprefix(f"{KEY}-"): rule for rule in stack.of_type("AWS::Events::Rule")}


def test_a_push_an_upload_and_the_calendar_start_it():
    assert set(rules()) == {"code", "data", "schedule", "failed"}
    for name in ("code", "data", "schedule"):
        (target,) = rules()[name].properties["Targets"]
        assert target["Arn"].endswith(f":{KEY}")
        assert target["RoleArn"] == needs.project().resources["EventsRole"].arn


@pytest.mark.parametrize("name", ["code", "data", "schedule", "failed"])
def test_no_rule_says_one_thing_and_does_another(name):
    """The source system's monthly rule was disabled."""
    assert rules()[name].properties["State"] == "ENABLED"


def test_a_push_to_another_branch_or_repository_does_not():
    pattern = rules(Branch="release/2.0")["code"].properties["EventPattern"]
    assert pattern["resources"] == [f"arn:aws:codecommit:eu-west-1:123456789012:{KEY}"]
    assert pattern["detail"]["referenceName"] == ["release/2.0"]
    assert pattern["detail"]["referenceType"] == ["branch"]


def test_what_a_release_writes_does_not():
    pattern = rules()["data"].properties["EventPattern"]["detail"]
    assert pattern["bucket"]["name"] == [f"{KEY}-data"]
    assert pattern["object"]["key"] == [{"prefix": "data/"}]


def test_there_is_no_schedule_without_one():
    assert "schedule" not in rules(RetrainSchedule="none")


def test_a_connection_detects_pushes_itself():
    stack = needs.projects()[1]
    source = next(action for stage, action in actions(stack) if stage == "Source")
    assert source["ActionTypeId"]["Provider"] == "CodeStarSourceConnection"
    assert source["Configuration"]["DetectChanges"] == "true"
    assert "Repository" not in stack.resources
    assert "CodeEventRule" not in stack.resources


# --- who is told --------------------------------------------------------------------------------


def test_nobody_is_subscribed_by_default():
    assert "NotificationSubscription" not in needs.project().resources


def test_who_gave_an_address_is():
    stack = needs.project(NotificationEmail="a@b.de")
    assert stack.resources["NotificationSubscription"].properties["Endpoint"] == "a@b.de"


def test_a_failure_is_told_in_words():
    (target,) = rules()["failed"].properties["Targets"]
    transformer = target["InputTransformer"]
    text = transformer["InputTemplate"]
    for name in transformer["InputPathsMap"]:
        assert f"<{name}>" in text
        text = text.replace(f"<{name}>", "x")
    assert json.loads(text).startswith("Release x of project failed at x.")


# --- its parameters, outputs, and what it is made of ---------------------------------------------


def test_a_connection_must_be_given_with_its_provider():
    rules_ = load("pipeline.yml")["Rules"]
    given = rules_["ConnectionIsGiven"]
    assert given["RuleCondition"] == {"Fn::Equals": [{"Ref": "CodeProvider"}, "CodeConnections"]}
    texts = [assertion["AssertDescription"] for assertion in given["Assertions"]]
    assert len(texts) == 2
    assert all(";" in text for text in texts)


def test_the_subnets_are_in_two_zones_and_do_not_overlap():
    stack = needs.project(VpcCidr="10.255.0.0/22")
    subnets = stack.of_type("AWS::EC2::Subnet")
    assert [subnet.properties["CidrBlock"] for subnet in subnets] == [
        "10.255.0.0/24", "10.255.1.0/24", "10.255.2.0/24", "10.255.3.0/24",
    ]  # fmt: skip
    zones = {subnet.logical_id[-1]: subnet.properties["AvailabilityZone"] for subnet in subnets}
    assert zones == {"A": "eu-west-1a", "B": "eu-west-1b"}


@pytest.mark.parametrize(
    ("egress", "gateways", "endpoints"), [("none", 0, 1), ("endpoints", 0, 8), ("nat", 2, 1)]
)
def test_the_way_out_is_what_was_chosen(egress, gateways, endpoints):
    stack = needs.project(NetworkEgress=egress)
    assert len(stack.of_type("AWS::EC2::NatGateway")) == gateways
    assert len(stack.of_type("AWS::EC2::EIP")) == gateways
    assert len(stack.of_type("AWS::EC2::VPCEndpoint")) == endpoints
    to_the_internet = {
        route.properties["RouteTableId"]
        for route in stack.of_type("AWS::EC2::Route")
        if route.properties["DestinationCidrBlock"] == "0.0.0.0/0"
    }
    private = {"PrivateRouteTableA", "PrivateRouteTableB"} if egress == "nat" else set()
    assert to_the_internet == {"PublicRouteTable"} | private


def test_no_stack_can_hold_a_project_up():
    assert needs.project().exports == {}


def test_a_template_that_was_not_published_says_so():
    code = needs.project().resources["Repository"].properties["Code"]
    assert code["S3"] == {"Bucket": "templates", "Key": "versions/unpublished/seed_code.zip"}
    text = (ROOT / "pipeline.yml").read_text(encoding="utf-8")
    assert text.count("Version: unpublished") == 1, "where build.sh writes the version"


@pytest.mark.parametrize("egress", ["none", "endpoints", "nat"])
def test_the_pipeline_is_made_when_nothing_else_can_fail(egress):
    """It starts at once: a creation that failed later would have to delete full buckets."""
    document = load("pipeline.yml")["Resources"]
    stack = needs.project(NetworkEgress=egress, NotificationEmail="team@example.com")
    before = needed_by(document, stack, "Pipeline")
    left = set(stack.resources) - before - {"Pipeline"}
    # Made at the same time, of a gateway that is there.
    assert left == ({"PrivateRouteA", "PrivateRouteB"} if egress == "nat" else set())
    assert {"CodeEventRule", "ScheduleRule", "NotificationSubscription"} <= before


def needed_by(document, stack, name):
    """Return the logical ids of everything that must be there before a resource, near or far."""
    found, waiting = set(), [name]
    while waiting:
        body = document[waiting.pop()]
        text = json.dumps(body)
        near = set(re.findall(r'"Ref": "(\w+)"', text))
        near |= set(re.findall(r'"Fn::GetAtt": \["(\w+)"', text))
        near |= set(re.findall(r"\$\{(\w+)(?:\.\w+)?\}", text))
        depends = body.get("DependsOn", [])
        near |= {depends} if isinstance(depends, str) else set(depends)
        new = (near & set(stack.resources)) - found
        found |= new
        waiting += new
    return found
