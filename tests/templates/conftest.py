"""Makes the package `cfn`, which reads templates, importable to the tests beside it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
