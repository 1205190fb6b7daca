"""Generated documents say what the code says."""

import importlib.util
from pathlib import Path

GENERATOR = Path(__file__).parent.parent / "docs/generate.py"


def test_every_generated_document_is_current():
    spec = importlib.util.spec_from_file_location("generate", GENERATOR)
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert [path.name for path in generate.stale()] == [], "run `make docs`"
