#!/bin/sh
# Removes a project and everything it made; keeps code and data unless told otherwise.
# Usage: scripts/rm_prj.sh PROJECT [--region REGION] [--dry-run] [--delete-data] [--delete-code]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m scripts rm_prj "$@"
