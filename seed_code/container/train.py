"""``train``: prepared splits in, ``model.onnx`` and ``model.json`` out.

Reads the channels ``train``, ``validation`` and ``schema``. Besides the model, it writes the fitted
estimator's own predictions for the first validation rows, so that `evaluate` can prove that
``model.onnx`` computes the same.

It trains on one host: more would each train the same model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pydantic

from container.cpus import available_cpus
from container.paths import Paths
from mlsystem import algorithms, artifacts, export, reference, tables, training
from mlsystem.errors import ArtifactError, UserError
from mlsystem.settings import Hyperparameters

__all__ = ["main"]

_CHANNELS: Final = ("train", "validation", "schema")
_OF_THE_JOB: Final = ("algorithm", "model_name", "seed")


def main(paths: Paths) -> None:
    """Train the model that ``hyperparameters.json`` asks for.

    Raises
    ------
    UserError
        The hyperparameters or the data cannot be used.
    ArtifactError
        A file of the job is missing or damaged.
    """
    _check_job(paths)
    given = _read_hyperparameters(paths.hyperparameters)
    where = paths.hyperparameters.name
    algorithm = algorithms.find(given["algorithm"], f"{where}#/algorithm")
    hyperparameters = _parse(algorithm, given, where)
    schema = artifacts.read(artifacts.DataSchema, paths.channel("schema") / "schema.json")
    train = tables.open_table(paths.channel("train"), schema)
    validation = tables.open_table(paths.channel("validation"), schema)
    model = training.fit(
        train, validation, algorithm, hyperparameters,
        seed=_parse_seed(given["seed"], where), n_threads=available_cpus(), report=_report,
    )  # fmt: skip
    reference.write(model, validation, paths.training_output)
    export.save(model, paths.model, name=given["model_name"], algorithm=given["algorithm"])
    _report("wrote model.onnx and model.json")


def _report(line: str) -> None:
    print(f"train: {line}", flush=True)


def _check_job(paths: Paths) -> None:
    """Refuse a job that lacks a channel or has several hosts."""
    channels = _read_object(paths.input_data_config)
    for channel in _CHANNELS:
        if channel not in channels:
            raise UserError(
                f"{paths.input_data_config.name}#/{channel}", "no such channel",
                f"the channels {', '.join(_CHANNELS)}", "Add it to the job's InputDataConfig",
            )  # fmt: skip
    hosts = _read_object(paths.resource_config).get("hosts", [])
    if len(hosts) > 1:
        raise UserError(
            f"{paths.resource_config.name}#/hosts", f"{len(hosts)} hosts", "one host",
            "Set InstanceCount to 1",
        )  # fmt: skip


def _read_object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(str(path), str(error), "a JSON object that SageMaker wrote") from error
    if not isinstance(document, dict):
        raise ArtifactError(str(path), f"a JSON {type(document).__name__}", "a JSON object")
    return document


def _read_hyperparameters(path: Path) -> dict[str, str]:
    given = _read_object(path)
    for name in _OF_THE_JOB:
        if name not in given:
            raise UserError(
                f"{path.name}#/{name}", "no such hyperparameter", "a value",
                "Add it to the job's HyperParameters",
            )  # fmt: skip
    for name, value in given.items():
        if not isinstance(value, str):
            raise UserError(
                f"{path.name}#/{name}", repr(value), "a string, as SageMaker passes them"
            )
    return given


def _parse(algorithm: algorithms.Algorithm, given: dict[str, str], where: str) -> Hyperparameters:
    """Return the algorithm's own hyperparameters."""
    own = {name: value for name, value in given.items() if name not in _OF_THE_JOB}
    kind = algorithm.Hyperparameters
    try:
        return kind.model_validate(own)
    except pydantic.ValidationError as error:
        mistake = error.errors()[0]
        name = ".".join(map(str, mistake["loc"]))
        raise UserError(
            f"{where}#/{name}", *_explained(mistake, name, tuple(kind.model_fields))
        ) from error


def _explained(mistake: Any, name: str, known: tuple[str, ...]) -> tuple[str, str]:
    """Return what was found, and what is required."""
    if mistake["type"] == "extra_forbidden":
        return f"unknown hyperparameter {name!r}", f"one of {', '.join((*_OF_THE_JOB, *known))}"
    if mistake["type"] == "missing":
        return "no such hyperparameter", "a value"
    return repr(mistake["input"]), mistake["msg"][0].lower() + mistake["msg"][1:]


def _parse_seed(text: str, where: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 2**31:
        raise UserError(f"{where}#/seed", repr(text), "an integer from 0 to 2147483647")
    return int(text)
