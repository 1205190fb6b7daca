"""The Build stage: from a commit to everything that the stages after it take.

The templates are there already (``python -m infrastructure synth``). What is written here beside
them is the input of the workflow and, for each stack, its parameters and tags.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.files import write_whole
from infrastructure.workflow_input import workflow_input
from mlsystem import settings as project_settings
from mlsystem.errors import SettingsError, UserError
from mlsystem.names import Names
from mlsystem.settings import Settings
from pipeline import changes, configuration, exports, files, images, registry, releases
from pipeline.environment import BuildEnvironment

__all__ = ["build"]

_DOCKERFILE = Path("container/Dockerfile")
_API_DOCKERFILE = Path("api/Dockerfile")


def build(
    environment: BuildEnvironment, root: Path, output: Path, client: Callable[[str], Any]
) -> None:
    """Build the release of the repository at `root`; write what the pipeline hands on to `output`.

    Exports ``TRAIN``, ``yes`` or ``no``. Settings are uploaded when the answer is yes.

    Parameters
    ----------
    environment
        Of the build.
    root
        Folder with ``project.yml``, ``container/`` and ``data/``.
    output
        Folder that the build's artifact is taken from.
    client
        Makes the client of an AWS service by its name.

    Raises
    ------
    MLSystemError
        The settings, the Dockerfile, the champion or the registry; the message says which.
    """
    settings = project_settings.load(root / "project.yml")
    _require_pipeline(environment, settings)
    names = Names(environment.project_key, environment.release)
    s3 = client("s3")
    made = _images(environment, root, client("ecr"))
    best = registry.champion(
        registry.approved(client("sagemaker"), environment.model_package_group)
    )
    print(f"Champion: {best.arn if best else 'no version is approved yet'}")
    data_prefix = _data_prefix(s3, environment.data_bucket, names, root / "data")
    documents = _documents(environment, settings, names, made, best=best, data_prefix=data_prefix)
    for name, document in documents.items():
        write_whole(output / f"{name}.json", json.dumps(document, indent=2) + "\n")
    data = changes.data_files(s3, environment.data_bucket, data_prefix)
    inputs = changes.ReleaseInputs(
        code=changes.code_digest(root, output),
        settings=changes.settings_digest(settings),
        data=changes.data_digest(data),
    )
    if data:
        decision = _decide(environment, names, inputs, client)
    else:
        place = f"s3://{environment.data_bucket}/{names.data_prefix}/"
        decision = changes.Decision(train=False, reason=f"without data; upload them to {place}")
    if decision.train:
        _upload(s3, environment.data_bucket, names.settings_key, settings.to_json())
        _upload(s3, environment.data_bucket, names.inputs_key, inputs.to_json())
        if environment.production == "yes":
            _record_deployment(s3, environment.data_bucket, names, output)
    exports.write(output, TRAIN="yes" if decision.train else "no")
    print(f"Train: {'yes' if decision.train else 'no'}, {decision.reason}")


def _require_pipeline(environment: BuildEnvironment, settings: Settings) -> None:
    """Two ways into production would undo each other's releases."""
    if environment.production == "yes" and settings.deploy.by != "pipeline":
        raise SettingsError(
            "project.yml deploy/by", repr(settings.deploy.by),
            "pipeline, in a project whose pipeline has a Prod stage",
            "Set by: pipeline, or update the project with Production: no",
        )  # fmt: skip


@dataclass(frozen=True)
class _Images:
    """URIs, by digest, of a release's images."""

    container: str
    api: str | None
    """Nothing where the pipeline has no Prod stage."""


def _images(environment: BuildEnvironment, root: Path, ecr: Any) -> _Images:
    container = images.Repository(
        environment.container_repository, environment.container_repository_uri
    )
    api = images.Repository(environment.api_repository, environment.api_repository_uri)
    return _Images(
        images.ensure(ecr, container, root, _DOCKERFILE),
        images.ensure(ecr, api, root, _API_DOCKERFILE) if environment.production == "yes" else None,
    )


def _documents(
    environment: BuildEnvironment,
    settings: Settings,
    names: Names,
    made: _Images,
    *,
    best: registry.Package | None,
    data_prefix: str,
) -> dict[str, dict[str, Any]]:
    """Return what later stages read, by the name of its file."""
    execution = workflow_input(
        settings,
        names,
        environment.data_bucket,
        made.container,
        data_prefix=data_prefix,
        champion_uri=best.archive_uri if best else None,
        champion_package=best.arn if best else None,
        tags=configuration.tags(environment),
    )
    documents = {
        "workflow-input": execution,
        "workflow-configuration": configuration.workflow(environment),
        "dev-configuration": configuration.dev(environment, settings, names, made.container),
    }
    if made.api is not None:
        documents["prod-configuration"] = configuration.production(
            environment, settings, names, made.container, made.api
        )
    return documents


def _record_deployment(s3: Any, bucket: str, names: Names, output: Path) -> None:
    """Keep what production is deployed with: the way back to this release (pipeline.rollback)."""
    for name, key in (
        ("prod.json", names.prod_template_key),
        ("prod-configuration.json", names.prod_configuration_key),
    ):
        _record(s3, bucket, key, (output / name).read_text(encoding="utf-8"))


def _record(s3: Any, bucket: str, key: str, text: str) -> None:
    """Write an object once; a stage that is tried again finds its own there."""
    try:
        _upload(s3, bucket, key, text, IfNoneMatch="*")
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "PreconditionFailed":
            raise
        if s3.get_object(Bucket=bucket, Key=key)["Body"].read() != text.encode():
            raise UserError(
                f"s3://{bucket}/{key}", "another deployment of the same release",
                "what a release recorded stays as it is",
                "Start a new release instead of trying this one's Build again",
            ) from error  # fmt: skip


def _decide(
    environment: BuildEnvironment,
    names: Names,
    inputs: changes.ReleaseInputs,
    client: Callable[[str], Any],
) -> changes.Decision:
    if environment.retrain == "always":
        return changes.Decision(train=True, reason="as the variable RETRAIN asks")
    before = releases.newest_trained(
        client("codepipeline"),
        client("s3"),
        environment.pipeline_name,
        environment.data_bucket,
        names,
    )
    return changes.decide(inputs, before)


def _data_prefix(s3: Any, bucket: str, names: Names, folder: Path) -> str:
    """Return where the release's data lie: what users uploaded, or else what the repository has.

    A bucket that ever had data is its users' affair. The repository's are kept by their digest, not
    below ``data/``: there they would be mixed with what a user brings, and start a release.
    """
    ever = s3.list_object_versions(Bucket=bucket, Prefix=f"{names.data_prefix}/", MaxKeys=1)
    if ever.get("Versions") or ever.get("DeleteMarkers"):
        return names.data_prefix
    found = [path for path in files.below(folder) if path.suffix not in changes.DOCUMENTATION]
    prefix = names.repository_data_prefix(files.digest(folder, found))
    there = {key for key, _, _ in changes.data_files(s3, bucket, prefix)}
    for path in found:
        key = f"{prefix}/{path.relative_to(folder).as_posix()}"
        if key not in there:
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
            print(f"Uploaded s3://{bucket}/{key}, data of the repository")
    return prefix


def _upload(s3: Any, bucket: str, key: str, text: str, **condition: str) -> None:
    s3.put_object(
        Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json", **condition
    )
