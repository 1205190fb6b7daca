"""Command line of :mod:`infrastructure`.

========= =======================================================================================
exit code when
========= =======================================================================================
0         done
1         something given cannot be used; the reason is on stderr, and nothing was written
2         the command line is wrong
========= =======================================================================================
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from infrastructure import node
from infrastructure.files import write_whole
from infrastructure.workflow_input import workflow_input
from mlsystem import settings as project_settings
from mlsystem.errors import MLSystemError, UserError
from mlsystem.names import Names

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Do what the command line `arguments` says; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except MLSystemError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _synth(options: argparse.Namespace) -> None:
    node.use()
    from infrastructure.app import synthesize  # noqa: PLC0415 - importing it starts Node.js

    for path in synthesize(options.output):
        print(path)


def _settings(options: argparse.Namespace) -> None:
    print(project_settings.load(options.project).to_json(), end="")


def _workflow_input(options: argparse.Namespace) -> None:
    settings = project_settings.load(options.project)
    document = workflow_input(
        settings,
        _names(options.project_name or settings.model.name, options.release),
        options.bucket,
        options.image,
        champion_uri=options.champion,
        champion_package=options.champion_package,
    )
    write_whole(options.output, json.dumps(document, indent=2) + "\n")
    if options.settings_output is not None:
        write_whole(options.settings_output, settings.to_json())


def _names(project: str, release: str) -> Names:
    try:
        return Names(project, release)
    except ValueError as error:
        raise UserError(
            "--project-name and --release", str(error), "names that AWS takes"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infrastructure", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    synth = commands.add_parser(
        "synth",
        help="write the CloudFormation templates workflow.json, dev.json and prod.json",
        allow_abbrev=False,
    )
    synth.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for it")
    synth.set_defaults(command=_synth)

    settings = commands.add_parser(
        "settings", help="check project.yml and print it whole, as the jobs read it"
    )
    settings.add_argument("--project", type=Path, required=True, metavar="FILE", help="project.yml")
    settings.set_defaults(command=_settings)

    release = commands.add_parser(
        "workflow-input", help="write the input of a release's execution", allow_abbrev=False
    )
    for flag, metavar, text in (
        ("--project", "FILE", "project.yml"),
        ("--output", "FILE", "the input, as JSON"),
    ):
        release.add_argument(flag, type=Path, required=True, metavar=metavar, help=text)
    for flag, metavar, text in (
        ("--release", "ID", "the pipeline execution's"),
        ("--bucket", "NAME", "of the project's data bucket"),
        ("--image", "URI", "of the container"),
    ):
        release.add_argument(flag, required=True, metavar=metavar, help=text)
    for flag, metavar, text in (
        ("--project-name", "NAME", "the template's ProjectName; default: model/name"),
        ("--champion", "URI", "s3://.../model.tar.gz to compare with"),
        ("--champion-package", "ARN", "its model package"),
    ):
        release.add_argument(flag, metavar=metavar, help=text)
    release.add_argument(
        "--settings-output", type=Path, metavar="FILE",
        help="the settings as the jobs read them; upload it as releases/ID/settings/project.json",
    )  # fmt: skip
    release.set_defaults(command=_workflow_input)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
