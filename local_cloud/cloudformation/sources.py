"""Where a template's text comes from: the request itself, or an object in S3."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import ClientError

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.errors import CloudFormationError, TemplateError

__all__ = ["fetch", "template_text"]

#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
_BODY_BYTES = 51_200
_OBJECT_BYTES = 1_048_576
_VIRTUAL_HOST = re.compile(r"(?P<bucket>.+?)\.s3[.-](?:.+\.)?amazonaws\.com")
_PATH_HOST = re.compile(r"s3[.-](?:.+\.)?amazonaws\.com")


def template_text(deployer: Deployer, body: str | None, url: str | None) -> str | None:
    """The template of a request; ``None`` when it gives none.

    Parameters
    ----------
    deployer
        Who reads the object.
    body, url
        TemplateBody and TemplateURL.

    Raises
    ------
    CloudFormationError
        When both are given, the text is too long, or the object cannot be read.
    """
    if body is not None and url is not None:
        raise CloudFormationError("You cannot specify both TemplateBody and TemplateURL")
    if body is not None:
        _require_size(len(body.encode()), _BODY_BYTES, "templateBody")
        return body
    return None if url is None else fetch(deployer, url)


def fetch(deployer: Deployer, url: str) -> str:
    """The text of the object at an address of S3.

    Raises
    ------
    TemplateError
        When the address is not of S3, or the object cannot be read.
    """
    where = _place(deployer, url)
    try:
        answer = deployer.call("s3", "GetObject", where)
    except ClientError as error:
        message = error.response["Error"].get("Message", "")
        raise TemplateError(f"S3 error: {message} ({url})") from error
    _require_size(answer["ContentLength"], _OBJECT_BYTES, "templateURL")
    content: bytes = answer["Body"].read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise TemplateError(f"Template format error: {url} is not UTF-8 text") from error


def _require_size(size: int, limit: int, name: str) -> None:
    if not 1 <= size <= limit:
        raise CloudFormationError(
            f"1 validation error detected: Value at '{name}' failed to satisfy constraint: Member"
            f" must have length less than or equal to {limit} and not be empty; it has {size} bytes"
        )


def _place(deployer: Deployer, url: str) -> dict[str, str]:
    parts = urlsplit(url)
    virtual = _VIRTUAL_HOST.fullmatch(parts.netloc)
    path = unquote(parts.path.lstrip("/"))
    if virtual is not None:
        bucket, key = virtual["bucket"], path
    elif _PATH_HOST.fullmatch(parts.netloc) or url.startswith(f"{deployer.cloud.endpoint_url}/"):
        bucket, _, key = path.partition("/")
    else:
        raise CloudFormationError("TemplateURL must be a supported URL.")
    version = parse_qs(parts.query).get("versionId")
    return {"Bucket": bucket, "Key": key, **({"VersionId": version[0]} if version else {})}
