"""What a project starts with: the blueprint's settings and data, our code."""

import pytest

from local_cloud import blueprint, organization


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "own"
    (folder / "data/deep").mkdir(parents=True)
    (folder / "project.yml").write_text("model: {}\n")
    (folder / "data/deep/rows.csv").write_text("a,b\n1,2\n")
    return folder


def test_settings_and_data_are_the_blueprints_and_the_code_is_ours(own, tmp_path):
    target = tmp_path / "seed"
    assert organization.seed(blueprint.find(str(own)), target)
    assert (target / "project.yml").read_text() == "model: {}\n"
    data = [path.relative_to(target).as_posix() for path in (target / "data").rglob("*.*")]
    assert data == ["data/deep/rows.csv"]
    assert (target / "buildspec.yml").is_file()
    assert not list(target.rglob("__pycache__"))


def test_the_seeds_own_data_come_with_their_licence(tmp_path):
    target = tmp_path / "seed"
    assert organization.seed(blueprint.find("churn"), target)
    assert (target / "data/churn.csv").is_file()
    assert not [path for path in target.rglob("*") if path.is_symlink()]


def test_data_too_large_for_a_repository_are_left_out_and_told(own, tmp_path):
    with (own / "data/large.csv").open("wb") as file:
        file.truncate(15_000_001)
    target = tmp_path / "seed"
    assert not organization.seed(blueprint.find(str(own)), target)
    assert not (target / "data").exists()
