"""Every measurement, one after the other: ``python -m bench``.

Each is a program of its own (``python -m bench.serving``) that prints what it found and writes it
to ``bench/results/<name>.json``; it ends with 1 when one of its bars is missed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMES = ("serving", "api", "training", "prepare", "images", "abuse", "releases")


def main() -> int:
    """Run every measurement; return how many missed a bar."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'seed_code'}"}
    missed = 0
    for name in NAMES:
        print(f"\n--- {name} ---", flush=True)
        command = [sys.executable, "-m", f"bench.{name}"]
        missed += subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0
    return missed


if __name__ == "__main__":
    sys.exit(main())
