"""One account in one region, and clients of its services."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError, UnknownRegionError

from scripts.errors import ScriptError

__all__ = ["Account", "code_of", "require_projects"]

#: SageMaker projects exist there, CodeCommit does not (docs/decisions/0019).
WITHOUT_CODECOMMIT = frozenset(
    {"af-south-1", "ap-southeast-3", "eu-south-2", "il-central-1", "me-central-1"}
)
_NEEDED = ("sagemaker", "servicecatalog", "codepipeline", "codecommit")


@dataclass(frozen=True)
class Account:
    """Whose account it is, where, and how long to pause between two looks at what takes time."""

    session: Any
    id: str
    region: str
    partition: str
    pause_seconds: float = 5.0

    @classmethod
    def of(cls, region: str | None, pause_seconds: float = 5.0) -> Account:
        """The account of the credentials that the environment gives.

        Raises
        ------
        ScriptError
            When no region is given or configured.
        """
        session = boto3.session.Session(region_name=region)
        if session.region_name is None:
            raise ScriptError(
                "Region",
                "none is configured",
                "one is required",
                "Give --region, or set AWS_REGION",
            )
        identity = session.client("sts").get_caller_identity()
        partition = identity["Arn"].split(":")[1]
        return cls(session, identity["Account"], session.region_name, partition, pause_seconds)

    def client(self, service: str) -> Any:
        """A client of a service in the region."""
        return self.session.client(service)

    def pages(self, service: str, operation: str, result: str, **arguments: Any) -> Iterator[Any]:
        """All items of a listing, however many pages it has."""
        paginator = self.client(service).get_paginator(operation)
        for page in paginator.paginate(**arguments):
            yield from page.get(result, [])

    @property
    def url_suffix(self) -> str:
        """What the addresses of the partition's services end with."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def pause(self) -> None:
        """Wait a little before looking again."""
        time.sleep(self.pause_seconds)


def code_of(error: ClientError) -> str:
    """The service's code of an error, such as ``NoSuchBucket`` or ``404``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def require_projects(region: str) -> None:
    """Refuse a region in which a project could not be created.

    A region of no partition that botocore knows is left to its endpoints.

    Raises
    ------
    ScriptError
        When a service is missing there, or the region is unknown.
    """
    session = boto3.session.Session()
    try:
        partition = session.get_partition_for_region(region)
    except UnknownRegionError:
        return
    missing = [
        service
        for service in _NEEDED
        if region not in session.get_available_regions(service, partition)
        or (service == "codecommit" and region in WITHOUT_CODECOMMIT)
    ]
    if missing:
        raise ScriptError(
            f"Region {region}",
            f"it is not known to have {', '.join(missing)}",
            "projects need all of them",
            "Choose another region; if it is a new one, update boto3",
        )
