"""Bodies of prediction requests as the arrays that a model reads.

========================= ======================================================================
media type                body
========================= ======================================================================
``text/csv``              a row per line, features in the model's order; or, with a header line,
                          in any order
``application/json``      ``{"instances": [row, ...]}`` or ``[row, ...]``; a row is an object by
                          feature name, or a list in the model's order
``application/jsonlines`` a row per line
``application/x-npy``     an array ``[n_rows, n_features]``; for models of numbers only
========================= ======================================================================

An empty cell, ``null`` and, in an array, NaN are missing values, which the model imputes. Spaces
around a value do not count, as in the data that the model was trained on. All else that is not what
the model reads is refused, with row and column. Values go into the message for the client, in
``found``, and nowhere else.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import functools
import io
import re
import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any, Final, Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import orjson

from mlsystem.artifacts import ModelContract
from mlsystem.errors import RequestError

__all__ = ["Decoder", "MediaType", "Rows"]

MediaType = Literal["text/csv", "application/json", "application/jsonlines", "application/x-npy"]

_NAN: Final = float("nan")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_NUMBER_BYTES: Final = b"0123456789+-.eE"
_CSV_BYTES: Final = _NUMBER_BYTES + b",\n"
_LARGEST: Final = float(np.finfo(np.float32).max)
_LARGEST_ITEM_BYTES: Final = 8
_SHOWN_CHARACTERS: Final = 60
_LEAVE_EMPTY: Final = "Leave the cell empty for a missing value"


class Rows(NamedTuple):
    """Rows of one request, at least one.

    Parameters
    ----------
    numbers
        float32 ``[n_rows, n_numbers]``, finite or, where missing, NaN.
    categories
        str objects ``[n_rows, n_categories]``, ``""`` where missing.
    """

    numbers: npt.NDArray[np.float32]
    categories: npt.NDArray[np.object_]


_Decode = Callable[[Sequence[bytes]], tuple[Rows, list[int]]]


class Decoder:
    """Reads the requests to one model."""

    def __init__(self, contract: ModelContract) -> None:
        self._names = tuple(feature.name for feature in contract.features)
        self._target = contract.target
        self._numbers = contract.numbers
        self._categories = contract.categories
        self._n_features = len(self._names)
        self._by_name = _Picks(self._numbers, self._categories)
        self._by_position = _Picks(*self._positions(self._names))
        self._decoders: dict[MediaType, _Decode] = {
            "text/csv": self._decode_csv,
            "application/json": _one_by_one(self._decode_json),
            "application/jsonlines": _one_by_one(self._decode_json_lines),
        }
        if not self._categories:
            self._decoders["application/x-npy"] = _one_by_one(self._decode_npy)

    @property
    def media_types(self) -> tuple[MediaType, ...]:
        """Of the bodies that make sense for the model."""
        return tuple(self._decoders)

    def decoder(self, media_type: MediaType, *, header: bool = False) -> _Decode:
        """Return the function that reads bodies: all their rows, and how many each has.

        It raises RequestError when a body is broken, or a row is not what the model reads. Which
        body it was shows when they are read one by one.

        Parameters
        ----------
        media_type
            One of `media_types`.
        header
            CSV only: whether the first line names the columns.
        """
        if header and media_type == "text/csv":
            return _one_by_one(self._decode_csv_with_header)
        return self._decoders[media_type]

    # --- CSV ---

    def _decode_csv(self, bodies: Sequence[bytes]) -> tuple[Rows, list[int]]:
        parts = [body.removesuffix(b"\n") for body in bodies]
        text = b"\n".join(parts)
        numbers = None if self._categories else self._plain_numbers(text)
        if numbers is not None:
            rows = Rows(numbers, _no_categories(len(numbers)))
        else:
            table = _split_plain_csv(text)
            if table is None:
                return _one_by_one(self._decode_cells)(bodies)
            rows = self._cells(table, self._by_position)
        return rows, [part.count(b"\n") + 1 for part in parts]

    def _plain_numbers(self, text: bytes) -> npt.NDArray[np.float32] | None:
        """Return the numbers in CSV of digits and separators; None when there is anything special.

        The usual request, so it takes the shortest way: between its separators, such CSV is JSON,
        and packing refuses what is beyond float32.
        """
        if text.translate(None, _CSV_BYTES):
            return None
        lines, n_features = text.split(b"\n"), self._n_features
        if {line.count(b",") for line in lines} != {n_features - 1}:
            return None
        try:
            numbers = orjson.loads(b"[%b]" % text.replace(b"\n", b","))
            packed = struct.pack(f"<{len(lines) * n_features}f", *numbers)
        except (ValueError, OverflowError, struct.error):  # an empty cell or "01"; 1e39; nothing
            return None
        return np.ndarray((len(lines), n_features), "<f4", packed)

    def _decode_cells(self, body: bytes) -> Rows:
        return self._cells(_read_csv(body), self._by_position)

    def _decode_csv_with_header(self, body: bytes) -> Rows:
        header, *table = _read_csv(body) or [[]]
        for name in header:
            if name not in self._by_name.keys:
                _refuse_unknown(name, self._names, "header")
        for name in self._names:
            if header.count(name) != 1:
                raise RequestError(
                    "header", f"column {name!r} {header.count(name)} times", "each feature once"
                )
        return self._cells(table, _Picks(*self._positions(header)))

    def _cells(self, table: list[list[str]], picks: _Picks) -> Rows:
        if self._n_features == 1:  # then an empty line is a missing value
            table = [row or [""] for row in table]
        while table and not table[-1]:
            table.pop()
        _check_count(len(table))
        for index, row in enumerate(table):
            if len(row) != self._n_features:
                self._refuse_width(index, len(row), row)
        numbers = [cell for row in table for cell in picks.numbers(row)]
        categories = [cell.strip(" ") for row in table for cell in picks.categories(row)]
        return self._rows(_parse_cells(numbers, self._numbers, self._names), categories, len(table))

    # --- JSON ---

    def _decode_json(self, body: bytes) -> Rows:
        document = _load_json(body)
        if type(document) is dict:
            if "instances" not in document or len(document) != 1:
                keys = _shown(", ".join(sorted(document)))
                raise RequestError("body", f"keys {keys}", 'one key, "instances"')
            document = document["instances"]
        if type(document) is not list:
            raise RequestError(
                "body", f"{_kind(document)} instead of the rows",
                'a list of rows: {"instances": [{"feature": value}]}',
            )  # fmt: skip
        return self._values(document)

    def _decode_json_lines(self, body: bytes) -> Rows:
        lines = body.split(b"\n")
        return self._values(
            [_load_json(line, index) for index, line in enumerate(lines, 1) if line.strip()]
        )

    def _values(self, rows: list[Any]) -> Rows:
        _check_count(len(rows))
        numbers: list[Any] = []
        categories: list[Any] = []
        for index, row in enumerate(rows):
            picks = self._picks_of(index, row)
            numbers += picks.numbers(row)
            categories += picks.categories(row)
        return self._rows(
            _check_numbers(numbers, self._numbers),
            _check_categories(categories, self._categories),
            len(rows),
        )

    def _picks_of(self, index: int, row: Any) -> _Picks:
        if type(row) is dict:
            if row.keys() != self._by_name.keys:
                self._refuse_keys(index, row)
            return self._by_name
        if type(row) is not list:
            raise RequestError(
                f"row {index + 1}", _kind(row), "an object by feature name, or a list of values"
            )
        if len(row) != self._n_features:
            self._refuse_width(index, len(row), row)
        return self._by_position

    # --- npy ---

    def _decode_npy(self, body: bytes) -> Rows:
        shape, is_fortran, dtype, offset = _read_npy_header(body)
        if shape[1:] != (self._n_features,):
            raise RequestError(
                "array", f"shape {shape}", f"(number of rows, {self._n_features} features)"
            )
        _check_count(shape[0])
        n_bytes = shape[0] * shape[1] * dtype.itemsize
        if len(body) - offset != n_bytes:
            raise RequestError("array", f"{len(body) - offset} bytes", f"{n_bytes} for its shape")
        given = np.frombuffer(body, dtype, offset=offset).reshape(
            shape, order="F" if is_fortran else "C"
        )
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray(given, dtype=np.float32)
        for row, column in np.argwhere(np.isinf(numbers))[:1]:
            _refuse_size(str(given[row, column]), int(row), self._numbers[column])
        return Rows(numbers, _no_categories(len(numbers)))

    # --- parts ---

    def _positions(self, columns: Sequence[str]) -> tuple[list[int], list[int]]:
        return (
            [columns.index(name) for name in self._numbers],
            [columns.index(name) for name in self._categories],
        )

    def _rows(self, numbers: npt.NDArray[np.float32], categories: list[str], n_rows: int) -> Rows:
        return Rows(
            numbers.reshape(n_rows, len(self._numbers)),
            np.array(categories, dtype=object).reshape(n_rows, len(self._categories)),
        )

    def _refuse_width(self, index: int, width: int, row: Sequence[Any]) -> NoReturn:
        fix = ""
        if width == self._n_features + 1:
            fix = f"Leave out the target {self._target!r}"
        elif width == 1 and isinstance(row[0], str) and ";" in row[0]:
            fix = "Separate the values by commas"
        raise RequestError(
            f"row {index + 1}", f"{width} values", f"{self._n_features}, one per feature", fix
        )

    def _refuse_keys(self, index: int, row: dict[str, Any]) -> NoReturn:
        where = f"row {index + 1}"
        for name in row:
            if name not in self._names:
                _refuse_unknown(name, self._names, where)
        missing = next(name for name in self._names if name not in row)
        raise RequestError(
            where, f"no feature {missing!r}", "each feature", "Give null for a missing value"
        )


def _one_by_one(decode: Callable[[bytes], Rows]) -> _Decode:
    """Return a function that reads several bodies of what `decode` reads one."""

    def decode_all(bodies: Sequence[bytes]) -> tuple[Rows, list[int]]:
        rows = [decode(body) for body in bodies]
        if len(rows) == 1:
            return rows[0], [len(rows[0].numbers)]
        numbers, categories = zip(*rows, strict=True)
        joined = Rows(np.concatenate(numbers), np.concatenate(categories))
        return joined, [len(each.numbers) for each in rows]

    return decode_all


class _Picks:
    """How to take the numbers and the categories out of a row."""

    def __init__(self, numbers: Sequence[Any], categories: Sequence[Any]) -> None:
        self.keys = {*numbers, *categories}
        self.numbers = _pick(numbers)
        self.categories = _pick(categories)


def _pick(keys: Sequence[Any]) -> Callable[[Any], Sequence[Any]]:
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda row: [row[key] for key in keys]


# --- CSV ----------------------------------------------------------------------------------------


def _split_plain_csv(text: bytes) -> list[list[str]] | None:
    """Return the cells of CSV without quotes and empty lines; None when it is not so plain."""
    if b'"' in text or b"\r" in text or b"\n\n" in b"\n%b\n" % text or codecs.BOM_UTF8 in text:
        return None
    try:
        return [line.split(",") for line in text.decode().split("\n")]
    except UnicodeDecodeError:
        return None


def _read_csv(body: bytes) -> list[list[str]]:
    """Return the cells of RFC 4180 text."""
    try:
        text = body.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise RequestError(
            f"byte {error.start + 1}", f"0x{body[error.start]:02x}", "UTF-8 text"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(reader)
    except csv.Error as error:
        raise RequestError(f"line {reader.line_num}", str(error), "CSV as in RFC 4180") from error


def _parse_cells(
    cells: list[str], columns: Sequence[str], names: Sequence[str]
) -> npt.NDArray[np.float32]:
    """Return the numbers in `cells`, which go row by row through `columns`."""
    try:
        # Python's float() also reads "nan", "1_000" and digits of other scripts.
        if "".join(cells).encode().translate(None, _NUMBER_BYTES):
            raise ValueError
        with np.errstate(over="raise"):
            numbers = np.array([float(cell) if cell else _NAN for cell in cells], dtype=np.float32)
        if np.isinf(numbers).any():
            raise ValueError
    except (ValueError, FloatingPointError):
        return np.array(
            [_parse_cell(cell, *_place(index, columns), names) for index, cell in enumerate(cells)],
            dtype=np.float32,
        )
    return numbers


def _parse_cell(cell: str, row: int, column: str, names: Sequence[str]) -> float:
    text = cell.strip()
    if not text:
        return _NAN
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if abs(number) <= _LARGEST else _refuse_size(text, row, column)
    fix = ""
    if text in names:
        fix = "Send a header line as text/csv; header=present"
    elif text.lstrip("+-").lower() in {"nan", "inf", "infinity", "na", "n/a", "null", "none", "?"}:
        fix = _LEAVE_EMPTY
    raise RequestError(_where(row, column), repr(_shown(cell)), "a number", fix)


# --- JSON ---------------------------------------------------------------------------------------


def _load_json(body: bytes, line: int | None = None) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {line or error.lineno}, column {error.colno}"
        fix = "Write null for a missing value" if re.search(rb"\b(NaN|Infinity)\b", body) else ""
        raise RequestError(where, error.msg, "JSON", fix) from error


def _check_numbers(values: list[Any], columns: Sequence[str]) -> npt.NDArray[np.float32]:
    if not {*map(type, values)} <= {float, int, NoneType}:
        index = next(
            i for i, value in enumerate(values) if type(value) not in (float, int, NoneType)
        )
        value = values[index]
        fix = "Write it without quotes" if type(value) is str and _NUMBER.fullmatch(value) else ""
        raise RequestError(_where(*_place(index, columns)), _kind(value), "a number or null", fix)
    with np.errstate(over="ignore"):
        numbers = np.array(values, dtype=np.float32)
    if np.isinf(numbers).any():
        index = int(np.flatnonzero(np.isinf(numbers))[0])
        _refuse_size(str(values[index]), *_place(index, columns))
    return numbers


def _check_categories(values: list[Any], columns: Sequence[str]) -> list[str]:
    if {*map(type, values)} <= {str}:
        return [value.strip(" ") for value in values]
    return [_category(value, *_place(index, columns)) for index, value in enumerate(values)]


def _category(value: Any, row: int, column: str) -> str:
    """Return `value` as text, which is how categories are compared."""
    if isinstance(value, str):
        return value.strip(" ")
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise RequestError(_where(row, column), _kind(value), "text or null")


# --- npy ----------------------------------------------------------------------------------------


def _read_npy_header(body: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, whether it is in Fortran order, type, and where the data starts."""
    stream = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    except Exception as error:  # the header is a Python literal: its parser may raise anything
        raise RequestError("body", "a broken header", "a .npy file of version 1 or 2") from error
    if dtype.kind not in "fiu" or dtype.itemsize > _LARGEST_ITEM_BYTES:
        raise RequestError(
            "array", f"type {_shown(str(dtype))}", "integers or floats of at most 64 bits"
        )
    return shape, is_fortran, dtype, stream.tell()


# --- messages -----------------------------------------------------------------------------------


def _check_count(n_rows: int) -> None:
    if n_rows < 1:
        raise RequestError("body", "0 rows", "at least one")


def _place(index: int, columns: Sequence[str]) -> tuple[int, str]:
    row, position = divmod(index, len(columns))
    return row, columns[position]


def _where(row: int, column: str) -> str:
    return f"row {row + 1}, column {column!r}"


def _refuse_size(number: str, row: int, column: str) -> NoReturn:
    raise RequestError(
        _where(row, column), _shown(number), f"a number of size at most {_LARGEST:.4g} (float32)"
    )


def _refuse_unknown(name: str, known: Sequence[str], where: str) -> NoReturn:
    close = difflib.get_close_matches(name[:200], known, n=1, cutoff=0.5)
    fix = f"Did you mean {close[0]!r}?" if close else ""
    raise RequestError(where, f"unknown feature {_shown(name)!r}", "the model's features only", fix)


def _kind(value: Any) -> str:
    """Return a JSON value for a message: shortened, with its type."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    kind = "text " if isinstance(value, str) else ""
    return kind + _shown(orjson.dumps(value).decode())


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


@functools.lru_cache(maxsize=16)
def _no_categories(n_rows: int) -> npt.NDArray[np.object_]:
    return np.empty((n_rows, 0), dtype=object)
