"""A started local cloud, shared by the tests of one module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.cloud import LocalCloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A started account, empty at the first test of the module; waits last no time."""
    root: Path = tmp_path_factory.mktemp("local")
    with LocalCloud(root, wait_factor=0.001) as started:
        yield started
