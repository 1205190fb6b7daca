"""What each column is taken for, and that project.yml has the last word."""

import pytest

N = 120


def _table(values):
    """Return CSV text with the column `c` of `values`, a feature `x` and a target `y`."""
    rows = zip(range(N), values, strict=True)
    return "x,c,y\n" + "".join(f"{i * 0.5},{c},{'no' if i % 3 else 'yes'}\n" for i, c in rows)


def _every(*values):
    return [values[i % len(values)] for i in range(N)]


INFERRED = {
    "integers": (_every(1, 2, 7), "number"),
    "decimals": (_every("-0.5", "1e3", ".5", "+2", "1E-7"), "number"),
    "numbers with spaces": (_every(" 1 ", "2"), "number"),
    "few numbers, many missing": (["1.5", *["NA"] * (N - 1)], "number"),
    "words": (_every("red", "blue"), "category"),
    "booleans": (_every("true", "false"), "category"),
    "mostly words": (_every(*["1"] * 8, "a", "b"), "category"),
    "words that begin as dates": (_every("2024-05-31 was nice", "2024-05-31 was not"), "category"),
    "numbers, but for more than 10 %": ([*["1"] * 107, *["a"] * 13], "category"),
    "few words, all different": ([*(f"w{i}" for i in range(99)), *["NA"] * (N - 99)], "category"),
    "many words, repeated": ([f"w{i % 107}" for i in range(N)], "category"),
    "row numbers": (list(range(7, N + 7)), "numbers the rows"),
    "row numbers, shuffled and as decimals": (
        [f"{(i * 7) % N}.0" for i in range(N)], "numbers the rows",
    ),
    "integers with a gap": ([*range(N - 1), N], "number"),
    "integers, one instead of another": ([51 if i == 50 else i for i in range(N)], "number"),
    "days": ([f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}" for i in range(N)], "dates"),
    "times": (_every("2024-05-31T17:00:01.5Z", "2024-06-01 07:00 +02:00"), "dates"),
    "European and American dates": (_every("31.05.2024", "5/31/2024 17:00"), "dates"),
    "identifiers": (
        [f"u{i}" for i in range(N)], "an identifier: more than 90 % of its values are different",
    ),
    "identifiers, some missing": (
        [*(f"u{i}" for i in range(110)), *["?"] * (N - 110)],
        "an identifier: more than 90 % of its values are different",
    ),
    "decimal commas, all different": (
        [f'"{i},5"' for i in range(N)],
        "numbers with a comma, a currency or a unit are taken for text",
    ),
}  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.parametrize("what", INFERRED)
def test_columns_are_inferred(prepared, what):
    values, expected = INFERRED[what]
    result = prepared({"a.csv": _table(values)})
    assert {**result.kinds, **result.ignored} == {"x": "number", "c": expected}


@pytest.mark.exhaustive
@pytest.mark.parametrize("what", ["row numbers", "days", "identifiers", "integers"])
def test_a_given_type_counts(prepared, what):
    values, _ = INFERRED[what]
    result = prepared({"a.csv": _table(values)}, types={"c": "category"})
    assert result.kinds == {"x": "number", "c": "category"}
    assert {row["c"] for row in result.rows} == {str(value) for value in values}


def test_a_number_with_leading_zeros_is_kept_as_a_category(prepared):
    result = prepared({"a.csv": _table(_every("01", "02"))}, types={"c": "category"})
    assert {row["c"] for row in result.rows} == {"01", "02"}


def test_an_ignored_column_may_hold_anything(prepared):
    result = prepared({"a.csv": _table(_every("", "1", "inf", "x"))}, types={"c": "ignore"})
    assert result.ignored == {"c": "data/types says so"}
    assert result.kinds == {"x": "number"}


def test_ignored_columns_are_told(prepared):
    result = prepared({"a.csv": _table(range(N))})
    assert "ignored column 'c': numbers the rows" in result.log


def test_a_constant_column_is_noted(prepared):
    result = prepared({"a.csv": _table(_every("same"))})
    assert result.kinds["c"] == "category"
    assert "column 'c': the same value in every row" in result.report.notes


def test_two_values_are_not_taken_for_one(prepared):
    # The engine's estimate of the number of different values is 1 for these.
    assert prepared({"a.csv": _table(_every("27", "63"))}).report.notes == ()


@pytest.mark.exhaustive
@pytest.mark.parametrize("value", ['"1,234"', "$5", "12 %", '"0,5"', "1.234.567"])
def test_numbers_in_another_notation_are_noted(prepared, value):
    result = prepared({"a.csv": _table(_every(value, value.replace("2", "3"), '"7,5"'))})
    assert result.kinds["c"] == "category"
    (note,) = result.report.notes
    assert note == "column 'c': numbers with a comma, a currency or a unit are taken for text"


def test_missing_values_are_missing_and_counted(prepared):
    values = _every("", " ", "NA", "?", "nan", "-NaN", "null", "None", *["1.5"] * 7)
    result = prepared({"a.csv": _table(values)})
    assert result.kinds["c"] == "number"
    assert result.report.missing == {"x": 0, "c": 64}
    assert sum(row["c"] is None for row in result.rows) == 64


def test_missing_categories_are_missing(prepared):
    result = prepared({"a.csv": _table(_every("", "  ", "N/A", "a"))})
    assert {row["c"] for row in result.rows} == {None, "a"}


def test_other_words_for_missing(prepared):
    values = _every("a.b|c(", "-", "", "1.5", "2.5")
    result = prepared({"a.csv": _table(values)}, null_values=["-", "a.b|c("])
    assert result.kinds["c"] == "number"
    assert result.report.missing["c"] == N * 3 // 5


def test_zero_has_no_sign(prepared):
    rows = prepared({"a.csv": _table(_every("-0", "0", "-0.0", "1.5"))}).rows
    assert {str(row["c"]) for row in rows} == {"0.0", "1.5"}


FIX = (
    "Correct it, or, if it means a missing value, add it to data/null_values in project.yml; or "
    "set data/types/c: category."
)
BAD = {
    "text in a numeric column": (
        [*range(50), "n.a.", *range(20), "n.a.", *range(48)], {},
        "a.csv:52, column 'c': 'n.a.' (and 1 more such values); a finite number. " + FIX,
    ),
    "numbers, but for 10 %": (
        [*["1"] * 108, *["a"] * 12], {},
        "a.csv:110, column 'c': 'a' (and 11 more such values); a finite number. " + FIX,
    ),
    "text in a column given as number": (
        ["1", *_every("a")[1:]], {"types": {"c": "number"}},
        "a.csv:3, column 'c': 'a' (and 118 more such values); a finite number. " + FIX,
    ),
    "infinity": (
        [*range(50), "inf", *range(69)], {},
        ("a.csv:52, column 'c': 'inf'; a finite number. Correct it, or, if it means a missing "
        "value, add it to data/null_values in project.yml."),
    ),
    "too large to be a number": (
        [*range(50), "1e999", *range(69)], {}, "a.csv:52, column 'c': '1e999'; a finite number.",
    ),
    "no value": (
        _every("", "NA"), {},
        ("column 'c': no value in any of 120 rows; some values. Set data/types/c: ignore in "
        "project.yml, or remove the column."),
    ),
    "no value, though a category": (
        _every(""), {"types": {"c": "category"}}, "column 'c': no value in any of 120 rows;",
    ),
    "everything ignored": (
        _every("a", "b"), {"types": {"x": "ignore", "c": "ignore"}},
        ("data: no column to learn from (x: data/types says so, c: data/types says so); one at "
        "least. Name one in data/types in project.yml as number or category, or add columns."),
    ),
    "nothing varies": (
        _every("a"), {"types": {"x": "ignore"}},
        "data: no column to learn from (x: data/types says so, c: the same value in every row);",
    ),
    "a type for no column": (
        _every("a"), {"types": {"C": "ignore"}},
        "project.yml data/types/C: no column 'C' in the data; one of x, c, y. Did you mean 'c'?",
    ),
    "long value": (
        [*range(50), "z" * 500, *range(69)], {}, "a.csv:52, column 'c': '" + "z" * 76 + "...;",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_bad_columns_are_refused(refused, why):
    values, data, message = BAD[why]
    assert refused({"a.csv": _table(values)}, **data).startswith(message)


@pytest.mark.exhaustive
def test_more_columns_than_fit_in_one_query(prepared):
    names = [f"f{i}" for i in range(110)]
    text = ",".join([*names, "y"]) + "\n"
    for i in range(60):
        values = [str(i * j % 17 / 3) if j % 2 else f"w{i * j % 5}" for j in range(110)]
        text += ",".join([*values, "no" if i % 3 else "yes"]) + "\n"
    kinds = prepared({"a.csv": text}, duplicates="keep").kinds
    assert kinds == {name: "number" if i % 2 else "category" for i, name in enumerate(names)}
