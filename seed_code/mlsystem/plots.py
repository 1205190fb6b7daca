"""Pictures of an evaluation, as small PNG files.

Each function writes one file: whole or not at all, and the same bytes for the same numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from sklearn import metrics

from mlsystem import atomic
from mlsystem.artifacts import ConfusionMatrix

__all__ = ["draw_confusion_matrix", "draw_predictions", "draw_residuals", "draw_roc_curve"]

Array = npt.NDArray[Any]

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": "#333333",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
}
_BLUE = "#1f5fa8"
_GRAY = "#999999"
_DPI = 110
# More points than this are one blot, and seconds of drawing.
_MAX_POINTS = 5_000
_MAX_NAMED_CELLS = 15
_MAX_LEVEL_NAMES = 3
_DARK = 0.5
_MAX_NAME_LENGTH = 24


def draw_confusion_matrix(matrix: ConfusionMatrix, path: Path) -> None:
    """Draw how the rows of each label were predicted: counts, coloured by share of the label."""
    counts = np.array(matrix.counts)
    n_labels = len(matrix.labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(9.0, 3.2 + 0.6 * n_labels)
    with mpl.rc_context(_STYLE):
        figure = _figure(side + 0.8, side)
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if n_labels <= _MAX_NAMED_CELLS:
            names = [_shortened(label) for label in matrix.labels]
            slanted: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
            axes.set_xticks(
                range(n_labels), names, **(slanted if n_labels > _MAX_LEVEL_NAMES else {})
            )
            axes.set_yticks(range(n_labels), names)
            for row, column in np.ndindex(counts.shape):
                axes.text(
                    column, row, f"{counts[row, column]:,}\n{shares[row, column]:.0%}",
                    ha="center", va="center",
                    color="white" if shares[row, column] > _DARK else "#333333",
                )  # fmt: skip
        unnamed = "" if n_labels <= _MAX_NAMED_CELLS else " (position in the list of labels)"
        axes.set(xlabel=f"predicted label{unnamed}", ylabel=f"actual label{unnamed}")
        axes.set_title(f"Confusion matrix, {counts.sum():,} test rows")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        bar = figure.colorbar(image, shrink=0.8, label="share of the actual label")
        bar.ax.yaxis.set_major_formatter("{x:.0%}")
        bar.outline.set_visible(False)
        _save(figure, path)


def draw_roc_curve(target: Array, scores: Array, positive_label: str, path: Path) -> None:
    """Draw the true against the false positive rate over all cut-offs of the score.

    Parameters
    ----------
    target
        ``[n_rows]``: 1 for the positive label, 0 for the other.
    scores
        ``[n_rows]``: probability of the positive label.
    positive_label
        Its name.
    path
        The file to write.
    """
    false_positive_rate, true_positive_rate, _ = metrics.roc_curve(target, scores)
    area = metrics.auc(false_positive_rate, true_positive_rate)
    with mpl.rc_context(_STYLE):
        figure = _figure(5.6, 5.0)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=_GRAY, linestyle="--", linewidth=1, label="chance, 0.5")
        axes.fill_between(false_positive_rate, true_positive_rate, color=_BLUE, alpha=0.08)
        axes.plot(
            false_positive_rate, true_positive_rate, color=_BLUE, linewidth=2,
            label=f"model, {area:.3f}",
        )  # fmt: skip
        axes.set(
            xlabel="false positive rate", ylabel="true positive rate",
            xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal",
        )  # fmt: skip
        axes.set_title(f"ROC curve of {_shortened(positive_label)!r}, {len(target):,} test rows")
        axes.legend(title="area under the curve", loc="lower right", frameon=False)
        _save(figure, path)


def draw_predictions(target: Array, values: Array, name: str, path: Path) -> None:
    """Draw predicted against actual values, with the line where they would be equal.

    Parameters
    ----------
    target, values
        ``[n_rows]``: actual and predicted, in units of the target.
    name
        Of the target.
    path
        The file to write.
    """
    shown = _thinned(len(target))
    ends = [min(target.min(), values.min()), max(target.max(), values.max())]
    with mpl.rc_context(_STYLE):
        figure = _figure(5.6, 5.0)
        axes = figure.subplots()
        axes.plot(ends, ends, color=_GRAY, linestyle="--", linewidth=1, label="equal")
        axes.scatter(target[shown], values[shown], s=14, color=_BLUE, alpha=0.5, linewidths=0)
        label = _shortened(name)
        axes.set(xlabel=f"actual {label}", ylabel=f"predicted {label}", aspect="equal")
        axes.set_title(f"Predicted and actual, {_rows(target, shown)}")
        axes.legend(loc="upper left", frameon=False)
        _save(figure, path)


def draw_residuals(target: Array, values: Array, name: str, path: Path) -> None:
    """Draw what is left, actual minus predicted: against the prediction, and how often.

    Parameters are those of :func:`draw_predictions`.
    """
    shown = _thinned(len(target))
    residuals = target - values
    with mpl.rc_context(_STYLE):
        figure = _figure(7.2, 4.2)
        points, bars = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
        points.axhline(0, color=_GRAY, linestyle="--", linewidth=1)
        points.scatter(values[shown], residuals[shown], s=14, color=_BLUE, alpha=0.5, linewidths=0)
        label = _shortened(name)
        points.set(xlabel=f"predicted {label}", ylabel="actual - predicted")
        points.set_title(f"Residuals, {_rows(target, shown)}")
        n_bins = int(np.clip(np.sqrt(len(residuals)), 5, 30))
        bars.hist(residuals, bins=n_bins, orientation="horizontal", color=_BLUE, alpha=0.7)
        bars.axhline(0, color=_GRAY, linestyle="--", linewidth=1)
        bars.set(xlabel="rows")
        _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches, with a margin."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))


def _save(figure: Figure, path: Path) -> None:
    with atomic.replacing(path) as partial:
        # The name of the drawing program would differ between its versions.
        figure.savefig(partial, format="png", dpi=_DPI, metadata={"Software": None})


def _thinned(n_rows: int) -> slice:
    return slice(None, None, max(1, -(-n_rows // _MAX_POINTS)))


def _rows(target: Array, shown: slice) -> str:
    n_shown = len(target[shown])
    of_all = "" if n_shown == len(target) else f"{n_shown:,} of "
    return f"{of_all}{len(target):,} test rows"


def _shortened(text: str) -> str:
    # A dollar sign would start mathematics.
    plain = text.replace("$", r"\$")
    return plain if len(text) <= _MAX_NAME_LENGTH else plain[: _MAX_NAME_LENGTH - 1] + "…"
