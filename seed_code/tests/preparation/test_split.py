"""Which side a row falls on: its own affair, and the report's sums."""

import hashlib
import itertools

import pytest


def _rows(indices, extra=lambda i: "v"):
    return [f"{extra(i)},{i * 0.37:.2f},{'no' if i % 3 else 'yes'}" for i in indices]


def _indices(result, side):
    """Return the indices of the rows on a side, from their x."""
    return {round(row["x"] / 0.37) for row in result.side(side)}


def _csv(rows, header="g,x,y"):
    return "".join(f"{row}\n" for row in [header, *rows])


SIDES = ("train", "validation", "test")
TYPES = {"g": "category", "x": "number"}


@pytest.mark.exhaustive
def test_a_row_stays_on_its_side_whatever_comes_and_goes(prepared):
    rows = _rows(range(300))
    few = prepared({"a.csv": _csv(rows[:200])}, types=TYPES).sides
    many = prepared({"a.csv": _csv(rows[:50:-1]), "0.csv": _csv(rows[:60])}, types=TYPES).sides
    assert len(many) == 300
    assert {row: many[row] for row in few} == few


@pytest.mark.exhaustive
def test_the_order_of_columns_does_not_matter(prepared):
    rows = _rows(range(200), extra=lambda i: f"v{i % 7}")
    one = prepared({"a.csv": _csv(rows)}).sides
    swapped = [",".join([x, g, y]) for g, x, y in (row.split(",") for row in rows)]
    other = prepared({"a.csv": _csv(swapped, "x,g,y")}).sides
    assert {(x, g, y): side for (g, x, y), side in one.items()} == other


def test_a_side_is_the_md5_of_seed_and_features(prepared):
    # Spelled out, because a change moves rows of every project from one side to another.
    numbers = {"0.10": "0.1", "-7": "-7.0", "1E20": "1e+20", "NA": "", "123456.789": "123456.789"}
    words = {"": "", **{f"ü{i}": f"{2 + len(str(i))}:ü{i}" for i in range(20)}}
    rows, expected = [], {}
    for (number, number_text), (word, word_text) in itertools.product(
        numbers.items(), words.items()
    ):
        rows.append(f"{number},{word},{len(rows)}")
        digest = hashlib.md5(f"20;{word_text};{number_text}".encode(), usedforsecurity=False)
        share = int(digest.hexdigest(), 16) / 16**32
        expected[len(expected)] = SIDES[(share >= 0.7) + (share >= 0.85)]
    files = {"a.csv": _csv(rows, "b,a,y")}
    result = prepared(files, problem="regression", types={"b": "number"})
    found = {row["y"]: name for name in SIDES for row in result.side(name)}
    assert found == expected


def test_rows_with_equal_features_are_on_one_side_whatever_their_target(prepared):
    text = "x,y\n" + "".join(f"{i % 40 * 0.5},{i % 2}\n" for i in range(41 * 40))
    result = prepared({"a.csv": text}, duplicates="keep")
    xs = [{row["x"] for row in result.side(name)} for name in SIDES]
    assert sum(map(len, xs)) == len(set.union(*xs)) == 40


@pytest.mark.exhaustive
def test_shares_are_about_right_and_the_seed_divides_differently(prepared):
    files = {"a.csv": _csv(_rows(range(6_000)))}
    shares = {"train": 0.5, "validation": 0.2, "test": 0.3}
    one = prepared(files, split=shares)
    assert one.report.splits == pytest.approx({k: 6_000 * v for k, v in shares.items()}, rel=0.1)
    other = prepared(files, split={**shares, "seed": 21})
    sides, other_sides = one.sides, other.sides
    moved = sum(other_sides[row] != side for row, side in sides.items())
    # Two independent draws differ with probability 1 - sum of squared shares = 0.62.
    assert moved / 6_000 == pytest.approx(0.62, abs=0.05)


def test_rows_keep_the_order_of_the_files(prepared):
    files = {"b.csv": _csv(_rows(range(5_000, 9_000))), "a.csv": _csv(_rows(range(5_000)))}
    result = prepared(files)
    for name in SIDES:
        xs = [row["x"] for row in result.side(name)]
        assert xs == sorted(xs)


# --- by time ------------------------------------------------------------------------------------


def _by(kind):
    return {"by": kind, "column": "g"}


def test_the_oldest_train_and_the_newest_test(prepared):
    days = [f"2024-{i // 25 + 1:02}-{i % 25 + 1:02}" for i in range(300)]
    rows = _rows(range(299, -1, -1), extra=days.__getitem__)
    result = prepared({"a.csv": _csv(rows)}, split=_by("time"))
    assert result.report.splits == {"train": 210, "validation": 45, "test": 45}
    assert result.kinds == {"x": "number"}
    assert result.ignored == {"g": "splits the rows by time"}
    indices = [_indices(result, name) for name in SIDES]
    assert indices == [set(range(210)), set(range(210, 255)), set(range(255, 300))]


def test_rows_of_one_time_stay_together(prepared):
    rows = _rows(range(300), extra=lambda i: str(2000 + i // 50))
    result = prepared({"a.csv": _csv(rows)}, split=_by("time"))
    # 210 and 255 rows would be exact; 200 and 250 are the nearest ends of a year.
    assert result.report.splits == {"train": 200, "validation": 50, "test": 50}
    assert _indices(result, "validation") == set(range(200, 250))


def test_times_are_compared_as_moments(prepared):
    # 10:00 at +02:00 is before 09:00 at UTC.
    hours = ("2024-05-31T10:00:00+02:00", "2024-05-31T09:00:00Z", "2024-05-31 11:00")
    rows = _rows(range(300), extra=lambda i: hours[i % 3])
    shares = {"train": 0.33, "validation": 0.33, "test": 0.34}
    result = prepared({"a.csv": _csv(rows)}, split={**_by("time"), **shares}, target="x",
                      problem="regression")  # fmt: skip
    assert [{i % 3 for i in _indices(result, name)} for name in SIDES] == [{0}, {1}, {2}]


def test_a_time_may_be_a_feature_when_it_is_named(prepared):
    rows = _rows(range(300), extra=str)
    result = prepared({"a.csv": _csv(rows)}, split=_by("time"), types={"g": "number"})
    assert result.kinds == {"g": "number", "x": "number"}


def test_rows_without_a_time_are_dropped_and_counted(prepared):
    rows = _rows(range(300), extra=lambda i: str(2000 + i) if i % 4 else "")
    result = prepared({"a.csv": _csv(rows)}, split=_by("time"))
    (dropped,) = result.report.dropped
    assert (dropped.reason, dropped.rows) == ("no value in 'g', which splits the rows", 75)


# --- by group -----------------------------------------------------------------------------------


def test_a_group_is_on_one_side(prepared):
    rows = _rows(range(600), extra=lambda i: f"customer {i % 100}")
    result = prepared({"a.csv": _csv(rows)}, split=_by("group"))
    groups = [{i % 100 for i in _indices(result, name)} for name in SIDES]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == 100
    assert result.ignored == {"g": "splits the rows by group"}
    assert result.kinds == {"x": "number"}


@pytest.mark.exhaustive
def test_a_group_may_be_a_feature_when_it_is_named(prepared):
    rows = _rows(range(600), extra=lambda i: f"customer {i % 100}")
    plain = prepared({"a.csv": _csv(rows)}, split=_by("group"))
    named = prepared({"a.csv": _csv(rows)}, split=_by("group"), types={"g": "category"})
    assert named.kinds == {"g": "category", "x": "number"}
    assert named.report.splits == plain.report.splits


@pytest.mark.exhaustive
def test_a_numeric_group_has_one_spelling(prepared):
    integers = _csv(_rows(range(600), extra=lambda i: f"{i % 100}"))
    decimals = _csv(_rows(range(600), extra=lambda i: f"{i % 100}.0"))
    one, other = (prepared({"a.csv": text}, split=_by("group")) for text in (integers, decimals))
    assert one.sides == other.sides


def test_rows_without_a_group_are_dropped_and_counted(prepared):
    rows = _rows(range(600), extra=lambda i: f"c{i % 100}" if i % 3 else "NA")
    result = prepared({"a.csv": _csv(rows)}, split=_by("group"), problem="regression", target="x")
    (dropped,) = result.report.dropped
    assert (dropped.reason, dropped.rows) == ("no value in 'g', which splits the rows", 200)


# --- what is refused ----------------------------------------------------------------------------

SHARES = "Add rows, or change the shares"
BAD = {
    "too few rows": (
        _rows(range(3)), {},
        ("project.yml data/split: no row for validation (train 3, validation 0, test 0); rows on "
        f"each side. {SHARES} or data/split/seed."),
    ),
    "two times": (
        _rows(range(99), extra=lambda i: str(2000 + i % 2)), {"split": _by("time")},
        ("project.yml data/split: no row for test (train 50, validation 49, test 0); rows on "
        f"each side. {SHARES}."),
    ),
    "not a time": (
        _rows(range(99), extra=lambda i: "2024-05-31" if i != 50 else "soon"),
        {"split": _by("time")},
        ("a.csv:52, column 'g': 'soon'; a number, a date (2024-05-31) or a time "
        "(2024-05-31T17:00:00Z) to sort by. Write times as ISO 8601 does, or split by row."),
    ),
    "not a number among numbers": (
        _rows(range(99), extra=lambda i: "2024" if i != 50 else "soon"), {"split": _by("time")},
        "a.csv:52, column 'g': 'soon'; a finite number.",
    ),
    "no time": (
        _rows(range(99), extra=lambda i: ""), {"split": _by("time")},
        ("project.yml data/split/column: 'g', which has no value; a column of times. Split by "
        "another column, or by row."),
    ),
    "no time where there is a target": (
        [f"{'' if i % 2 else i},{i},{'ab'[i % 4 > 1] if i % 2 else ''}" for i in range(99)],
        {"split": _by("time")},
        ("project.yml data/split/column: 'g', which has no value where the target has one; a "
        "column that has. Split by another column, or by row."),
    ),
    "split by the target": (
        _rows(range(99)), {"split": {"by": "group", "column": "y"}},
        ("project.yml data/split/column: the target, 'y'; another column. Split by row, or by what "
        "the rows have in common."),
    ),
    "no such column": (
        _rows(range(99)), {"split": {"by": "group", "column": "G"}},
        ("project.yml data/split/column: no column 'G' in the data; one of g, x, y. Did you mean "
        "'g'?"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_impossible_splits_are_refused(refused, why):
    rows, data, message = BAD[why]
    assert refused({"a.csv": _csv(rows)}, **data).startswith(message)


@pytest.mark.exhaustive
def test_a_rare_label_must_be_learned_but_may_not_be_measured(prepared, refused):
    rows = [f"v,{i * 0.5},{'abc'[i % 3]}" for i in range(300)]
    result = prepared({"a.csv": _csv(rows)}, problem="multiclass")
    learned = next(row["x"] for row in result.side("train"))
    measured = next(row["x"] for row in result.side("test"))

    def with_rare(x):
        return {"a.csv": _csv([f"v,{x},rare" if f",{x}," in row else row for row in rows])}

    assert "rare" in prepared(with_rare(learned), problem="multiclass").schema.labels
    message = refused(with_rare(measured), problem="multiclass")
    assert message.startswith("project.yml data/split: no row of rare in train (a ")


@pytest.mark.exhaustive
def test_both_labels_of_a_binary_problem_are_needed_on_every_side(prepared, refused):
    rows = _rows(range(200))
    learned = next(row["x"] for row in prepared({"a.csv": _csv(rows)}).side("train"))
    one = [
        f"v,{i * 0.37:.2f},{'yes' if round(i * 0.37, 2) == learned else 'no'}" for i in range(200)
    ]
    message = refused({"a.csv": _csv(one)})
    assert message.startswith("project.yml data/split: no row of yes in validation (no ")
    assert message.endswith(
        ", yes 0); rows of each label. Add rows, or change the shares or data/split/seed."
    )
