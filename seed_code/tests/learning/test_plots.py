"""Pictures are written whole, are the same every time, and survive odd data."""

from __future__ import annotations

import numpy as np
import pytest

from mlsystem import plots
from mlsystem.artifacts import ConfusionMatrix

PNG = b"\x89PNG\r\n\x1a\n"


def _matrix(n_labels: int, name: str = "label") -> ConfusionMatrix:
    labels = tuple(f"{name} {index}" for index in range(n_labels))
    counts = tuple(tuple(row) for row in (np.eye(n_labels, dtype=int) * 9).tolist())
    return ConfusionMatrix(labels, counts)


def _check(folder, *names: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for name in names:
        content = (folder / name).read_bytes()
        assert content.startswith(PNG)
        assert 5_000 < len(content) < 300_000


@pytest.mark.exhaustive
@pytest.mark.parametrize("n_labels", [2, 3, 15, 60])
def test_a_confusion_matrix_of_any_size(tmp_path, n_labels) -> None:
    plots.draw_confusion_matrix(_matrix(n_labels), tmp_path / "m.png")
    _check(tmp_path, "m.png")


@pytest.mark.exhaustive
def test_labels_are_text_not_markup(tmp_path) -> None:
    name = r"$\frac{$" + "x" * 60
    plots.draw_confusion_matrix(_matrix(3, name), tmp_path / "m.png")
    plots.draw_roc_curve(np.array([0, 1]), np.array([0.2, 0.8]), name, tmp_path / "r.png")
    plots.draw_predictions(np.arange(3.0), np.arange(3.0), name, tmp_path / "p.png")
    _check(tmp_path, "m.png", "p.png", "r.png")


def test_a_label_without_rows_has_no_share(tmp_path) -> None:
    plots.draw_confusion_matrix(ConfusionMatrix(("a", "b"), ((3, 1), (0, 0))), tmp_path / "m.png")
    _check(tmp_path, "m.png")


@pytest.mark.exhaustive
@pytest.mark.parametrize("n_rows", [1, 2, 20_000])
def test_regression_pictures_of_any_number_of_rows(tmp_path, n_rows) -> None:
    target = np.linspace(-5, 5, n_rows)
    plots.draw_predictions(target, target + np.sin(target), "price", tmp_path / "p.png")
    plots.draw_residuals(target, target + np.sin(target), "price", tmp_path / "r.png")
    _check(tmp_path, "p.png", "r.png")


@pytest.mark.exhaustive
def test_pictures_of_equal_values(tmp_path) -> None:
    same = np.full(10, 3.0)
    plots.draw_predictions(same, same, "price", tmp_path / "p.png")
    plots.draw_residuals(same, same, "price", tmp_path / "r.png")
    _check(tmp_path, "p.png", "r.png")


@pytest.mark.exhaustive
def test_the_same_numbers_give_the_same_bytes(tmp_path) -> None:
    target, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    for name in ("a.png", "b.png"):
        plots.draw_roc_curve(target, scores, "yes", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    plots.draw_roc_curve(target, scores[::-1].copy(), "yes", tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
