"""All of it or nothing: duplicates, what is written, and what is left when something fails."""

import errno
import os

import ibis
import pyarrow.parquet as pq
import pytest

from mlsystem.data import prepare
from mlsystem.data.engine import open_engine
from mlsystem.errors import DataError
from mlsystem.settings import Evaluate, Model, Settings

# Ibis 12 calls what DuckDB 2 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

WRITTEN = {
    "train/part-00000.parquet", "validation/part-00000.parquet", "test/part-00000.parquet",
    "schema/schema.json", "report/report.json",
}  # fmt: skip


def _files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _contents(folder):
    return {name: (folder / name).read_bytes() for name in _files(folder)}


# --- duplicates ---------------------------------------------------------------------------------


def test_equal_rows_are_dropped_and_counted(prepared, lines):
    text = lines() + lines(30, header=None).replace("0.37", " 0.370 ")
    result = prepared({"a.csv": text, "b.csv": lines()})
    (dropped,) = result.report.dropped
    assert (dropped.reason, dropped.rows) == ("equal to an earlier row in every column", 90)
    assert result.rows == prepared({"a.csv": lines()}).rows
    assert "dropped 90 rows: equal to an earlier row in every column" in result.log


def test_equal_rows_are_kept_where_that_is_wanted(prepared, lines):
    result = prepared({"a.csv": lines(), "b.csv": lines()}, duplicates="keep")
    assert result.report.dropped == ()
    assert result.report.rows_out == 120


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a;1:b,c", "a,1:b;c"),
        ("1:a;,b", "1:a,;b"),
        (",x", "x,"),
        ("3:a;b,", "3:a,b;"),
    ],
)
def test_rows_that_only_look_equal_when_joined_are_kept(prepared, one, other):
    rows = "".join(f"w{i % 5},v{i % 7},{i}\n" for i in range(60))
    result = prepared({"a.csv": f"a,b,y\n{rows}{one},1\n{other},1\n"}, problem="regression")
    assert result.report.dropped == ()


@pytest.mark.exhaustive
@pytest.mark.parametrize("types", [{}, {"y2": "ignore"}])
def test_rows_that_differ_in_any_column_are_kept(prepared, lines, types):
    text = lines(120, header="x,y2,y", row=lambda i: f"{i // 2},{i % 2},{'no' if i % 3 else 'yes'}")
    assert prepared({"a.csv": text}, types=types).report.dropped == ()


# --- what is written ----------------------------------------------------------------------------


def _types(path):
    schema = pq.read_schema(path)
    return dict(zip(schema.names, map(str, schema.types), strict=True))


def test_files_and_types(prepared, lines):
    result = prepared({"a.csv": lines()})
    assert _files(result.folder) == WRITTEN
    for name in ("train", "validation", "test"):
        path = result.folder / name / "part-00000.parquet"
        assert _types(path) == {"x": "double", "c": "string", "y": "int32"}
    text = lines(header="y,c,d", row=lambda i: f"{i / 2},w{i % 13},v{i % 7}")
    regression = prepared({"a.csv": text}, problem="regression")
    path = regression.folder / "test/part-00000.parquet"
    assert list(_types(path).items()) == [("c", "string"), ("d", "string"), ("y", "double")]


def test_the_log_tells_the_steps(prepared, lines):
    text = lines(120, "id,c,y", lambda i: f"{i},{'ab'[i % 2]},{['NA', 'no', 'yes'][i % 3]}")
    split = {"by": "time", "column": "id"}
    result = prepared({"a.csv": text, "notes.txt": "?"}, split=split)
    assert result.log == (
        "1 file, 120 rows read",
        "1 feature: 0 numeric, 1 categorical; 1 ignored",
        "ignored column 'id': splits the rows by time",
        "not data: notes.txt",
        "dropped 40 rows: no value in the target 'y'",
        "rows: train 56, validation 12, test 12",
    )


def test_what_was_there_before_is_replaced(prepare_to, tmp_path, lines):
    destination = tmp_path / "destination"
    for name in ("train", "report"):
        (destination / name).mkdir(parents=True)
        (destination / name / "old.parquet").write_text("old")
    (destination / ".prepare.partial/finished").mkdir(parents=True)
    (destination / ".prepare.partial/finished/old.json").write_text("old")
    prepare_to(destination, {"a.csv": lines()})
    assert _files(destination) == WRITTEN


def test_a_folder_may_be_called_anything(prepare_to, tmp_path, lines):
    destination = tmp_path / 'it\'s [a] *folder*? "ü"'
    prepare_to(destination, {"a.csv": lines()})
    assert _files(destination) == WRITTEN


# --- what is left -------------------------------------------------------------------------------


def test_a_failure_leaves_what_was_there_before(prepare_to, tmp_path, lines):
    destination = tmp_path / "destination"
    prepare_to(destination, {"a.csv": lines()})
    before = _contents(destination)
    with pytest.raises(DataError):
        prepare_to(destination, {"a.csv": lines() + "1,2\n"})
    assert _contents(destination) == before
    assert not list(destination.glob(".*"))


def test_files_that_cannot_all_be_moved_are_taken_back(prepare_to, tmp_path, lines):
    destination = tmp_path / "destination"
    destination.mkdir()
    (destination / "validation").write_text("a file where a folder is to be")
    with pytest.raises(FileExistsError):
        prepare_to(destination, {"a.csv": lines()})
    assert _files(destination) == {"validation"}


def test_a_full_disk_under_pythons_feet(tmp_path, lines):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.csv").write_text(lines())
    settings = Settings(
        model=Model(name="m", problem="binary", target="y"),
        evaluate=Evaluate(metric="f1", threshold=0),
    )

    def progress(line: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError) as caught:
        prepare(settings, tmp_path / "source", tmp_path / "destination", progress)
    assert str(caught.value) == (
        f"{tmp_path}/destination: no space left on the disk; room for about four times the data. "
        "Raise instances/prepare/volume_gb in project.yml, or free some space."
    )
    assert not list((tmp_path / "destination").iterdir())


# --- the engine's limits ------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path):
    with open_engine(tmp_path) as opened:
        yield opened


def _texts(n_rows):
    numbers = ibis.range(0, n_rows).unnest().name("number").as_table()
    return numbers.mutate(text=(numbers.number * 7919 % 1_000_003).cast("string").rpad(60, "x"))


def test_a_full_disk_is_named(engine, tmp_path):
    full = tmp_path / "full.parquet"
    full.symlink_to("/dev/full")
    with pytest.raises(DataError, match=rf"{tmp_path}: no space left on the disk; room for"):
        engine.write_parquet(engine.keep(_texts(100_000)), full)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("spill", "message"),
    [("1MB", "no space left on the disk"), ("1GB", "prepare: out of memory; a larger machine")],
)
def test_limits_of_disk_and_memory_are_told_apart(engine, spill, message):
    engine._connection.raw_sql("SET memory_limit = '10MB'")
    engine._connection.raw_sql(f"SET max_temp_directory_size = '{spill}'")
    ordered = _texts(1_000_000).order_by("text")
    with pytest.raises(DataError, match=message):
        engine.keep(ordered.mutate(rank=ibis.row_number()))


def test_the_budget_grows_with_the_columns(engine):
    def budget():
        ((limit,),) = engine._connection.raw_sql(
            "SELECT current_setting('memory_limit')"
        ).fetchall()
        number, unit = limit.split()
        return float(number) * {"MiB": 1, "GiB": 1024}[unit]

    narrow = budget()
    engine.set_budget(3_000)
    assert narrow <= 8 * 512
    assert budget() > 5 * narrow
