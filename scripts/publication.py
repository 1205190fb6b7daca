"""``build.sh``: publishes the template, and makes or updates the organization's stack.

The first time there is no bucket to upload to, and studio.yml is longer than a request may be. So
the stack begins with its buckets alone, a part of the same template; then everything is uploaded,
and an update from there brings the rest, the product included (docs/decisions/0011).

What is at an address never changes: a version is a digest of its content, so that a build without a
change publishes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError

from scripts import buckets, roles, stacks
from scripts.account import Account, code_of, require_projects
from scripts.buckets import Owner, Upload
from scripts.errors import ScriptError
from scripts.plan import Plan, Step
from scripts.seed_archive import archive, version_of
from scripts.stacks import CreateStack, Stack, UpdateStack
from scripts.template_text import crossing, entries, part, published, without_comments

__all__ = ["Found", "Sources", "Wish", "look", "other_accounts", "plan", "read_sources"]

#: What must be there before anything can be uploaded.
FIRST = (
    "TemplateKey", "TemplateKeyAlias", "TemplateBucket", "TemplateBucketPolicy",
    "AccessLogBucket", "AccessLogBucketPolicy",
)  # fmt: skip
EXPORT = "mlsystem-template-bucket"
NONE = "none"
VERSIONS = tuple(f"Version{number}" for number in range(1, 11))
PRINCIPALS = tuple(f"PrincipalArn{number}" for number in range(1, 6))
_BUCKET_LENGTH = (3, 50)
_VISIBLE = (("sagemaker:studio-visibility", "true"),)


@dataclass(frozen=True)
class Wish:
    """What the command line says."""

    bucket: str
    stack: str
    role: str
    domain: str | None = None
    other_accounts: str | None = None
    """`none`, or accounts between commas. What is not said stays as it is."""
    api_logs: str | None = None
    """`yes` or `no`; the same."""


@dataclass(frozen=True)
class Sources:
    """What is published."""

    studio: str = field(repr=False)
    pipeline: str = field(repr=False)
    seed_code: bytes = field(repr=False)
    version: str

    @property
    def objects(self) -> dict[str, bytes]:
        """Key -> content of what never changes once it is uploaded."""
        digest = hashlib.sha256(without_comments(self.studio).encode()).hexdigest()[:12]
        return {
            f"versions/{self.version}/seed_code.zip": self.seed_code,
            f"versions/{self.version}/pipeline.yml": self.pipeline.encode(),
            f"organization/{digest}/studio.yml": self.studio.encode(),
        }


@dataclass(frozen=True)
class Found:
    """What there is in the account."""

    role_arn: str
    owner: Owner
    stack: Stack | None = None
    studio: str | None = field(default=None, repr=False)
    keys: frozenset[str] = frozenset()
    s3_template: str | None = field(default=None, repr=False)
    exporting_stack: str | None = None
    domain_arn: str | None = None
    domain_location: str | None = None


@dataclass(frozen=True)
class TagDomain:
    """Tell a Studio domain where S3 templates lie."""

    domain_arn: str
    location: str

    def __str__(self) -> str:
        return f"tag {self.domain_arn} with sagemaker:projectS3TemplatesLocation={self.location}"

    def run(self, account: Account) -> None:
        """Put the tag on the domain."""
        account.client("sagemaker").add_tags(
            ResourceArn=self.domain_arn,
            Tags=[{"Key": "sagemaker:projectS3TemplatesLocation", "Value": self.location}],
        )


def other_accounts(account: Account, wish: Wish) -> str:
    """The accounts that production may be in: as the command line says, or else the stack.

    Raises
    ------
    ScriptError
        When the region has no projects.
    """
    if wish.other_accounts is not None:
        return wish.other_accounts
    require_projects(account.region)
    stack = stacks.find(account, wish.stack)
    return stack.parameters.get("OtherAccounts", NONE) if stack else NONE


def read_sources(root: Path, seed_code: Path | None = None, other_accounts: str = NONE) -> Sources:
    """What the repository holds, as it is published.

    Parameters
    ----------
    root
        The folder of ``studio.yml`` and ``pipeline.yml``.
    seed_code
        What projects start from; ``seed_code/`` beside the templates without.
    other_accounts
        `none`, or the accounts that production may be in, between commas.

    Raises
    ------
    ScriptError
        When the seed code is too large, or pipeline.yml has no place for version and accounts.
    """
    folder = seed_code or root / "seed_code"
    accounts = [] if other_accounts == NONE else other_accounts.split(",")
    pipeline = crossing((root / "pipeline.yml").read_text(encoding="utf-8"), accounts)
    version = version_of(pipeline, folder)
    return Sources(
        studio=(root / "studio.yml").read_text(encoding="utf-8"),
        pipeline=published(pipeline, version),
        seed_code=archive(folder),
        version=version,
    )


def look(account: Account, wish: Wish, sources: Sources) -> Found:
    """What there is already; nothing is changed.

    Raises
    ------
    ScriptError
        When role, bucket or region cannot be used.
    """
    require_projects(account.region)
    role_arn = roles.arn_of(account, wish.role)
    owner = buckets.owner_of(account, wish.bucket)
    buckets.require_ours(wish.bucket, owner)
    stack = stacks.find(account, wish.stack)
    domain_arn, location = _domain(account, wish.domain)
    has_bucket = owner is Owner.US
    return Found(
        role_arn=role_arn,
        owner=owner,
        stack=stack,
        studio=_template_of(account, stack),
        keys=_keys(account, wish.bucket, sources) if has_bucket else frozenset(),
        s3_template=buckets.text_at(account, wish.bucket, "templates/pipeline.yml")
        if has_bucket
        else None,
        exporting_stack=_exporting_stack(account),
        domain_arn=domain_arn,
        domain_location=location,
    )


def _template_of(account: Account, stack: Stack | None) -> str | None:
    if stack is None:
        return None
    answer = account.client("cloudformation").get_template(
        StackName=stack.id, TemplateStage="Original"
    )
    return str(answer["TemplateBody"])


def _keys(account: Account, bucket: str, sources: Sources) -> frozenset[str]:
    return frozenset(
        item["Key"]
        for key in sources.objects
        for item in account.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=key)
    )


def _exporting_stack(account: Account) -> str | None:
    for export in account.pages("cloudformation", "list_exports", "Exports"):
        if export["Name"] == EXPORT:
            return str(export["ExportingStackId"]).split("/")[1]
    return None


def _domain(account: Account, domain: str | None) -> tuple[str | None, str | None]:
    if domain is None:
        return None, None
    sagemaker = account.client("sagemaker")
    try:
        arn = sagemaker.describe_domain(DomainId=domain)["DomainArn"]
    except ClientError as error:
        if code_of(error) not in {"ResourceNotFound", "ValidationException"}:
            raise
        raise ScriptError(
            f"Domain {domain}",
            f"none of that id in {account.region}",
            "the id of a Studio domain is required, such as d-1a2b3c4d5e6f",
            "aws sagemaker list-domains shows them",
        ) from error
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    return arn, tags.get("sagemaker:projectS3TemplatesLocation")


# ------------------------------------------------------------------------------ plan


def plan(account: Account, wish: Wish, sources: Sources, found: Found) -> Plan:
    """What is still to be done.

    Raises
    ------
    ScriptError
        When the stack or the bucket is in a state in which nothing can be done.
    """
    _require_usable(wish, found)
    steps: list[Step] = []
    deployed = dict(found.stack.parameters) if found.stack else {}
    if found.stack is None:
        first = {"TemplateBucketName": wish.bucket, "PrincipalArn1": found.role_arn}
        steps.append(CreateStack(wish.stack, part(sources.studio, FIRST), first))
        deployed = first
    wanted = {
        **_principals(deployed, found.role_arn),
        **_versions(deployed, sources.version),
        **({"S3Templates": "yes"} if wish.domain else {}),
        **({"OtherAccounts": wish.other_accounts} if wish.other_accounts else {}),
        **({"ApiLogs": wish.api_logs} if wish.api_logs else {}),
    }
    changed = {key: value for key, value in wanted.items() if deployed.get(key, NONE) != value}
    steps += [
        Upload(wish.bucket, key, content)
        for key, content in sources.objects.items()
        if key not in found.keys
    ]
    if "yes" in (deployed.get("S3Templates"), wanted.get("S3Templates")):
        steps += _s3_template(wish, sources, found)
    if changed or not _is_deployed(sources, found):
        steps.append(_update(account, wish, sources, deployed, changed))
    steps += _domain_tag(wish, found)
    return Plan(tuple(steps))


def _is_deployed(sources: Sources, found: Found) -> bool:
    """Whether the stack has this template; CloudFormation takes no update of a comment."""
    if found.studio is None:
        return False
    return without_comments(found.studio) == without_comments(sources.studio)


def _update(
    account: Account,
    wish: Wish,
    sources: Sources,
    deployed: Mapping[str, str],
    changed: Mapping[str, str],
) -> UpdateStack:
    key = next(key for key in sources.objects if key.endswith("studio.yml"))
    url = f"https://{wish.bucket}.s3.{account.region}.{account.url_suffix}/{key}"
    known = entries(sources.studio, "Parameters")
    kept = tuple(name for name in known if name in deployed and name not in changed)
    return UpdateStack(wish.stack, url, changed, kept)


def _versions(deployed: Mapping[str, str], version: str) -> dict[str, str]:
    """The newest first, the others a place down; what leaves the last place is offered no more."""
    published_before = [deployed.get(name, NONE) for name in VERSIONS]
    others = [each for each in published_before if each not in (NONE, version)]
    places = [version, *others, *[NONE] * len(VERSIONS)]
    return dict(zip(VERSIONS, places, strict=False))


def _principals(deployed: Mapping[str, str], role_arn: str) -> dict[str, str]:
    """The role in the first free place, unless it has one; nobody loses theirs."""
    places = {name: deployed.get(name, NONE) for name in PRINCIPALS}
    if role_arn in places.values():
        return {}
    for name, arn in places.items():
        if arn == NONE:
            return {name: role_arn}
    raise ScriptError(
        f"Role {role_arn}",
        f"{', '.join(PRINCIPALS)} are all taken",
        f"the stack has places for {len(PRINCIPALS)} roles",
        "Give a pattern as PrincipalPattern1 instead, or free a place by an update of the stack",
    )


def _s3_template(wish: Wish, sources: Sources, found: Found) -> list[Step]:
    if found.s3_template == sources.pipeline:
        return []
    content = sources.pipeline.encode()
    return [Upload(wish.bucket, "templates/pipeline.yml", content, _VISIBLE)]


def _domain_tag(wish: Wish, found: Found) -> list[Step]:
    location = f"s3://{wish.bucket}/templates/"
    if found.domain_arn is None or found.domain_location == location:
        return []
    return [TagDomain(found.domain_arn, location)]


# ------------------------------------------------------------------------------ refusals


def _require_usable(wish: Wish, found: Found) -> None:
    _require_name(wish.bucket)
    if found.exporting_stack not in (None, wish.stack):
        raise ScriptError(
            f"Stack {wish.stack}",
            f"{found.exporting_stack} is the organization's stack in this region",
            "there is one for each account and region",
            f"Give {found.exporting_stack} as STACK_NAME",
        )
    if found.stack is None:
        _require_free(wish, found)
    else:
        _require_healthy(found.stack)
        _require_same_bucket(wish, found.stack)


def _require_name(bucket: str) -> None:
    shortest, longest = _BUCKET_LENGTH
    if not shortest <= len(bucket) <= longest:
        raise ScriptError(
            f"Bucket {bucket}", f"{len(bucket)} characters", f"{shortest} to {longest} are required"
        )


def _require_free(wish: Wish, found: Found) -> None:
    if found.owner is Owner.US:
        raise ScriptError(
            f"Bucket {wish.bucket}",
            f"it exists, and no stack {wish.stack} owns it",
            "the stack makes its bucket",
            "Choose another name, or delete it with scripts/rm_s3.sh",
        )


def _require_healthy(stack: Stack) -> None:
    delete = f"Delete it: aws cloudformation delete-stack --stack-name {stack.name}"
    fixes = {
        "CREATE_FAILED": delete,
        "ROLLBACK_COMPLETE": delete,
        "ROLLBACK_FAILED": delete,
        "DELETE_FAILED": delete,
        "UPDATE_ROLLBACK_FAILED": (
            "Correct what its events say, then: aws cloudformation continue-update-rollback"
            f" --stack-name {stack.name}"
        ),
    }
    fix = "Start again when it has ended" if stack.is_busy else fixes.get(stack.status)
    if fix:
        raise ScriptError(
            f"Stack {stack.name}", stack.status, "a state that can be updated is required", fix
        )


def _require_same_bucket(wish: Wish, stack: Stack) -> None:
    bucket = stack.parameters.get("TemplateBucketName")
    if bucket is None:
        raise ScriptError(
            f"Stack {stack.name}", "it was not made of studio.yml", "another stack is required",
            "Give another STACK_NAME",
        )  # fmt: skip
    if bucket != wish.bucket:
        raise ScriptError(
            f"Bucket {wish.bucket}",
            f"the stack {stack.name} has {bucket}",
            "projects and versions point to that one",
            f"Give {bucket} as S3_BUCKET_NAME",
        )
