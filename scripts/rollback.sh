#!/bin/sh
# Returns production of a project to an earlier approved release, by default the one before.
# Usage: scripts/rollback.sh PROJECT [--to RELEASE] [--dry-run]   (PROJECT is <model>-<project id>)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
PYTHONPATH=$root/seed_code${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m pipeline rollback "$@"
