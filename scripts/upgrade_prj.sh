#!/bin/sh
# Brings projects to the newest published version, in place.
# Usage: scripts/upgrade_prj.sh PROJECT|--all [--region REGION] [--dry-run]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m scripts upgrade_prj "$@"
