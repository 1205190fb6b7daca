"""What a shell needs to work in the account: keys and address for AWS tools, and git's helper.

Source: https://git-scm.com/docs/git-config#ENVIRONMENT
"""

from __future__ import annotations

import shlex
import sys

from local_cloud.cloud import LocalCloud
from local_cloud.programs import REPOSITORY

__all__ = ["exports", "git_variables"]


def exports(cloud: LocalCloud) -> str:
    """Return lines of ``export NAME=value`` for any shell, of the account's administrator."""
    values = {**cloud.environment(), **git_variables(cloud.endpoint_url)}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def git_variables(endpoint_url: str) -> dict[str, str]:
    """Return what makes git ask our credential helper for repositories below that address alone.

    The helper takes keys from the environment.
    """
    program = shlex.join(["env", f"PYTHONPATH={REPOSITORY}", sys.executable])
    scope = f"credential.{endpoint_url}"
    settings = {
        f"{scope}.helper": f"!{program} -m local_cloud.codecommit",
        f"{scope}.useHttpPath": "true",
    }
    values = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        values |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return values
