#!/bin/sh
# Checks templates and seed code; changes nothing.
# Usage: scripts/validate-tpl.sh [--region REGION]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m scripts validate-tpl "$@"
