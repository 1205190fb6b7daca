r"""CodeCommit: git repositories under ``.local/git`` that one can clone from and push to.

::

    git -c credential.useHttpPath=true \
        -c credential.helper='!aws codecommit credential-helper --ignore-host-check $@' \
        clone http://127.0.0.1:<port>/v1/repos/<name>

``python -m local_cloud.codecommit`` is the same credential helper, where the AWS CLI is missing.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from moto.codecommit import urls

from local_cloud.codecommit.api import Repositories
from local_cloud.codecommit.http import PREFIX, GitDoor
from local_cloud.json_api import JsonApi
from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity(
        "CodeCommit",
        "exact",
        "Repositories, branches, commits, files; clone, fetch and push over HTTP with the"
        " credential helper's user and password and the permissions GitPull and GitPush; events of"
        " branches",
    ),
    Parity(
        "CodeCommit",
        "partial",
        "Lists come in one page; encryption keys are kept, the files are not encrypted",
    ),
    Parity(
        "CodeCommit",
        "refused",
        "SSH, static git credentials, pull requests, approval rules, triggers, comments, merges",
    ),
]


def install(cloud: LocalCloud) -> None:
    """Keep repositories in ``.local/git`` and serve them; those of the last time are removed."""
    folder = cloud.root / "git"
    shutil.rmtree(folder, ignore_errors=True)
    repositories = Repositories(cloud, folder)
    JsonApi(cloud, "codecommit", repositories.operations()).install(urls)
    cloud.gateway.open(PREFIX, GitDoor(cloud, repositories.find, repositories.pushed))
