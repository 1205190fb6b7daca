"""``python -m scripts``: one command for each of the shell scripts in this folder."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from scripts import bucket_removal, project, publication, removal, upgrade
from scripts.account import Account
from scripts.errors import ScriptError
from scripts.plan import Plan, carry_out
from scripts.validation import validate

ROOT = Path(__file__).parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when it is done, 1 with a message when it cannot be."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.command == "validate-tpl":
            validate(ROOT, asked.region)
            print("templates and seed code can be published")
            return 0
        account = Account.of(asked.region, asked.poll)
        carry_out(_plan(account, asked), account, dry_run=asked.dry_run)
    except ScriptError as error:
        print(error, file=sys.stderr)
        return 1
    except ClientError as error:
        operation = error.operation_name
        print(f"AWS: {operation}: {error.response['Error'].get('Message', error)}", file=sys.stderr)
        return 1
    except BotoCoreError as error:
        print(f"AWS: {error}", file=sys.stderr)
        return 1
    return 0


def _plan(account: Account, asked: argparse.Namespace) -> Plan:
    match asked.command:
        case "build":
            wish = publication.Wish(
                asked.bucket,
                asked.stack,
                asked.role,
                asked.s3_templates,
                asked.other_accounts,
                asked.api_logs,
            )
            accounts = publication.other_accounts(account, wish)
            sources = publication.read_sources(ROOT, asked.seed_code, accounts)
            found = publication.look(account, wish, sources)
            plan = publication.plan(account, wish, sources, found)
            validate(ROOT, account.region)  # last, because it takes longest
            return plan
        case "rm_prj":
            return removal.plan(
                project.look(account, asked.project),
                delete_data=asked.delete_data,
                delete_code=asked.delete_code,
            )
        case "rm_s3":
            return bucket_removal.plan(bucket_removal.look(account, asked.bucket))
        case _:
            name = None if asked.all else asked.project
            return upgrade.plan(upgrade.look(account, name), upgrade.newest(account))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    build = commands.add_parser("build", help="publish the template")
    build.add_argument("bucket", metavar="S3_BUCKET_NAME", help="the bucket that the stack makes")
    build.add_argument("stack", metavar="STACK_NAME", help="the organization's stack")
    build.add_argument("region", metavar="REGION", help="where projects are created")
    build.add_argument("role", metavar="STUDIO_ROLE", help="name or ARN of a Studio execution role")
    build.add_argument(
        "--s3-templates",
        metavar="DOMAIN_ID",
        help="offer it in this domain without Service Catalog",
    )
    build.add_argument(
        "--other-accounts",
        metavar="ACCOUNTS",
        type=_accounts,
        help="where else production may be: account ids between commas, or none; default: as it is",
    )
    build.add_argument(
        "--api-logs",
        choices=("yes", "no"),
        help="whether the stack gives API Gateway its role for logs; default: as it is, first yes",
    )
    build.add_argument(
        "--seed-code",
        metavar="FOLDER",
        type=Path,
        help="what projects start from; default: seed_code/",
    )

    check = commands.add_parser("validate-tpl", help="check templates and seed code")
    check.add_argument("--region", help="where they are to be valid")

    remove = commands.add_parser("rm_prj", help="remove a project and everything it made")
    remove.add_argument("project", metavar="PROJECT", help="name or id, or <model>-<id>")
    remove.add_argument("--delete-data", action="store_true", help="data, file system and key too")
    remove.add_argument("--delete-code", action="store_true", help="the code repository too")

    empty = commands.add_parser("rm_s3", help="delete a bucket with everything in it")
    empty.add_argument("bucket", metavar="BUCKET")

    newer = commands.add_parser("upgrade_prj", help="bring projects to the newest version")
    which = newer.add_mutually_exclusive_group(required=True)
    which.add_argument("project", metavar="PROJECT", nargs="?", help="name or id")
    which.add_argument("--all", action="store_true", help="all projects of the region")

    for command in (remove, empty, newer):
        command.add_argument("--region", help="default: what AWS_REGION or the profile says")
    for command in (build, remove, empty, newer):
        command.add_argument("--dry-run", action="store_true", help="show the plan, change nothing")
        command.add_argument(
            "--poll",
            metavar="SECONDS",
            type=float,
            default=5.0,
            help="between two looks at what takes time; default: 5",
        )
    return parser


def _accounts(text: str) -> str:
    """The same text for the same accounts, in whatever order: a version is a digest of it."""
    found = sorted(set(text.split(",")))
    if text != publication.NONE and not all(re.fullmatch("[0-9]{12}", each) for each in found):
        raise argparse.ArgumentTypeError(
            f"{text!r}; none, or account ids of 12 digits between commas, is required"
        )
    return ",".join(found)


if __name__ == "__main__":
    sys.exit(main())
