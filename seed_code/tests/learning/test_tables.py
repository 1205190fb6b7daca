"""Parquet in, blocks out: same order everywhere, nothing lost, disagreements named."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlsystem import tables
from mlsystem.artifacts import DataSchema, Feature
from mlsystem.errors import ArtifactError, DataError

SCHEMA = DataSchema(
    "binary", "y", ("no", "yes"), (Feature("x", "number"), Feature("c", "category"))
)


def _columns(x, c, y) -> dict:
    return {"x": x, "c": c, "y": y}


def test_numbers_keep_their_value_and_categories_become_known_indices(samples, tmp_path) -> None:
    table = samples.write_split(
        tmp_path, SCHEMA, _columns([1.5, None, -2], ["b", "zebra", None], [0, 1, 1])
    )
    features, target = tables.load(table, (("a", "b"),))
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, [[1.5, 1], [np.nan, -1], [-2, -1]])
    assert target.tolist() == [0, 1, 1]


@pytest.mark.exhaustive
@pytest.mark.parametrize("n_files", [1, 7])
def test_all_readers_see_the_rows_in_the_order_of_the_files(samples, tmp_path, n_files) -> None:
    n_rows = 40_000  # several batches
    numbers = [float(i) if i % 3 else None for i in range(n_rows)]
    categories = [f"{i % 5}" if i % 4 else None for i in range(n_rows)]
    labels = [i % 2 for i in range(n_rows)]
    table = samples.write_split(tmp_path, SCHEMA, _columns(numbers, categories, labels), n_files)
    known = tables.vocabulary(table)
    assert known == (("0", "1", "2", "3", "4"),)
    features, target = tables.load(table, known)
    batches = list(tables.read_batches(table))
    assert len(batches) > 1
    expected = np.array([np.nan if value is None else value for value in numbers], np.float32)
    np.testing.assert_array_equal(features[:, 0], expected)
    np.testing.assert_array_equal(np.concatenate([b.numbers for b in batches])[:, 0], expected)
    values = np.concatenate([batch.categories for batch in batches])[:, 0]
    assert values.tolist() == [value or "" for value in categories]
    assert target.tolist() == np.concatenate([b.target for b in batches]).tolist() == labels
    positions = [39_999, 3, 20_000]
    rows = tables.read_rows(table, positions)
    assert rows == [{"x": numbers[i], "c": categories[i]} for i in sorted(positions)]


def test_the_first_rows_are_the_first_rows(samples, tmp_path) -> None:
    values = [float(i) for i in range(30_000)]
    table = samples.write_split(
        tmp_path, SCHEMA, _columns(values, ["a"] * 30_000, [0] * 30_000), n_files=3
    )
    features, _ = tables.load(table, (("a",),), n_rows=12_345)
    assert features[:, 0].tolist() == values[:12_345]
    batches = list(tables.read_batches(table, 12_345))
    assert np.concatenate([batch.numbers for batch in batches])[:, 0].tolist() == values[:12_345]


def test_the_vocabulary_is_bounded_and_prefers_frequent_values(samples, tmp_path) -> None:
    rare = [f"rare {i:03}" for i in range(150)]
    values = [*rare, "usual", "usual", None, None, None, "", "", ""]
    table = samples.write_split(
        tmp_path, SCHEMA, _columns([0.0] * len(values), values, [0] * len(values))
    )
    (known,) = tables.vocabulary(table)
    assert known == (*rare[: tables.MAX_CATEGORIES - 1], "usual")


@pytest.mark.exhaustive
@pytest.mark.parametrize("value", ["it's", '"', "a,b", "", " a ", "日本", "%", "\n", "a\0b"])
def test_any_text_can_be_a_category(samples, tmp_path, value) -> None:
    table = samples.write_split(tmp_path, SCHEMA, _columns([0, 0], [value, "b"], [0, 1]))
    features, _ = tables.load(table, (tuple(sorted([value or "x", "b"])),))
    assert sorted(features[:, 1]) == ([-1, 0] if value == "" else [0, 1])


def test_any_folder_name_can_hold_a_channel(samples, tmp_path) -> None:
    folder = tmp_path / "it's [a] *?" / "x=1"
    samples.write_split(tmp_path / "it's a xy" / "x=1", SCHEMA, _columns([9], ["z"], [0]))
    table = samples.write_split(folder, SCHEMA, _columns([1, 2], ["a", "b"], [0, 1]))
    assert table.n_rows == 2
    assert tables.load(table, (("a", "b"),))[0].tolist() == [[1, 0], [2, 1]]


def test_a_table_without_rows(samples, tmp_path) -> None:
    table = samples.write_split(tmp_path, SCHEMA, _columns([], [], []))
    assert table.n_rows == 0
    assert tables.load(table, ((),))[0].shape == (0, 2)
    assert list(tables.read_batches(table)) == []
    assert tables.vocabulary(table) == ((),)


# --- equal rows ---------------------------------------------------------------------------------


def test_common_rows_are_equal_in_all_features_and_the_target(samples, tmp_path) -> None:
    rows = _columns([1, 2, None, 4, 5], ["a", None, "c", "d", "e"], [0, 1, 0, 1, 0])
    table = samples.write_split(tmp_path / "a", SCHEMA, rows)
    other = samples.write_split(
        tmp_path / "b", SCHEMA,
        # Equal; equal with a gap each; another label; another category; not there at all.
        _columns([1, 2, None, 4, 5], ["a", None, "c", "d", "E"], [0, 1, 0, 0, 0]),
    )  # fmt: skip
    assert tables.count_common_rows(table, other, tmp_path) == 3


def test_common_rows_are_rows_of_the_first_table(samples, tmp_path) -> None:
    table = samples.write_split(tmp_path / "a", SCHEMA, _columns([1, 1, 2], ["a"] * 3, [0] * 3))
    other = samples.write_split(tmp_path / "b", SCHEMA, _columns([1] * 9, ["a"] * 9, [0] * 9))
    assert tables.count_common_rows(table, other, tmp_path) == 2
    assert tables.count_common_rows(other, table, tmp_path) == 9


# --- what is refused ----------------------------------------------------------------------------


def _refused(folder: Path, schema: DataSchema = SCHEMA) -> str:
    with pytest.raises(ArtifactError) as caught:
        tables.open_table(folder, schema)
    return str(caught.value)


def test_a_missing_or_empty_folder(tmp_path) -> None:
    assert "no such folder" in _refused(tmp_path / "absent")
    assert "no *.parquet file" in _refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x,c,y\n1,a,0\n", b"PAR1 and then nothing"])
def test_a_file_that_is_not_parquet(tmp_path, content) -> None:
    (tmp_path / "part-0.parquet").write_bytes(content)
    assert "part-0.parquet: not a Parquet file" in _refused(tmp_path)


def test_a_truncated_file(samples, tmp_path) -> None:
    samples.write_split(tmp_path, SCHEMA, _columns([1, 2], ["a", "b"], [0, 1]))
    path = tmp_path / "part-0000.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert "not a Parquet file" in _refused(tmp_path)


def test_a_column_that_is_missing_or_of_another_type_is_named_with_its_file(
    samples, tmp_path
) -> None:
    samples.write_split(tmp_path, SCHEMA, _columns([1], ["a"], [0]))
    more = dataclasses.replace(SCHEMA, features=(*SCHEMA.features, Feature("z", "number")))
    assert "part-0000.parquet column 'z': missing; type DOUBLE" in _refused(tmp_path, more)
    pq.write_table(pa.table({"x": ["1"], "c": ["a"], "y": [0]}), tmp_path / "part-0001.parquet")
    message = _refused(tmp_path)
    assert "part-0001.parquet column 'x': type VARCHAR; type DOUBLE" in message


@pytest.mark.exhaustive
@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e39])
def test_a_number_beyond_float32(samples, tmp_path, value) -> None:
    table = samples.write_split(tmp_path, SCHEMA, _columns([1, value], ["a", "b"], [0, 1]))
    with pytest.raises(DataError, match=r"column 'x': .*; finite numbers"):
        tables.load(table, (("a", "b"),))


@pytest.mark.parametrize(
    ("target", "found"), [([0, None], "1 missing target"), ([0, 2], "2"), ([0, -1], "-1")]
)
def test_a_target_that_is_no_label(samples, tmp_path, target, found) -> None:
    table = samples.write_split(tmp_path, SCHEMA, _columns([1, 2], ["a", "b"], target))
    with pytest.raises(ArtifactError, match=f"column 'y': {found}"):
        tables.load(table, (("a", "b"),))


def test_a_target_that_is_no_number(samples, tmp_path) -> None:
    schema = DataSchema("regression", "y", (), SCHEMA.features)
    table = samples.write_split(tmp_path, schema, _columns([1, 2], ["a", "b"], [0.5, math.nan]))
    with pytest.raises(ArtifactError, match="column 'y': nan; finite numbers"):
        tables.load(table, (("a", "b"),))
