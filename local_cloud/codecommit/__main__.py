"""git credential helper: ``git -c credential.helper='!python -m local_cloud.codecommit' …``.

Does what ``aws codecommit credential-helper --ignore-host-check`` does, where the AWS CLI is not
installed; the keys are those of the environment. git must be told to give the path
(``credential.useHttpPath=true``).
"""

from __future__ import annotations

import os
import sys

from local_cloud.codecommit.signature import Place, password, username


def main() -> int:
    """Answer git's question on standard input; return the exit code."""
    if sys.argv[1:] != ["get"]:
        return 0  # git also offers to store and to erase: there is nothing to keep
    asked = dict(line.rstrip("\n").partition("=")[::2] for line in sys.stdin)
    if "path" not in asked:
        print("git must be configured with credential.useHttpPath=true", file=sys.stderr)
        return 1
    try:
        key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        region = os.environ.get("AWS_REGION") or os.environ["AWS_DEFAULT_REGION"]
    except KeyError as error:
        print(f"{error} is not in the environment", file=sys.stderr)
        return 1
    place = Place(region, asked["host"], f"/{asked['path']}")
    print(f"username={username(key, os.environ.get('AWS_SESSION_TOKEN', ''))}")
    print(f"password={password(key, secret, place)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
