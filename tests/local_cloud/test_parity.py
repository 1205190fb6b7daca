"""The table of what is exact, partial and refused."""

from local_cloud import parity
from local_cloud.parity import Parity, collect, table


def test_one_row_for_each_service() -> None:
    statements = [
        Parity("S3", "exact", "Objects"),
        Parity("ECR", "refused", "Scans | findings"),
        Parity("S3", "exact", "Buckets"),
        Parity("S3", "partial", "Lifecycle"),
    ]
    assert table(statements) == (
        "| service | exact | partial | refused |\n"
        "|---|---|---|---|\n"
        "| ECR |  |  | Scans \\| findings |\n"
        "| S3 | Objects<br>Buckets | Lifecycle |  |\n"
    )


def test_every_service_says_what_it_is() -> None:
    services = {statement.service for statement in collect()}
    assert {"S3", "IAM", "Step Functions", "CloudWatch Logs"} <= services
    assert all(statement.level in parity._LEVELS for statement in collect())
    assert not [statement for statement in collect() if statement.what.endswith(".")]
