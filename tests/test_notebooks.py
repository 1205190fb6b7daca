"""Notebooks call, explain and plot: nothing in them is a program, or was left over from a run."""

import ast
import json
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(ROOT.glob("*_nbs/*.ipynb"))
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))

MOST_LINES = 15
LOGIC = (
    ast.AsyncFunctionDef, ast.ClassDef, ast.FunctionDef, ast.If, ast.Lambda, ast.Match, ast.Try,
    ast.While,
)  # fmt: skip


def read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def problems(notebook):
    """Yield what must not be in the repository, with the cell's id."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if cell.outputs or cell.execution_count is not None:
                yield f"{cell.id}: outputs of a run; clear them"
            if len(cell.source.splitlines()) > MOST_LINES:
                yield f"{cell.id}: more than {MOST_LINES} lines; call a function of the repository"
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, LOGIC):
                    yield f"{cell.id}: {type(node).__name__}; it belongs into the repository"


@EACH
def test_a_notebook_is_valid(path):
    nbformat.validate(read(path))
    text = path.read_text(encoding="utf-8")
    ordered = json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True)
    assert text == ordered + "\n", "not as Jupyter saves it"


@EACH
def test_a_notebook_holds_neither_logic_nor_outputs(path):
    assert list(problems(read(path))) == []


def test_logic_and_outputs_are_found():
    notebook = nbformat.v4.new_notebook()
    printed = nbformat.v4.new_output("stream", text="secret")
    notebook.cells = [
        nbformat.v4.new_code_cell("1", id="ran", outputs=[printed]),
        nbformat.v4.new_code_cell("1", id="counted", execution_count=1),
        nbformat.v4.new_code_cell("if 1:\n    pass", id="decides"),
        nbformat.v4.new_code_cell("a = 1\n" * 16, id="long"),
    ]
    assert [found.split(":")[0] for found in problems(notebook)] == [
        "ran", "counted", "decides", "long",
    ]  # fmt: skip


@EACH
def test_a_notebook_can_be_run_by_mistake(path):
    """Who runs all cells at once changes nothing: what would, asks for a parameter first."""
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    (parameters,) = (cell for cell in cells if cell.get("id") == "parameters")
    assert "RETURN = False" in parameters.source
    changing = [
        node
        for cell in cells
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "rollback"
    ]
    assert changing
    for call in changing:
        (dry,) = (word.value for word in call.keywords if word.arg == "dry_run")
        assert ast.unparse(dry) in ("True", "not RETURN")
