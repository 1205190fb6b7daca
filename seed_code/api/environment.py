"""What each function of image 2 is given: the contract with ``infrastructure``.

=================== ================= ======================= =====================================
function            handler (CMD)     called by               where
=================== ================= ======================= =====================================
API                 api.app.handler   API Gateway, the guards private subnets, EFS mounted
release's assets    api.assets        ``Custom::ReleaseAssets`` private subnets, EFS mounted
                    .handler
guard before        api.checks        ``Custom::ReleaseCheck``, outside: calls AWS's services
                    .handler          CodeDeploy
guard after         api.checks        CodeDeploy              outside: calls AWS's services
                    .handler
=================== ================= ======================= =====================================

Variables
---------
Of the API: ``PROJECT_KEY``, ``RELEASE``, ``SERVING`` (``endpoint`` or ``lambda``),
``ENDPOINT_NAME`` (with ``endpoint``), ``ASSETS_DIR`` (where EFS is mounted), ``TIMEOUT_SECONDS``
(the function's own timeout, 3 or more: the endpoint gets 2 less), ``MAX_INSTANCES`` (most rows of a
request: ``maxItems`` of the gateway's schema, for all media types). With ``endpoint`` the SDK reads
``AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME``: the way to it.

Of the assets: ``PROJECT_KEY``, ``DATA_BUCKET``, ``ASSETS_DIR``, ``AUTH`` (``iam`` or ``key``) and
``MAX_INSTANCES``, for the OpenAPI document.

Of the guards: ``PROJECT_KEY``, ``RELEASE``, ``SERVING``, ``ENDPOINT_NAME`` (with ``endpoint``),
``DATA_BUCKET``, ``GUARD`` (``before`` or ``after``), ``FUNCTION`` (what is asked: ``before`` the
ARN of the new version, ``after`` the ARN of the alias), ``TOPIC_ARN`` (told when a guard fails),
``LATENCY_REQUESTS``, ``LATENCY_P50_MS``, ``LATENCY_P99_MS`` (budgets from project.yml).

Custom resources
----------------
``Custom::ReleaseAssets``: ``Release``; ``ModelDataUrl``, the archive that the model is made of
(``s3://<bucket>/<key>``). Its id is ``releases/<release>``, the folder below ``ASSETS_DIR``;
attributes ``Folder`` and ``OnnxSha256``. Another release is a replacement: the folder of the old
one goes in CloudFormation's clean-up, when nobody is sent to the old version any more.

``Custom::ReleaseCheck``: ``Release``. Checks when it is created; later CodeDeploy's hooks do.

Permissions
-----------
API: ``sagemaker:InvokeEndpoint`` on its endpoint; ``elasticfilesystem:ClientMount``.

Assets: ``s3:GetObject`` on ``releases/*`` and ``s3:PutObject`` on ``releases/*/deployment/*`` of
the data bucket; its key (``kms:Decrypt``, ``kms:GenerateDataKey``);
``elasticfilesystem:ClientMount`` and ``ClientWrite``. Being in the VPC it answers CloudFormation
through the gateway endpoint of S3, whose policy must let it put to
``cloudformation-custom-resource-response-*``.

Guards: ``sagemaker:DescribeEndpoint``, ``sagemaker:DescribeEndpointConfig``;
``lambda:InvokeFunction`` on the version and the alias; of the data bucket ``s3:GetObject`` on
``releases/*``, ``s3:ListBucket`` with that prefix, ``s3:PutObject`` on ``releases/*/deployment/*``;
its key; ``sns:Publish``; ``codedeploy:PutLifecycleEventHookExecutionStatus``.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from mlsystem.errors import UserError

__all__ = [
    "SYNTHETIC",
    "ApiEnvironment",
    "AssetsEnvironment",
    "Auth",
    "Guard",
    "GuardEnvironment",
    "Serving",
    "read",
]

Serving = Literal["endpoint", "lambda"]
Guard = Literal["before", "after"]
Auth = Literal["iam", "key"]

SYNTHETIC = "synthetic-"
"""Inference ids of requests that nobody's business depends on begin so: what watches the model
leaves their captured records out."""

_FIX = "infrastructure/production.py sets it"


@dataclass(frozen=True)
class ApiEnvironment:
    """Of the API. A field is the variable of its name, in upper case."""

    project_key: str
    release: str
    serving: Serving
    endpoint_name: str
    """Empty when the function itself answers."""
    assets_dir: Path
    timeout_seconds: int
    max_instances: int

    @property
    def folder(self) -> Path:
        """Where the release's assets are."""
        return self.assets_dir / "releases" / self.release


@dataclass(frozen=True)
class AssetsEnvironment:
    """Of the function that prepares releases' assets."""

    project_key: str
    data_bucket: str
    assets_dir: Path
    auth: Auth
    max_instances: int


@dataclass(frozen=True)
class GuardEnvironment:
    """Of a guard."""

    project_key: str
    release: str
    serving: Serving
    endpoint_name: str
    """Empty when the function itself answers."""
    data_bucket: str
    guard: Guard
    function: str
    topic_arn: str
    latency_requests: int
    latency_p50_ms: float
    latency_p99_ms: float


E = TypeVar("E", ApiEnvironment, AssetsEnvironment, GuardEnvironment)


def read(kind: type[E], variables: Mapping[str, str]) -> E:
    """Return the environment of that `kind`.

    Raises
    ------
    UserError
        A variable is missing, empty, or not what it must be.
    """
    kinds = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    if variables.get("SERVING") == "lambda" and "endpoint_name" in names:
        variables = {**variables, "ENDPOINT_NAME": ""}
        names.remove("endpoint_name")
    for name in names:
        if not variables.get(name.upper()):
            raise UserError(f"environment variable {name.upper()}", "not set", "a value", _FIX)
    return kind(**{name: _value(name, kind_, variables) for name, kind_ in kinds.items()})


def _value(name: str, kind: Any, variables: Mapping[str, str]) -> Any:
    variable = name.upper()
    text, choices = variables[variable], typing.get_args(kind)
    if choices:
        if text not in choices:
            raise UserError(f"environment variable {variable}", repr(text), " or ".join(choices))
        return text
    convert: Callable[[str], Any] = kind
    try:
        return convert(text)
    except ValueError as error:
        raise UserError(
            f"environment variable {variable}", repr(text), f"a value of type {kind.__name__}"
        ) from error
