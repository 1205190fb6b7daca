"""The functions of image 2: what answers the API, what prepares a release, what guards it.

A release is a *version* of the API's function: its configuration, which names the release, and its
image can never change again. The version is made when the release's assets are in their place, and
traffic comes to it only through the alias ``live``.

What each function is told stands in ``api/environment.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import CfnResource, Fn
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infrastructure import production_permissions as permissions
from infrastructure.parameters import image_uri, number, parameter
from infrastructure.production_network import Network
from infrastructure.production_release import Release

__all__ = ["MOST_INSTANCES", "Functions", "log_group", "make_functions"]

MOST_INSTANCES = 1_000
"""Rows of one request, at most."""

_ASSETS_DIR = "/mnt/assets"
_ASSETS_SECONDS = 300
_ASSETS_MB = 1_024
_GUARD_SECONDS = 900  # the longest that Lambda runs anything
_GUARD_MB = 512
# CloudFormation would wait for an hour for the answer of a function that crashed.
_OVERHEAD_SECONDS = 60
_RETENTION_DAYS = 90


@dataclass(frozen=True)
class Functions:
    """What traffic is moved to, and what guards it."""

    version: lambda_.CfnVersion
    before: lambda_.CfnFunction
    after: lambda_.CfnFunction
    check: CfnResource
    """There when the release does what it must: nothing else asks about a project's first one.
    Gone when nobody needs the release any more."""


def make_functions(
    scope: Construct, release: Release, network: Network, endpoint_name: str, archive: str
) -> Functions:
    """Return the functions; `endpoint_name` is asked for predictions, `archive` is the model."""
    image = image_uri(scope, "ApiImageUri", "Image of the functions, by digest.")
    place = _Place.declare(scope, network)
    serving = {
        "PROJECT_KEY": release.project.name,
        "RELEASE": release.id,
        "SERVING": release.serving,
        "ENDPOINT_NAME": endpoint_name,
    }
    assets = _assets_function(scope, release, place, image)
    prepared = _custom_resource(
        scope, "ReleaseAssets", assets, _ASSETS_SECONDS, Release=release.id, ModelDataUrl=archive
    )
    # The SDK's own variable (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
    asked = {**serving, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": network.runtime_url}
    function = _api_function(scope, release, place, image, asked)
    version = lambda_.CfnVersion(
        scope,
        "ApiVersion",
        function_name=function.ref,
        # Another text is another version; the old one goes when the update is over.
        description=f"Release {release.id}",
    )
    version.add_resource_dependency(prepared)
    before, after = _guards(scope, release, image, serving, version)
    check = _custom_resource(
        scope,
        "ReleaseCheck",
        before,
        _GUARD_SECONDS,
        Release=release.id,
        Version=version.ref,
        TimeoutSeconds=Fn.ref("ApiTimeoutSeconds"),
        # Named, so that they are deleted after the check. DependsOn cannot, for what is there
        # conditionally.
        Endpoint=endpoint_name,
        Way=network.runtime_url,
    )
    return Functions(version, before, after, check)


def log_group(scope: Construct, release: Release, name: str, group_name: str) -> logs.CfnLogGroup:
    """Return the log group `group_name`, encrypted, kept for three months."""
    return logs.CfnLogGroup(
        scope,
        name,
        log_group_name=group_name,
        retention_in_days=_RETENTION_DAYS,
        kms_key_id=release.project.key_arn,
    )


# --- each function ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where functions run that need the releases' assets, and where those are."""

    placement: lambda_.CfnFunction.VpcConfigProperty
    file_system_arn: str
    access_point_arn: str

    @classmethod
    def declare(cls, scope: Construct, network: Network) -> _Place:
        known = {}
        for name, kind, description in (
            ("FileSystemArn", "file-system", "The file system of the project."),
            ("AccessPointArn", "access-point", "Its folder with the releases' assets."),
        ):
            known[name] = parameter(
                scope,
                name,
                description,
                pattern=f"arn:[a-z-]+:elasticfilesystem:[a-z0-9-]+:[0-9]{{12}}:{kind}/[a-z0-9-]+",
                required=f"the ARN of a {kind}",
                length=256,
            )
        return cls(network.placement, known["FileSystemArn"], known["AccessPointArn"])

    @property
    def mount(self) -> lambda_.CfnFunction.FileSystemConfigProperty:
        return lambda_.CfnFunction.FileSystemConfigProperty(
            arn=self.access_point_arn, local_mount_path=_ASSETS_DIR
        )


def _api_function(
    scope: Construct,
    release: Release,
    place: _Place,
    image: str,
    serving: Mapping[str, str],
) -> lambda_.CfnFunction:
    memory = number(scope, "ApiMemoryMb", "Of the API's function.", least=512, most=10_240)
    timeout = number(scope, "ApiTimeoutSeconds", "Longest for a request.", least=3, most=29)
    role = permissions.api_role(scope, release, place.file_system_arn, place.access_point_arn)
    return lambda_.CfnFunction(
        scope,
        "ApiFunction",
        function_name=release.api_name,
        description="Answers requests to the prediction API",
        package_type="Image",
        code=_code(image),
        image_config=_command("api.app.handler"),
        role=role.role_arn,
        memory_size=memory,
        timeout=timeout,
        vpc_config=place.placement,
        file_system_configs=[place.mount],
        logging_config=_log(scope, release, "api"),
        environment=_variables(
            serving,
            ASSETS_DIR=_ASSETS_DIR,
            TIMEOUT_SECONDS=Fn.ref("ApiTimeoutSeconds"),
            MAX_INSTANCES=str(MOST_INSTANCES),
        ),
    )


def _assets_function(
    scope: Construct, release: Release, place: _Place, image: str
) -> lambda_.CfnFunction:
    role = permissions.assets_role(scope, release, place.file_system_arn, place.access_point_arn)
    return lambda_.CfnFunction(
        scope,
        "AssetsFunction",
        function_name=f"{release.project.name}-assets",
        description="Puts a release's assets where the API's function reads them",
        package_type="Image",
        code=_code(image),
        image_config=_command("api.assets.handler"),
        role=role.role_arn,
        memory_size=_ASSETS_MB,
        timeout=_ASSETS_SECONDS,
        vpc_config=place.placement,
        file_system_configs=[place.mount],
        logging_config=_log(scope, release, "assets"),
        environment=_variables(
            {},
            PROJECT_KEY=release.project.name,
            DATA_BUCKET=release.project.bucket,
            ASSETS_DIR=_ASSETS_DIR,
            AUTH=Fn.ref("ApiAuth"),
            MAX_INSTANCES=str(MOST_INSTANCES),
        ),
    )


def _guards(
    scope: Construct,
    release: Release,
    image: str,
    serving: Mapping[str, str],
    version: lambda_.CfnVersion,
) -> list[lambda_.CfnFunction]:
    """Return what asks the version before traffic comes to it, and the alias afterwards."""
    budgets = _budgets(scope)
    role = permissions.guard_role(scope, release)
    return [
        lambda_.CfnFunction(
            scope,
            f"{name.capitalize()}Hook",
            # CodeDeploy wants this beginning.
            function_name=f"CodeDeployHook_{release.project.name}-{name}",
            description=f"Checks a release {name} traffic has moved to it",
            package_type="Image",
            code=_code(image),
            image_config=_command("api.checks.handler"),
            role=role.role_arn,
            memory_size=_GUARD_MB,
            timeout=_GUARD_SECONDS,
            logging_config=_log(scope, release, name),
            environment=_variables(
                {**serving, **budgets},
                DATA_BUCKET=release.project.bucket,
                GUARD=name,
                FUNCTION=asked,
                TOPIC_ARN=release.topic_arn,
            ),
        )
        for name, asked in (("before", version.ref), ("after", release.alias_arn))
    ]


def _budgets(scope: Construct) -> dict[str, str]:
    """Return the guards' variables about latency, each a parameter of the template."""
    number(scope, "CheckRequests", "How many measure the latency.", least=10, most=1_000)
    number(scope, "CheckP50Ms", "Most for half of them.", least=0, most=60_000)
    number(scope, "CheckP99Ms", "Most for 99 of 100 of them.", least=0, most=60_000)
    return {
        "LATENCY_REQUESTS": Fn.ref("CheckRequests"),
        "LATENCY_P50_MS": Fn.ref("CheckP50Ms"),
        "LATENCY_P99_MS": Fn.ref("CheckP99Ms"),
    }


# --- parts of a function ------------------------------------------------------------------------


def _code(image: str) -> lambda_.CfnFunction.CodeProperty:
    return lambda_.CfnFunction.CodeProperty(image_uri=image)


def _command(handler: str) -> lambda_.CfnFunction.ImageConfigProperty:
    return lambda_.CfnFunction.ImageConfigProperty(command=[handler])


def _log(
    scope: Construct, release: Release, name: str
) -> lambda_.CfnFunction.LoggingConfigProperty:
    group = log_group(
        scope,
        release,
        f"{name.capitalize()}Log",
        f"/aws/lambda/{release.project.name}-{name}",
    )
    return lambda_.CfnFunction.LoggingConfigProperty(log_group=group.ref)


def _variables(common: Mapping[str, str], **own: str) -> lambda_.CfnFunction.EnvironmentProperty:
    return lambda_.CfnFunction.EnvironmentProperty(variables={**common, **own})


def _custom_resource(
    scope: Construct, name: str, function: lambda_.CfnFunction, seconds: int, **properties: str
) -> CfnResource:
    """Return what is there when `function`, which may take `seconds`, has said so."""
    return CfnResource(
        scope,
        name,
        type=f"Custom::{name}",
        properties={
            "ServiceToken": function.attr_arn,
            "ServiceTimeout": seconds + _OVERHEAD_SECONDS,
            **properties,
        },
    )
