"""Names fit every service's limit and never collide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsystem.names import LIMITS, Names, bounded

PROJECT = st.from_regex(r"[a-z](-?[a-z0-9]){0,70}", fullmatch=True)
RELEASE = st.uuids().map(str) | st.from_regex(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,80}", fullmatch=True)
NAMES = {
    "prepare_job": "processing_job",
    "training_job": "training_job",
    "evaluate_job": "processing_job",
    "model": "model",
    "endpoint_config": "endpoint_config",
    "endpoint": "endpoint",
    "model_package_group": "model_package_group",
    "state_machine": "state_machine",
    "execution": "execution",
}


@given(PROJECT, RELEASE)
def test_every_name_fits_and_begins_with_its_project(project, release):
    names = Names(project, release)
    for name, service in NAMES.items():
        value = getattr(names, name)
        assert len(value) <= LIMITS[service]
        assert not value.endswith("-")
        if name != "execution":
            assert value.startswith(project[:40].rstrip("-"))


@given(RELEASE)
def test_names_of_production_fit_the_longest_project(release):
    names = Names("p" * 41, release)
    for name in ("prod_model", "prod_endpoint_config", "prod_endpoint"):
        assert len(getattr(names, name)) <= LIMITS[name.removeprefix("prod_")]
    for name in ("api_function", "assets_function", "before_hook", "after_hook"):
        assert len(getattr(names, name)) <= LIMITS["function"]


@given(PROJECT, st.lists(RELEASE, min_size=2, max_size=2, unique=True))
def test_two_releases_share_only_what_outlives_a_release(project, releases):
    first, second = (Names(project, release) for release in releases)
    for name in ("prepare_job", "training_job", "evaluate_job", "model", "endpoint_config"):
        assert getattr(first, name) != getattr(second, name)
    assert first.endpoint == second.endpoint
    assert first.release_prefix != second.release_prefix


@given(
    st.text(alphabet="ab", min_size=30, max_size=60),
    st.text(alphabet="ab", min_size=30, max_size=60),
)
def test_shortening_keeps_different_names_different(one, other):
    assert (bounded(one, 24) == bounded(other, 24)) == (one == other)


@pytest.mark.parametrize(
    ("project", "release"), [("1a", "r"), ("a_b", "r"), ("a", "r/s"), ("", "r"), ("a", "")]
)
def test_a_character_that_no_service_takes_is_refused(project, release):
    with pytest.raises(ValueError, match="required"):
        Names(project, release)
