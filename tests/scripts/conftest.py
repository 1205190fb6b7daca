"""The account of a started local cloud, as the scripts see it."""

from collections.abc import Iterator

import pytest

from local_cloud.cloud import LocalCloud
from scripts.account import Account


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A started account, empty at the first test of the module."""
    with LocalCloud(tmp_path_factory.mktemp("local"), wait_factor=0.001) as started:
        yield started


@pytest.fixture(scope="module")
def account(cloud: LocalCloud) -> Account:
    return Account.of(cloud.region, pause_seconds=0.05)
