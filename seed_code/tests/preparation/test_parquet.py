"""Parquet files: types become what the same values in CSV would be."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = "FROM range(200) AS rows(i)"


def _parquet(**columns):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def test_types_become_numbers_and_categories(prepared):
    query = f"""
        SELECT i % 7 AS small, (i / 3)::DECIMAL(10, 2) AS price, (i * 0.1)::FLOAT AS single,
               i % 2 = 0 AS flag, 'word ' || i % 4 AS word, (i % 5)::VARCHAR AS digits,
               CASE WHEN i % 10 = 0 THEN 'nan'::DOUBLE ELSE i * 0.1 END AS gaps,
               DATE '2024-01-01' + i::INT AS day,
               TIMESTAMPTZ '2024-01-01' + INTERVAL (i) HOUR AS at,
               i AS number, i % 3 = 0 AS y
        {ROWS}"""
    result = prepared({"a.parquet": query})
    assert result.kinds == {
        "small": "number", "price": "number", "single": "number", "flag": "category",
        "word": "category", "digits": "number", "gaps": "number",
    }  # fmt: skip
    assert result.ignored == {"day": "dates", "at": "dates", "number": "numbers the rows"}
    assert result.schema.labels == ("false", "true")
    assert result.report.missing["gaps"] == 20
    assert {row["flag"] for row in result.rows} == {"false", "true"}
    # A float32 of 0.1 is read as 0.1, as in CSV, rather than as 0.10000000149.
    assert {row["single"] for row in result.rows} == {round(i * 0.1, 1) for i in range(200)}


@pytest.mark.exhaustive
def test_the_same_rows_are_on_the_same_sides_in_both_formats(prepared):
    values = [(i * 0.37 / 3, ["a", "b", None][i % 3], i % 2) for i in range(200)]
    text = "x,c,y\n" + "".join(f"{x!r},{c or ''},{y}\n" for x, c, y in values)
    x, c, y = zip(*values, strict=True)
    from_parquet = prepared({"a.parquet": _parquet(x=x, c=c, y=[float(value) for value in y])})
    from_csv = prepared({"a.csv": text})
    assert from_parquet.sides == from_csv.sides
    assert from_parquet.schema == from_csv.schema


def test_columns_are_matched_by_name_and_types_united(prepared):
    result = prepared({
        "a.parquet": f"SELECT i AS x, 'a' AS c, i % 2 AS y {ROWS}",
        "b.parquet": f"SELECT 'b' AS c, (i % 2)::DOUBLE AS y, i + 0.25 AS x {ROWS}",
    })  # fmt: skip
    assert result.report.rows_out == 400
    assert {row["x"] % 1 for row in result.rows if row["c"] == "b"} == {0.25}
    assert result.schema.labels == ("0", "1")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["filename", "file_row_number", "row", "c0", 'qu"ote'])
def test_columns_may_be_called_anything(prepared, name):
    x, y = [i * 0.5 for i in range(100)], [i % 2 for i in range(100)]
    assert prepared({"a.parquet": _parquet(**{name: x, "y": y})}).kinds == {name: "number"}


def test_an_ignored_column_may_have_any_type(prepared):
    query = f"SELECT [i, 2] AS list, i * 0.5 AS x, i % 2 AS y {ROWS}"
    assert prepared({"a.parquet": query}, types={"list": "ignore"}).kinds == {"x": "number"}


GOOD = _parquet(x=[i * 0.5 for i in range(100)], y=[i % 2 for i in range(100)])
BAD = {
    "not Parquet": ({"a.parquet": b"x,y\n1,2\n" * 9}, "a.parquet: not readable as Parquet ("),
    "empty": ({"a.parquet": b""}, "a.parquet: 0 bytes;"),
    "cut short": ({"a.parquet": GOOD[:-9]}, "a.parquet: not readable as Parquet ("),
    "damaged": (
        {"a.parquet": GOOD[:4] + bytes(200) + GOOD[204:]}, "a.parquet: not readable as Parquet ("
    ),
    "a damaged one of two": (
        {"a.parquet": GOOD, "b.parquet": GOOD[:4] + bytes(200) + GOOD[204:]},
        "a.parquet to b.parquet: not readable as Parquet (",
    ),
    "no rows": (
        {"a.parquet": _parquet(x=pa.array([], "double"), y=pa.array([], "int8"))},
        "a.parquet: no rows; rows to split in three. Add data.",
    ),
    "other columns": (
        {"a.parquet": GOOD, "b.parquet": _parquet(z=[1], y=[1])},
        "b.parquet: other columns than in a.parquet: no 'x', also 'z'; the same in every file.",
    ),
    "a list": (
        {"a.parquet": _parquet(x=[[1], [2]], y=[0, 1])},
        ("a.parquet, column 'x': values of type array<int64>; numbers, text, booleans or dates. "
        "Set data/types/x: ignore in project.yml, or flatten it."),
    ),
    "bytes": (
        {"a.parquet": _parquet(x=[b"1", b"2"], y=[0, 1])}, "a.parquet, column 'x': values of type"
    ),
    "only nulls": (
        {"a.parquet": _parquet(x=pa.nulls(9), y=[0, 1, 2] * 3)}, "column 'x': no value in any of 9"
    ),
    "names that differ in case": (
        {"a.parquet": _parquet(x=[1], X=[2], y=[1])},
        ("a.parquet: columns 1 and 2 are called 'x' and 'X'; names that differ, and not only in "
        "case. Rename one of them."),
    ),
    "infinity": (
        {"a.parquet": _parquet(x=[1.5, 2.5, float("inf")] * 5, y=[0, 1, 1] * 5)},
        "a.parquet, row 3, column 'x': 'inf' (and 4 more such values); a finite number.",
    ),
    "target missing": (
        {"a.parquet": _parquet(x=[1.5], z=[1])}, "a.parquet: no column 'y', only x, z;"
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_bad_files_are_refused(refused, why):
    files, message = BAD[why]
    assert refused(files).startswith(message)
