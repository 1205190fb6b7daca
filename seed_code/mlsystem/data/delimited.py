"""CSV files as Python's own reader sees them: slower than the engine, but it can explain.

The engine parses regular files. This module recognizes the delimiter, reads headers, says which
line is wrong and why when the engine refuses a file, and rewrites what is only unusual: lines
quoted as a whole (``"a,b,c"``), line endings of two kinds, blank lines before the header.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import typing
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from mlsystem.data.files import RawFile
from mlsystem.data.wording import plural
from mlsystem.errors import DataError

__all__ = ["REWRITTEN", "Record", "first_record", "records", "rewrite", "sniff_delimiter"]

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE = 100

# DuckDB's options for a file that this module has written. It would take the first line end for
# all of them, even one inside quotes.
REWRITTEN = {"header": False, "delim": ",", "new_line": "\\n"}


class Record(NamedTuple):
    """The values between two line ends; `line` counts from 1, a quoted value may span several."""

    line: int
    last_line: int
    values: list[str]
    was_quoted: bool
    """Whether the whole line was one quoted value."""


def records(file: RawFile, delimiter: str) -> Iterator[Record]:
    """Yield the records of `file`; blank lines do not count.

    Raises
    ------
    DataError
        The file cannot be read, is not UTF-8, or breaks the rules of quoting (RFC 4180).
    """
    last_line = 0
    with _readable(file), _text(file) as lines:
        reader = _reader(lines, delimiter)
        while True:
            line = last_line + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(
                    f"{file.name}:{line}", f"not CSV ({error})",
                    "quotes around the whole value, and doubled inside it (RFC 4180)",
                    "Correct the line",
                ) from error  # fmt: skip
            last_line = reader.line_num
            if len(values) > 1:
                yield Record(line, last_line, values, was_quoted=False)
            elif values and values[0].strip():
                # No data set has a single column: this is a quoted line, or an error.
                inner = _split(values[0], delimiter)
                yield Record(line, last_line, inner, was_quoted=len(inner) > 1)


def first_record(file: RawFile, delimiter: str) -> Record:
    """Return the first record of `file`; raises DataError when there is none."""
    for record in records(file, delimiter):
        return record
    raise DataError(
        file.name, "only blank lines", "lines of values", "Upload it again, or remove it"
    )


def sniff_delimiter(file: RawFile) -> str:
    """Return the delimiter that gives the first records of `file` the same number of values.

    Raises
    ------
    DataError
        With none of them a record has two values.
    """
    scores = {delimiter: _score(file, delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda delimiter: scores[delimiter])
    if scores[best] == (0, 0):
        record = first_record(file, best)
        raise DataError(
            f"{file.name}:{record.line}", "a single column",
            "two or more, between commas, semicolons, tabs or |",
            "Set data/delimiter in project.yml if another character is between the values",
        )  # fmt: skip
    return best


def _score(file: RawFile, delimiter: str) -> tuple[int, int]:
    """How many of the first records are as wide as the first one, and how wide; (0, 0) for 1."""
    widths = []
    # An error may only come of the wrong delimiter: reading with the right one will tell.
    with suppress(DataError):
        for record in itertools.islice(records(file, delimiter), _SAMPLE):
            widths.append(len(record.values))  # noqa: PERF401 - those before the error count
    if not widths or widths[0] == 1:
        return 0, 0
    return widths.count(widths[0]), widths[0]


def rewrite(rows: Iterable[Record], name: str, width: int, target: Path) -> int:
    """Write `rows` to `target` as a regular CSV file without a header, see `REWRITTEN`.

    Parameters
    ----------
    rows
        Records without the header.
    name
        Of their file, for messages.
    width
        Number of values in each.
    target
        File to write.

    Returns
    -------
    int
        How many lines were quoted as a whole.

    Raises
    ------
    DataError
        At the first record with another number of values; see also :func:`records`.
    """
    n_quoted = 0
    with target.open("w", encoding="utf-8", newline="") as output:
        writer = csv.writer(output, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for record in rows:
            writer.writerow(_fitting(record, name, width))
            n_quoted += record.was_quoted
    return n_quoted


def _fitting(record: Record, name: str, width: int) -> Sequence[str]:
    values = record.values
    if len(values) == width + 1 and not values[-1].strip():
        return values[:-1]  # a delimiter at the end of the line, which the engine accepts, too
    if len(values) != width:
        raise DataError(
            f"{name}:{record.line}", plural(len(values), "value"),
            f"{width:,}, as in the first line",
            "Correct the line; a value that holds the delimiter needs quotes",
        )  # fmt: skip
    return values


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(_reader([line], delimiter))
    except csv.Error:
        return [line]


def _reader(lines: Iterable[str], delimiter: str) -> Any:
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != " ", strict=True)


# --- bytes --------------------------------------------------------------------------------------


def _binary(file: RawFile) -> IO[bytes]:
    if file.name.lower().endswith(".gz"):
        return typing.cast("IO[bytes]", gzip.open(file.path, "rb"))
    return file.path.open("rb")


def _text(file: RawFile) -> io.TextIOWrapper:
    return io.TextIOWrapper(_binary(file), encoding="utf-8-sig", newline="")


@contextmanager
def _readable(file: RawFile) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        _require_utf8(file)
        raise
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            file.name, f"damaged gzip ({error})", "a whole gzip file", "Upload it again"
        ) from error
    except OSError as error:
        raise DataError(file.name, str(error.strerror), "a readable file") from error


def _require_utf8(file: RawFile) -> None:
    """Raise DataError with the line and the byte when `file` is not UTF-8."""
    with _binary(file) as stream:
        for line, data in enumerate(stream, start=1):
            try:
                data.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{file.name}:{line}", f"byte 0x{data[error.start]:02X}, which is not UTF-8",
                    "UTF-8 text",
                    "Save it as UTF-8 (Excel: 'CSV UTF-8'; or: iconv -f latin1 -t utf-8)",
                ) from error  # fmt: skip
