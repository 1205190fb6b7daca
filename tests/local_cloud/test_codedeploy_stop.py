"""A deployment does not hold up the end of the local cloud."""

from __future__ import annotations

import time
from pathlib import Path

from local_cloud.cloud import LocalCloud

from .conftest import wait_for
from .deployments import Place


def test_a_cloud_that_stops_leaves_a_bake_at_once(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with LocalCloud(tmp_path / "local") as cloud:  # minutes are minutes
        place = Place(cloud, tmp_path / "place")
        place.deploy(place.group())
        wait_for(lambda: place.alias() == ("1", {"2": 0.1}))
        begun = time.monotonic()
    assert time.monotonic() - begun < 9.0  # alarms are asked every ten seconds
