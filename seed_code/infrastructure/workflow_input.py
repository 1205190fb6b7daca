"""What the training workflow is told about one release: the input of its execution.

The state machine is the same for every project and release; all that differs comes from here.
Locations are :class:`~mlsystem.names.Names`', container paths those of SageMaker's contract.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from mlsystem.errors import SettingsError, UserError
from mlsystem.names import Names
from mlsystem.settings import Hyperparameters, JobInstance, Settings, parse_hyperparameters

__all__ = ["PROJECT_NAME_LENGTH", "PROJECT_NAME_PATTERN", "PROJECT_TAG", "workflow_input"]

# What a role may reach follows from this tag, where it has a permissions boundary: the project's.
PROJECT_TAG = "mlsystem-project"

# Lower case, because SageMaker writes names in lower case into ARNs, and IAM compares ARNs by case.
PROJECT_NAME_PATTERN = "[a-z][a-z0-9]*(-[a-z0-9]+)*"
# Names are cut at 63 characters, digest included. Up to this length `<project>-<stage>-` stays
# whole, and that is what the permissions of the workflow are bound to.
PROJECT_NAME_LENGTH = 45
_RELEASE_PATTERN = "[a-zA-Z0-9](-*[a-zA-Z0-9])*"

_HYPERPARAMETERS_MOST = 100
_HYPERPARAMETER_LENGTH = 2_500

# A job may wait for a machine, pull its image and move its data before and after its own time.
_OVERHEAD_SECONDS = 3_600

_CONTENT_TYPES = ["text/csv", "application/json", "application/jsonlines", "application/x-npy"]
_RESPONSE_TYPES = ["application/json", "text/csv"]


def workflow_input(
    settings: Settings,
    names: Names,
    bucket: str,
    image_uri: str,
    *,
    data_prefix: str | None = None,
    champion_uri: str | None = None,
    champion_package: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the input of the execution that makes the release `names`; JSON-serializable.

    Parameters
    ----------
    settings
        The project's.
    names
        Of the release.
    bucket
        Name of the project's data bucket.
    image_uri
        Of the container that prepares, trains, evaluates and serves.
    data_prefix
        Folder of the bucket with what the release is made from; by default what users upload to.
    champion_uri
        S3 URI of the ``model.tar.gz`` to compare with; left out when the settings ask for no
        comparison.
    champion_package
        ARN of the model package that `champion_uri` belongs to; recorded with the new one.
    tags
        Of everything that the execution makes, besides the release's own; by default the project's
        name as Studio reads it.

    Raises
    ------
    SettingsError
        The algorithm's hyperparameters cannot be handed to a training job.
    UserError
        A name, an image or a champion that AWS or the roles of the workflow would refuse.
    """
    _check_names(names)
    _check("image", image_uri, r"\S{1,255}", "the URI of an image, at most 255 characters")
    champion = champion_uri if settings.evaluate.champion else None
    if champion is not None:
        _check_champion(champion, bucket)
    return {
        "project": names.project,
        "release": names.release,
        "image": image_uri,
        "tags": _tags(names, tags),
        "prepare": _prepare(settings, names, bucket, data_prefix or names.data_prefix),
        "train": _train(settings, names, bucket),
        "evaluate": _evaluate(settings, names, bucket, champion),
        "register": {
            **_register(settings, names, bucket),
            "champion": "none" if champion is None else (champion_package or champion)[:256],
        },
        "deploy": _deploy(settings, names),
    }


def _tags(names: Names, tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    given = {"sagemaker:project-name": names.project} if tags is None else tags
    every = {**given, "mlsystem:release": names.release[:256]}
    return [{"Key": key, "Value": value} for key, value in every.items()]


# --- stages -------------------------------------------------------------------------------------


def _prepare(settings: Settings, names: Names, bucket: str, data_prefix: str) -> dict[str, Any]:
    return {
        "job_name": names.prepare_job,
        **_machine(settings.instances.prepare),
        "inputs": [
            _processing_input("settings", _uri(bucket, names.settings_key)),
            _processing_input("data", _folder_uri(bucket, data_prefix)),
        ],
        "outputs": [_processing_output("data", _uri(bucket, names.prepared_prefix))],
    }


def _train(settings: Settings, names: Names, bucket: str) -> dict[str, Any]:
    return {
        "job_name": names.training_job,
        **_machine(settings.instances.train),
        "hyperparameters": _hyperparameters(settings),
        "channels": [
            _channel(name, _folder_uri(bucket, f"{names.prepared_prefix}/{name}"))
            for name in ("train", "validation", "schema")
        ],
        "output_uri": _uri(bucket, names.model_prefix),
    }


def _evaluate(
    settings: Settings, names: Names, bucket: str, champion: str | None
) -> dict[str, Any]:
    inputs = [
        _processing_input("settings", _uri(bucket, names.settings_key)),
        _processing_input("model", _uri(bucket, names.model_archive_key)),
        _processing_input("training_output", _uri(bucket, names.training_output_key)),
        *(
            _processing_input(name, _folder_uri(bucket, f"{names.prepared_prefix}/{name}"))
            for name in ("train", "validation", "test")
        ),
    ]
    if champion is not None:
        inputs.append(_processing_input("champion", champion))
    return {
        "job_name": names.evaluate_job,
        **_machine(settings.instances.evaluate),
        "inputs": inputs,
        "outputs": [_processing_output("evaluation", _uri(bucket, names.evaluation_prefix))],
        "bucket": bucket,
        "key": names.evaluation_key,
    }


def _register(settings: Settings, names: Names, bucket: str) -> dict[str, Any]:
    identity = f"{names.project}/{names.release}"
    return {
        "model_package_group": names.model_package_group,
        # Makes a repeated request return the first one's package instead of a second package.
        "client_token": hashlib.sha256(identity.encode()).hexdigest()[:36],
        "model_archive_uri": _uri(bucket, names.model_archive_key),
        "evaluation_uri": _uri(bucket, names.evaluation_key),
        "content_types": _CONTENT_TYPES,
        "response_types": _RESPONSE_TYPES,
        "instance_types": [settings.instances.endpoint.type],
        # SageMaker deploys approved packages alone. When the pipeline deploys, a person approves.
        "approval": "Approved" if settings.deploy.by == "workflow" else "PendingManualApproval",
    }


def _deploy(settings: Settings, names: Names) -> dict[str, Any]:
    return {
        "by": settings.deploy.by,
        "model_name": names.model,
        "endpoint_config_name": names.endpoint_config,
        "endpoint_name": names.endpoint,
        "instance_type": settings.instances.endpoint.type,
        "instance_count": settings.instances.endpoint.count,
    }


# --- hyperparameters ----------------------------------------------------------------------------


def _hyperparameters(settings: Settings) -> dict[str, str]:
    """Return what the training job is told, defaults included; SageMaker takes text alone."""
    model = settings.model
    parsed = parse_hyperparameters(model.algorithm, dict(model.hyperparameters))
    own = parsed.model_dump() if isinstance(parsed, Hyperparameters) else parsed
    ours = {"algorithm": model.algorithm, "seed": model.seed, "model_name": model.name}
    for name in own.keys() & ours.keys():
        raise _unusable(name, "a name that the training job uses itself", "another name")
    texts = {name: _text(value) for name, value in {**ours, **own}.items() if value is not None}
    for name, text in texts.items():
        if len(text) > _HYPERPARAMETER_LENGTH:
            raise _unusable(
                name, f"{len(text):,} characters", f"at most {_HYPERPARAMETER_LENGTH:,}"
            )
    if len(texts) > _HYPERPARAMETERS_MOST:
        required = f"at most {_HYPERPARAMETERS_MOST - len(ours)}"
        raise _unusable("", f"{len(own)} hyperparameters", required)
    return texts


def _text(value: str | float | bool) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _unusable(name: str, found: str, required: str) -> SettingsError:
    where = f"project.yml model/hyperparameters/{name}".rstrip("/")
    return SettingsError(where, found, required, "A training job takes no more from SageMaker")


# --- requests' parts ----------------------------------------------------------------------------


def _machine(instance: JobInstance) -> dict[str, Any]:
    max_runtime = instance.timeout_minutes * 60
    return {
        "instance_type": instance.type,
        "volume_gb": instance.volume_gb,
        "max_runtime_seconds": max_runtime,
        "timeout_seconds": max_runtime + _OVERHEAD_SECONDS,
    }


def _processing_input(name: str, uri: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"/opt/ml/processing/input/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        },
    }


def _processing_output(name: str, uri: str) -> dict[str, Any]:
    return {
        "OutputName": name,
        "S3Output": {
            "S3Uri": uri,
            "LocalPath": f"/opt/ml/processing/output/{name}",
            "S3UploadMode": "EndOfJob",
        },
    }


def _channel(name: str, uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }


def _uri(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


def _folder_uri(bucket: str, prefix: str) -> str:
    """S3 prefixes are text: without the slash, `data` would also take `database/`."""
    return _uri(bucket, f"{prefix}/")


# --- checks -------------------------------------------------------------------------------------


def _check_names(names: Names) -> None:
    _check(
        "project name", names.project, PROJECT_NAME_PATTERN,
        "lower-case letters, digits and single hyphens, a letter first",
    )  # fmt: skip
    if len(names.project) > PROJECT_NAME_LENGTH:
        raise UserError(
            "project name", f"{names.project!r}, {len(names.project)} characters",
            f"at most {PROJECT_NAME_LENGTH}",
        )  # fmt: skip
    _check(
        "release", names.release, _RELEASE_PATTERN,
        "letters, digits and hyphens, no hyphen first or last",
    )  # fmt: skip


def _check_champion(uri: str, bucket: str) -> None:
    _check(
        "champion", uri, rf"s3://{re.escape(bucket)}/releases/[^/]+/model/(.+/)?model\.tar\.gz",
        f"an archive that a release has put into the bucket: "
        f"s3://{bucket}/releases/<release>/model/.../model.tar.gz",
    )  # fmt: skip


def _check(where: str, found: str, pattern: str, required: str) -> None:
    if not re.fullmatch(pattern, found):
        raise UserError(where, repr(found), required)
