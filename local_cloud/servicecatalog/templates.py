"""Templates of versions: read from S3 once, checked, and copied where they stay as they were.

A launch role reads the copy and nothing else, which its tag allows:
https://docs.aws.amazon.com/servicecatalog/latest/adminguide/constraints-launch.html
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from local_cloud.cloudformation import template
from local_cloud.cloudformation.errors import CloudFormationError
from local_cloud.cloudformation.template import Template
from local_cloud.iam import Identity
from local_cloud.json_api import ApiError

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Templates"]

_ADDRESS = re.compile(r"(?P<bucket>[a-z0-9.-]+?)\.s3[.-](?:.+\.)?amazonaws\.com")
_TAG = "servicecatalog:provisioning=true"


class Templates:
    """Service Catalog's own copies of templates.

    Parameters
    ----------
    cloud
        The account, in which the copies' bucket is made with the first of them.
    """

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._bucket = f"service-catalog-templates-{cloud.account_id}-{cloud.region}"

    def publish(self, url: str, identity: Identity, *, is_checked: bool = True) -> str:
        """Address of the copy of a template that somebody may read.

        Raises
        ------
        ApiError
            When the template cannot be read or is none.
        """
        text = self._read(url, identity)
        if is_checked:
            _parse(text)
        key = f"{_hash(text)}.template"
        client = self._cloud.client("s3")
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            where = {"LocationConstraint": self._cloud.region}
            client.create_bucket(Bucket=self._bucket, CreateBucketConfiguration=where)
        client.put_object(Bucket=self._bucket, Key=key, Body=text.encode(), Tagging=_TAG)
        return f"https://{self._bucket}.s3.{self._cloud.region}.amazonaws.com/{key}"

    def parsed(self, url: str) -> Template:
        """The template of a copy."""
        return _parse(self._read(url, self._cloud.account.administrator))

    def _read(self, url: str, identity: Identity) -> str:
        address = urlsplit(url)
        place = _ADDRESS.fullmatch(address.netloc)
        if place is None:
            raise _invalid(
                f"{url}: this is no object in S3; https://<bucket>.s3.<region>.amazonaws.com/<key>"
                " is required"
            )
        client: Any = self._cloud.client_as("s3", identity.credentials)
        key = unquote(address.path.lstrip("/"))
        try:
            body: bytes = client.get_object(Bucket=place["bucket"], Key=key)["Body"].read()
        except ClientError as error:
            reason = error.response["Error"].get("Message")
            raise _invalid(f"Template can not be read from S3: {reason} ({url})") from error
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise _invalid(f"Template is not UTF-8 text ({url})") from error


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parse(text: str) -> Template:
    try:
        return template.parse(text)
    except CloudFormationError as error:
        raise _invalid(f"Invalid templateBody: {error}") from error


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParametersException", message)
