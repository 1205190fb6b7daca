"""Images: one for every content, built once, known by the registry's digest."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from mlsystem.errors import PlatformError, UserError
from pipeline import images

DOCKERFILE = Path("container/Dockerfile")
DIGEST = "sha256:" + 64 * "b"
REPOSITORY = images.Repository("churn", "registry.example/churn")


def described(aws, tag):
    aws.answers(
        "ecr", "describe_images", {"imageDetails": [{"imageDigest": DIGEST}]},
        repositoryName="churn", imageIds=[{"imageTag": tag}],
    )  # fmt: skip


def logged_in(aws):
    token = base64.b64encode(b"AWS:secret").decode()
    data = [{"authorizationToken": token, "proxyEndpoint": "https://registry.example"}]
    aws.answers("ecr", "get_authorization_token", {"authorizationData": data})


def ensure(aws, repository):
    return images.ensure(aws("ecr"), REPOSITORY, repository, DOCKERFILE)


# --- the digest of the content ------------------------------------------------------------------


def digest(repository):
    return images.content_digest(repository, DOCKERFILE)


def test_the_digest_is_the_same_wherever_the_repository_is(repository, tmp_path):
    before = digest(repository)
    moved = repository.rename(tmp_path / "elsewhere")
    (moved / "mlsystem/__pycache__").mkdir()
    (moved / "mlsystem/__pycache__/model.pyc").write_bytes(b"made by running it")
    assert digest(moved) == before
    assert len(before) == 64


@pytest.mark.parametrize(
    "name", ["mlsystem/model.py", "mlsystem/new.py", "container/Dockerfile",
             "container/requirements.txt", ".dockerignore"],
)  # fmt: skip
def test_what_is_copied_changes_the_digest(name, repository):
    before = digest(repository)
    path = repository / name
    path.write_text((path.read_text() if path.exists() else "") + "# more\n")
    assert digest(repository) != before


def test_a_name_and_the_right_to_run_are_content(repository):
    before = digest(repository)
    (repository / "mlsystem/model.py").chmod(0o755)
    runnable = digest(repository)
    (repository / "mlsystem/model.py").rename(repository / "mlsystem/other.py")
    assert len({before, runnable, digest(repository)}) == 3


@pytest.mark.parametrize("name", ["README.md", "project.yml", "infrastructure/stack.py"])
def test_what_is_not_copied_does_not(name, repository):
    before = digest(repository)
    (repository / name).write_text("something else\n")
    assert digest(repository) == before


def test_every_form_of_copy_is_read(tmp_path):
    path = tmp_path / "Dockerfile"
    path.write_text(
        "FROM a AS base\n# COPY no no\ncopy a b /to/\nCOPY --from=base /x /y\n"
        'COPY --chmod=755 ["with space", "/to/"]\nADD c \\\n  d \\\n  /to/\nRUN echo COPY e f\n'
    )
    sources = [(where.rsplit(":", 1)[1], source) for where, source in images.copied(path)]
    assert sources == [("3", "a"), ("3", "b"), ("5", "with space"), ("6", "c"), ("6", "d")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("COPY missing /to", "Dockerfile:2: a copy of missing, which is not there"),
        ("COPY $NAME /to", r"Dockerfile:2: a copy of \$NAME"),
        ("ADD https://example.com/a /to", "Dockerfile:2: a copy of https://example.com/a"),
    ],
)
def test_what_cannot_be_known_is_refused(line, found, repository):
    (repository / DOCKERFILE).write_text(f"FROM a\n{line}\n")
    with pytest.raises(UserError, match=found):
        digest(repository)


def test_a_missing_dockerfile(repository):
    (repository / DOCKERFILE).unlink()
    with pytest.raises(UserError, match=r"Dockerfile: .*; a Dockerfile in UTF-8"):
        digest(repository)


# --- build and push -----------------------------------------------------------------------------


def test_a_known_content_is_not_built(aws, docker, repository):
    described(aws, digest(repository))
    assert ensure(aws, repository) == f"{REPOSITORY.uri}@{DIGEST}"
    assert docker.calls == []


def test_a_new_content_is_built_and_pushed(aws, docker, repository, capsys):
    tag = digest(repository)
    aws.refuses("ecr", "describe_images", "ImageNotFoundException")
    logged_in(aws)
    described(aws, tag)
    assert ensure(aws, repository) == f"{REPOSITORY.uri}@{DIGEST}"
    assert [list(call) for call in docker.calls] == [
        [["build", "--file", str(repository / DOCKERFILE), "--tag", f"{REPOSITORY.uri}:{tag}",
          str(repository)], ""],
        [["login", "--username", "AWS", "--password-stdin", "registry.example"], "secret"],
        [["push", f"{REPOSITORY.uri}:{tag}"], ""],
    ]  # fmt: skip
    assert "secret" not in capsys.readouterr().out


def test_a_dockerfile_that_does_not_build(aws, docker, repository, capsys):
    docker.fails_at("build")
    aws.refuses("ecr", "describe_images", "ImageNotFoundException")
    with pytest.raises(UserError) as caught:
        ensure(aws, repository)
    assert str(caught.value) == (
        "container/Dockerfile: docker build ended with 2: step 1 of build / ERROR: exit code: 2; "
        "a Dockerfile that builds."
    )
    assert "step 1 of build" in capsys.readouterr().out
    assert docker.verbs == ["build"]


@pytest.mark.parametrize("verb", ["login", "push"])
def test_a_registry_that_does_not_take_the_image(verb, aws, docker, repository):
    docker.fails_at(verb)
    aws.refuses("ecr", "describe_images", "ImageNotFoundException")
    logged_in(aws)
    with pytest.raises(PlatformError, match=f"docker {verb} ended with 2.*Retry the stage"):
        ensure(aws, repository)


def test_an_image_that_is_not_there_after_it_was_pushed(aws, docker, repository):
    aws.refuses("ecr", "describe_images", "ImageNotFoundException")
    logged_in(aws)
    aws.refuses("ecr", "describe_images", "ImageNotFoundException")
    with pytest.raises(PlatformError, match=r"no image .* after it was pushed"):
        ensure(aws, repository)


def test_a_machine_without_docker(aws, repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    aws.refuses("ecr", "describe_images", "ImageNotFoundException")
    with pytest.raises(PlatformError, match=r"docker: .*; a machine that builds images"):
        ensure(aws, repository)
