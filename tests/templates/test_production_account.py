"""Production in another account: two sides of one template, and what each lets the other do."""

import json
import re
from dataclasses import replace

import pytest
from cfn import needs, workflow
from cfn.evaluation import ACCOUNT, REGION, load
from cfn.needs import PROJECT_ACCOUNT
from cfn.requests import KEYS, requests
from cfn.statements import identity_documents

from local_cloud.policies import Policies, Request, decide

KEY = workflow.KEY
#: The project is in ``PROJECT_ACCOUNT``, its production in ``ACCOUNT``.
PROJECT, PRODUCTION = needs.elsewhere(PROJECT_ACCOUNT), needs.production()
STACK = workflow.stack(
    "prod",
    DataKeyArn=f"arn:aws:kms:{REGION}:{PROJECT_ACCOUNT}:key/Key",
    ImageUri=f"{PROJECT_ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{KEY}-container@sha256:0",
    ApiImageUri=f"{PROJECT_ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{KEY}-api@sha256:0",
)

EVERYTHING = Policies(({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]},))


def boundary(of, account):
    """Return the boundary of the role that is called `of` in its template."""
    name = "DeployBoundary" if of in ("DeployRole", "ProductionRole") else "PermissionsBoundary"
    studio = needs.studio(account=account, OtherAccounts=f"{ACCOUNT},{PROJECT_ACCOUNT}")
    return studio.resources[name].properties["PolicyDocument"]


# --- what each side is made of --------------------------------------------------------------------

#: Of a project with production in its own account, what the production side has too.
SHARED = {
    "AWS::EC2", "AWS::EFS", "AWS::KMS", "AWS::Logs::LogGroup FlowLogGroup",
    "AWS::IAM::Role FlowLogRole", "AWS::IAM::Role ProductionRole", "AWS::SNS",
    "AWS::SSM::Parameter ProductionPlace",
}  # fmt: skip


def parts(stack):
    return {f"{resource.type} {name}" for name, resource in stack.resources.items()}


def test_the_production_side_is_the_place_of_production_and_its_way_in():
    here = parts(needs.project(NetworkEgress="nat", NotificationEmail="a@b.de"))
    there = parts(
        needs.project(
            NetworkEgress="nat", NotificationEmail="a@b.de", ProjectAccount=PROJECT_ACCOUNT
        )
    )
    shared = {part for part in here if part.startswith(tuple(SHARED))}
    assert there == shared | {"AWS::IAM::Role ProductionAccessRole"}


def test_a_project_whose_production_is_elsewhere_lacks_its_place_alone():
    place = {"AWS::IAM::Role ProductionRole", "AWS::SSM::Parameter ProductionPlace"}
    assert parts(needs.project()) - parts(PROJECT) == place
    assert parts(PROJECT) < parts(needs.project())


def test_outputs_are_of_what_there_is():
    assert set(PRODUCTION.outputs) == {
        "AccessPointArn", "FileSystemId", "JobSecurityGroupId", "KmsKeyArn", "ModelName",
        "NotificationTopicArn", "PrivateSubnetIds", "ProdStackName", "ProductionAccessRoleArn",
        "ProductionRoleArn", "ProjectKey", "PublicSubnetIds", "Region", "RollbackRoleArn",
        "SageMakerProjectId", "SageMakerProjectName", "TemplateVersion", "VpcId",
    }  # fmt: skip
    assert set(needs.project().outputs) - set(PROJECT.outputs) == {
        "ProdStackName", "ProductionRoleArn",
    }  # fmt: skip


def test_the_project_deploys_with_the_other_accounts_roles():
    stages = PROJECT.resources["Pipeline"].properties["Stages"]
    (deploy,) = [
        action for stage in stages for action in stage["Actions"] if action["Name"] == "DeployProd"
    ]
    assert deploy["RoleArn"] == PRODUCTION.outputs["ProductionAccessRoleArn"]
    assert deploy["Configuration"]["RoleArn"] == PRODUCTION.outputs["ProductionRoleArn"]
    variables = PROJECT.resources["ReleaseProject"].properties["Environment"]
    given = {each["Name"]: each["Value"] for each in variables["EnvironmentVariables"]}
    assert given["PRODUCTION_ACCESS_ROLE_ARN"] == PRODUCTION.outputs["ProductionAccessRoleArn"]


@pytest.mark.parametrize("side", [needs.project(), PRODUCTION], ids=["one", "two"])
def test_an_account_says_what_production_uses_of_it(side):
    place = json.loads(side.resources["ProductionPlace"].properties["Value"])
    assert set(place) <= set(workflow.templates()["prod.json"]["Parameters"])
    assert all(ACCOUNT in value for value in place.values() if value.startswith("arn:"))


# --- who makes the production side ----------------------------------------------------------------


def test_an_administrator_makes_the_production_side():
    key = PRODUCTION.resources["Key"]
    # EFS makes its grant itself, for its own resource.
    by = carried(f"arn:aws:iam::{ACCOUNT}:role/Admin", **{"kms:grantisforawsresource": "true"})
    root = frozenset({f"arn:aws:iam::{ACCOUNT}:root"})
    policies = Policies(
        EVERYTHING.identity, resource=key.properties["KeyPolicy"], resource_decides=True
    )
    refused, asked = set(), set()
    for resource in PRODUCTION.resources.values():
        for handler, actions in needs.needed(resource).items():
            for action in actions:
                for need in requests(PRODUCTION, resource, handler, action, PRODUCTION):
                    if need.resource != key.arn:
                        continue
                    asked.add(action)
                    request = replace(need, context={**need.context, **by}, accounts=root)
                    if not decide(policies, request).allowed:
                        refused.add(f"{handler} {resource.logical_id}: {action}")
    assert {"kms:CreateGrant", "kms:GenerateDataKeyWithoutPlaintext"} <= asked
    assert refused == set()


@pytest.mark.parametrize(
    ("side", "service", "for_aws", "allowed"),
    [
        (PRODUCTION, "elasticfilesystem", "true", True),
        (PRODUCTION, "elasticfilesystem", "false", False),
        (PRODUCTION, "ec2", "true", False),
        (needs.project(), "elasticfilesystem", "true", False),
    ],
)
def test_an_administrator_grants_the_key_to_the_file_system_of_a_production_side_alone(
    side, service, for_aws, allowed
):
    key = side.resources["Key"]
    context = carried(
        f"arn:aws:iam::{ACCOUNT}:role/Admin",
        **{
            "kms:viaservice": f"{service}.{REGION}.amazonaws.com",
            "kms:grantisforawsresource": for_aws,
        },
    )
    root = frozenset({f"arn:aws:iam::{ACCOUNT}:root"})
    policies = Policies(
        EVERYTHING.identity, resource=key.properties["KeyPolicy"], resource_decides=True
    )
    request = Request("kms:CreateGrant", key.arn, context, KEYS, accounts=root)
    assert decide(policies, request).allowed is allowed


# --- parameters -----------------------------------------------------------------------------------

ROLE = f"arn:aws:iam::{ACCOUNT}:role/mlsystem/{KEY}/r"
TOGETHER = [
    ({}, ()),
    ({"ProductionAccessRoleArn": ROLE, "ProductionRoleArn": ROLE}, ()),
    ({"ProjectAccount": PROJECT_ACCOUNT}, ()),
    ({"ProjectAccount": PROJECT_ACCOUNT, "ApproverRoleArn": ROLE}, ()),
    ({"ProductionAccessRoleArn": ROLE}, ("ProductionRoleArn is none and ",)),
    ({"ProductionRoleArn": ROLE}, ("ProductionAccessRoleArn is none and ",)),
    ({"ProductionAccessRoleArn": ROLE, "ProductionRoleArn": ROLE, "Production": "no"},
     ("Roles of production with Production no",)),
    ({"ProductionAccessRoleArn": ROLE, "ProductionRoleArn": ROLE,
      "ProjectAccount": PROJECT_ACCOUNT}, ("ProjectAccount and roles of production together",)),
    ({"ProjectAccount": PROJECT_ACCOUNT, "Production": "no"},
     ("ProjectAccount with Production no",)),
    ({"ApproverRoleArn": ROLE}, ("ApproverRoleArn in a project",)),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), TOGETHER)
def test_values_that_do_not_go_together_are_refused(given, expected):
    document = load("pipeline.yml")
    defaults = {name: rule["Default"] for name, rule in document["Parameters"].items()}
    values = {**defaults, **given}
    found = [
        assertion["AssertDescription"]
        for rule in document["Rules"].values()
        if holds(rule.get("RuleCondition", {"Fn::Equals": [0, 0]}), values)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], values)
    ]
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def holds(node, values):
    """Whether a rule's condition holds, with the functions that our rules use."""
    ((function, argument),) = node.items()
    if function == "Fn::Equals":
        one, other = (values[item["Ref"]] if isinstance(item, dict) else item for item in argument)
        return bool(one == other)
    found = [holds(item, values) for item in argument]
    return {"Fn::Not": not found[0], "Fn::Or": any(found), "Fn::And": all(found)}[function]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("ProductionAccessRoleArn", ""), ("ProductionAccessRoleArn", ACCOUNT),
        ("ProductionRoleArn", f"arn:aws:iam::{ACCOUNT}:role/Admin"),
        ("ProductionRoleArn", f"arn:aws:iam::{ACCOUNT}:role/mlsystem/r"),
        ("ProductionRoleArn", f"arn:aws:iam::{ACCOUNT}:role/mlsystem/*/r"),
        ("ProductionAccessRoleArn", f"arn:aws:iam::{ACCOUNT}:user/mlsystem/{KEY}/r"),
        ("ProjectAccount", "none"), ("ProjectAccount", "1" * 11),
        ("ApproverRoleArn", f"arn:aws:iam::{ACCOUNT}:role/*"),
        ("ApproverRoleArn", f"arn:aws:iam::{ACCOUNT}:root"),
    ],
)  # fmt: skip
def test_the_form_refuses(parameter, value):
    assert not re.fullmatch(load("pipeline.yml")["Parameters"][parameter]["AllowedPattern"], value)


# --- what production's roles may do with the project's things -------------------------------------


def carried(principal_arn, account=ACCOUNT, **more):
    return {
        "aws:principalarn": (principal_arn,),
        "aws:principalaccount": (account,),
        "aws:principaltag/mlsystem-project": (KEY,),
        "aws:securetransport": ("true",),
        **{key: (value,) for key, value in more.items()},
    }


DATA, ARTIFACTS = f"arn:aws:s3:::{KEY}-data", f"arn:aws:s3:::{KEY}-artifacts"
PLACE = f"{REGION}:{PROJECT_ACCOUNT}"
THE_KEY = f"arn:aws:kms:{PLACE}:key/Key"
S3 = {"kms:viaservice": f"s3.{REGION}.amazonaws.com"}
#: What is asked -> action, thing, what the request carries.
REQUESTS = {
    "read a model": ("s3:GetObject", f"{DATA}/releases/r/model/model.tar.gz", {}),
    "read a deployment": ("s3:GetObject", f"{DATA}/releases/r/deployment/prod.json", {}),
    "read data": ("s3:GetObject", f"{DATA}/data/a.csv", {}),
    "list releases": ("s3:ListBucket", DATA, {"s3:prefix": "releases/r/"}),
    "list data": ("s3:ListBucket", DATA, {"s3:prefix": "data/"}),
    "keep a capture": ("s3:PutObject", f"{DATA}/releases/r/capture/a", {}),
    "keep a report": ("s3:PutObject", f"{DATA}/releases/r/deployment/a", {}),
    "record a deployment": (
        "s3:PutObject",
        f"{DATA}/releases/r/deployment/prod.json",
        {"s3:if-none-match": "*"},
    ),
    "replace a deployment": ("s3:PutObject", f"{DATA}/releases/r/deployment/prod.json", {}),
    "write a model": ("s3:PutObject", f"{DATA}/releases/r/model/model.tar.gz", {}),
    "write data": ("s3:PutObject", f"{DATA}/data/a.csv", {}),
    "delete": ("s3:DeleteObject", f"{DATA}/releases/r/capture/a", {}),
    "read an artifact": ("s3:GetObject", f"{ARTIFACTS}/a", {}),
    "write an artifact": ("s3:PutObject", f"{ARTIFACTS}/a", {}),
    "decrypt objects": ("kms:Decrypt", THE_KEY, S3),
    "encrypt objects": ("kms:GenerateDataKey", THE_KEY, S3),
    "describe the key": ("kms:DescribeKey", THE_KEY, {}),
    "decrypt anything": ("kms:Decrypt", THE_KEY, {}),
    "grant": ("kms:CreateGrant", THE_KEY, {}),
    "change the key": ("kms:PutKeyPolicy", THE_KEY, {}),
    "pull image 1": ("ecr:BatchGetImage", f"arn:aws:ecr:{PLACE}:repository/{KEY}-container", {}),
    "push image 1": ("ecr:PutImage", f"arn:aws:ecr:{PLACE}:repository/{KEY}-container", {}),
    "pull image 2": ("ecr:BatchGetImage", f"arn:aws:ecr:{PLACE}:repository/{KEY}-api", {}),
    "push image 2": ("ecr:PutImage", f"arn:aws:ecr:{PLACE}:repository/{KEY}-api", {}),
}
#: Role in production's account -> what of it is allowed, by the role's policies and the project's.
MAY = {
    "ApiRole": set(),
    "ShiftRole": set(),
    "EndpointRole": {
        "read a model", "keep a capture", "decrypt objects", "encrypt objects", "describe the key",
        "pull image 1",
    },
    "AssetsRole": {
        "read a model", "read a deployment", "keep a report", "decrypt objects", "encrypt objects",
    },
    "GuardRole": {
        "read a model", "read a deployment", "list releases", "keep a report", "decrypt objects",
        "encrypt objects",
    },
    "ProductionAccessRole": {"read an artifact", "decrypt objects"},
    "RollbackRole": {"read a deployment", "decrypt objects"},
    "ProductionRole": {"pull image 2"},
}  # fmt: skip


def resource_policy(arn, project=PROJECT):
    """Return the project's policy of the thing, or of the bucket that it is in."""
    for name, part in (
        ("DataBucket", "DataBucketPolicy/PolicyDocument"),
        ("ArtifactBucket", "ArtifactBucketPolicy/PolicyDocument"),
        ("Key", "Key/KeyPolicy"),
        ("ContainerRepository", "ContainerRepository/RepositoryPolicyText"),
        ("ApiRepository", "ApiRepository/RepositoryPolicyText"),
    ):
        if f"{arn}/".startswith(f"{project.resources[name].arn}/"):
            holder, _, key = part.partition("/")
            return project.resources[holder].properties.get(key)
    raise AssertionError(arn)


def lets_in(arn, account, name, project=PROJECT):
    """Whether the project's policy allows what `name` says to the role `arn` of `account`."""
    action, thing, more = REQUESTS[name]
    root = f"arn:aws:iam::{account}:root"
    request = Request(
        action,
        thing,
        carried(arn, account, **more),
        KEYS | {"kms:encryptioncontext:*"},
        frozenset({root}),
    )
    return decide(Policies(resource=resource_policy(thing, project)), request).allowed


def role_of_production(name):
    """Return a role of production's account, and what its own policies allow at most."""
    stack = PRODUCTION if name in PRODUCTION.resources else STACK
    (role,) = [
        each for each in stack.of_type("AWS::IAM::Role")
        if re.fullmatch(rf"{name}([0-9A-F]{{8}})?", each.logical_id)
    ]  # fmt: skip
    own = tuple(identity_documents(stack, role.logical_id))
    return role, Policies(own, boundary(name, ACCOUNT))


@pytest.mark.parametrize("name", MAY)
def test_a_role_of_production_may_do_with_the_project_what_it_needs_and_no_more(name):
    role, policies = role_of_production(name)
    found = set()
    for asked, (action, thing, more) in REQUESTS.items():
        request = Request(action, thing, carried(role.arn, **more), KEYS)
        if decide(policies, request).allowed and lets_in(role.arn, ACCOUNT, asked):
            found.add(asked)
    assert found == MAY[name]


STRANGERS = [
    (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/Admin"),
    (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/mlsystem/{KEY}/x"),
    (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/mlsystem/other-p-1/x"),
    ("333333333333", f"arn:aws:iam::333333333333:role/mlsystem/{KEY}/x"),
    ("333333333333", f"arn:aws:iam::{ACCOUNT}:role/mlsystem/{KEY}/x"),
]


@pytest.mark.parametrize(("account", "arn"), STRANGERS)
def test_whoever_else_asks_the_project_lets_nobody_in(account, arn):
    assert {name for name in REQUESTS if lets_in(arn, account, name)} == set()


OTHERS = [(), ("333333333333",), ("333333333333", PROJECT_ACCOUNT)]


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("name", MAY)
def test_an_account_that_the_organization_does_not_know_is_let_in_nowhere(name, others):
    project = needs.elsewhere(PROJECT_ACCOUNT, others)
    arn = role_of_production(name)[0].arn
    assert {asked for asked in REQUESTS if lets_in(arn, ACCOUNT, asked, project)} == set()


def test_nobody_is_let_in_where_production_is_in_one_account():
    alone = needs.project(account=PROJECT_ACCOUNT)
    arn = f"arn:aws:iam::{ACCOUNT}:role/mlsystem/{KEY}/x"
    assert {name for name in REQUESTS if lets_in(arn, ACCOUNT, name, alone)} == set()


@pytest.mark.parametrize(
    ("function", "account", "allowed"),
    [
        (f"{KEY}-api", ACCOUNT, True), (f"CodeDeployHook_{KEY}-before", ACCOUNT, True),
        (f"{KEY}-api", "333333333333", False), ("other-p-1-api", ACCOUNT, False),
    ],
)  # fmt: skip
def test_lambda_pulls_for_functions_of_the_other_side(function, account, allowed):
    action, thing, _ = REQUESTS["pull image 2"]
    context = {"aws:sourcearn": (f"arn:aws:lambda:{REGION}:{account}:function:{function}",)}
    request = Request(action, thing, context, KEYS, frozenset({"lambda.amazonaws.com"}))
    assert decide(Policies(resource=resource_policy(thing)), request).allowed is allowed
    for others in OTHERS:
        unknown = resource_policy(thing, needs.elsewhere(PROJECT_ACCOUNT, others))
        assert not decide(Policies(resource=unknown), request).allowed


# --- who assumes the role of production's account -------------------------------------------------


def assumes(
    identity, arn, account=PROJECT_ACCOUNT, name="ProductionAccessRole", production=PRODUCTION
):
    """Whether somebody of `account` with the policies `identity` may assume the role `name`."""
    role = production.resources[name]
    context = carried(arn, account, **{"aws:resourceaccount": ACCOUNT})
    root = frozenset({f"arn:aws:iam::{account}:root"})
    request = Request("sts:AssumeRole", role.arn, context, KEYS, root)
    trust = Policies(resource=role.properties["AssumeRolePolicyDocument"])
    return decide(identity, request).allowed and decide(trust, request).allowed


ROLES = [role.logical_id for role in PROJECT.of_type("AWS::IAM::Role")]


@pytest.mark.parametrize("name", ROLES)
def test_pipeline_and_prod_stage_reach_production_and_no_build_test_or_deployment(name):
    own = tuple(identity_documents(PROJECT, name))
    identity = Policies(own, boundary(name, PROJECT_ACCOUNT))
    arn = PROJECT.resources[name].arn
    assert assumes(identity, arn) is (name in {"PipelineRole", "ReleaseRole"})


@pytest.mark.parametrize("name", ROLES)
def test_where_production_is_in_one_account_no_role_assumes_another(name):
    found = json.dumps(identity_documents(needs.project(), name))
    assert "sts:" not in found


@pytest.mark.parametrize(("account", "arn"), [
    *((account.replace(ACCOUNT, PROJECT_ACCOUNT), arn.replace(ACCOUNT, PROJECT_ACCOUNT))
      for account, arn in STRANGERS),
    (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/mlsystem/{KEY}/x"),
])  # fmt: skip
def test_an_administrator_of_something_else_does_not_reach_production(account, arn):
    assert not assumes(EVERYTHING, arn, account)
    assert not assumes(EVERYTHING, arn, account, "RollbackRole")


@pytest.mark.parametrize("others", [(), (ACCOUNT,), ("333333333333",)])
def test_a_project_of_an_account_that_productions_does_not_know_stays_out(others):
    production = needs.production(others)
    place = f"arn:aws:iam::{PROJECT_ACCOUNT}:role"
    for name, arn in (
        ("ProductionAccessRole", f"{place}/mlsystem/{KEY}/x"),
        ("RollbackRole", f"{place}/service-role/approver"),
    ):
        assert assumes(EVERYTHING, arn, name=name)
        assert not assumes(EVERYTHING, arn, name=name, production=production)


@pytest.mark.parametrize("others", ["none", "333333333333"])
def test_who_approves_assumes_nothing_of_an_account_that_is_not_known(others):
    studio = needs.studio(account=PROJECT_ACCOUNT, OtherAccounts=others)
    identity = Policies(tuple(identity_documents(studio, "ApproverPolicy")))
    approver = f"arn:aws:iam::{PROJECT_ACCOUNT}:role/service-role/approver"
    assert not assumes(identity, approver, name="RollbackRole")


def test_who_approves_goes_back_there_where_production_names_the_role():
    studio = needs.studio(account=PROJECT_ACCOUNT, OtherAccounts=ACCOUNT)
    identity = Policies(tuple(identity_documents(studio, "ApproverPolicy")))
    approver, another = (
        f"arn:aws:iam::{PROJECT_ACCOUNT}:role/service-role/{name}"
        for name in ("approver", "another")
    )
    assert assumes(identity, approver, name="RollbackRole")
    assert not assumes(identity, another, name="RollbackRole")
    assert not assumes(identity, approver)


RECORDED = f"https://{KEY}-data.s3.{REGION}.amazonaws.com/releases/r/deployment/prod.json"


@pytest.mark.parametrize(
    ("action", "stack", "template", "allowed"),
    [
        ("UpdateStack", f"{KEY}-prod", RECORDED, True),
        ("UpdateStack", f"{KEY}-prod", RECORDED.replace(KEY, "other-p-1"), False),
        ("UpdateStack", f"{KEY}-prod", RECORDED.replace("releases", "data"), False),
        ("UpdateStack", f"{KEY}-prod", None, False),
        ("UpdateStack", KEY, RECORDED, False),
        ("CreateStack", f"{KEY}-prod", RECORDED, False),
        ("DeleteStack", f"{KEY}-prod", None, False),
    ],
)
def test_a_person_deploys_there_what_a_release_recorded(action, stack, template, allowed):
    role, policies = role_of_production("RollbackRole")
    more = {"cloudformation:templateurl": template} if template else {}
    request = Request(
        f"cloudformation:{action}",
        f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{stack}/1",
        carried(role.arn, **more),
        KEYS | {"cloudformation:templateurl"},
    )
    assert decide(policies, request).allowed is allowed


@pytest.mark.parametrize(
    ("account", "path", "allowed"),
    [
        (ACCOUNT, KEY, True), (ACCOUNT, "other-p-1", False), ("333333333333", KEY, False),
    ],
)  # fmt: skip
def test_the_boundary_leads_to_the_projects_own_roles_elsewhere(account, path, allowed):
    policies = Policies(EVERYTHING.identity, boundary("PipelineRole", PROJECT_ACCOUNT))
    context = carried("x", **{"aws:resourceaccount": account})
    arn = f"arn:aws:iam::333333333333:role/mlsystem/{path}/r"
    assert decide(policies, Request("sts:AssumeRole", arn, context, KEYS)).allowed is allowed


# --- and what it may do there ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "thing", "allowed"),
    [
        ("cloudformation:UpdateStack", f"cloudformation:{REGION}:{ACCOUNT}:stack/{KEY}-prod/1", 1),
        ("cloudformation:UpdateStack", f"cloudformation:{REGION}:{ACCOUNT}:stack/{KEY}/1", 0),
        ("cloudformation:DeleteStack", f"cloudformation:{REGION}:{ACCOUNT}:stack/{KEY}-dev/1", 0),
        ("lambda:InvokeFunction", f"lambda:{REGION}:{ACCOUNT}:function:{KEY}-api:live", 1),
        ("lambda:UpdateAlias", f"lambda:{REGION}:{ACCOUNT}:function:{KEY}-api:live", 0),
        ("lambda:InvokeFunction", f"lambda:{REGION}:{ACCOUNT}:function:{KEY}-assets", 0),
        ("ssm:GetParameter", f"ssm:{REGION}:{ACCOUNT}:parameter/mlsystem/{KEY}-production", 1),
        ("ssm:PutParameter", f"ssm:{REGION}:{ACCOUNT}:parameter/mlsystem/{KEY}-production", 0),
        ("iam:PassRole", PRODUCTION.resources["FlowLogRole"].arn.removeprefix("arn:aws:"), 0),
        ("iam:PassRole", PRODUCTION.resources["ProductionRole"].arn.removeprefix("arn:aws:"), 1),
        ("sagemaker:DeleteEndpoint", f"sagemaker:{REGION}:{ACCOUNT}:endpoint/{KEY}-prod-r", 0),
        ("kms:CreateGrant", f"kms:{REGION}:{ACCOUNT}:key/Key", 0),
    ],
)
def test_the_role_of_the_pipeline_changes_the_production_stack_and_nothing_else(
    action, thing, allowed
):
    role, policies = role_of_production("ProductionAccessRole")
    context = carried(role.arn, **{"iam:passedtoservice": "cloudformation.amazonaws.com"})
    request = Request(action, f"arn:aws:{thing}", context, KEYS)
    assert decide(policies, request).allowed is bool(allowed)


# --- the network of production --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "thing", "account", "allowed"),
    [
        ("s3:GetObject", f"{DATA}/releases/r/model/a", PROJECT_ACCOUNT, True),
        ("s3:PutObject", f"{DATA}/releases/r/deployment/a", PROJECT_ACCOUNT, True),
        ("s3:GetObject", f"{DATA}/data/a.csv", PROJECT_ACCOUNT, False),
        ("s3:GetObject", f"{DATA}/releases/r/model/a", "333333333333", False),
        ("s3:PutObject", "arn:aws:s3:::somebody-elses/a", PROJECT_ACCOUNT, False),
    ],
)
def test_releases_come_into_the_network_of_production(action, thing, account, allowed):
    policy = PRODUCTION.resources["S3Endpoint"].properties["PolicyDocument"]
    context = carried("x", **{"aws:resourceaccount": account})
    request = Request(action, thing, context, KEYS)
    assert decide(Policies(resource=policy), request).allowed is allowed
    unknown = needs.production(()).resources["S3Endpoint"].properties["PolicyDocument"]
    assert not decide(Policies(resource=unknown), request).allowed


# --- what a release recorded ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["prod.json", "prod-configuration.json"])
@pytest.mark.parametrize(("condition", "allowed"), [({"s3:if-none-match": "*"}, True), ({}, False)])
def test_whoever_it_is_writes_a_deployment_once(name, condition, allowed):
    thing = f"{DATA}/releases/r/deployment/{name}"
    policy = resource_policy(thing)
    for role in ("BuildRole", None):
        arn = PROJECT.resources[role].arn if role else f"arn:aws:iam::{PROJECT_ACCOUNT}:role/Admin"
        own = tuple(identity_documents(PROJECT, role)) if role else EVERYTHING.identity
        context = carried(arn, PROJECT_ACCOUNT, **condition)
        request = Request("s3:PutObject", thing, context, KEYS)
        assert decide(Policies(own, resource=policy), request).allowed is allowed
