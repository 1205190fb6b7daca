"""The ``aws`` of a build: ``aws <service> <operation> --parameter value``, by the services' models.

Every operation of every service of the local cloud can be called; the values of parameters are
texts, JSON, ``file://<path>`` or the short form ``key=value,key=value``. Of the commands that the
AWS CLI adds there are ``ecr get-login-password`` and ``s3 cp`` of one file. Everything else is
refused by name.

Source: https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-parameters.html
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import jmespath  # type: ignore[import-untyped]
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.errors import LocalCloudError

__all__ = ["main"]

_SERVICES = {"s3api": "s3", "deploy": "codedeploy"}
_GLOBAL = {"--region", "--output", "--query"}
_GLOBAL_FLAGS = {"--no-cli-pager", "--only-show-errors", "--quiet"}
_USAGE_EXIT, _CLIENT_EXIT = 252, 254

Options = dict[str, list[str]]


class _UsageError(LocalCloudError):
    """A command line that is not understood."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what ``aws`` does with these arguments; return the exit code."""
    try:
        words, options = _split(list(sys.argv[1:] if arguments is None else arguments))
        answer = _answer(words, options)
    except _UsageError as error:
        print(error, file=sys.stderr)
        return _USAGE_EXIT
    except (ClientError, BotoCoreError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return _CLIENT_EXIT
    _print(answer, options)
    return 0


def _split(arguments: list[str]) -> tuple[list[str], Options]:
    """Words, and options with what follows each."""
    words: list[str] = []
    options: Options = {}
    current: list[str] = words
    for argument in arguments:
        if argument in _GLOBAL_FLAGS:
            continue
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            current = options.setdefault(name, [])
            current += [value] if equals else []
        else:
            current.append(argument)
            if current is not words and any(current is options.get(name) for name in _GLOBAL):
                current = words  # a global option has one value
    return words, options


def _answer(words: list[str], options: Options) -> Any:
    if words[:2] == ["s3", "cp"]:
        return _copy(words[2:])
    if len(words) != 2:  # noqa: PLR2004 - service and operation
        raise _usage(" ".join(words), "<service> <operation> with options is needed")
    service, operation = words
    region = options.get("--region", [None])[0]
    try:
        client: Any = boto3.client(_SERVICES.get(service, service), region_name=region)
    except BotoCoreError as error:
        raise _usage(service, str(error)) from error
    if words == ["ecr", "get-login-password"]:
        token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return base64.b64decode(token).decode().partition(":")[2]
    method = operation.replace("-", "_")
    if method not in client.meta.method_to_api_mapping:
        raise _usage(f"{service} {operation}", "an operation of the service is needed")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    answer = getattr(client, method)(**_parameters(model.input_shape, options))
    answer.pop("ResponseMetadata", None)
    return answer


def _copy(places: list[str]) -> str:
    if len(places) != 2 or places[0].startswith("s3://") == places[1].startswith("s3://"):  # noqa: PLR2004
        raise _usage(f"s3 cp {' '.join(places)}", "one file and one s3://<bucket>/<key> are needed")
    source, target = places
    s3 = boto3.client("s3")
    bucket, _, key = (source if source.startswith("s3://") else target)[5:].partition("/")
    if source.startswith("s3://"):
        path = Path(target)
        path = path / Path(key).name if path.is_dir() else path
        s3.download_file(bucket, key, str(path))
        return f"download: {source} to {path}"
    key = f"{key}{Path(source).name}" if not key or key.endswith("/") else key
    s3.upload_file(source, bucket, key)
    return f"upload: {source} to s3://{bucket}/{key}"


# ------------------------------------------------------------------------------ parameters


def _parameters(shape: Any, options: Options) -> dict[str, Any]:
    members = shape.members if shape is not None else {}
    names = {f"--{xform_name(member, '-')}": member for member in members}
    parameters = {}
    for option, values in options.items():
        if option in _GLOBAL:
            continue
        name = option.replace("--no-", "--", 1) if option not in names else option
        if name not in names:
            raise _usage(option, f"one of {', '.join(sorted(names))} is needed")
        member = names[name]
        parameters[member] = _value(option, members[member], values, is_no=name != option)
    return parameters


def _value(option: str, shape: Any, values: list[str], *, is_no: bool) -> Any:
    if shape.type_name == "boolean":
        return not is_no
    if not values:
        raise _usage(option, "a value is needed")
    texts = [_text(value) for value in values]
    if shape.type_name == "list":
        if texts[0].lstrip().startswith("["):
            return json.loads(texts[0])
        return [_one(shape.member, text) for text in texts]
    return _one(shape, texts[0])


def _one(shape: Any, text: str) -> Any:
    if shape.type_name in {"structure", "map"}:
        return json.loads(text) if text.lstrip().startswith("{") else dict(_pairs(shape, text))
    if shape.type_name in {"integer", "long"}:
        return int(text)
    if shape.type_name in {"float", "double"}:
        return float(text)
    return text.encode() if shape.type_name == "blob" else text


def _pairs(shape: Any, text: str) -> Iterator[tuple[str, Any]]:
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        if not equals:
            raise _usage(text, "JSON or key=value,key=value is needed")
        members = getattr(shape, "members", {})
        yield key, _one(members[key], value) if key in members else value


def _text(value: str) -> str:
    return Path(value.removeprefix("file://")).read_text() if value.startswith("file://") else value


def _usage(found: str, required: str) -> _UsageError:
    return _UsageError("aws", found, required, "This aws is a stand-in; see docs/parity.md")


# ------------------------------------------------------------------------------ output


def _print(answer: Any, options: Options) -> None:
    query = options.get("--query", [""])[0]
    if query:
        answer = jmespath.search(query, json.loads(json.dumps(answer, default=str)))
    if isinstance(answer, str) and not query:
        print(answer)
    elif options.get("--output", ["json"])[0] == "text":
        print(_as_text(answer))
    elif answer not in ({}, None) or query:
        print(json.dumps(answer, indent=4, default=str))


def _as_text(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return "\t".join(_as_text(answer[key]) for key in sorted(answer))
    if isinstance(answer, list):
        is_flat = not any(isinstance(item, list | Mapping) for item in answer)
        return ("\t" if is_flat else "\n").join(_as_text(item) for item in answer)
    return str(answer)


if __name__ == "__main__":
    sys.exit(main())
