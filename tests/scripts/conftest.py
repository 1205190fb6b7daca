"""The account of a started local cloud, as the scripts see it."""

from collections.abc import Iterator

import pytest

from local_cloud.cloud import LocalCloud
from scripts.account import Account

from .organization import Organization


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A started account, empty at the first test of the module."""
    with LocalCloud(tmp_path_factory.mktemp("local"), wait_factor=0.001) as started:
        yield started


@pytest.fixture(scope="module")
def account(cloud: LocalCloud) -> Account:
    return Account.of(cloud.region, pause_seconds=0.05)


@pytest.fixture(scope="module")
def organization(cloud: LocalCloud, account: Account) -> Organization:
    """What build.sh publishes, with a repository whose build lasts until somebody stops it."""
    return Organization(cloud, account)
