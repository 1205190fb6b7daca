"""What a shell needs to work in the account: keys and address for AWS tools, and git's helper.

Source: https://git-scm.com/docs/git-config#ENVIRONMENT
"""

from __future__ import annotations

import shlex
import sys

from local_cloud.cloud import LocalCloud
from local_cloud.programs import REPOSITORY

__all__ = ["exports"]


def exports(cloud: LocalCloud) -> str:
    """Return lines of ``export NAME=value`` for any shell, of the account's administrator.

    git asks our credential helper for this account's repositories alone.
    """
    program = shlex.join(["env", f"PYTHONPATH={REPOSITORY}", sys.executable])
    scope = f"credential.{cloud.endpoint_url}"
    git = {
        f"{scope}.helper": f"!{program} -m local_cloud.codecommit",
        f"{scope}.useHttpPath": "true",
    }
    values = {**cloud.environment(), "GIT_CONFIG_COUNT": str(len(git))}
    for number, (key, value) in enumerate(git.items()):
        values |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
