"""The verb `train` in SageMaker's contract: files in, files out, mistakes named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from container import train
from container.__main__ import run
from mlsystem import artifacts, reference
from mlsystem.artifacts import ModelContract
from mlsystem.errors import ArtifactError, UserError
from mlsystem.predictor import Predictor

SEED_CODE = Path(__file__).parents[2]


def test_a_model_and_its_reference_predictions_are_written(
    jobs, prepared, tmp_path, capsys
) -> None:
    paths = jobs.training(tmp_path, prepared["multiclass"], num_round="40")
    train.main(paths)
    written = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert [name for name in written if not name.startswith("input/")] == [
        "model/model.json",
        "model/model.onnx",
        "output/data/reference_predictions.parquet",
    ]
    contract = artifacts.read(ModelContract, paths.model / "model.json")
    assert (contract.model_name, contract.algorithm) == ("sample", "xgboost")
    assert Predictor.load(paths.model).contract == contract
    assert reference.read(paths.training_output).shape == (150, 3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "train: 400 rows, 7 features"
    assert lines[1].startswith("train: round 2, validation mlogloss 0.")
    assert lines[-1] == "train: wrote model.onnx and model.json"


@pytest.mark.exhaustive
def test_reference_predictions_are_bounded_and_of_the_first_rows(
    jobs, samples, tmp_path, fitted
) -> None:
    schema = samples.schema()
    n_rows = reference.MAX_ROWS + 5
    columns = samples.columns("binary", n_rows)
    table = samples.write_split(tmp_path / "validation", schema, columns, n_files=3)
    reference.write(fitted("binary", "linear"), table, tmp_path / "output")
    first = {name: values[: reference.MAX_ROWS] for name, values in columns.items()}
    short = samples.write_split(tmp_path / "first", schema, first)
    reference.write(fitted("binary", "linear"), short, tmp_path / "short")
    found, expected = reference.read(tmp_path / "output"), reference.read(tmp_path / "short")
    assert found.shape == (reference.MAX_ROWS, 2)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.exhaustive
def test_two_jobs_write_the_same_bytes(jobs, prepared, tmp_path) -> None:
    contents = []
    for hash_seed in ("1", "2"):
        paths = jobs.training(tmp_path / hash_seed, prepared["binary"])
        environment = {"SAGEMAKER_BASE_DIR": str(paths.base), "PYTHONHASHSEED": hash_seed}
        subprocess.run(
            [sys.executable, "-m", "container", "train"], cwd=SEED_CODE, env=environment, check=True
        )
        files = [paths.model / "model.onnx", paths.model / "model.json"]
        files += [paths.training_output / reference.FILE_NAME]
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]


def test_early_stopping_is_a_hyperparameter(jobs, prepared, tmp_path, capsys) -> None:
    paths = jobs.training(
        tmp_path, prepared["binary"], num_round="500", eta="0.9", early_stopping_rounds="3"
    )
    train.main(paths)
    (kept,) = [line for line in capsys.readouterr().out.splitlines() if "kept" in line]
    assert int(kept.split()[2]) < 500


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"algorithm": "no_such"}, "#/algorithm: 'no_such'; one of "),
        ({"seed": "-1"}, "#/seed: '-1'; an integer from 0 to 2147483647."),
        ({"seed": "2147483648"}, "#/seed: '2147483648'; an integer from 0 to 2147483647."),
        ({"seed": "twenty"}, "#/seed: 'twenty'; an integer"),
        ({"eta": "2"}, "#/eta: '2'; input should be less than or equal to 1."),
        ({"eta": "fast"}, "#/eta: 'fast'; input should be a valid number"),
        ({"eta": "nan"}, "#/eta: 'nan'; input should be "),
        ({"num_round": "1.5"}, "#/num_round: '1.5'; input should be a valid integer"),
        ({"depth": "3"}, "#/depth: unknown hyperparameter 'depth'; one of algorithm, model_name"),
        ({"num_round": 20}, "#/num_round: 20; a string, as SageMaker passes them."),
    ],
)
def test_a_wrong_hyperparameter_is_named(jobs, prepared, tmp_path, given, message) -> None:
    paths = jobs.training(tmp_path, prepared["binary"], **given)
    with pytest.raises(UserError) as caught:
        train.main(paths)
    assert str(caught.value).startswith("hyperparameters.json" + message)
    assert not paths.model.exists()


@pytest.mark.parametrize("name", ["algorithm", "model_name", "seed"])
def test_a_missing_hyperparameter_is_named(jobs, prepared, tmp_path, name) -> None:
    paths = jobs.training(tmp_path, prepared["binary"])
    given = json.loads(paths.hyperparameters.read_text())
    del given[name]
    jobs.write(paths.hyperparameters, given)
    with pytest.raises(UserError, match=rf"hyperparameters\.json#/{name}: no such hyperparameter"):
        train.main(paths)


@pytest.mark.parametrize("channel", ["schema", "train", "validation"])
def test_a_missing_channel_is_named(jobs, prepared, tmp_path, channel) -> None:
    paths = jobs.training(tmp_path, prepared["binary"])
    channels = {"schema": {}, "train": {}, "validation": {}}
    del channels[channel]
    jobs.write(paths.input_data_config, channels)
    with pytest.raises(UserError, match=rf"inputdataconfig\.json#/{channel}: no such channel"):
        train.main(paths)


def test_several_hosts_are_refused(jobs, prepared, tmp_path) -> None:
    paths = jobs.training(tmp_path, prepared["binary"])
    jobs.write(paths.resource_config, {"hosts": ["algo-1", "algo-2"]})
    with pytest.raises(UserError, match=r"resourceconfig\.json#/hosts: 2 hosts; one host"):
        train.main(paths)


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff"])
@pytest.mark.parametrize("file", ["hyperparameters", "input_data_config", "resource_config"])
def test_a_file_of_the_job_that_is_not_an_object(jobs, prepared, tmp_path, file, content) -> None:
    paths = jobs.training(tmp_path, prepared["binary"])
    getattr(paths, file).write_bytes(content.encode("latin-1"))
    with pytest.raises(ArtifactError, match=getattr(paths, file).name):
        train.main(paths)


def test_a_missing_file_of_the_job(jobs, prepared, tmp_path) -> None:
    paths = jobs.training(tmp_path, prepared["binary"])
    paths.resource_config.unlink()
    with pytest.raises(ArtifactError, match=r"resourceconfig\.json"):
        train.main(paths)


@pytest.mark.parametrize("channel", ["train", "validation"])
def test_an_empty_channel(jobs, prepared, tmp_path, channel) -> None:
    paths = jobs.training(tmp_path, prepared["binary"])
    for path in paths.channel(channel).iterdir():
        path.unlink()
    with pytest.raises(ArtifactError, match=rf"{channel}: no \*\.parquet file"):
        train.main(paths)


def test_a_schema_of_other_rows(jobs, prepared, tmp_path) -> None:
    paths = jobs.training(tmp_path, prepared["binary"])
    part = paths.channel("validation") / "part-0000.parquet"
    pq.write_table(pq.read_table(part).drop_columns(["color"]), part)
    with pytest.raises(ArtifactError) as caught:
        train.main(paths)
    assert f"{part} column 'color': missing; type VARCHAR" in str(caught.value)


def test_the_reason_of_a_failure_is_where_sagemaker_looks(jobs, prepared, tmp_path, capsys) -> None:
    paths = jobs.training(tmp_path, prepared["binary"], eta="2")
    assert run("train", train.main, paths) == 1
    assert paths.failure.read_text().startswith("hyperparameters.json#/eta: '2'; ")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
def test_nothing_half_written_remains_when_a_file_cannot_be_written(
    jobs, prepared, tmp_path, name
) -> None:
    paths = jobs.training(tmp_path, prepared["binary"])
    (paths.model / name).mkdir(parents=True)  # in the place of the file
    assert run("train", train.main, paths) == 1
    assert not list(tmp_path.rglob(".*.partial"))
