"""No name reaches its service's limit, whatever is filled in; no two projects share one."""

import json
import re

import pytest
from cfn.evaluation import NAMES, evaluate, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlsystem.names import Names

DOCUMENT = load("pipeline.yml")
#: Each evaluates whole templates, and the machine may be busy.
EXAMINE = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])

#: Type -> longest name and its pattern, from each service's API reference.
LIMITS = {
    "AWS::CloudWatch::Alarm": (255, r"[\x20-\x7e]+"),
    "AWS::CodeBuild::Project": (150, r"[A-Za-z0-9][A-Za-z0-9\-_]{1,149}"),
    "AWS::CodeCommit::Repository": (100, r"[\w.-]+"),
    "AWS::CodeDeploy::Application": (100, r"[A-Za-z0-9._+=,@-]+"),
    "AWS::CodeDeploy::DeploymentGroup": (100, r"[A-Za-z0-9._+=,@-]+"),
    "AWS::CodePipeline::Pipeline": (100, r"[A-Za-z0-9.@\-_]+"),
    "AWS::ECR::Repository": (256, r"[a-z0-9]+([._/-][a-z0-9]+)*"),
    "AWS::Events::Rule": (64, r"[.\-_A-Za-z0-9]+"),
    "AWS::KMS::Alias": (256, r"alias/[a-zA-Z0-9/_-]+"),
    "AWS::Lambda::Function": (64, r"[A-Za-z0-9_-]+"),
    "AWS::Logs::LogGroup": (512, r"[.\-_/#A-Za-z0-9]+"),
    "AWS::S3::Bucket": (63, r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
    "AWS::SNS::Topic": (256, r"[A-Za-z0-9_-]+"),
    "AWS::SSM::Parameter": (1011, r"/mlsystem/[A-Za-z0-9_.-]+"),
    "AWS::SageMaker::Endpoint": (63, r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"),
    "AWS::SageMaker::EndpointConfig": (63, r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"),
    "AWS::SageMaker::Model": (63, r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"),
    "AWS::SageMaker::ModelPackageGroup": (63, r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"),
    "AWS::StepFunctions::StateMachine": (80, r"[A-Za-z0-9_-]+"),
}
#: What a release calls its own, without a stack: :class:`mlsystem.names.Names` -> length.
OF_A_RELEASE = {
    "prepare_job": 63, "training_job": 63, "evaluate_job": 63, "model": 63, "endpoint_config": 63,
    "endpoint": 63, "model_package_group": 63, "state_machine": 80, "execution": 80,
    "dev_model": 63, "dev_endpoint_config": 63, "dev_endpoint": 63,
}  # fmt: skip
#: CodePipeline appends "-" and an id of 36 characters to the prefix of an execution's name.
EXECUTION = 80 - 37
STACK = 128
CUSTOM_DATA = 1000
ENVIRONMENT_VARIABLES = 1000


def allowed(parameter):
    """Return texts that the form accepts for a parameter, the longest among them."""
    rule = DOCUMENT["Parameters"][parameter]
    longest = rule["MaxLength"]
    texts = st.from_regex(re.compile(rule["AllowedPattern"], re.ASCII), fullmatch=True)
    return texts.filter(lambda text: len(text) <= longest)


def longest(parameter):
    """Return a text as long as the form accepts."""
    rule = DOCUMENT["Parameters"][parameter]
    start = {"SageMakerProjectId": "p-", "ModelName": "a-b-"}.get(parameter, "a")
    text = start + "z" * (rule["MaxLength"] - len(start))
    assert re.fullmatch(rule["AllowedPattern"], text)
    return text


PARAMETERS = ("ModelName", "SageMakerProjectId", "SageMakerProjectName")
EXAMPLES = st.fixed_dictionaries(
    {name: st.one_of(st.just(longest(name)), allowed(name)) for name in PARAMETERS}
)


def every_name(stack):
    for resource in stack.resources.values():
        if NAMES.get(resource.type) in resource.properties:
            yield resource


@EXAMINE
@given(EXAMPLES)
def test_every_name_is_one_that_its_service_takes(parameters):
    stack = evaluate(DOCUMENT, {**parameters, "NetworkEgress": "nat"})
    for resource in every_name(stack):
        limit, pattern = LIMITS[resource.type]
        assert len(resource.name) <= limit, resource.name
        assert re.fullmatch(pattern, resource.name), resource.name
        assert "--" not in resource.name, resource.name


@EXAMINE
@given(EXAMPLES)
def test_both_sides_of_a_project_have_the_same_names(parameters):
    """So a role's path, a function's or a stack's name is known before the other side is made."""
    side = evaluate(DOCUMENT, {**parameters, "ProjectAccount": "210987654321"})
    named = {(each.logical_id, each.name) for each in every_name(side)}
    here = evaluate(DOCUMENT, parameters)
    assert named
    assert named <= {(each.logical_id, each.name) for each in every_name(here)}
    for role in side.of_type("AWS::IAM::Role"):
        assert role.properties["Path"] == f"/mlsystem/{key_of(parameters)}/"


@EXAMINE
@given(EXAMPLES)
def test_every_name_begins_with_the_projects_key_and_looks_like_a_projects(parameters):
    stack = evaluate(DOCUMENT, parameters)
    key = f"{parameters['ModelName']}-{parameters['SageMakerProjectId']}"
    for resource in every_name(stack):
        name = resource.name.rsplit("/", 1)[-1]
        assert name == key or name.startswith(f"{key}-"), resource.name
        assert re.search(r".-p-.", name), "the launch role would not know it"


@EXAMINE
@given(EXAMPLES)
def test_what_the_pipeline_names_fits_too(parameters):
    for action in actions(evaluate(DOCUMENT, parameters)):
        configuration = action["Configuration"]
        assert len(configuration.get("StackName", "")) <= STACK
        assert len(configuration.get("ExecutionNamePrefix", "")) <= EXECUTION
        assert len(configuration.get("CustomData", "")) <= CUSTOM_DATA - 300  # what variables add
        assert len(configuration.get("EnvironmentVariables", "")) <= ENVIRONMENT_VARIABLES


def actions(stack):
    for stage in stack.resources["Pipeline"].properties["Stages"]:
        yield from stage["Actions"]


@EXAMINE
@given(EXAMPLES, EXAMPLES)
def test_two_projects_share_no_name(one, other):
    if one["SageMakerProjectId"] == other["SageMakerProjectId"]:
        return
    ours, theirs = (evaluate(DOCUMENT, {**parameters}) for parameters in (one, other))
    assert not {r.name for r in every_name(ours)} & {r.name for r in every_name(theirs)}


# ------------------------------------------------------------------------------ of releases

#: CodePipeline's ids of executions.
RELEASES = st.uuids(version=4).map(str)


def key_of(parameters):
    return f"{parameters['ModelName']}-{parameters['SageMakerProjectId']}"


@EXAMINE
@given(EXAMPLES, RELEASES)
def test_names_of_a_release_fit_and_are_the_projects(parameters, release):
    key = key_of(parameters)
    names = Names(key, release)
    for name, limit in OF_A_RELEASE.items():
        value = getattr(names, name)
        assert len(value) <= limit, value
        assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", value), value
        # What roles may reach begins with the project's key: it must stay whole.
        assert name == "execution" or value == key or value.startswith(f"{key}-"), value


@EXAMINE
@given(EXAMPLES, EXAMPLES, RELEASES)
def test_releases_of_two_projects_share_no_name(one, other, release):
    if one["SageMakerProjectId"] == other["SageMakerProjectId"]:
        return
    ours, theirs = (
        {getattr(Names(key_of(parameters), release), name) for name in OF_A_RELEASE}
        - {Names(key_of(parameters), release).execution}  # named within its state machine
        for parameters in (one, other)
    )
    assert not ours & theirs


def names_in(path, parameters, release):
    """Names that a synthesized template gives to what it makes, by type."""
    document = load(path)
    names = Names(key_of(parameters), release)
    given = {"ProjectName": names.project, "Release": names.label}
    required = {
        name: given.get(name, 1 if rule["Type"] == "Number" else f"any-{name.lower()}")
        for name, rule in document["Parameters"].items()
        if "Default" not in rule
    }
    return [(each.type, each.name) for each in every_name(evaluate(document, required))]


@EXAMINE
@given(EXAMPLES, RELEASES)
def test_synthesized_templates_name_as_projects_do(synthesized, parameters, release):
    """dev.json, workflow.json: within limits, in the project's name, none in two of them."""
    found = [
        each
        for path in sorted(synthesized.glob("*.json"))
        for each in set(names_in(path, parameters, release))
    ]
    assert len(found) >= 5
    assert len(set(found)) == len(found)
    ours = {(each.type, each.name) for each in every_name(evaluate(DOCUMENT, parameters))}
    assert not ours & set(found)
    for kind, name in found:
        limit, pattern = LIMITS[kind]
        assert len(name) <= limit, name
        assert re.fullmatch(pattern, name), name
        last = name.rsplit("/", 1)[-1].removeprefix("CodeDeployHook_")
        assert last.startswith(f"{key_of(parameters)}-"), name


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("ModelName", ""), ("ModelName", "Churn"), ("ModelName", "churn-"), ("ModelName", "1a"),
        ("ModelName", "a--b"), ("ModelName", "a_b"),
        ("SageMakerProjectId", "8up2y4ihhnzd"), ("SageMakerProjectId", "p-"),
        ("SageMakerProjectName", "-a"), ("SageMakerProjectName", "a-"),
        ("VpcCidr", "10.0.0.0/8"), ("VpcCidr", "8.8.8.0/20"), ("VpcCidr", "10.0.256.0/20"),
        ("VpcCidr", "172.32.0.0/16"), ("VpcCidr", "10.0.0.0/24"),
        ("RetrainSchedule", "monthly"), ("RetrainSchedule", "rate(0 days)"),
        ("NotificationEmail", "a@b"), ("NotificationEmail", ""), ("NotificationEmail", "a b@c.de"),
        ("ConnectionArn", "arn:aws:codeconnections:eu-west-1:1:connection/x"),
        ("RepositoryId", "repository"), ("Branch", "-a"), ("Branch", "a..b"), ("Branch", "a/"),
    ],
)  # fmt: skip
def test_the_form_refuses(parameter, value):
    assert not re.fullmatch(DOCUMENT["Parameters"][parameter]["AllowedPattern"], value)


ID = "7d2469ff-514a-4e4f-9003-5ca4a43cdc41"
GOV = "us-gov-west-1:123456789012"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("ModelName", "a"), ("ModelName", "churn-2"), ("SageMakerProjectId", "p-8up2y4ihhnzd"),
        ("SageMakerProjectName", "churn-1"), ("VpcCidr", "192.168.0.0/16"),
        ("VpcCidr", "172.31.16.0/20"), ("VpcCidr", "10.255.0.0/22"),
        ("RetrainSchedule", "none"), ("RetrainSchedule", "rate(1 day)"),
        ("RetrainSchedule", "cron(0 12 1 * ? *)"), ("NotificationEmail", "a.b+c@d-e.co.uk"),
        ("ConnectionArn", f"arn:aws:codestar-connections:eu-west-1:123456789012:connection/{ID}"),
        ("ConnectionArn", f"arn:aws-us-gov:codeconnections:{GOV}:connection/{ID}"),
        ("RepositoryId", "group/subgroup/repository"), ("Branch", "release/2.0"),
    ],
)  # fmt: skip
def test_the_form_takes(parameter, value):
    assert re.fullmatch(DOCUMENT["Parameters"][parameter]["AllowedPattern"], value)


def test_every_default_is_one_that_the_form_takes():
    for name, rule in DOCUMENT["Parameters"].items():
        if rule["Type"] == "String":
            assert re.fullmatch(rule["AllowedPattern"], rule["Default"]), name


def test_the_lifecycle_of_images_is_json():
    stack = evaluate(DOCUMENT)
    for registry in stack.of_type("AWS::ECR::Repository"):
        rules = json.loads(registry.properties["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        assert [rule["rulePriority"] for rule in rules] == [1, 2]
