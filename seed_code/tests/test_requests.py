"""Bodies become the arrays that they say, or a message: row, column, found and required."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsystem.artifacts import ModelContract, ModelFeature
from mlsystem.errors import RequestError
from mlsystem.requests import Decoder, Rows

NAN = float("nan")
MAX = float(np.finfo(np.float32).max)


def _decoder(*features: str) -> Decoder:
    """Return the decoder of a model with `features`; a name in upper case is a category."""
    kinds = [(name, "category" if name.isupper() else "number") for name in features]
    contract = ModelContract(
        model_name="m",
        problem="binary",
        algorithm="linear",
        target="churn",
        labels=("no", "yes"),
        features=tuple(ModelFeature(name, kind, ()) for name, kind in kinds),
        onnx_sha256="",
        libraries={},
    )
    return Decoder(contract)


NUMBERS = _decoder("x", "y")
MIXED = _decoder("x", "COLOR", "y")
ONE = _decoder("x")
CSV, JSON, LINES, NPY = "text/csv", "application/json", "application/jsonlines", "application/x-npy"


def _read(decoder: Decoder, media_type: str, body: bytes | str, **options: bool) -> Rows:
    content = body.encode() if isinstance(body, str) else body
    rows, sizes = decoder.decoder(media_type, **options)([content])  # type: ignore[arg-type]
    assert sizes == [len(rows.numbers)] == [len(rows.categories)]
    assert rows.numbers.dtype == np.float32
    assert rows.categories.dtype == object
    return rows


def _numbers(rows: Rows) -> list[list[float | None]]:
    return [[None if math.isnan(number) else number for number in row] for row in rows.numbers]


def _refused(decoder: Decoder, media_type: str, body: bytes | str, **options: bool) -> str:
    with pytest.raises(RequestError) as caught:
        _read(decoder, media_type, body, **options)
    assert caught.value.status == 400
    return str(caught.value)


# --- CSV ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("1,2", [[1, 2]]),
        ("1,2\n", [[1, 2]]),
        ("1,2\n-3.5,4e1\n", [[1, 2], [-3.5, 40]]),
        ("1,2\r\n3,4\r\n", [[1, 2], [3, 4]]),
        ("01,+2\n.5,3.\n", [[1, 2], [0.5, 3]]),
        (" 1 ,\t2\n", [[1, 2]]),
        ('"1","2"\n', [[1, 2]]),
        (",2\n1,\n,\n", [[None, 2], [1, None], [None, None]]),
        ("  ,2\n", [[None, 2]]),
        ("1,2\n\n\n", [[1, 2]]),
        ("\ufeff1,2\n", [[1, 2]]),
        ("3.4028234e38,-3.4028234e38", [[MAX, -MAX]]),
        ("1e-400,-0", [[0, 0]]),
    ],
)
def test_csv_of_numbers(body: str, rows: list[list[float | None]]) -> None:
    assert _numbers(_read(NUMBERS, CSV, body)) == rows


def test_csv_of_numbers_and_categories() -> None:
    rows = _read(MIXED, CSV, '1,red,2\n,"a ""b"",\nc",\n3, blue ,4\n5,\ud7ff_1,1\n')
    assert _numbers(rows) == [[1, 2], [None, None], [3, 4], [5, 1]]
    assert rows.categories.tolist() == [["red"], ['a "b",\nc'], ["blue"], ["\ud7ff_1"]]


def test_csv_of_categories_only() -> None:
    rows = _read(_decoder("A", "B"), CSV, "1,2\nNaN,\n")
    assert rows.categories.tolist() == [["1", "2"], ["NaN", ""]]
    assert rows.numbers.shape == (2, 0)


def test_an_empty_line_is_a_missing_value_where_there_is_one_feature() -> None:
    assert _numbers(_read(ONE, CSV, "1\n\n2\n")) == [[1], [None], [2]]
    assert _numbers(_read(ONE, CSV, '""\n')) == [[None]]


def test_csv_with_a_header_in_any_order() -> None:
    rows = _read(MIXED, CSV, "y,x,COLOR\n2,1,red\n4,,\n", header=True)
    assert _numbers(rows) == [[1, 2], [None, 4]]
    assert rows.categories.tolist() == [["red"], [""]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: 0 rows; at least one."),
        (b"\n\n", "body: 0 rows; at least one."),
        (b"1", "row 1: 1 values; 2, one per feature."),
        (b"1,2\n3\n", "row 2: 1 values; 2, one per feature."),
        (b"1,2\n\n3,4\n", "row 2: 0 values; 2, one per feature."),
        (b"1,2,yes", "row 1: 3 values; 2, one per feature. Leave out the target 'churn'."),
        (b"1;2\n", "row 1: 1 values; 2, one per feature. Separate the values by commas."),
        (b"1,2\n3,abc\n", "row 2, column 'y': 'abc'; a number."),
        (b"1,0x1f\n", "row 1, column 'y': '0x1f'; a number."),
        (b"1_000,2\n", "row 1, column 'x': '1_000'; a number."),
        ("1,\u0662\n".encode(), "row 1, column 'y': '\u0662'; a number."),
        (b"true,[2]", "row 1, column 'x': 'true'; a number."),
        (b"1,1e", "row 1, column 'y': '1e'; a number."),
        (b"1,--2", "row 1, column 'y': '--2'; a number."),
        (
            b"1,NaN",
            "row 1, column 'y': 'NaN'; a number. Leave the cell empty for a missing value.",
        ),
        (
            b"-inf,1",
            "row 1, column 'x': '-inf'; a number. Leave the cell empty for a missing value.",
        ),
        (
            b"1,2\n1,1e39",
            "row 2, column 'y': 1e39; a number of size at most 3.403e+38 (float32).",
        ),
        (
            b"1,-1e999",
            "row 1, column 'y': -1e999; a number of size at most 3.403e+38 (float32).",
        ),
        (
            b"x,y\n1,2\n",
            "row 1, column 'x': 'x'; a number. Send a header line as text/csv; header=present.",
        ),
        (b"1,\xe92\n", "byte 3: 0xe9; UTF-8 text."),
        (b'1,"2\n', "line 1: unexpected end of data; CSV as in RFC 4180."),
    ],
)
def test_refuses_csv(body: bytes, message: str) -> None:
    assert _refused(NUMBERS, CSV, body) == message


def test_a_message_shows_the_beginning_of_a_long_value() -> None:
    message = _refused(NUMBERS, CSV, "1," + "z" * 100_000)
    assert message == f"row 1, column 'y': '{'z' * 57}...'; a number."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "header: column 'x' 0 times; each feature once."),
        ("x,y\n1,2", "header: column 'COLOR' 0 times; each feature once."),
        ("x,COLOR,x,y\n1,a,1,2", "header: column 'x' 2 times; each feature once."),
        (
            "x,COLOUR,y\n1,a,2",
            "header: unknown feature 'COLOUR'; the model's features only. Did you mean 'COLOR'?",
        ),
        ("x,COLOR,y\n", "body: 0 rows; at least one."),
    ],
)
def test_refuses_csv_headers(body: str, message: str) -> None:
    assert _refused(MIXED, CSV, body, header=True) == message


# --- JSON ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": [{"y": 2, "COLOR": "red", "x": 1}, {"x": null, "y": 0.5, "COLOR": null}]}',
        '{"instances": [[1, " red ", 2.0], [null, null, 0.5]]}',
        '[[1, "red ", 2.0], {"x": null, "y": 0.5, "COLOR": ""}]',
    ],
)
def test_json(body: str) -> None:
    rows = _read(MIXED, JSON, body)
    assert _numbers(rows) == [[1, 2], [None, 0.5]]
    assert rows.categories.tolist() == [["red"], [""]]


def test_json_lines() -> None:
    rows = _read(MIXED, LINES, '{"y": 2, "COLOR": "red", "x": 1}\r\n\n[3, "\\u00fc", 4]\n')
    assert _numbers(rows) == [[1, 2], [3, 4]]
    assert rows.categories.tolist() == [["red"], ["ü"]]


def test_categories_that_are_no_text_in_json_are_compared_as_text() -> None:
    rows = _read(_decoder("A"), JSON, '[[415], [true], [false], [1.5], [null], ["NA"], [" a b "]]')
    assert rows.categories.tolist() == [
        ["415"],
        ["true"],
        ["false"],
        ["1.5"],
        [""],
        ["NA"],
        ["a b"],
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1", 'body: 1 instead of the rows; a list of rows: {"instances": [{"feature": value}]}.'),
        ('{"rows": [[1]]}', 'body: keys rows; one key, "instances".'),
        ('{"instances": [], "z": 1}', 'body: keys instances, z; one key, "instances".'),
        ('{"instances": []}', "body: 0 rows; at least one."),
        ("[1, 2]", "row 1: 1; an object by feature name, or a list of values."),
        ('[[1, "a"]]', "row 1: 2 values; 3, one per feature."),
        (
            '[{"x": 1, "COLOR": "a", "y": 1}, {"x": 1, "y": 2}]',
            "row 2: no feature 'COLOR'; each feature. Give null for a missing value.",
        ),
        (
            '[{"x": 1, "COLOR": "a", "y": 1, "colour": 3}]',
            "row 1: unknown feature 'colour'; the model's features only.",
        ),
        (
            '[{"x": 1, "COLOUR": "a", "y": 1}]',
            "row 1: unknown feature 'COLOUR'; the model's features only. Did you mean 'COLOR'?",
        ),
        (
            '[[1, "a", "2"]]',
            "row 1, column 'y': text \"2\"; a number or null. Write it without quotes.",
        ),
        ('[[1, "a", "b"]]', "row 1, column 'y': text \"b\"; a number or null."),
        ('[[1, "a", 1], [true, "a", 1]]', "row 2, column 'x': true; a number or null."),
        ('[[1, "a", [1]]]', "row 1, column 'y': a list; a number or null."),
        ('[[1, {"a": 1}, 2]]', "row 1, column 'COLOR': an object; text or null."),
        (
            '[[1, "a", 4e38]]',
            "row 1, column 'y': 4e+38; a number of size at most 3.403e+38 (float32).",
        ),
    ],
)
def test_refuses_json(body: str, message: str) -> None:
    assert _refused(MIXED, JSON, body) == message


@pytest.mark.parametrize(
    ("body", "where", "fix"),
    [
        ("", "line 1, column 1", ""),
        ('{"instances": [', "line 1, column 16", ""),
        ('{"instances":\n [1 2]}', "line 2, column 5", ""),
        ('[[1, "a", NaN]]', "line 1, column 11", " Write null for a missing value."),
        ('[[1, "a", 1e999]]', "line 1, column 11", ""),
    ],
)
def test_refuses_broken_json_with_its_place(body: str, where: str, fix: str) -> None:
    message = _refused(MIXED, JSON, body)
    assert message.startswith(f"{where}: ")
    assert message.endswith(f"; JSON.{fix}")


def test_refuses_json_lines_with_the_line() -> None:
    message = _refused(MIXED, LINES, '[1, "a", 2]\n\n[1, "a" 2]\n')
    assert message.startswith("line 3, column 9: ")
    assert _refused(MIXED, LINES, "\n") == "body: 0 rows; at least one."


def test_refuses_deeply_nested_json() -> None:
    assert "JSON" in _refused(NUMBERS, JSON, b"[" * 100_000)


# --- npy ----------------------------------------------------------------------------------------


def _npy(array: object, *, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), version=version)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i8", "<u2", "|i1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(dtype: str, order: str) -> None:
    array = np.array([[1, 2], [3, 4], [5, 6]], dtype=dtype, order=order)
    assert _numbers(_read(NUMBERS, NPY, _npy(array))) == [[1, 2], [3, 4], [5, 6]]


def test_nan_in_an_array_is_a_missing_value() -> None:
    body = _npy(np.array([[NAN, 2]]), version=(2, 0))
    assert _numbers(_read(NUMBERS, NPY, body)) == [[None, 2]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "a broken header"),
        (b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16, "a broken header"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535, "a broken header"),
        (_npy([1.0, 2.0]), "array: shape (2,); (number of rows, 2 features)."),
        (_npy([[1.0, 2.0, 3.0]]), "array: shape (1, 3); (number of rows, 2 features)."),
        (_npy(np.empty((0, 2))), "body: 0 rows"),
        (_npy([[1.0, 2.0]])[:-1], "array: 15 bytes; 16 for its shape."),
        (_npy([[1.0, 2.0]]) + b"\0", "array: 17 bytes; 16 for its shape."),
        (_npy([["a", "b"]]), "array: type <U1"),
        (_npy([[1j, 2j]]), "array: type complex128"),
        (_npy([[True, False]]), "array: type bool"),
        (_npy([[1.0, 2.0], [1.0, math.inf]]), "row 2, column 'y': inf; a number of size"),
        (_npy([[1e39, 1.0]]), "row 1, column 'x': 1e+39; a number of size"),
    ],
)
def test_refuses_npy(body: bytes, message: str) -> None:
    assert message in _refused(NUMBERS, NPY, body)


def test_refuses_npy_that_promises_more_than_it_has() -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 2), }\n"
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    assert "array: 0 bytes; 8000000000000 for its shape." in _refused(NUMBERS, NPY, body)


def test_refuses_npy_of_objects_without_unpickling_them() -> None:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([[_Bomb(), 1]], dtype=object), allow_pickle=True)
    assert "array: type object" in _refused(NUMBERS, NPY, stream.getvalue())


class _Bomb:
    def __reduce__(self) -> object:
        return (pytest.fail, ("unpickled",))


def test_npy_is_for_models_of_numbers_only() -> None:
    assert NPY in NUMBERS.media_types
    assert MIXED.media_types == (CSV, JSON, LINES)


# --- properties ---------------------------------------------------------------------------------

_number = st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)
_text = st.text(st.characters(codec="utf-8"), max_size=5).map(lambda text: text.strip(" "))
_row = st.tuples(_number, _text, _number)
_table = st.lists(_row, min_size=1, max_size=8)


def _check(rows: Rows, table: list[tuple[float | None, str, float | None]]) -> None:
    assert _numbers(rows) == [[x, y] for x, _, y in table]
    assert rows.categories.tolist() == [[color] for _, color, _ in table]


@given(_table)
def test_what_is_written_as_csv_is_read_the_same(table: list) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(
        [
            ["" if x is None else repr(x), color, "" if y is None else repr(y)]
            for x, color, y in table
        ]
    )
    _check(_read(MIXED, CSV, stream.getvalue()), table)


@given(_table)
def test_what_is_written_as_json_is_read_the_same(table: list) -> None:
    named = [{"y": y, "COLOR": color, "x": x} for x, color, y in table]
    _check(_read(MIXED, JSON, json.dumps({"instances": named})), table)
    _check(_read(MIXED, JSON, json.dumps(table)), table)
    _check(_read(MIXED, LINES, "\n".join(map(json.dumps, named))), table)


@given(_table)
def test_what_is_written_as_npy_is_read_the_same(table: list) -> None:
    array = np.array([[x, y] for x, _, y in table], dtype=np.float32)
    assert np.array_equal(_read(NUMBERS, NPY, _npy(array)).numbers, array, equal_nan=True)


_cell = st.sampled_from(
    [
        "1",
        "-2.5",
        "1e5",
        "007",
        ".5",
        "",
        " ",
        "1e39",
        "nan",
        "a",
        '"3"',
        "1_0",
        "true",
        "null",
        "[1",
    ]
)
_line = st.lists(_cell, min_size=1, max_size=3).map(",".join)


_PLAIN = st.sampled_from([NUMBERS, ONE, _decoder("x", "COLOR")])


@given(_PLAIN, st.lists(_line, max_size=4).map("\n".join), st.sampled_from(["", "\n", "\r\n"]))
def test_the_short_ways_for_plain_csv_read_what_the_long_way_reads(
    decoder: Decoder, body: str, end: str
) -> None:
    content = (body + end).encode()
    short = _outcome(lambda: _read(decoder, CSV, content))
    assert short == _outcome(lambda: decoder._decode_cells(content))


def _outcome(read) -> object:
    try:
        rows = read()
        return _numbers(rows), rows.categories.tolist()
    except RequestError as error:
        return str(error)


@given(_PLAIN, st.lists(st.lists(_line, max_size=2).map("\n".join), min_size=1, max_size=4))
def test_bodies_together_are_read_as_one_by_one(decoder: Decoder, bodies: list[str]) -> None:
    contents = [body.encode() for body in bodies]
    decode = decoder.decoder("text/csv")
    try:
        alone = [decode([content])[0] for content in contents]
    except RequestError:
        with pytest.raises(RequestError):
            decode(contents)
    else:
        rows, sizes = decode(contents)
        assert sizes == [len(each.numbers) for each in alone]
        for field in ("numbers", "categories"):
            together = np.concatenate([getattr(each, field) for each in alone])
            assert getattr(rows, field).shape == together.shape
            assert repr(getattr(rows, field).tolist()) == repr(together.tolist())


_DECODERS = [
    (decoder, media_type) for decoder in (NUMBERS, MIXED, ONE) for media_type in decoder.media_types
]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["instances", "x", "y", "COLOR"]), inner, max_size=3)
    ),
)
_bytes = (
    st.binary(max_size=60)
    | st.binary(max_size=60).map(lambda tail: _npy([[1.0, 2.0]])[:70] + tail)
    | st.text('0123456789.,-+eE"\r\n a\0', max_size=30).map(str.encode)
    | _json.map(lambda value: json.dumps(value).encode())
)


@given(st.sampled_from(_DECODERS), _bytes, st.booleans())
def test_whatever_comes_is_read_or_refused(case: tuple, body: bytes, header: bool) -> None:
    decoder, media_type = case
    try:
        rows = _read(decoder, media_type, body, header=header)
    except RequestError as error:
        assert error.status == 400
        assert len(str(error)) < 500
    else:
        assert len(rows.numbers) > 0
        assert not np.isinf(rows.numbers).any()
        assert all(isinstance(value, str) for value in rows.categories.ravel())
