"""The data that ship, and the file that the source systems made of them."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

CHURN = Path(__file__).parents[2] / "data" / "churn.csv"
pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(not CHURN.exists(), reason="the project has data of its own"),
]
# All columns but these become a 0/1 column for each of their values.
PLAIN = (
    "account_length", "number_vmail_messages", "total_day_minutes", "total_day_calls",
    "total_eve_minutes", "total_eve_calls", "total_night_minutes", "total_night_calls",
    "total_intl_minutes", "total_intl_calls", "number_customer_service_calls",
)  # fmt: skip
ENCODED = ("state", "area_code", "international_plan", "voice_mail_plan")


def quoted_churn() -> str:
    """The file of the source systems: shuffled, 2,999 rows, encoded, each line in quotes."""
    with CHURN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3_333
    values = {name: sorted({row[name] for row in rows}) for name in ENCODED}
    lines = []
    for index in np.random.RandomState(1729).permutation(len(rows))[:2_999]:
        row = rows[index]
        cells = [str(int(row["churn"] == "yes")), *(row[name] for name in PLAIN)]
        cells += [str(int(row[name] == value)) for name in ENCODED for value in values[name]]
        assert len(cells) == 70
        lines.append(f'"{",".join(cells)}"\n')
    return "".join(lines)


@pytest.fixture(scope="module")
def quoted_file():
    return quoted_churn()


def test_the_quoted_file_has_its_rows_and_positives(prepared, quoted_file):
    assert quoted_file.startswith('"0,106,0,274.4,120,198.6,82,160.8,62,6.0,3,1,0,')
    files = {"customer-churn.csv": quoted_file}
    result = prepared(files, target="column_0", header=False)
    assert result.report.rows_in == result.report.rows_out == 2_999
    assert result.report.dropped == ()
    assert result.report.notes == (
        "customer-churn.csv: removed the quotes around 2,999 whole lines",
    )
    assert result.schema.labels == ("0", "1")
    assert sum(counts["1"] for counts in result.report.target_counts.values()) == 435
    assert sum(row["column_0"] for row in result.rows) == 435
    assert len(result.schema.numbers) == 69
    minutes = [float(line.split(",")[3]) for line in quoted_file.splitlines()]
    assert sorted(row["column_3"] for row in result.rows) == sorted(minutes)


def test_the_sample_data_are_prepared(prepared):
    result = prepared({"churn.csv": CHURN.read_bytes()}, target="churn")
    assert result.report.rows_in == result.report.rows_out == 3_333
    assert result.schema.labels == ("no", "yes")
    assert sum(counts["yes"] for counts in result.report.target_counts.values()) == 483
    assert result.schema.categories == ENCODED
    assert set(result.schema.numbers) == set(PLAIN)
    assert result.report.ignored == ()
    assert result.log == (
        "1 file, 3,333 rows read",
        "15 features: 11 numeric, 4 categorical; 0 ignored",
        "rows: train 2,302, validation 502, test 529",
    )


def test_the_same_data_are_prepared_to_the_same_bytes(prepared):
    # However many threads take part: their order is not the rows'.
    digests = set()
    for _ in range(2):
        folder = prepared({"churn.csv": CHURN.read_bytes()}, target="churn").folder
        whole = b"".join(path.read_bytes() for path in sorted(folder.glob("*/*")))
        digests.add(hashlib.sha256(whole).hexdigest())
    assert len(digests) == 1
