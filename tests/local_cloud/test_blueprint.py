"""Finding the folder that a run starts from."""

import pytest

from local_cloud import blueprint
from local_cloud.errors import LocalCloudError


@pytest.mark.parametrize("name", ["churn", "iris", "housing"])
def test_a_shipped_blueprint_is_found_by_its_name(name):
    found = blueprint.find(name)
    assert found.name == name
    assert f"{name}.csv" in {path.name for path in found.data_files()}


def test_a_folder_is_found_by_its_path(tmp_path):
    (tmp_path / "wine" / "data" / "2026").mkdir(parents=True)
    (tmp_path / "wine" / "project.yml").touch()
    (tmp_path / "wine" / "data" / "2026" / "a.csv").touch()
    (tmp_path / "wine" / "data" / ".DS_Store").touch()
    found = blueprint.find(str(tmp_path / "wine"))
    assert found.name == "wine"
    assert [path.name for path in found.data_files()] == ["a.csv"]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(LocalCloudError, match="churn, housing, iris"):
        blueprint.find("chrun")


@pytest.mark.parametrize("missing", ["project.yml", "data"])
def test_what_is_missing_is_named(tmp_path, missing):
    (tmp_path / "project.yml").touch()
    (tmp_path / "data").mkdir()
    if missing == "project.yml":
        (tmp_path / missing).unlink()
    with pytest.raises(LocalCloudError, match=missing):
        blueprint.find(str(tmp_path))
