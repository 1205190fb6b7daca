"""Zero lost requests: releases, one after the other, while four clients never stop asking.

Each release is an update of the whole production stack: another version of the function, another
set of alarms, checks before and after, traffic moved by CodeDeploy, the old release deleted.
Nine of ten have an endpoint of their own; the tenth's function answers itself, so that the way of
serving changes too. Run it: ``python -m bench.releases --releases 50``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.production import BODIES, ROOT, Production, machine, share_images, small_model
from local_cloud.cloud import LocalCloud
from local_cloud.traffic import Traffic

RESULTS = ROOT / "bench" / "results" / "releases.json"
WAIT_FACTOR = 0.01
REQUESTS_PER_SECOND = 40.0
FUNCTION_EVERY = 10
#: As short as alarms can still stop (docs/decisions/0050).
QUICK = {
    "strategy": {"kind": "canary", "percent": 10, "minutes": 3},
    "checks": {"latency_requests": 20},
}


def main() -> int:
    """Release, count, print, save; return 1 when a request was lost or a release taken back."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--releases", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        root = Path(name)
        share_images(root)
        with LocalCloud(root, wait_factor=WAIT_FACTOR) as cloud:
            production = Production(cloud, small_model(root / "model"), BODIES)
            found = _measure(production, options.releases)
    document = {"machine": machine(), **found}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))
    return int(bool(found["failed_requests"] or found["alarms"]))


def _measure(production: Production, n_releases: int) -> dict[str, Any]:
    production.release({"serving": "endpoint", "production": QUICK})
    served, seconds = [], []
    with Traffic(production.client(), BODIES, REQUESTS_PER_SECOND) as traffic:
        for number in range(1, n_releases + 1):
            serving = "endpoint" if number % FUNCTION_EVERY else "lambda"
            started = time.monotonic()
            release = production.release({"serving": serving, "production": QUICK})
            seconds.append(time.monotonic() - started)
            served.append(release)
            lost = Traffic.failed(traffic.answers())
            print(f"{number:3} {serving:9}{seconds[-1]:6.1f} s, {len(lost)} lost", flush=True)
    answers = traffic.answers()
    lost = Traffic.failed(answers)
    return {
        "releases": n_releases,
        "of_endpoints": n_releases - n_releases // FUNCTION_EVERY,
        "median_release_seconds": round(statistics.median(seconds), 1),
        "requests": len(answers),
        "failed_requests": len(lost),
        "failures": dict(Counter(f"{answer.status} {answer.text[:200]}" for answer in lost)),
        "releases_that_answered": len({answer.release for answer in answers} & {*served}),
        "alarms": production.alarms(),
    }


if __name__ == "__main__":
    sys.exit(main())
