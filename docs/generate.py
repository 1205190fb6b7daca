"""Write the generated documents, or say which are not current: ``docs/generate.py [--check]``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "seed_code"), str(ROOT / "docs")]


def documents() -> dict[Path, str]:
    """Return the text of each generated document by its path."""
    import cost

    from local_cloud import parity
    from mlsystem import settings_reference

    return {
        ROOT / "seed_code/project.schema.json": settings_reference.json_schema(),
        ROOT / "docs/reference/settings.md": settings_reference.reference(),
        ROOT / "docs/reference/cost.md": cost.table(),
        ROOT / "docs/parity.md": parity.table(),
    }


def stale() -> list[Path]:
    """Return the documents whose file is not what the code says."""
    return [
        path
        for path, text in documents().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Write the documents; with ``--check`` only compare, and return 1 when one is not current."""
    outdated = stale()
    if "--check" in sys.argv[1:]:
        for path in outdated:
            print(f"{path.relative_to(ROOT)}: not current; the text of the code. Run `make docs`.")
        return int(bool(outdated))
    texts = documents()
    for path in outdated:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
