#!/bin/sh
# Deletes a bucket with every version of everything in it.
# Usage: scripts/rm_s3.sh BUCKET [--region REGION] [--dry-run]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m scripts rm_s3 "$@"
