"""CSV files: every way to write the same rows reads the same, and what is wrong is said."""

import gzip

import pytest

BOM = b"\xef\xbb\xbf"


def _same_rows(text):
    """Return the same rows, written differently, by what is different."""
    body = text.partition("\n")[2]
    return {
        "semicolons": {"a.csv": text.replace(",", ";")},
        "tabs": {"a.csv": text.replace(",", "\t")},
        "bars": {"a.csv": text.replace(",", "|")},
        "line ends of Windows": {"a.csv": text.replace("\n", "\r\n")},
        "line ends of old Macs": {"a.csv": text.replace("\n", "\r")},
        "line ends of two kinds": {"a.csv": text[:200] + text[200:].replace("\n", "\r\n")},
        "no line end at the end": {"a.csv": text.rstrip("\n")},
        "byte order mark": {"a.csv": BOM + text.encode()},
        "gzip": {"a.csv.gz": gzip.compress(text.encode())},
        "ending in capitals": {"A.CSV": text},
        "blank lines first": {"a.csv": "\n \n" + text},
        "blank lines between": {"a.csv": text.replace("\n", "\n\n")},
        "delimiter at line ends": {"a.csv": text.replace("yes\n", "yes,\n")},
        "spaces around values": {"a.csv": text.replace(",", " , ")},
        "spaces before quotes": {"a.csv": text.replace(",a", ', "a"')},
        "spaces before quotes, and a blank line": {"a.csv": "\n" + text.replace(",a", ', "a"')},
        "values in quotes": {"a.csv": text.replace("a", '"a"')},
        "lines in quotes": {"a.csv": "".join(f'"{line}"\n' for line in text.splitlines())},
        "rows in quotes": {
            "a.csv": "x,c,y\n" + "".join(f'"{line}"\n' for line in body.splitlines())
        },
        "many files": {
            "2024/b.csv": "x,c,y\n" + body[300:][body[300:].index("\n") + 1 :],
            "2023/a.csv": BOM + ("x,c,y\n" + body[: 300 + body[300:].index("\n") + 1]).encode(),
        },
        "hidden and other files": {
            "a.csv": text, ".b.csv": "?", ".c/d.csv": "?", "README": "?", "_SUCCESS": b"",
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def usual(prepared, lines):
    result = prepared({"a.csv": lines()})
    assert len(result.rows) == 60
    return result


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", _same_rows("x,c,y\n" + "1,a,yes\n" * 99))
def test_the_same_rows_read_the_same_however_they_are_written(prepared, lines, usual, how):
    result = prepared(_same_rows(lines())[how])
    assert result.rows == usual.rows
    assert result.schema == usual.schema


def test_lines_quoted_as_a_whole_are_noted(prepared, lines):
    quoted = "".join(f'"{line}"\n' for line in lines().splitlines())
    notes = prepared({"a.csv": quoted}).report.notes
    assert notes == ("a.csv: removed the quotes around 60 whole lines",)


@pytest.mark.exhaustive
def test_quotes_inside_lines_quoted_as_a_whole_are_kept(prepared, lines):
    text = lines(row=lambda i: f'{i * 0.5},"say ""{i % 4}"", or",{"yes" if i % 3 else "no"}')
    whole = "".join('"' + line.replace('"', '""') + '"\n' for line in text.splitlines())
    assert prepared({"a.csv": whole}).rows == prepared({"a.csv": text}).rows


@pytest.mark.exhaustive
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("inner", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("first", ["", "\n"], ids=["usual", "blank line first"])
def test_quoted_values_may_hold_anything(prepared, first, inner, end):
    cells = f'"one{inner}""two""; three, 4","five{inner}six"'
    written = [f'x,"c{inner}""d""",e,y']
    written += [f"{i * 0.5},{cells},{'yes' if i % 3 else 'no'}" for i in range(60)]
    rows = prepared({"a.csv": first + "".join(line + end for line in written)}).rows
    assert len(rows) == 60
    assert {tuple(row) for row in rows} == {("x", f'c{inner}"d"', "e", "y")}
    assert {row[f'c{inner}"d"'] for row in rows} == {f'one{inner}"two"; three, 4'}
    assert {row["e"] for row in rows} == {f"five{inner}six"}


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "name", ["größe", "名前", "x'; DROP TABLE t; --", 'quo"te', "a.b[0]", "row", "c0", "split_key"]
)
def test_columns_may_be_called_anything(prepared, lines, name):
    quoted = '"' + name.replace('"', '""') + '"'
    result = prepared({"a.csv": lines(header=f"{quoted},  target  ,y")})
    assert result.kinds == {name: "number", "target": "category"}
    assert list(result.rows[0]) == [name, "target", "y"]
    assert result.rows[0]["target"] in {"a", "b"}


def test_files_may_be_called_anything(prepared, lines):
    name = 'd\'[1]*?/a "b" {c}.csv'
    result = prepared({name: lines(), "z.csv": lines(header="x,c,y", row=lambda i: f"{-i},a,no")})
    assert result.report.files == (name, "z.csv")
    assert result.report.rows_in == 120


def test_a_name_is_no_pattern_for_other_names(prepared, lines):
    files = {"a[b].csv": lines(), "ab.csv": lines(row=lambda i: f"{-i - 1},a,no")}
    assert len(prepared(files).rows) == 120


def test_a_column_without_a_name_gets_one(prepared, lines):
    assert "column_0" in prepared({"a.csv": lines(header=",c,y")}).kinds


def test_files_without_a_header(prepared, lines):
    text = lines(header=None)
    result = prepared({"a.csv": text}, header=False, target="column_2")
    assert result.kinds == {"column_0": "number", "column_1": "category"}
    named = prepared({"a.csv": text}, header=False, columns=["x", "c", "y"])
    assert named.kinds == {"x": "number", "c": "category"}


def test_a_delimiter_of_ones_own(prepared, lines):
    text = lines().replace(",", "~")
    assert prepared({"a.csv": text}, delimiter="~").kinds == {"x": "number", "c": "category"}
    spaced = lines().replace(",", " ")
    assert prepared({"a.csv": spaced}, delimiter=" ").kinds == {"x": "number", "c": "category"}


def test_a_file_without_rows_among_others_is_noted(prepared, lines):
    result = prepared({"a.csv": "x,c,y\n", "b.csv": lines()})
    assert result.report.notes == ("a.csv: no rows",)


def test_other_files_are_noted(prepared, lines):
    result = prepared({"a.csv": lines(), "LICENSE": "text", "b.xlsx": "?"})
    assert result.report.notes == ("not data: LICENSE, b.xlsx",)
    assert "not data: LICENSE, b.xlsx" in result.log


def test_a_wanted_format_leaves_the_other(prepared, lines):
    result = prepared({"a.csv": lines(), "b.parquet": b"?"}, format="csv")
    assert result.report.files == ("a.csv",)


UTF8 = "UTF-8 text. Save it as UTF-8 (Excel: 'CSV UTF-8'; or: iconv -f latin1 -t utf-8)."
RFC = "quotes around the whole value, and doubled inside it (RFC 4180). Correct the line."
ALIKE = "the same in every file. Make the files alike."
GOOD = "x,c,y\n" + "".join(f"{i / 7},a,{'yes' if i % 3 else 'no'}\n" for i in range(60))
GOOD_GZIP = gzip.compress(GOOD.encode())

BAD = {
    "no file": ({}, {}, "SOURCE: no file; files that end in .csv or .csv.gz or .parquet."),
    "no data file": (
        {"README.md": "?"}, {"format": "csv"},
        "SOURCE: only README.md; files that end in .csv or .csv.gz. Add the data.",
    ),
    "both formats": (
        {"a.csv": GOOD, "b.parquet": b"?"}, {},
        ("SOURCE: CSV and Parquet files (a.csv and b.parquet); one format. Set data/format in "
        "project.yml to the one that counts."),
    ),
    "empty file": (
        {"a.csv": "", "b.csv": GOOD}, {},
        "a.csv: 0 bytes; rows of data. Upload it again, or remove it.",
    ),
    "blank lines": (
        {"a.csv": "\n \r\n\n"}, {},
        "a.csv: only blank lines; lines of values. Upload it again, or remove it.",
    ),
    "header only": (
        {"a.csv": "x,c,y\n"}, {}, "a.csv: no rows; rows to split in three. Add data.",
    ),
    "row too short": (
        {"a.csv": GOOD, "b/c.csv": GOOD + "1,2\n" + GOOD}, {},
        ("b/c.csv:62: 2 values; 3, as in the first line. Correct the line; a value that holds the "
        "delimiter needs quotes."),
    ),
    "row too long": (
        {"a.csv": GOOD + "1,2,yes,4\n"}, {}, "a.csv:62: 4 values; 3, as in the first line."
    ),
    "line after a value of two lines": (
        {"a.csv": GOOD + '1,"2\n3",no\n1\n'}, {}, "a.csv:64: 1 value; 3, as in the first line."
    ),
    "quote never closed": (
        {"a.csv": GOOD + '1,"2,no\n' + GOOD}, {},
        f"a.csv:62: not CSV (unexpected end of data); {RFC}",
    ),
    "text after a quote": (
        {"a.csv": GOOD + '1,"2"3,no\n'}, {},
        f"""a.csv:62: not CSV (',' expected after '"'); {RFC}""",
    ),
    "quote never closed in the header": (
        {"a.csv": '"x,c,y\n1,2,3\n'}, {}, f"a.csv:1: not CSV (unexpected end of data); {RFC}"
    ),
    "Latin-1": (
        {"a.csv": GOOD.encode() + b"1,caf\xe9,no\n"}, {},
        f"a.csv:62: byte 0xE9, which is not UTF-8; {UTF8}",
    ),
    "Latin-1 in the header": (
        {"a.csv": GOOD.encode().replace(b"c", b"\xe7")}, {},
        f"a.csv:1: byte 0xE7, which is not UTF-8; {UTF8}",
    ),
    "UTF-16": (
        {"a.csv": GOOD.encode("utf-16")}, {}, f"a.csv:1: byte 0xFF, which is not UTF-8; {UTF8}"
    ),
    "gzip cut short": (
        {"a.csv.gz": GOOD_GZIP[:-20]}, {},
        ("a.csv.gz: damaged gzip (Compressed file ended before the end-of-stream marker was "
        "reached); a whole gzip file. Upload it again."),
    ),
    "gzip in name only": (
        {"a.csv.gz": GOOD}, {}, "a.csv.gz: damaged gzip (Not a gzipped file (b'x,'));"
    ),
    "one column": (
        {"a.csv": "y\nyes\nno\n"}, {},
        ("a.csv:1: a single column; two or more, between commas, semicolons, tabs or |. Set "
        "data/delimiter in project.yml if another character is between the values."),
    ),
    "another delimiter": (
        {"a.csv": GOOD}, {"delimiter": ";"},
        ("a.csv:1: a single column; two or more, with ';' between them. Correct data/delimiter in "
        "project.yml."),
    ),
    "impossible delimiter": (
        {"a.csv": GOOD}, {"delimiter": '"'},
        ("project.yml data/delimiter: '\"'; a character that may be in a line. Remove it to have "
        "the delimiter recognized."),
    ),
    "the same name twice": (
        {"a.csv": "x,y,x\n1,yes,2\n"}, {},
        ("a.csv:1: columns 1 and 3 are called 'x'; names that differ, and not only in case. Rename "
        "one of them, or set data/header: false if the line is data."),
    ),
    "the same name but for case": (
        {"a.csv": "Age,age,y\n1,2,yes\n"}, {}, "a.csv:1: columns 1 and 2 are called 'Age' and 'age'"
    ),
    "header missing": (
        {"a.csv": "5.1,3.5,red\n4.9,3.0,blue\n"}, {},
        ("a.csv:1: a header that reads as data (5.1, 3.5, red); names of columns, 'y' among them. "
        "If the file has no header, set data/header: false in project.yml."),
    ),
    "header not expected": (
        {"a.csv": GOOD}, {"header": False, "target": "column_2"},
        ("a.csv:1, column 'column_0': 'x'; a finite number. If the line is a header, set "
        "data/header: true in project.yml."),
    ),
    "names for fewer columns": (
        {"a.csv": GOOD}, {"header": False, "columns": ["x", "y"]},
        "a.csv:1: 3 values; 2, as many as data/columns names. Correct data/columns in project.yml.",
    ),
    "names that differ in case": (
        {"a.csv": GOOD}, {"header": False, "columns": ["x", "X", "y"]},
        "project.yml data/columns: columns 1 and 2 are called 'x' and 'X'",
    ),
    "other columns": (
        {"a.csv": GOOD, "b.csv": GOOD.replace("x,c,y", "x,d,y")}, {},
        f"b.csv: other columns than in a.csv: no 'c', also 'd'; {ALIKE}",
    ),
    "columns in another order": (
        {"a.csv": GOOD, "b.csv": GOOD.replace("x,c,y", "c,x,y")}, {},
        f"b.csv: other columns than in a.csv: another order (c, x, y); {ALIKE}",
    ),
    "more columns, without header": (
        {"a.csv": "1,2\n3,4\n", "b.csv": "1,2,3\n"}, {"header": False, "target": "column_0"},
        "b.csv:1: 3 values; 2, as in a.csv. Make the files alike.",
    ),
    "target missing": (
        {"a.csv": GOOD.replace("x,c,y", "x,c,Y")}, {},
        ("a.csv: no column 'y', only x, c, Y; the column that model/target names. "
        "Did you mean 'Y'?"),
    ),
    "value too long": (
        {"a.csv": GOOD + f"1,{'z' * 3_000_000},no\n"}, {},
        f"a.csv:62: not CSV (field larger than field limit (131072)); {RFC}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_bad_files_are_refused_with_their_place_and_the_fix(refused, why):
    files, settings, message = BAD[why]
    assert refused(files, **settings).startswith(message)


def test_a_folder_that_is_not_there(refused, tmp_path, lines):
    from mlsystem.data.files import find
    from mlsystem.errors import DataError

    with pytest.raises(DataError, match="No such file or directory; a readable folder"):
        find(tmp_path / "nowhere", None)


def test_a_link_to_nowhere(tmp_path):
    from mlsystem.data.files import find
    from mlsystem.errors import DataError

    (tmp_path / "a.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"a.csv: No such file or directory; a readable file"):
        find(tmp_path, None)


@pytest.mark.exhaustive
def test_the_place_is_right_far_into_many_files(refused, lines):
    far = "x,c,y\n" + "".join(
        f"{'oops' if i == 170_001 else i / 7},{i % 9},{'yes' if i % 3 else 'no'}\n"
        for i in range(2, 200_002)
    )
    message = refused({"a.csv": lines(), "b.csv": far})
    assert message.startswith("b.csv:170001, column 'x': 'oops'; a finite number.")
