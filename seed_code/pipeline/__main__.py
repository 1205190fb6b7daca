"""Command line of :mod:`pipeline`.

========= =======================================================================================
exit code when
========= =======================================================================================
0         done
1         it cannot be done, or the endpoint failed its test; the last line says why
2         the command line is wrong
3         ``tested``: no, nothing is known of these files
========= =======================================================================================
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from mlsystem.errors import MLSystemError
from mlsystem.names import Names
from pipeline import accounts, production, tested
from pipeline.acceptance import accept
from pipeline.build import build
from pipeline.environment import (
    AcceptanceEnvironment,
    ApprovalEnvironment,
    BuildEnvironment,
    ProductionEnvironment,
    read,
)
from pipeline.rollback import rollback

__all__ = ["main"]

_UNKNOWN = 3

Client = Callable[..., Any]
Command = Callable[[argparse.Namespace, Client], int | None]


def main(arguments: Sequence[str], client: Client) -> int:
    """Do what the command line `arguments` says; return the exit code.

    `client` makes the client of an AWS service by its name, with credentials when they are given.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options, client) or 0
    except MLSystemError as error:
        return _failed(str(error))
    except ClientError as error:
        answer = error.response.get("Error", {})
        return _failed(
            f"{error.operation_name}: {answer.get('Code')}: {answer.get('Message')}; "
            "an answer from AWS."
        )
    except BotoCoreError as error:
        return _failed(f"AWS: {error}; credentials, a region and a connection.")


def _failed(reason: str) -> int:
    # In a log with both streams the reason comes last.
    sys.stdout.flush()
    print(reason, file=sys.stderr)
    return 1


def _build(options: argparse.Namespace, client: Client) -> None:
    build(read(BuildEnvironment, os.environ), Path.cwd(), options.output, client)


def _tested(options: argparse.Namespace, client: Client) -> int:
    return 0 if tested.was(*_repository(options, client)) else _UNKNOWN


def _passed(options: argparse.Namespace, client: Client) -> None:
    tested.note(*_repository(options, client))


def _repository(options: argparse.Namespace, client: Client) -> tuple[Any, str, Names, Path, Path]:
    environment = read(BuildEnvironment, os.environ)
    names = Names(environment.project_key, environment.release)
    return client("s3"), environment.data_bucket, names, Path.cwd(), options.output


def _test(options: argparse.Namespace, client: Client) -> None:
    accept(read(AcceptanceEnvironment, os.environ), options.output, client)


def _approve(_: argparse.Namespace, client: Client) -> None:
    production.approve(read(ApprovalEnvironment, os.environ), client, Path.cwd())


def _promote(_: argparse.Namespace, client: Client) -> None:
    production.promote(read(ProductionEnvironment, os.environ), client, _now())


def _rollback(options: argparse.Namespace, client: Client) -> None:
    there = accounts.of_production(client, options.production_role, "rollback")
    rollback(options.project, options.to, client, _now(), dry_run=options.dry_run, there=there)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command: Command
    for name, command, text in (
        ("build", _build, "images, workflow input and stack configurations of a release"),
        ("tested", _tested, "whether the repository's tests have passed on these files"),
        ("passed", _passed, "note that the repository's tests have passed on these files"),
        ("test", _test, "send the release's golden requests to its dev endpoint"),
    ):
        one = commands.add_parser(name, help=text, allow_abbrev=False)
        one.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for it")
        one.set_defaults(command=command)
    for name, command, text in (
        ("approve", _approve, "record in the registry that a person approved the release"),
        ("promote", _promote, "record in the registry that production answers with the release"),
    ):
        commands.add_parser(name, help=text, allow_abbrev=False).set_defaults(command=command)
    back = commands.add_parser(
        "rollback", help="return production to an earlier release", allow_abbrev=False
    )
    back.add_argument("project", metavar="PROJECT", help="<model>-<project id>")
    back.add_argument(
        "--to", metavar="RELEASE", help="or ARN of its model package; default: the one before"
    )
    back.add_argument(
        "--dry-run", action="store_true", help="say from which release to which, change nothing"
    )
    back.add_argument(
        "--production-role", metavar="ARN", default=accounts.HERE,
        help="to assume where production is in another account; default: it is in this one",
    )  # fmt: skip
    back.set_defaults(command=_rollback)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], typing.cast("Client", boto3.client)))
