"""What holds for any data."""

import csv
import io
from collections import Counter

import hypothesis
import pytest
from hypothesis import strategies as st

from mlsystem.errors import DataError

SHARES = {"train": 0.34, "validation": 0.33, "test": 0.33}
few = hypothesis.settings(max_examples=12, derandomize=True)


def _csv(header, rows):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)
# Between two letters, so that no spaces are around it and it is no word for "missing".
words = st.none() | st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=9
).map(lambda text: f"a{text}b")


@few
@hypothesis.given(st.lists(st.tuples(numbers, words), min_size=12, max_size=40))
def test_values_survive_the_way(prepared, pairs):
    rows = [(i, "" if x is None else repr(x), c or "", i) for i, (x, c) in enumerate(pairs)]
    hypothesis.assume(any(x for _, x, _, _ in rows) and any(c for _, _, c, _ in rows))
    result = prepared(
        {"a.csv": _csv(["time", "x", "c", "y"], [*rows, (40, "7.5", "z", 40)])},
        "regression",
        types={"x": "number", "c": "category"},
        split={"by": "time", "column": "time"},
    )
    found = {int(row["y"]): (row["x"], row["c"]) for row in result.rows}
    expected = {i: (None if x is None else float(x), c) for i, (x, c) in enumerate(pairs)}
    assert found == {**expected, 40: (7.5, "z")}


STAYING = {"types": {"x": "number", "c": "category", "y": "number"}, "split": SHARES}
ROWS = [(f"{i * 0.37:.2f}", "abc"[i % 3], i) for i in range(90)]


@pytest.fixture(scope="module")
def usual_sides(prepared):
    return prepared({"a.csv": _csv(["x", "c", "y"], ROWS)}, "regression", **STAYING).sides


@few
@hypothesis.given(data=st.data())
def test_a_row_stays_on_its_side(prepared, usual_sides, data):
    """Whatever other rows there are, and however they are ordered and spread over files."""
    chosen = data.draw(st.lists(st.sampled_from(ROWS), min_size=45, unique=True))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(chosen) - 1), max_size=3, unique=True)))
    parts = [chosen[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    files = {f"{i}.csv": _csv(["x", "c", "y"], part) for i, part in enumerate(parts)}
    sides = prepared(files, "regression", **STAYING).sides
    assert len(sides) == len(chosen)
    assert sides == {row: usual_sides[row] for row in sides}


@few
@hypothesis.given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "NA", *map(str, range(40))]),
            st.sampled_from(["", "a", "b", "c"]),
            st.sampled_from(["", *"01234"]),
        ),
        min_size=60,
        max_size=120,
    ),
    st.sampled_from(["drop", "keep"]),
)
def test_the_report_adds_up(prepared, rows, duplicates):
    cleaned = [("" if x == "NA" else x, c, y) for x, c, y in rows]
    with_target = [row for row in cleaned if row[2]]
    expected = list(dict.fromkeys(with_target)) if duplicates == "drop" else with_target
    text = _csv(["x", "c", "y"], rows)
    try:
        result = prepared(
            {"a.csv": text}, "multiclass", duplicates=duplicates, split=SHARES,
            types={"x": "number", "c": "category"},
        )  # fmt: skip
    except DataError:  # a side without a row, or a label missing in train
        hypothesis.reject()
    report = result.report
    assert report.rows_in == len(rows)
    assert report.rows_out == len(expected) == sum(report.splits.values())
    assert report.rows_in == report.rows_out + sum(drop.rows for drop in report.dropped)
    assert all(drop.rows > 0 for drop in report.dropped)
    for name, n_rows in report.splits.items():
        side = result.side(name)
        assert len(side) == n_rows
        labels = Counter(result.schema.labels[row["y"]] for row in side)
        assert Counter(report.target_counts[name]) == labels
    assert report.missing == {
        "x": sum(not x for x, _, _ in expected), "c": sum(not c for _, c, _ in expected),
    }  # fmt: skip
    found = Counter(
        ("" if row["x"] is None else str(int(row["x"])), row["c"] or "",
         result.schema.labels[row["y"]])
        for row in result.rows
    )  # fmt: skip
    assert found == Counter(expected)
