"""A model is loaded when it is whole and answers; its answers are the graph's."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlsystem import artifacts
from mlsystem.artifacts import ModelContract
from mlsystem.errors import ArtifactError
from mlsystem.predictor import Predictor, read_model

NAN = float("nan")


def _numbers(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def _categories(*rows: list[str]) -> np.ndarray:
    return np.array(rows, dtype=object)


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_answers_of_a_mixed_binary_model(tmp_path: Path, save_model) -> None:
    save_model(tmp_path)
    predictor = Predictor.load(tmp_path)
    answers = predictor.predict(
        _numbers([1, 2], [NAN, -1], [0, NAN]), _categories(["high"], ["new"], [""])
    )
    assert answers.dtype == np.float32
    assert answers[:, 1] == pytest.approx([_sigmoid(4), _sigmoid(-1), 0.5])
    assert answers.sum(axis=1) == pytest.approx([1, 1, 1])


def test_answers_of_models_of_numbers_only_and_categories_only(tmp_path: Path, save_model) -> None:
    save_model(tmp_path / "n", "regression", numbers=("x",), categories=())
    save_model(tmp_path / "c", "multiclass", numbers=(), categories=("s", "t"))
    numbers = Predictor.load(tmp_path / "n").predict(_numbers([7]), np.empty((1, 0), object))
    assert numbers.tolist() == [[7.0]]
    categories = Predictor.load(tmp_path / "c").predict(
        np.empty((1, 0), np.float32), _categories(["high", "high"])
    )
    total = 1 + math.exp(2) + math.exp(4)
    assert categories[0] == pytest.approx([1 / total, math.exp(2) / total, math.exp(4) / total])


def test_the_same_answers_one_by_one_and_together(tmp_path: Path, save_model) -> None:
    save_model(tmp_path, categories=())
    predictor = Predictor.load(tmp_path)
    rows = np.random.default_rng(20).normal(size=(500, 2)).astype(np.float32)
    none = np.empty((500, 0), dtype=object)
    one_by_one = [predictor.predict(rows[[i]], none[[i]])[0] for i in range(500)]
    assert np.array_equal(predictor.predict(rows, none), np.array(one_by_one))


def test_counts_unknown_categories_but_not_missing_ones(tmp_path: Path, save_model) -> None:
    save_model(tmp_path, categories=("s", "t"))
    predictor = Predictor.load(tmp_path)
    assert predictor.count_unknown(_categories(["high", "low"], ["", "low"])) == 0
    assert predictor.count_unknown(_categories(["High", "low"], ["", "a\0b"])) == 2


def _refused(folder: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        Predictor.load(folder)
    return str(caught.value)


def _change(folder: Path, **changes: object) -> None:
    contract = artifacts.read(ModelContract, folder / "model.json")
    artifacts.write(dataclasses.replace(contract, **changes), folder / "model.json")


def test_refuses_missing_files(tmp_path: Path, save_model) -> None:
    assert "model.json" in _refused(tmp_path)
    save_model(tmp_path)
    (tmp_path / "model.onnx").unlink()
    assert "model.onnx" in _refused(tmp_path)


def test_refuses_another_models_graph(tmp_path: Path, save_model) -> None:
    save_model(tmp_path)
    with (tmp_path / "model.onnx").open("ab") as file:
        file.write(b"\0")
    assert "as model.json says. Deploy both files of one model." in _refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not ONNX at all", b"\x80\x04\x95."])
def test_refuses_what_is_not_onnx(tmp_path: Path, save_model, content: bytes) -> None:
    save_model(tmp_path)
    (tmp_path / "model.onnx").write_bytes(content)
    _change(tmp_path, onnx_sha256=hashlib.sha256(content).hexdigest())
    assert "an ONNX graph that this ONNX Runtime can run" in _refused(tmp_path)


def test_refuses_a_contract_that_the_graph_does_not_keep(tmp_path: Path, save_model) -> None:
    contract = save_model(tmp_path)
    _change(tmp_path, features=contract.features[:2])
    assert "as model.json says" in _refused(tmp_path)
    _change(tmp_path, features=contract.features, labels=("a", "b", "c"))
    assert "3 finite numbers" in _refused(tmp_path)
    _change(tmp_path, labels=(), problem="regression")
    assert "outputs ['probabilities']; ['prediction']" in _refused(tmp_path)


def test_onnx_runtime_tells_nobody_anything(tmp_path: Path, save_model) -> None:
    save_model(tmp_path / "model")
    home = tmp_path / "home"
    home.mkdir()
    script = (
        "import mlsystem.predictor as p, pathlib, sys; p.Predictor.load(pathlib.Path(sys.argv[1]))"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "HOME": str(home)}
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model"], env=environment, check=True, timeout=60
    )
    # Its telemetry keeps an identifier and a queue of events there.
    assert list(home.rglob("*")) == []


def test_reads_a_model_without_opening_it(tmp_path: Path, save_model) -> None:
    contract = save_model(tmp_path)
    assert read_model(tmp_path) == (contract, (tmp_path / "model.onnx").read_bytes())
