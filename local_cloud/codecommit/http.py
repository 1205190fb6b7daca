"""Repositories over HTTP, as git clones, fetches and pushes: its own ``http-backend`` answers.

Only the smart protocol is served, and only to who signs in with an account's keys
(:mod:`local_cloud.codecommit.signature`) and may pull or push.

Source: https://git-scm.com/docs/git-http-backend
"""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from local_cloud.actions import Need
from local_cloud.codecommit.repository import Repository, git_environment
from local_cloud.codecommit.signature import Place, is_password
from local_cloud.iam import DeniedError, Identity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PREFIX", "GitDoor"]

#: What paths of repositories begin with.
PREFIX = "/v1/repos/"
_PATH = re.compile(rf"{PREFIX}([\w.-]+)/(info/refs|git-upload-pack|git-receive-pack)")
_PUSH = "git-receive-pack"
_SERVICES = {"git-upload-pack": "codecommit:GitPull", _PUSH: "codecommit:GitPush"}


class _RefusedError(Exception):
    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class GitDoor:
    """WSGI application that serves repositories.

    Parameters
    ----------
    cloud
        The account.
    find
        Gives a repository by its name, or ``None``.
    on_push
        Called with name, branches before and branches after, and who pushed.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        find: Callable[[str], Repository | None],
        on_push: Callable[[str, dict[str, str], dict[str, str], Identity], None],
    ) -> None:
        self._cloud = cloud
        self._find = find
        self._on_push = on_push

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer to one request of git."""
        try:
            status, headers, body = self._answer(environ)
        except _RefusedError as error:
            status, body = error.status, f"{error}\n".encode()
            headers = [("Content-Type", "text/plain")]
            if status.startswith("401"):
                headers.append(("WWW-Authenticate", 'Basic realm="AWS CodeCommit"'))
        start_response(status, headers)
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        path = environ["PATH_INFO"]
        match = _PATH.fullmatch(path)
        if match is None:
            raise _RefusedError("404 Not Found", f"{path}: there is no such address")
        name, request = match.groups()
        asked = parse_qs(environ.get("QUERY_STRING", "")).get("service", [""])[0]
        service = asked if request == "info/refs" else request
        if service not in _SERVICES:
            raise _RefusedError("403 Forbidden", "git's smart protocol is required")
        identity = self._identity(environ, name)
        self._check(identity, _SERVICES[service], name)
        repository = self._find(name)
        if repository is None:
            raise _RefusedError("404 Not Found", f"repository {name!r} does not exist")
        if request != _PUSH:
            return _serve(environ, repository, request)
        before = repository.branches()
        answer = _serve(environ, repository, request)
        self._on_push(name, before, repository.branches(), identity)
        return answer

    def _identity(self, environ: dict[str, Any], name: str) -> Identity:
        user, given = _basic(environ.get("HTTP_AUTHORIZATION", ""))
        access_key, _, token = user.partition("%")
        identity = self._cloud.account.identity(access_key)
        if identity is None or identity.expired or token != identity.credentials.session_token:
            raise _RefusedError("403 Forbidden" if user else "401 Unauthorized", _SIGN_IN)
        where = Place(self._cloud.region, environ.get("HTTP_HOST", ""), f"{PREFIX}{name}")
        if not is_password(given, access_key, identity.credentials.secret_key, where):
            raise _RefusedError("403 Forbidden", _SIGN_IN)
        return identity

    def _check(self, identity: Identity, action: str, name: str) -> None:
        if identity.is_administrator:
            return
        arn = f"arn:aws:codecommit:{self._cloud.region}:{self._cloud.account_id}:{name}"
        try:
            self._cloud.account.check(identity, [Need(action, arn)])
        except DeniedError as error:
            raise _RefusedError("403 Forbidden", str(error)) from error


_SIGN_IN = "the user name and password of the codecommit credential helper are required"


def _basic(header: str) -> tuple[str, str]:
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        user, _, secret = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, secret


def _serve(
    environ: dict[str, Any], repository: Repository, request: str
) -> tuple[str, list[tuple[str, str]], bytes]:
    body = environ["wsgi.input"].read()
    answer = subprocess.run(
        ["git", "http-backend"],
        input=body,
        capture_output=True,
        check=True,
        env=git_environment(
            GIT_PROJECT_ROOT=str(repository.path.parent),
            GIT_HTTP_EXPORT_ALL="1",
            PATH_INFO=f"/{repository.path.name}/{request}",
            REQUEST_METHOD=environ["REQUEST_METHOD"],
            QUERY_STRING=environ.get("QUERY_STRING", ""),
            CONTENT_TYPE=environ.get("CONTENT_TYPE", ""),
            CONTENT_LENGTH=str(len(body)),
            HTTP_CONTENT_ENCODING=environ.get("HTTP_CONTENT_ENCODING", ""),
            GIT_PROTOCOL=environ.get("HTTP_GIT_PROTOCOL", ""),
            REMOTE_USER="codecommit",
        ),
    )
    head, _, content = answer.stdout.partition(b"\r\n\r\n")
    headers = [_header(line) for line in head.decode().split("\r\n")]
    status = next((value for name, value in headers if name == "Status"), "200 OK")
    return status, [pair for pair in headers if pair[0] != "Status"], content


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name, value
