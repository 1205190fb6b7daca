"""What several folders of tests share."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the templates of the repository, as the Build stage writes them."""
    folder = tmp_path_factory.mktemp("synthesized")
    command = [sys.executable, "-m", "infrastructure", "synth", "--output", str(folder)]
    subprocess.run(command, cwd=ROOT / "seed_code", check=True, capture_output=True)
    return folder
