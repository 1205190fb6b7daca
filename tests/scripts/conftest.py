"""The account of a started local cloud, as the scripts see it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.cloud import LocalCloud
from scripts.account import Account

from .organization import ROOT, Organization


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


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """workflow.json and dev.json, synthesized as the Build stage does."""
    folder = tmp_path_factory.mktemp("templates")
    command = [sys.executable, "-m", "infrastructure", "synth", "--output", str(folder)]
    subprocess.run(command, cwd=ROOT / "seed_code", check=True, capture_output=True)
    return folder
