"""The shell scripts and what they say: plans on one stream, errors on the other, no traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.__main__ import main
from scripts.errors import ScriptError
from scripts.validation import validate

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.sh"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_shell_script_finds_its_command_from_any_folder(name, tmp_path):
    # The python3 that a user's shell would find.
    (tmp_path / "python3").symlink_to(sys.executable)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = os.pathsep.join(
        path for path in sys.path if "site-packages" in path
    )
    result = subprocess.run(
        [str(ROOT / "scripts" / name), "--help"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    usage = (ROOT / "scripts" / name).read_text(encoding="utf-8").splitlines()[2]
    for word in usage.split(f"{name} ")[1].replace("[", "").replace("]", "").split("|"):
        assert word.split()[0] in result.stdout


def test_a_dry_run_of_the_first_publication(cloud, capsys):
    cloud.client("iam").create_role(RoleName="studio", AssumeRolePolicyDocument="{}")
    names = ["templates-1", "organization", cloud.region, "studio"]
    assert main(["build", *names, "--dry-run"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in shown] == [
        ["would", verb] for verb in ("create", "upload", "upload", "upload", "update")
    ]
    assert cloud.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_what_was_not_understood_is_no_traceback(cloud, capsys):
    assert main(["rm_prj", "nobody", "--region", cloud.region, "--dry-run"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("Project nobody: none of that name in xx-local-1; ")
    assert shown.out == ""


def test_a_plan_without_steps_says_so(cloud, capsys):
    assert main(["rm_s3", "absent", "--region", cloud.region]) == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_an_error_of_aws_names_the_operation(cloud, capsys):
    assert main(["rm_s3", "Not_A-Bucket!", "--region", cloud.region]) == 1
    assert capsys.readouterr().err.startswith("AWS: ")


def test_nothing_to_upgrade_to_is_said(cloud, capsys):
    assert main(["upgrade_prj", "--all", "--region", cloud.region]) == 1
    assert "Publish one with scripts/build.sh" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    [
        [], ["upgrade_prj"], ["upgrade_prj", "a", "--all"], ["rm_prj"],
        ["build", "templates", "organization", "eu-west-1", "studio", "--other-accounts", "4444"],
    ],
)  # fmt: skip
def test_a_command_that_is_not_whole_is_refused(given):
    with pytest.raises(SystemExit, match="2"):
        main(given)


def test_what_cfn_lint_finds_is_told_with_its_place(tmp_path):
    shutil.copy(ROOT / "studio.yml", tmp_path)
    (tmp_path / "seed_code").mkdir()
    (tmp_path / "seed_code" / "a").write_text("a")
    (tmp_path / "pipeline.yml").write_text(
        "Mappings: {Published: {Template: {a: 1}}}\n"
        "# Version: unpublished, OtherAccounts: [none], OtherFunctions: [none]\n"
        "Resources:\n  Bucket:\n    Type: AWS::S3::Bucket\n    Properties: {Name: a}\n"
    )
    with pytest.raises(ScriptError, match=r"E3002 .*'Name'[\s\S]*pipeline\.yml:6"):
        validate(tmp_path, "eu-west-1")
