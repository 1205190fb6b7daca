"""The documents keep their word: links lead somewhere, commands exist, settings are accepted."""

import re
import subprocess
from pathlib import Path

import pytest

from mlsystem import settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")]
    if path.is_file()
)
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


# Files that a how-to asks its reader to write.
TO_BE_WRITTEN = {"seed_code/mlsystem/algorithms/random_forest.py"}


def text(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))


@EACH
def test_every_link_leads_to_a_file(document):
    for link in re.findall(r"\]\(([^)#\s]+)", text(document)):
        if "://" not in link:
            assert (document.parent / link).exists(), f"{document.name}: {link}"


@EACH
def test_every_make_target_exists(document):
    for target in re.findall(r"(?:^|`)make ([a-z]+)", text(document), re.MULTILINE):
        assert target in targets(), f"{document.name}: make {target}"


@EACH
def test_every_settings_example_is_accepted(document):
    for block in re.findall(r"```yaml\n(.*?)```", text(document), re.DOTALL):
        if block.lstrip().startswith("model:") and "evaluate:" in block:
            settings.loads(block, document.name)


@EACH
def test_every_named_path_of_the_repository_exists(document):
    folders = "seed_code|local_cloud|blueprints|tests|bench|docs|requirements|studio_nbs"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text(document)):
        assert path in TO_BE_WRITTEN or (ROOT / path).exists(), f"{document.name}: {path}"


def test_the_readmes_smallest_project_is_accepted():
    readme = text(ROOT / "README.md")
    lines = re.findall(r"((?:model|evaluate): \{.*\})", readme)
    assert settings.loads("\n".join(lines)).model.name == "wine"


def test_help_lists_every_target():
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert set(re.findall(r"make (\w+)", shown)) == targets()
