"""Image 2: complete, small, and with the same libraries as the image that trained the model."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

CODE = Path(__file__).parents[2]
DOCKERFILE = (CODE / "api" / "Dockerfile").read_text()
REQUIREMENTS = (CODE / "api" / "requirements.txt").read_text()


def _pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, re.MULTILINE))


def _instructions() -> list[str]:
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line]


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _reached() -> dict[Path, set[str]]:
    """What the API's modules import, and what those of ours import, and so on."""
    found: dict[Path, set[str]] = {}
    waiting = sorted((CODE / "api").glob("*.py"))
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = _imported(path)
        for name in found[path]:
            package, *rest = name.split(".")
            candidate = CODE / package / f"{rest[0]}.py" if rest else CODE / package
            if package in ("api", "mlsystem") and candidate.is_file():
                waiting.append(candidate)
    return found


def test_every_library_that_is_reached_is_in_the_image():
    reached = _reached()
    assert CODE / "mlsystem" / "predictor.py" in reached
    libraries = {
        name.partition(".")[0] for names in reached.values() for name in names
    } - set(sys.stdlib_module_names)  # fmt: skip
    assert libraries - {"api", "mlsystem"} == {"botocore", "numpy", "onnxruntime", "orjson"}
    assert libraries - {"api", "mlsystem"} <= set(_pinned(REQUIREMENTS))
    assert "awslambdaric" in _pinned(REQUIREMENTS)


def test_a_model_is_answered_by_the_libraries_that_it_was_evaluated_with():
    ours = _pinned(REQUIREMENTS)
    container = _pinned((CODE / "container" / "requirements.txt").read_text())
    shared = ours.keys() & container.keys()
    assert {"numpy", "onnxruntime", "orjson"} <= shared
    assert {name: ours[name] for name in shared} == {name: container[name] for name in shared}


def test_every_requirement_is_pinned_with_hashes_and_without_an_address():
    blocks = re.split(r"\n(?=\S)", REQUIREMENTS.strip())
    for block in blocks:
        pattern = r"[a-z0-9-]+==\S+( ;.*)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\\n)?)+"
        assert re.fullmatch(pattern, block), block
    assert "://" not in REQUIREMENTS


def test_the_image_holds_what_it_needs_and_starts_lambdas_own_client():
    instructions = _instructions()
    copied = [line.split()[1] for line in instructions if line.startswith("COPY")]
    assert copied == ["api/requirements.txt", "mlsystem", "api"]
    install = next(line for line in instructions if "pip install" in line)
    assert "--require-hashes" in install
    assert instructions[0].startswith("ARG BASE_IMAGE=public.ecr.aws/docker/library/python:3.")
    assert instructions[-2:] == [
        'ENTRYPOINT ["python", "-m", "awslambdaric"]', 'CMD ["api.app.handler"]',
    ]  # fmt: skip
    assert "!api" in (CODE / ".dockerignore").read_text().splitlines()


def test_every_handler_is_there():
    from api import app, assets, checks

    assert all(callable(module.handler) for module in (app, assets, checks))
