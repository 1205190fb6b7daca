"""What a function, or one of its versions, is made of; and what Lambda refuses to be given.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local_cloud.actions import Need
from local_cloud.errors import LocalCloudError, TrustError, UnsupportedError
from local_cloud.images import Image, ImageNotFoundError, Registry
from local_cloud.json_api import ApiError, Parameters, refuse_others
from local_cloud.lambda_functions import file_systems
from local_cloud.policies import Request, statement_matches, statements

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud
    from local_cloud.iam import Identity

__all__ = ["PRINCIPAL", "SETTINGS", "check", "pull", "with_defaults"]

PRINCIPAL = "lambda.amazonaws.com"

#: Members of a request that are kept, under the same names, in every version.
SETTINGS = (
    "Architectures", "Description", "Environment", "EphemeralStorage", "FileSystemConfigs",
    "ImageConfig", "KMSKeyArn", "LoggingConfig", "MemorySize", "Role", "Timeout", "VpcConfig",
)  # fmt: skip

#: Variables that Lambda sets itself.
#: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_RESERVED = frozenset(
    {
        "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT", "_HANDLER", "_X_AMZN_TRACE_ID",
    }
)  # fmt: skip
_MOST_ENVIRONMENT_BYTES = 4096
_RANGES = {"MemorySize": (128, 10_240), "Timeout": (1, 900)}

_WHERE = "lambda function"
#: What is known besides the settings, and asks for nothing that is not here.
_HARMLESS = {
    "Code", "FunctionName", "ImageUri", "PackageType", "Publish", "RevisionId", "SnapStart",
    "Tags", "TracingConfig",
}  # fmt: skip


def with_defaults(name: str, asked: Parameters) -> dict[str, Any]:
    """The settings of a new function, with what AWS falls back to."""
    log_group = f"/aws/lambda/{name}"
    given = {key: asked[key] for key in SETTINGS if key in asked}
    return {
        "Architectures": ["x86_64"],
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "MemorySize": 128,
        "Timeout": 3,
        **given,
        "LoggingConfig": {
            "LogFormat": "Text",
            "LogGroup": log_group,
            **given.get("LoggingConfig", {}),
        },
    }


def check(cloud: LocalCloud, function_arn: str, settings: Parameters, asked: Parameters) -> None:
    """Refuse what AWS refuses, and what is not here.

    Parameters
    ----------
    cloud
        The account.
    function_arn
        Of the function.
    settings
        The settings that the function is to have.
    asked
        The request that they come from.

    Raises
    ------
    ApiError
        In AWS's words.
    UnsupportedError
        For what AWS can do and the local cloud cannot.
    """
    _refuse(asked)
    for name, (least, greatest) in _RANGES.items():
        if not least <= settings[name] <= greatest:
            raise _invalid_value(name, settings[name], least, greatest)
    _check_environment(settings.get("Environment", {}).get("Variables", {}))
    _check_role(cloud, function_arn, settings)
    file_systems.mounts(cloud, settings)


def _refuse(asked: Parameters) -> None:
    refuse_others(_WHERE, asked, {*SETTINGS, *_HARMLESS})
    if asked.get("PackageType", "Image") != "Image":
        raise UnsupportedError(
            _WHERE,
            f"PackageType {asked['PackageType']}",
            "functions are container images here",
            "Give PackageType Image and Code.ImageUri",
        )
    refuse_others(f"{_WHERE}: Code", asked.get("Code", {}), {"ImageUri"})
    _refuse_other(asked, "TracingConfig", "Mode", "PassThrough")
    _refuse_other(asked, "SnapStart", "ApplyOn", "None")
    _refuse_other(asked, "LoggingConfig", "LogFormat", "Text")


def _refuse_other(asked: Parameters, name: str, member: str, supported: str) -> None:
    found = asked.get(name, {}).get(member, supported)
    if found != supported:
        raise UnsupportedError(_WHERE, f"{name}.{member} {found}", f"{supported} is supported")


def _invalid_value(name: str, value: int, least: int, greatest: int) -> ApiError:
    member = f"{name[0].lower()}{name[1:]}"
    bound = f"less than or equal to {greatest}" if value > greatest else (
        f"greater than or equal to {least}"
    )  # fmt: skip
    return ApiError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint:"
        f" Member must have value {bound}",
    )


def _check_environment(variables: Mapping[str, str]) -> None:
    reserved = sorted(_RESERVED & set(variables))
    if reserved:
        raise ApiError(
            "InvalidParameterValueException",
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            f"for modification. Reserved keys used in this request: {', '.join(reserved)}",
        )
    size = sum(len(f"{name}{value}".encode()) for name, value in variables.items())
    if size > _MOST_ENVIRONMENT_BYTES:
        raise ApiError(
            "InvalidParameterValueException",
            "Lambda was unable to configure your environment variables because the environment "
            f"variables you have provided exceeded the 4KB limit. ({size} bytes)",
        )


def _check_role(cloud: LocalCloud, function_arn: str, settings: Parameters) -> None:
    role_arn = settings["Role"]
    try:
        cloud.account.check_trust(role_arn, PRINCIPAL, function_arn)
    except TrustError as error:
        raise ApiError(
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ) from error
    if not settings.get("VpcConfig", {}).get("SubnetIds"):
        return
    interfaces = f"arn:aws:ec2:{cloud.region}:{cloud.account_id}:network-interface/*"
    try:
        role = cloud.account.identity_of(role_arn)
        cloud.account.check(role, [Need("ec2:CreateNetworkInterface", interfaces)])
    except LocalCloudError as error:
        if isinstance(error, UnsupportedError):
            raise
        raise ApiError(
            "InvalidParameterValueException",
            "The provided execution role does not have permissions to call "
            "CreateNetworkInterface on EC2",
        ) from error


# ------------------------------------------------------------------------------ images


def pull(cloud: LocalCloud, function_arn: str, image_uri: str, identity: Identity) -> Image:
    """The image that a function is made of.

    Parameters
    ----------
    cloud
        The account.
    function_arn
        Of the function, for which Lambda pulls.
    image_uri
        Which image.
    identity
        Who wants it.

    Raises
    ------
    ApiError
        When it does not exist, or neither the repository's policy nor the caller lets Lambda pull.
    """
    try:
        image = Registry(cloud).resolve(image_uri)
    except ImageNotFoundError as error:
        raise ApiError(
            "InvalidParameterValueException",
            f"Source image {image_uri} does not exist. Provide a valid source image.",
        ) from error
    repository = image_uri.partition("/")[2].partition("@")[0].partition(":")[0]
    is_open = _lets_lambda_pull(cloud, function_arn, repository)
    if not (is_open or _may_let(cloud, repository, identity)):
        raise ApiError(
            "AccessDeniedException",
            "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
        )
    return image


_PULLING = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def _lets_lambda_pull(cloud: LocalCloud, function_arn: str, repository: str) -> bool:
    client = cloud.client("ecr")
    try:
        answer = client.get_repository_policy(repositoryName=repository)
    except client.exceptions.RepositoryPolicyNotFoundException:
        return False
    arn = f"arn:aws:ecr:{cloud.region}:{cloud.account_id}:repository/{repository}"
    context = {"aws:sourceaccount": (cloud.account_id,), "aws:sourcearn": (function_arn,)}
    found = [
        # A repository's policy is about the repository, without saying so.
        {"Resource": "*", **statement}
        for statement in statements(answer["policyText"])
        if statement["Effect"] == "Allow"
    ]
    return all(
        any(
            statement_matches(statement, Request(action, arn, context, principals=_LAMBDA))
            for statement in found
        )
        for action in _PULLING
    )


_LAMBDA = frozenset({PRINCIPAL})


def _may_let(cloud: LocalCloud, repository: str, identity: Identity) -> bool:
    """Whether the caller may change the repository's policy: Lambda then does it for them."""
    arn = f"arn:aws:ecr:{cloud.region}:{cloud.account_id}:repository/{repository}"
    actions = ("ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy")
    try:
        cloud.account.check(identity, [Need(action, arn) for action in actions])
    except UnsupportedError:
        raise
    except LocalCloudError:
        return False
    return True
