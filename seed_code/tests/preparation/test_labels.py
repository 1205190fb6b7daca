"""The target: labels in order, whatever their spelling, and what cannot be learned."""

import pytest

N = 300


def _table(target, n_rows=N):
    """Return CSV text with the target `y` and two features."""
    return "x,c,y\n" + "".join(f"{i * 0.5},{'ab'[i % 2]},{target(i)}\n" for i in range(n_rows))


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("no", "yes"), ("no", "yes")),
        (("Yes", "No"), ("No", "Yes")),
        (("TRUE", "FALSE"), ("FALSE", "TRUE")),
        (("y", "n"), ("n", "y")),
        (("0", "1"), ("0", "1")),
        (("1.0", "0.0"), ("0", "1")),
        (("1", "2"), ("2", "1")),
        (("Positive", "negative"), ("negative", "Positive")),
        # Neither says yes: the rarer is the event. Both say yes: so, too.
        (("good", "good", "bad"), ("good", "bad")),
        (("bad", "good", "bad"), ("bad", "good")),
        (("true", "true", "yes"), ("true", "yes")),
        # Equally rare: the later one.
        (("b", "a"), ("a", "b")),
    ],
)
def test_the_positive_label_comes_second(prepared, labels, expected):
    result = prepared({"a.csv": _table(lambda i: labels[i % len(labels)])})
    assert result.schema.labels == expected
    counts = result.report.target_counts.values()
    assert sum(count[label] for count in counts for label in expected) == N


def test_a_given_positive_label_comes_second(prepared):
    result = prepared({"a.csv": _table(lambda i: ("no", "yes")[i % 2])}, positive_label="no")
    assert result.schema.labels == ("yes", "no")


def test_targets_are_indices_of_labels(prepared):
    result = prepared({"a.csv": _table(lambda i: ("b", "c", "a")[i % 3])}, "multiclass")
    assert result.schema.labels == ("a", "b", "c")
    for row in result.rows:
        assert result.schema.labels[row["y"]] == ("b", "c", "a")[int(row["x"] * 2) % 3]


def test_numbers_are_sorted_as_numbers_and_have_one_spelling(prepared):
    labels = ("10", "9", "10.0", "1e1", "2.5")
    result = prepared({"a.csv": _table(lambda i: labels[i % 5])}, "multiclass")
    assert result.schema.labels == ("2.5", "9", "10")


@pytest.mark.exhaustive
def test_labels_given_as_categories_keep_their_spelling(prepared):
    text = _table(lambda i: ("01", "02")[i % 2])
    assert prepared({"a.csv": text}).schema.labels == ("2", "1")
    assert prepared({"a.csv": text}, types={"y": "category"}).schema.labels == ("01", "02")


def test_rows_without_a_target_are_dropped_and_counted(prepared):
    result = prepared({"a.csv": _table(lambda i: ("", "no", "yes", "NA")[i % 4])})
    (dropped,) = result.report.dropped
    assert (dropped.reason, dropped.rows) == ("no value in the target 'y'", N // 2)
    assert "dropped 150 rows: no value in the target 'y'" in result.log


def test_a_regression_target_is_a_number(prepared):
    result = prepared({"a.csv": _table(lambda i: i / 7 if i % 10 else "")}, "regression")
    assert result.schema.labels == ()
    assert result.report.target_counts == {}
    assert sorted(row["y"] for row in result.rows) == [i / 7 for i in range(N) if i % 10]


@pytest.mark.exhaustive
def test_a_thousand_labels(prepared):
    text = _table(lambda i: f"label {i % 1_000}", 20_000)
    result = prepared({"a.csv": text}, "multiclass")
    assert len(result.schema.labels) == 1_000
    row = result.rows[0]
    assert result.schema.labels[row["y"]] == f"label {int(row['x'] * 2) % 1_000}"


BAD = {
    "one label": (
        "binary", lambda i: "no", {},
        ("column 'y': one label (no); two or more to tell apart. Add rows with another label, or "
        "correct model/target in project.yml."),
    ),
    "no label": ("binary", lambda i: "NA", {}, "column 'y': no label; two or more to tell apart."),
    "three labels": (
        "binary", lambda i: "abc"[i % 3], {},
        ("column 'y': 3 labels (a, b, c); two, for a binary problem. Set model/problem: multiclass "
        "in project.yml."),
    ),
    "numbers for labels": (
        "binary", lambda i: i, {},
        ("column 'y': 300 labels (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...); two, for a binary problem. "
        "Set model/problem: regression in project.yml."),
    ),
    "two labels of many": (
        "multiclass", lambda i: i % 2, {},
        ("column 'y': 2 labels (0, 1); three or more, for a multiclass problem. Set model/problem: "
        "binary in project.yml."),
    ),
    "positive label unknown": (
        "binary", lambda i: "ny"[i % 2], {"positive_label": "Y"},
        "column 'y': the labels n, y; the positive one, 'Y', among them. Did you mean 'y'?",
    ),
    "regression of text": (
        "regression", lambda i: "abc"[i % 3], {},
        ("column 'y': text; numbers, for a regression problem. Set model/problem to binary or "
        "multiclass in project.yml, or correct model/target."),
    ),
    "regression of a category": (
        "regression", lambda i: i % 7, {"types": {"y": "category"}}, "column 'y': text; numbers,",
    ),
    "regression with a stray text": (
        "regression", lambda i: "x" if i == 70 else i, {}, "a.csv:72, column 'y': 'x';",
    ),
    "regression of a constant": (
        "regression", lambda i: 5, {},
        ("column 'y': the same value in every row; different values to predict. Correct "
        "model/target in project.yml."),
    ),
    "regression of a constant in two notations": (
        "regression", lambda i: ("5", "5.0")[i % 2], {}, "column 'y': the same value in every row;",
    ),
    "regression of nothing": ("regression", lambda i: "", {}, "column 'y': no value; different"),
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_bad_targets_are_refused(refused, why):
    problem, target, settings, message = BAD[why]
    assert refused({"a.csv": _table(target)}, problem, **settings).startswith(message)


@pytest.mark.parametrize(
    ("target", "fix"),
    [
        (lambda i: i, "Set model/problem: regression in project.yml."),
        (lambda i: f"l{i}", "Put rare labels together, or correct model/target in project.yml."),
    ],
)
def test_too_many_labels_are_refused(refused, target, fix):
    message = refused({"a.csv": _table(target, 3_000)}, "multiclass")
    assert message.startswith("column 'y': more than 1,000 labels (")
    assert message.endswith(f"; 1,000 at most. {fix}")
