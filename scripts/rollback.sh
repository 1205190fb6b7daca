#!/bin/sh
# Returns production of a project to an earlier approved release, by default the one before.
# Usage: scripts/rollback.sh PROJECT [--to RELEASE] [--production-role ARN] [--dry-run]
# (PROJECT is <model>-<project id>; ARN where production is in another account)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
PYTHONPATH=$root/seed_code${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m pipeline rollback "$@"
