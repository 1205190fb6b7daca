"""Reference predictions: what the fitted estimator itself says about some validation rows.

`train` writes them, `evaluate` compares ``model.onnx`` with them. So the export is proved without
keeping the estimator, which could only be kept in a format that executes code when it is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlsystem import atomic
from mlsystem.errors import ArtifactError
from mlsystem.tables import Table
from mlsystem.training import FittedModel, predict

__all__ = ["FILE_NAME", "MAX_ROWS", "read", "write"]

FILE_NAME: Final = "reference_predictions.parquet"
MAX_ROWS: Final = 10_000


def write(model: FittedModel, validation: Table, folder: Path) -> None:
    """Write the predictions of `model` for the first `MAX_ROWS` rows of `validation` to `folder`.

    The file has a FLOAT column per output, ``output_0`` and so on, and a row per row.
    """
    predictions = predict(model, validation, MAX_ROWS)
    columns = {f"output_{index}": column for index, column in enumerate(predictions.T)}
    with atomic.replacing(folder / FILE_NAME) as path:
        pq.write_table(pa.table(columns), path)


def read(folder: Path) -> npt.NDArray[Any]:
    """Return the predictions below `folder`: float32 ``[n_rows, n_outputs]``.

    Raises
    ------
    ArtifactError
        There is no such file, or it is not what :func:`write` writes.
    """
    # Some runtimes pack the folder "data" itself, some its content.
    found = sorted(folder.rglob(FILE_NAME))
    if len(found) != 1:
        raise ArtifactError("output.tar.gz", f"{len(found)} files {FILE_NAME}", "one")
    try:
        table = pq.read_table(found[0])
        columns = [table.column(f"output_{index}") for index in range(table.num_columns)]
        return np.column_stack([column.to_numpy() for column in columns]).astype(np.float32)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise ArtifactError(FILE_NAME, str(error), "the file that train wrote") from error
