"""Who creates a project may do what that takes, no more, and nothing of others."""

import dataclasses
import functools

import pytest
from cfn import needs, workflow
from cfn.evaluation import ACCOUNT, EXPORTS, REGION
from cfn.requests import KEYS, PROJECT_TAG, requests
from cfn.statements import as_list, documents, identity_documents

from local_cloud.policies import Policies, Request, decide, statement_matches

LAUNCH = (
    "LaunchRole",
    "LaunchNetworkPolicy",
    "LaunchStoragePolicy",
    "LaunchPipelinePolicy",
    "LaunchRolesPolicy",
)
STUDIO = needs.studio(OtherAccounts=needs.PROJECT_ACCOUNT)
BOUNDARY = STUDIO.resources["PermissionsBoundary"].properties["PolicyDocument"]
DEPLOY_BOUNDARY = needs.studio().resources["DeployBoundary"].properties["PolicyDocument"]
PROJECT = needs.project(Production="yes")


def launch_policies():
    return Policies(identity=tuple(identity_documents(needs.studio(), *LAUNCH)))


def deploy_policies(role):
    return Policies(identity=tuple(identity_documents(PROJECT, role)), boundary=DEPLOY_BOUNDARY)


LAUNCH_ROLE = EXPORTS["mlsystem-launch-role"]


def everything_needed(stacks):
    """Yield stack, resource, handler and action."""
    for stack in stacks:
        for resource in stack.resources.values():
            for handler, actions in needs.needed(resource).items():
                for action in sorted(actions):
                    yield stack, resource, handler, action


def key_policies():
    """Return the policies of the keys, by ARN."""
    return {
        resource.arn: resource.properties["KeyPolicy"]
        for stack in (needs.studio(), needs.project())
        for resource in stack.of_type("AWS::KMS::Key")
    }


def is_allowed(policies, role_arn, request, context=None):
    """Whether role and, for a key, the key's policy allow a request."""
    request = dataclasses.replace(
        request,
        context={**request.context, "aws:principalarn": (role_arn,), **(context or {})},
        principals=frozenset({role_arn}),
        accounts=frozenset({f"arn:aws:iam::{ACCOUNT}:root"}),
    )
    key_policy = key_policies().get(request.resource)
    if key_policy is not None:
        policies = dataclasses.replace(policies, resource=key_policy, resource_decides=True)
    return decide(policies, request).allowed


def refused(policies, role_arn, stacks, context=None):
    """Return what is refused of what the stacks need."""
    return sorted(
        {
            f"{handler} {resource.logical_id}: {action} on {request.resource}"
            for stack, resource, handler, action in everything_needed(stacks)
            for request in requests(stack, resource, handler, action, needs.project())
            if not is_allowed(policies, role_arn, request, context)
        }
    )


# --- the launch role ----------------------------------------------------------------------------


def test_the_launch_role_may_do_what_a_project_takes():
    assert refused(launch_policies(), LAUNCH_ROLE, needs.projects()) == []


def test_the_launch_role_may_do_nothing_else():
    allowed = {
        action
        for document in launch_policies().identity
        for statement in document["Statement"]
        for action in as_list(statement["Action"])
        if not action.startswith("cloudformation:")  # the stack itself
    }
    needed = {action for _, _, _, action in everything_needed(needs.projects())}
    assert sorted(allowed - needed) == []


def statements_of_launch():
    return [
        (name, statement["Sid"], statement)
        for name in LAUNCH[1:]  # of LaunchRole itself: what Service Catalog asks for, no handler
        for document in identity_documents(needs.studio(), name)
        for statement in document["Statement"]
    ]


@functools.cache
def matched_by_one():
    """Return the statements that alone allow something that a project takes."""
    statements = statements_of_launch()
    found = set()
    for stack, resource, handler, action in everything_needed(needs.projects()):
        for request in requests(stack, resource, handler, action):
            names = [
                (name, sid) for name, sid, body in statements if statement_matches(body, request)
            ]
            if len(names) == 1:
                found.add(names[0])
    return found


@pytest.mark.parametrize(("name", "sid"), [entry[:2] for entry in statements_of_launch()])
def test_without_any_one_statement_something_is_refused(name, sid):
    """The test above can fail: each statement is there for something."""
    assert (name, sid) in matched_by_one()


def of(service, rest):
    """Return the ARN of something in this account."""
    region = "" if service == "iam" else REGION
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{rest}"


BOUNDARY_ARN = EXPORTS["mlsystem-permissions-boundary"]
BOUNDED = {"iam:permissionsboundary": BOUNDARY_ARN}
STRANGERS = [
    ("s3:DeleteBucket", "arn:aws:s3:::somebody-elses", {}),
    ("s3:GetObject", "arn:aws:s3:::churn-p-8up2y4ihhnzd-data/data/a.csv", {}),
    ("iam:CreateRole", of("iam", "role/mlsystem/a/b"), {}),
    ("iam:PutRolePolicy", of("iam", "role/Admin"), BOUNDED),
    ("iam:PassRole", of("iam", "role/Admin"), {"iam:passedtoservice": "codebuild.amazonaws.com"}),
    ("iam:PassRole", of("iam", "role/mlsystem/a/b"), {"iam:passedtoservice": "ec2.amazonaws.com"}),
    ("iam:CreatePolicyVersion", BOUNDARY_ARN, {}),
    ("iam:UpdateAssumeRolePolicy", LAUNCH_ROLE, {}),
    ("ec2:DeleteVpc", of("ec2", "vpc/theirs"), {}),
    ("ec2:CreateVpc", of("ec2", "vpc/untagged"), {}),
    ("ec2:CreateSubnet", of("ec2", "vpc/theirs"), {}),
    ("elasticfilesystem:DeleteFileSystem", of("elasticfilesystem", "file-system/theirs"), {}),
    ("kms:ScheduleKeyDeletion", of("kms", "key/theirs"), {}),
    ("kms:PutKeyPolicy", of("kms", "key/theirs"), {}),
    ("kms:Decrypt", of("kms", "key/theirs"), {"kms:viaservice": f"s3.{REGION}.amazonaws.com"}),
    ("codepipeline:DeletePipeline", of("codepipeline", "theirs"), {}),
    ("codecommit:DeleteRepository", of("codecommit", "theirs"), {}),
    ("cloudformation:DeleteStack", of("cloudformation", "stack/theirs/1"), {}),
]


@pytest.mark.parametrize(("action", "arn", "context"), STRANGERS)
def test_the_launch_role_may_nothing_with_what_is_not_a_projects(action, arn, context):
    carried = {key: (value,) for key, value in context.items()}
    assert not is_allowed(launch_policies(), LAUNCH_ROLE, Request(action, arn, carried, KEYS))


# --- the deploy role and the boundary -----------------------------------------------------------

EVERYTHING = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
OWN = {f"aws:principaltag/{PROJECT_TAG}": (workflow.KEY,)}


WORKFLOW, DEV, *PRODUCTION = (
    workflow.stack(name, **more)
    for name, more in (
        ("workflow", {}), ("dev", {}), ("prod", {}), ("prod", workflow.OTHERWISE),
    )
)  # fmt: skip
DEPLOYED = {"DeployRole": (WORKFLOW, DEV), "ProductionRole": PRODUCTION}


@pytest.mark.parametrize("role", DEPLOYED)
def test_a_deploy_role_may_do_what_its_stacks_take(role):
    arn = PROJECT.resources[role].arn
    assert refused(deploy_policies(role), arn, DEPLOYED[role], OWN) == []


@pytest.mark.parametrize("path", ["restapis", "apikeys", "usageplans", "tags/arn%3Aaws"])
def test_an_api_is_made_with_the_projects_tag_alone(path):
    action = "apigateway:PUT" if path.startswith("tags") else "apigateway:POST"
    arn = f"arn:aws:apigateway:{REGION}::/{path}"
    for value, allowed in ((workflow.KEY, True), (OTHER, False), (None, False)):
        tag = {} if value is None else {f"aws:requesttag/{PROJECT_TAG}": (value,)}
        request = Request(action, arn, {**OWN, **tag}, KEYS)
        assert decide(deploy_policies("ProductionRole"), request).allowed is allowed


def test_the_production_role_may_do_nothing_else():
    allowed = {
        action
        for document in deploy_policies("ProductionRole").identity
        for statement in document["Statement"]
        for action in as_list(statement["Action"])
    }
    needed = {action for _, _, _, action in everything_needed(PRODUCTION)}
    assert sorted(allowed - needed) == []


@pytest.mark.parametrize(
    ("action", "thing"),
    [
        (
            "sagemaker:DeleteEndpoint",
            f"sagemaker:{REGION}:{ACCOUNT}:endpoint/{workflow.KEY}-prod-r",
        ),
        ("sagemaker:DeleteModel", f"sagemaker:{REGION}:{ACCOUNT}:model/{workflow.KEY}-prod-r"),
        ("lambda:UpdateAlias", f"lambda:{REGION}:{ACCOUNT}:function:{workflow.KEY}-api"),
    ],
)
def test_what_deploys_dev_touches_nothing_of_production(action, thing):
    request = Request(action, f"arn:aws:{thing}", OWN, KEYS)
    assert not decide(deploy_policies("DeployRole"), request).allowed
    if action != "lambda:UpdateAlias":
        assert decide(deploy_policies("ProductionRole"), request).allowed


def grants():
    """Yield what the policies of a project's roles allow, one action on one thing at a time."""
    for stack in (*needs.projects(), *workflow.stacks()):
        for document in documents(stack):
            if document.kind != "identity":
                continue
            for statement in document.statements():
                if statement["Effect"] == "Deny":
                    continue
                for action in as_list(statement["Action"]):
                    for arn in as_list(statement["Resource"]):
                        yield document, action, arn, statement.get("Condition", {})


def test_the_boundary_and_the_key_take_nothing_from_a_projects_roles():
    taken = set()
    for document, action, arn, conditions in grants():
        boundary = _boundary_of(document.resource)
        policies = Policies(identity=(EVERYTHING,), boundary=boundary)
        thing = arn if arn == "*" else arn.replace("*", "x")
        context = {**OWN, **_satisfying(conditions)}
        if action.startswith("kms:") or boundary is DEPLOY_BOUNDARY:
            context[f"aws:resourcetag/{PROJECT_TAG}"] = (workflow.KEY,)
        if action == "sts:AssumeRole":
            context["aws:resourceaccount"] = (needs.PROJECT_ACCOUNT,)
        if action.startswith("elasticfilesystem:Client"):
            context["elasticfilesystem:accessedviamounttarget"] = ("true",)
        request = Request(action, thing, context, KEYS)
        if not is_allowed(policies, document.resource.arn, request):
            taken.add(f"{document.where}: {action} on {arn}")
    assert sorted(taken) == []


def _boundary_of(role):
    named = role.properties["PermissionsBoundary"]
    return DEPLOY_BOUNDARY if "deploy" in named else BOUNDARY


def _satisfying(conditions):
    return {
        key.lower(): (str(as_list(values)[0]).replace("*", "x"),)
        for block in conditions.values()
        for key, values in block.items()
    }


@pytest.mark.parametrize(
    ("action", "service", "is_for_aws", "allowed"),
    [
        ("kms:Decrypt", "s3", "false", True),
        ("kms:Decrypt", "ec2", "false", False),
        ("kms:CreateGrant", "sagemaker", "true", True),
        ("kms:CreateGrant", "sagemaker", "false", False),
        ("kms:CreateGrant", "s3", "true", False),
    ],
)
def test_others_use_the_key_through_services_and_grant_it_to_sagemaker_alone(
    action, service, is_for_aws, allowed
):
    context = {
        "kms:viaservice": (f"{service}.{REGION}.amazonaws.com",),
        "kms:grantisforawsresource": (is_for_aws,),
    }
    request = Request(action, PROJECT.resources["Key"].arn, context, KEYS)
    anybody = Policies(identity=(EVERYTHING,))
    assert is_allowed(anybody, of("iam", "role/Anybody"), request) is allowed


OTHER = "other-p-000000000000"
BEYOND = [
    ("s3:GetObject", f"arn:aws:s3:::{OTHER}-data/data/a.csv"),
    ("s3:PutBucketPolicy", "arn:aws:s3:::templates"),
    ("sagemaker:DeleteEndpoint", of("sagemaker", f"endpoint/{OTHER}-dev")),
    ("codecommit:GitPush", of("codecommit", f"{OTHER}")),
    ("iam:CreateRole", of("iam", f"role/mlsystem/{workflow.KEY}/x")),
    ("iam:CreateRole", of("iam", f"role/mlsystem/{OTHER}/x")),
    ("iam:DeleteRolePermissionsBoundary", of("iam", f"role/mlsystem/{workflow.KEY}/x")),
    ("iam:CreatePolicyVersion", BOUNDARY_ARN),
    ("iam:CreateUser", of("iam", "user/x")),
    ("iam:PassRole", of("iam", "role/Admin")),
    ("sts:AssumeRole", of("iam", "role/Admin")),
    ("kms:Decrypt", of("kms", "key/theirs")),
    ("secretsmanager:GetSecretValue", of("secretsmanager", "secret:x")),
    ("ec2:RunInstances", "*"),
    ("lambda:CreateFunction", of("lambda", "function:x")),
    ("lambda:UpdateAlias", of("lambda", f"function:{OTHER}-api")),
    ("lambda:InvokeFunction", of("lambda", f"function:CodeDeployHook_{OTHER}-before")),
    ("codedeploy:CreateDeployment", of("codedeploy", f"deploymentgroup:{OTHER}-prod/x")),
    ("cloudwatch:DeleteAlarms", of("cloudwatch", f"alarm:{OTHER}-prod-x")),
    ("apigateway:DELETE", f"arn:aws:apigateway:{REGION}::/restapis/theirs"),
    ("ec2:DeleteSecurityGroup", of("ec2", "security-group/theirs")),
    ("organizations:LeaveOrganization", "*"),
]


@pytest.mark.parametrize(("action", "arn"), BEYOND)
@pytest.mark.parametrize("boundary", [BOUNDARY, DEPLOY_BOUNDARY], ids=["roles", "deployments"])
def test_an_administrator_within_a_boundary_reaches_one_project_alone(boundary, action, arn):
    policies = Policies(identity=(EVERYTHING,), boundary=boundary)
    assert not decide(policies, Request(action, arn, OWN, KEYS)).allowed


def test_a_role_cannot_be_tagged_into_another_project():
    policies = Policies(identity=(EVERYTHING,), boundary=DEPLOY_BOUNDARY)
    role = of("iam", f"role/mlsystem/{workflow.KEY}/x")
    for value, allowed in ((workflow.KEY, True), (OTHER, False)):
        context = {**OWN, f"aws:requesttag/{PROJECT_TAG}": (value,)}
        assert decide(policies, Request("iam:TagRole", role, context, KEYS)).allowed is allowed


@pytest.mark.parametrize("boundary", [BOUNDARY, DEPLOY_BOUNDARY], ids=["roles", "deployments"])
def test_a_role_without_the_tag_reaches_no_project(boundary):
    policies = Policies(identity=(EVERYTHING,), boundary=boundary)
    for arn in (f"arn:aws:s3:::{workflow.KEY}-data/x", "arn:aws:s3:::-x/x"):
        request = Request("s3:GetObject", arn, {}, KEYS | {"aws:principaltag/*"})
        assert not decide(policies, request).allowed
