"""What the two images add to their base, layer by layer: ``docs/reference/images.md``.

The images are those of ``python -m local_cloud.images build``: the same Dockerfiles, the same
locked packages. How large a package is depends on the machine and the Python that it is made for,
so the table is a measurement and no part of ``make docs``. Run it: ``python -m bench.images``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from local_cloud.images import STORE, Image, build
from local_cloud.images.dockerfile import read

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "reference" / "images.md"
LARGEST = 8

_ABOUT = {
    "container": ("1", "prepares, trains, evaluates, serves in SageMaker"),
    "api": ("2", "answers the API, prepares and guards releases in Lambda"),
}
_HEAD = """\
# The images

Written by `python -m bench.images`: layers in the order of the Dockerfile, as files on disk,
without what Python compiles from them and without the base (`python:3.13-slim`).
"""


def main() -> int:
    """Measure, write the document, print it."""
    context, parts = ROOT / "seed_code", [_HEAD]
    for unit in _ABOUT:
        dockerfile = context / unit / "Dockerfile"
        image = build(context, dockerfile, ROOT / STORE)
        parts.append(_section(unit, image, layers(image, dockerfile)))
    DOCUMENT.write_text("\n".join(parts), encoding="utf-8")
    print(DOCUMENT.read_text(encoding="utf-8"))
    return 0


def layers(image: Image, dockerfile: Path) -> list[tuple[str, float]]:
    """Return each instruction that adds files, and how many megabytes."""
    (packages,) = (image.rootfs / "opt/venv").glob("lib/python*/site-packages")
    own = sum(_megabytes(packages / name) for name in _TOOLS)
    found = []
    for instruction in read(dockerfile):
        line = f"{instruction.name} {instruction.text}"
        if instruction.name == "COPY":
            found.append((line, _megabytes(image.workdir / instruction.text.split()[-1])))
        elif "-m venv" in line:
            found.append((line, own))
        elif "pip install" in line:
            found.append((line, _megabytes(packages) - own))
    return found


_TOOLS = ("pip", "setuptools", "pkg_resources")


def _section(unit: str, image: Image, found: list[tuple[str, float]]) -> str:
    number, does = _ABOUT[unit]
    (packages,) = (image.rootfs / "opt/venv").glob("lib/python*/site-packages")
    sizes = {path.name: _megabytes(path) for path in packages.iterdir() if path.is_dir()}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:LARGEST]
    rows = [f"| `{line}` | {size:.2f} |" for line, size in found]
    total = sum(size for _, size in found)
    return "\n".join(
        [
            f"## Image {number}: `seed_code/{unit}`\n",
            f"It {does}.\n",
            "| layer | MB |",
            "| --- | --: |",
            *rows,
            f"| **together** | **{total:.2f}** |",
            "",
            "Largest packages: "
            + ", ".join(f"{name} {size:.1f} MB" for name, size in largest)
            + ".\n",
        ]
    )


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else path.rglob("*")
    return (
        sum(each.stat().st_size for each in files if each.is_file() and each.suffix != ".pyc") / 1e6
    )


if __name__ == "__main__":
    sys.exit(main())
