"""Clients that do everything wrong, while a release comes into production.

None of it may take the release back, touch an alarm, or cost another client a request: whose
mistake a refusal is decides the status, and nothing with a client's status counts against a
release. Run it: ``python -m bench.abuse``.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import math
import random
import socket
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.production import BODIES, ROOT, Production, machine, share_images, small_model
from local_cloud.cloud import LocalCloud
from local_cloud.traffic import Traffic

__all__ = ["CASES", "Abusers", "Case", "Outcome", "abuse_a_release"]

RESULTS = ROOT / "bench" / "results" / "abuse.json"

WAIT_FACTOR = 0.02
#: Else whoever abuses as fast as this would meet the stage's limit, and little else.
UNTHROTTLED = {"api": {"rate_per_second": 10_000, "burst": 5_000}}
GOOD_PER_SECOND = 20.0
#: Mistakes while traffic moves.
ENOUGH = 10_000

_JSON = "application/json"
_TIMEOUT_SECONDS = 60
_ABUSERS = 6
_SLOW = 8


@dataclass(frozen=True)
class Case:
    """A mistake, and the statuses that say whose it is."""

    statuses: frozenset[int]
    body: str | bytes = ""
    content_type: str = _JSON
    method: str = "POST"
    path: str = "/predict"
    headers: tuple[tuple[str, str], ...] = ()
    signature: str = "right"
    """``right``, ``none``, ``wrong`` (of another secret) or ``elsewhere`` (for another service)."""
    weight: int = 20
    """How often it is made; less often where it costs the abuser much."""


def _of(*statuses: int) -> frozenset[int]:
    return frozenset(statuses)


def _rows(*rows: Any) -> str:
    return json.dumps({"instances": rows})


_BAD = _of(400)
_ROW = {"x": 1, "y": 2, "size": "high"}
_GOOD = _rows(_ROW)

#: Each is answered with one of its statuses, and no status is a 5XX.
CASES: dict[str, Case] = {
    "no body": Case(_BAD),
    "no JSON": Case(_BAD, "{"),
    "half of a JSON": Case(_BAD, _GOOD[:-3]),
    "bytes": Case(_BAD, bytes(range(256))),
    "half of a character": Case(_BAD, b'{"instances": [{"x": 1, "y": 2, "size": "\xff"}]}'),
    "half of a surrogate": Case(_BAD, '{"instances": [{"x": 1, "y": 2, "size": "\\ud800"}]}'),
    "null": Case(_BAD, "null"),
    "another key": Case(_BAD, '{"rows": []}'),
    "one more key": Case(_BAD, json.dumps({"instances": [_ROW], "more": 1})),
    "no list": Case(_BAD, _rows() + ""),
    "a number for the list": Case(_BAD, '{"instances": 5}'),
    "a number for a row": Case(_BAD, _rows(1)),
    "an empty row": Case(_BAD, _rows({})),
    "a column too few": Case(_BAD, _rows({"x": 1, "y": 2})),
    "a column too many": Case(_BAD, _rows({**_ROW, "z": 1})),
    "another column": Case(_BAD, _rows({"x": 1, "z": 2, "size": "high"})),
    "a list too short": Case(_BAD, _rows([1, 2])),
    "a text for a number": Case(_BAD, _rows({**_ROW, "x": "one"})),
    "a list for a number": Case(_BAD, _rows({**_ROW, "x": [1]})),
    "an object for a category": Case(_BAD, _rows({**_ROW, "size": {}})),
    "one bad row of many": Case(_BAD, _rows(*[_ROW] * 50, {"x": 1})),
    "NaN": Case(_BAD, '{"instances": [{"x": NaN, "y": 2, "size": "high"}]}'),
    "infinity": Case(_BAD, '{"instances": [{"x": 1e999, "y": 2, "size": "high"}]}'),
    "beyond 32 bits": Case(_of(400, 422), _rows({**_ROW, "x": 1e300})),
    "an integer of 5,000 digits": Case(
        _BAD, f'{{"instances": [{{"x": {"9" * 5000}, "y": 2, "size": "high"}}]}}'
    ),
    "the same key twice": Case(
        _of(200, 400), '{"instances": [{"x": 1, "x": 2, "y": 2, "size": "high"}]}'
    ),
    "deep lists": Case(_BAD, '{"instances": ' + "[" * 50_000 + "]" * 50_000 + "}", weight=4),
    "deep objects": Case(_BAD, '{"instances": [' + '{"x":' * 900 + "1" + "}" * 900 + "]}"),
    "a deep line": Case(_BAD, "[" * 50_000, "application/jsonlines", weight=4),
    "too many rows": Case(_of(400, 413), _rows(*[{}] * 1_001), weight=4),
    "too many lines": Case(_of(413), "1,2,high\n" * 1_001, "text/csv", weight=4),
    "3 MB": Case(_of(413), "1,2,high\n" * 333_334, "text/csv", weight=1),
    "more than a function takes": Case(_of(413), "1,2,high\n" * 720_000, "text/csv", weight=1),
    "more than the gateway takes": Case(_of(413), "1,2,high\n" * 1_200_000, "text/csv", weight=1),
    "CSV with a text": Case(_BAD, "one,2,high\n", "text/csv"),
    "CSV of another width": Case(_BAD, "1,2\n", "text/csv"),
    "CSV without an end": Case(_BAD, '1,2,"high\n', "text/csv"),
    "CSV with NaN": Case(_BAD, "nan,2,high\n", "text/csv"),
    "CSV with a zero byte": Case(_of(200, 400), b"1,2,hi\x00gh\n", "text/csv"),
    "CSV with a strange header": Case(_BAD, "a,b,c\n1,2,high\n", "text/csv; header=present"),
    "empty CSV": Case(_BAD, "", "text/csv"),
    "lines that are none": Case(_BAD, "{}\n{", "application/jsonlines"),
    "XML": Case(_of(400, 415), "<a/>", "application/xml"),
    "a form": Case(_of(400, 415), "x=1&y=2", "application/x-www-form-urlencoded"),
    "another charset": Case(_of(400, 415), _GOOD, f"{_JSON}; charset=utf-16"),
    "a type that is none": Case(_of(400, 415), _GOOD, ";;;"),
    "compressed, it says": Case(_of(400, 415), _GOOD, headers=(("Content-Encoding", "gzip"),)),
    "nothing to accept": Case(_of(406), _GOOD, headers=(("Accept", "image/png"),)),
    "a long name": Case(_BAD, _GOOD, headers=(("X-Inference-Id", "x" * 80),)),
    "a name with a space": Case(_BAD, _GOOD, headers=(("X-Inference-Id", "a b"),)),
    "a target for another": Case(_of(200, 400), _GOOD, headers=(("X-Forwarded-For", "\xe9" * 9),)),
    "another method": Case(_of(403), method="DELETE"),
    "reading what is asked": Case(_of(403), method="GET"),
    "writing to the health": Case(_of(403), _GOOD, path="/health"),
    "another path": Case(_of(403), _GOOD, path="/models/predict"),
    "a way up": Case(_of(403), _GOOD, path="/../../predict"),
    "nobody": Case(_of(403), _GOOD, signature="none"),
    "another's secret": Case(_of(403), _GOOD, signature="wrong"),
    "signed for elsewhere": Case(_of(403), _GOOD, signature="elsewhere"),
    "no signature": Case(
        _of(403), _GOOD, headers=(("Authorization", "AWS4-HMAC-SHA256 x"),), signature="none"
    ),
}  # fmt: skip


class Abusers:
    """Clients that make every mistake of `CASES` again and again, while the context lasts.

    Besides, some send half of a request and wait.

    Parameters
    ----------
    url
        Of the API's stage.
    region
        That requests are signed for.
    environment
        Credentials of who may ask: an abuser who is known gets further.
    per_second
        How many mistakes in all, at most.
    """

    def __init__(
        self, url: str, region: str, environment: Mapping[str, str], per_second: float
    ) -> None:
        self._pause = _ABUSERS / per_second
        self._url, self._region = url, region
        self._signers = _signers(environment, region)
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self.statuses: dict[str, Counter[int]] = defaultdict(Counter)
        names = [name for name, case in CASES.items() for _ in range(case.weight)]
        random.Random(4).shuffle(names)
        # Every case comes once before any comes often.
        self._names = itertools.chain(CASES, itertools.cycle(names))
        self._threads = [
            threading.Thread(target=self._abuse, name=f"abuser {number}", daemon=True)
            for number in range(_ABUSERS)
        ]
        self._slow: list[socket.socket] = []

    def __enter__(self) -> Abusers:
        self._slow = [self._half_a_request() for _ in range(_SLOW)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for connection in self._slow:
            connection.close()

    @property
    def count(self) -> int:
        """How many requests were answered."""
        with self._lock:
            return sum(counts.total() for counts in self.statuses.values())

    def surprises(self) -> dict[str, dict[int, int]]:
        """Return the cases that were answered otherwise than they must be."""
        with self._lock:
            found = {
                name: {
                    status: count
                    for status, count in counts.items()
                    if status not in CASES[name].statuses
                }
                for name, counts in self.statuses.items()
            }
        return {name: counts for name, counts in found.items() if counts}

    def _abuse(self) -> None:
        connection = self._connection()
        while not self._stopping.is_set():
            with self._lock:
                name = next(self._names)
            try:
                status = self._ask(connection, CASES[name])
            except (OSError, http.client.HTTPException):
                connection.close()  # and opened again by the next request
                status = 0
            with self._lock:
                self.statuses[name][status] += 1
            self._stopping.wait(self._pause)
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=_TIMEOUT_SECONDS)

    def _ask(self, connection: http.client.HTTPConnection, case: Case) -> int:
        url = self._url + case.path
        body = case.body.encode() if isinstance(case.body, str) else case.body
        request = AWSRequest(case.method, url, {"Content-Type": case.content_type}, body)
        if signer := self._signers.get(case.signature):
            signer.add_auth(request)
        headers = {**dict(request.headers), **dict(case.headers)}
        connection.request(case.method, urlsplit(url).path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def _half_a_request(self) -> socket.socket:
        where = urlsplit(self._url)
        connection = socket.create_connection((where.hostname, where.port))
        head = f"POST {where.path}/predict HTTP/1.1\r\nHost: {where.netloc}\r\n"
        connection.sendall(f"{head}Content-Type: {_JSON}\r\nContent-Length: 60\r\n\r\n{{".encode())
        return connection


def _signers(environment: Mapping[str, str], region: str) -> dict[str, SigV4Auth]:
    key, token = environment["AWS_ACCESS_KEY_ID"], environment.get("AWS_SESSION_TOKEN")
    right = Credentials(key, environment["AWS_SECRET_ACCESS_KEY"], token)
    return {
        "right": SigV4Auth(right, "execute-api", region),
        "wrong": SigV4Auth(Credentials(key, "w" * 40, token), "execute-api", region),
        "elsewhere": SigV4Auth(right, "s3", region),
    }


# --- during a release ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a release under abuse came to."""

    abuses: int
    abuses_while_traffic_moved: int
    statuses: dict[int, int]
    surprises: dict[str, dict[int, int]]
    good_requests: int
    good_requests_failed: int
    alarms: list[str]

    @property
    def is_bearable(self) -> bool:
        """Whether nothing gave way."""
        return not (self.surprises or self.good_requests_failed or self.alarms)

    @property
    def is_enough(self) -> bool:
        """Whether there were as many mistakes, while traffic moved, as the bar asks."""
        return self.abuses_while_traffic_moved >= ENOUGH


def abuse_a_release(
    production: Production, serving: str, *, minutes: int, per_second: float = math.inf
) -> Outcome:
    """Have a release made under abuse while others ask as they should; say what it came to.

    An error when the release does not come into production.

    Parameters
    ----------
    production
        With a release.
    serving
        ``endpoint`` or ``lambda``: of the new one.
    minutes
        For how long half of the traffic goes to the new release.
    per_second
        How many mistakes are made, at most.
    """
    abusers = Abusers(production.url, production.cloud.region, production.credentials(), per_second)
    while_moving: list[int] = []

    def look() -> None:
        if production.is_moving():
            while_moving.append(abusers.count)

    strategy = {"kind": "canary", "percent": 50, "minutes": minutes}
    with Traffic(production.client(), BODIES, GOOD_PER_SECOND) as traffic, abusers:
        production.start_release(
            {**UNTHROTTLED, "serving": serving, "production": {"strategy": strategy}}
        )
        production.wait(look)
    answers = traffic.answers()
    statuses: Counter[int] = sum(abusers.statuses.values(), Counter())
    return Outcome(
        abusers.count, while_moving[-1] - while_moving[0], dict(statuses), abusers.surprises(),
        len(answers), len(Traffic.failed(answers)), production.alarms(),
    )  # fmt: skip


def main() -> int:
    """Abuse a release of each kind; print what it came to; return 1 when anything gave way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60, help="of the shift; a second each")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        root = Path(name)
        share_images(root)
        with LocalCloud(root, wait_factor=WAIT_FACTOR) as cloud:
            production = Production(cloud, small_model(root / "model"), BODIES)
            production.release({**UNTHROTTLED, "serving": "lambda"})
            for serving in ("endpoint", "lambda"):
                found[serving] = abuse_a_release(production, serving, minutes=options.minutes)
    document = {"machine": machine(), **{name: asdict(each) for name, each in found.items()}}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))
    return int(not all(each.is_bearable and each.is_enough for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
