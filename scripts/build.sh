#!/bin/sh
# Publishes the template, and makes or updates the organization's stack.
# Usage: scripts/build.sh S3_BUCKET_NAME STACK_NAME REGION STUDIO_ROLE [--seed-code FOLDER] [--s3-templates DOMAIN_ID] [--other-accounts ACCOUNTS] [--api-logs yes|no] [--dry-run]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m scripts build "$@"
