"""Building, running, pushing and pulling images without Docker."""

import base64
import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError, UnsupportedError
from local_cloud.images import DockerfileError, Image, ImageError, ImageNotFoundError, build
from local_cloud.images import Registry as ImageRegistry
from local_cloud.images.__main__ import main
from local_cloud.images.dockerfile import Instruction, expand, read, shell_commands
from local_cloud.images.plan import make_plan

PROGRAM = """\
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ), "cwd": os.getcwd()}))
"""
DOCKERFILE = """\
ARG BASE_IMAGE=public.ecr.aws/docker/library/python:3.13-slim
FROM ${BASE_IMAGE}
# what every container sees
ENV GREETING="hello there" \\
    # a comment inside
    PROGRAM=/opt/program
WORKDIR /opt/program
COPY --chown=nobody:nogroup main.py .
COPY package package
EXPOSE 8080
LABEL team=ours
USER nobody
ENTRYPOINT ["python", "main.py"]
CMD ["by-default"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context with a program, a package and the Dockerfile above."""
    folder = tmp_path / "context"
    (folder / "package").mkdir(parents=True)
    (folder / "main.py").write_text(PROGRAM)
    (folder / "package" / "__init__.py").write_text("ANSWER = 42\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


def build_in(context: Path, text: str | None = None, **options) -> Image:
    if text is not None:
        (context / "Dockerfile").write_text(text)
    return build(context, context / "Dockerfile", context.parent / "store", **options)


def run(image: Image, *arguments: str) -> str:
    return subprocess.run(
        image.command(arguments),
        env=image.environment(),
        cwd=image.workdir,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_container_sees_the_image_and_nothing_of_the_runner(context, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_RUNNER", "hush")
    image = build_in(context)
    answer = __import__("json").loads(run(image, "train"))
    assert answer["arguments"] == ["train"]
    assert answer["cwd"] == str(image.rootfs / "opt/program")
    environment = answer["environment"]
    assert environment["GREETING"] == "hello there"
    assert environment["PROGRAM"] == str(image.rootfs / "opt/program")
    assert environment["PATH"] == f"{image.rootfs}/usr/local/bin:/usr/bin:/bin"
    assert "SECRET_OF_THE_RUNNER" not in environment
    assert "HOME" not in environment


def test_command_line_arguments_replace_cmd_and_entrypoint_drops_it(context):
    image = build_in(context)
    python = str(image.rootfs / "usr/local/bin/python")
    assert image.command() == [python, "main.py", "by-default"]
    assert image.command(["serve"]) == [python, "main.py", "serve"]
    assert image.command(entrypoint=["python3"]) == [f"{python}3"]
    inside = image.command(["/opt/program/main.py"], entrypoint=["python"])
    assert inside == [python, str(image.rootfs / "opt/program/main.py")]


def test_missing_program_is_named(context):
    image = build_in(context, DOCKERFILE.replace('["python", "main.py"]', '["no-such-program"]'))
    with pytest.raises(ImageError, match="exec: 'no-such-program': executable file not found"):
        image.command(["train"])


def test_image_without_any_command_is_refused_to_run(context):
    with pytest.raises(ImageError, match="no ENTRYPOINT"):
        build_in(context, "FROM python").command()


def test_configuration_is_recorded(context):
    config = build_in(context).config
    assert config["Base"] == "public.ecr.aws/docker/library/python:3.13-slim"
    assert config["ExposedPorts"] == ["8080"]
    assert config["Labels"] == {"team": "ours"}
    assert config["User"] == "nobody"


def test_digest_depends_on_content_and_executable_bit_only(context):
    first = build_in(context)
    os.utime(context / "main.py", (1, 1))
    (context / "main.py").chmod(0o600)
    assert build_in(context).digest == first.digest
    (context / "main.py").chmod(0o700)
    executable = build_in(context)
    assert executable.digest != first.digest
    (context / "package" / "__init__.py").write_text("ANSWER = 43\n")
    assert build_in(context).digest not in {first.digest, executable.digest}


def test_digest_depends_on_build_arguments(context):
    slim = build_in(context)
    other = build_in(context, build_args={"BASE_IMAGE": "debian-python"})
    assert other.digest != slim.digest
    assert other.config["Base"] == "debian-python"


def test_running_changes_nothing_in_the_image(context):
    image = build_in(context, DOCKERFILE.replace('"main.py"]', '"-m", "package"]'))
    before = {path: path.stat().st_mtime_ns for path in image.folder.rglob("*")}
    run_code = ["python", "-c", "import package; print(package.ANSWER)"]
    subprocess.run(
        image.command(run_code[1:], entrypoint=run_code[:1]),
        env=image.environment(),
        cwd=image.workdir,
        check=True,
    )
    assert {path: path.stat().st_mtime_ns for path in image.folder.rglob("*")} == before
    assert list((image.rootfs / "opt/program/package/__pycache__").glob("*.pyc"))


def test_dockerignore_leaves_out_and_takes_back(context):
    (context / "package" / "data").mkdir()
    (context / "package" / "data" / "keep.csv").write_text("a")
    (context / "package" / "data" / "big.csv").write_text("b")
    (context / "package" / "__pycache__").mkdir()
    (context / "package" / "__pycache__" / "x.pyc").write_text("c")
    (context / ".dockerignore").write_text(
        "# comment\n**/__pycache__\npackage/data/*.csv\n!package/data/keep.csv\n"
    )
    image = build_in(context, "FROM python\nCOPY . /all/\n")
    copied = {path.name for path in (image.rootfs / "all").rglob("*") if path.is_file()}
    assert {"keep.csv", "main.py"} <= copied
    assert not {"big.csv", "x.pyc"} & copied


@pytest.mark.parametrize(
    ("copy", "place"),
    [
        ("COPY main.py /a/b.py", "a/b.py"),
        ("COPY main.py /a/", "a/main.py"),
        ("COPY main.py .", "work/main.py"),
        ("COPY main.py package /a/", "a/__init__.py"),
        ("COPY package other", "work/other/__init__.py"),
        ('COPY ["main.py", "x y.py"]', "work/x y.py"),
        ("ARG NAME=b\nCOPY main.py /a/$NAME.py", "a/b.py"),
        ("COPY package/__init__.py /work", "work/__init__.py"),
    ],
)
def test_copy_puts_files_where_docker_puts_them(context, copy, place):
    image = build_in(context, f"FROM python\nWORKDIR /work\n{copy}\n")
    assert (image.rootfs / place).is_file()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("ADD a.tar /", "instruction ADD"),
        ("HEALTHCHECK NONE", "instruction HEALTHCHECK"),
        ("TEACH me", "instruction TEACH"),
        ("FROM second", "second FROM"),
        ("COPY --from=builder a b", "--from=builder"),
        ("COPY *.py /", "wildcards"),
        ("COPY link.py /", "link"),
        ("RUN apt-get update", "RUN apt-get update"),
        ("RUN python3 -m venv /v --system-site-packages", "without options"),
        ("RUN pip install x | tee log", "'|'"),
        ("RUN pip install x; true", "';'"),
        ("RUN pip install $PACKAGE", "shell variable"),
        ("RUN pip install x", "outside a virtual environment"),
        ("RUN python3 -m venv /v && /v/bin/pip install ./package", "./package"),
        ("RUN python3 -m venv /v && /v/bin/pip install --index-url=x y", "--index-url"),
        ("RUN <<EOF", "here-document"),
        ("CMD python main.py", "shell form"),
        ("ENTRYPOINT python main.py", "shell form"),
        ("ENV name value", "name=value"),
        ("ENV A='$B'", "dollar sign"),
        ("RUN python3 -m venv /v\nCOPY main.py /v/lib/", "virtual environment /v"),
    ],
)
def test_everything_else_is_refused_by_name_and_line(context, line, named):
    (context / "link.py").symlink_to("main.py")
    with pytest.raises(UnsupportedError, match=r"Dockerfile") as caught:
        build_in(context, f"# first line\nFROM python\n\n{line}\n")
    assert named in str(caught.value)
    assert str(caught.value).startswith(("Dockerfile:4: ", "Dockerfile: "))
    assert not (context.parent / "store" / "images").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("COPY a b\n", "COPY before FROM"),
        ("ARG A=1\n", "has no FROM"),
        ("FROM python\nCOPY ../secret /\n", "forbidden path outside the build context"),
        ("FROM python\nCOPY missing /\n", "COPY missing: not found"),
        ("FROM python\nRUN python3 -m venv /v \\\n", "Dockerfile:2: the last line ends with"),
        ("FROM python\nENV A='x\n", "Dockerfile:2: .*quote"),
        ("FROM $NOTHING\n", "FROM needs an image's name"),
        (
            "FROM python\nRUN python3 -m venv /v && /v/bin/pip install -r r.txt\n",
            "not in the image",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(context, text, message):
    with pytest.raises(DockerfileError, match=message):
        build_in(context, text)


def test_build_argument_that_nobody_takes_is_refused(context):
    with pytest.raises(DockerfileError, match="no ARG takes the build argument BASE_IMAG"):
        build_in(context, build_args={"BASE_IMAG": "x"})


def test_root_of_the_file_system_is_not_replaced(context):
    environment = build_in(context, "FROM python\nENV ROUTE=/ HERE=/work\nWORKDIR /work\n")
    assert environment.environment()["ROUTE"] == "/"
    assert environment.environment()["HERE"] == str(environment.rootfs / "work")


def test_everything_is_ignored_but_what_is_taken_back(context):
    (context / ".dockerignore").write_text("*\n!package/__init__.py\n")
    image = build_in(context, "FROM python\nCOPY . /all/\nCOPY package /package\n")
    assert [path.name for path in (image.rootfs / "all").iterdir()] == ["package"]
    assert (image.rootfs / "package" / "__init__.py").is_file()


def test_dockerfile_that_is_not_utf8_is_refused(context):
    (context / "Dockerfile").write_bytes(b"FROM \xff")
    with pytest.raises(DockerfileError, match="UTF-8"):
        build_in(context)


def test_requirements_file_that_includes_another_is_refused(context):
    (context / "requirements.txt").write_text("a==1\n-r other.txt\n")
    text = "FROM python\nCOPY requirements.txt /\nRUN python3 -m venv /v && /v/bin/pip install "
    with pytest.raises(UnsupportedError, match=r"requirements\.txt:2: it names another file"):
        build_in(context, f"{text} -r /requirements.txt\n")


def test_instructions_know_their_first_line(tmp_path):
    file = tmp_path / "Dockerfile"
    file.write_text(
        '# syntax=docker/dockerfile:1\nFROM a\n\nENV A=1 \\\n  # why\n  B=2\nCMD ["x"]\n'
    )
    assert read(file) == [
        Instruction("FROM", "a", "Dockerfile:2"),
        Instruction("ENV", "A=1 B=2", "Dockerfile:4"),
        Instruction("CMD", '["x"]', "Dockerfile:7"),
    ]


def test_variables_have_defaults():
    assert expand("$A-${B:-b}-${C:+c}-$D", {"A": "a", "C": "1"}) == "a-b-c-"


def test_shell_commands_are_split_at_and_and():
    run = Instruction("RUN", "pip install 'a && b' && python3 -m venv /v", "Dockerfile:1")
    assert shell_commands(run) == [["pip", "install", "a && b"], ["python3", "-m", "venv", "/v"]]


def test_builds_at_the_same_time_make_one_image(context):
    images: list[Image] = []
    threads = [threading.Thread(target=lambda: images.append(build_in(context))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({image.digest for image in images}) == 1
    assert len(images) == 4
    assert len(list((context.parent / "store" / "images").iterdir())) == 1


def test_full_store_is_an_error_that_names_the_place(context):
    (context.parent / "store").write_text("not a folder")
    with pytest.raises(LocalCloudError, match=r"store: .*room in the store"):
        build_in(context)
    assert main(["build", str(context), "--store", str(context.parent / "store")]) == 1


def test_command_line_prints_the_digest(context, capsys):
    arguments = [
        "build",
        "-f",
        "Dockerfile",
        str(context),
        "--store",
        str(context.parent / "store"),
    ]
    assert main([*arguments, "--build-arg", "BASE_IMAGE=mine"]) == 0
    digest = capsys.readouterr().out.strip()
    assert Image.open(context.parent / "store", digest).config["Base"] == "mine"


class TestVirtualEnvironment:
    """One environment, made once; every test of the class looks at a side of it."""

    TEXT = (
        "FROM python\nRUN python3 -m venv /opt/venv\nENV PATH=/opt/venv/bin:$PATH\n"
        "WORKDIR /opt/program\nCOPY requirements.txt .\n"
        "RUN pip install --no-cache-dir --require-hashes -r requirements.txt\n"
        'COPY main.py .\nENTRYPOINT ["python", "main.py"]\n'
    )

    @staticmethod
    def wheel(folder: Path) -> Path:
        """A package of one module, as a wheel; pip verifies the hashes inside."""
        files = {
            "tinypackage.py": "VALUE = 7\n",
            "tinypackage-1.0.dist-info/METADATA": (
                "Metadata-Version: 2.1\nName: tinypackage\nVersion: 1.0\n"
            ),
            "tinypackage-1.0.dist-info/WHEEL": (
                "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            ),
        }
        record = "".join(
            f"{name},sha256={urlsafe(text)},{len(text)}\n" for name, text in files.items()
        )
        files["tinypackage-1.0.dist-info/RECORD"] = f"{record}tinypackage-1.0.dist-info/RECORD,,\n"
        path = folder / "tinypackage-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return path

    def test_life_of_a_layer(self, context, monkeypatch):
        wheel = self.wheel(context.parent)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(context.parent))
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        layers = context.parent / "store" / "layers"
        requirements = context / "requirements.txt"

        # A wrong hash fails, says why, and leaves nothing.
        requirements.write_text(f"tinypackage==1.0 --hash=sha256:{'0' * 64}\n")
        with pytest.raises(ImageError, match=r"(?s)Dockerfile:6: pip install .*HASHES") as caught:
            build_in(context, self.TEXT)
        assert digest in str(caught.value)
        assert list(layers.iterdir()) == []

        # The right one installs, over what an interrupted installation left.
        requirements.write_text(f"tinypackage==1.0 --hash=sha256:{digest}\n")
        (context / "main.py").write_text("import tinypackage; print(tinypackage.VALUE)")
        plan = make_plan(context, context / "Dockerfile", {})
        half = plan.environments["/opt/venv"].folder(layers.parent)
        half.mkdir()
        (half / "pyvenv.cfg").write_text("half")
        lines: list[str] = []
        image = build_in(context, self.TEXT, report=lines.append)
        assert run(image) == "7\n"
        assert any("Successfully installed tinypackage" in line for line in lines)
        assert image.environment()["PATH"].startswith(str(image.rootfs / "opt/venv/bin"))
        [layer] = layers.iterdir()
        assert layer == half
        made = (layer / "pyvenv.cfg").stat().st_mtime_ns

        # A change of code installs nothing; a package that is not required is missed.
        (context / "main.py").write_text("import moto")
        changed = build_in(context, self.TEXT)
        assert changed.digest != image.digest
        assert (layer / "pyvenv.cfg").stat().st_mtime_ns == made
        with pytest.raises(subprocess.CalledProcessError) as missing:
            run(changed)
        assert "No module named 'moto'" in missing.value.stderr


def urlsafe(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def pushed(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> tuple[Image, str]:
    """An image in the store of the cloud, and its URI by digest."""
    folder = tmp_path_factory.mktemp("context")
    (folder / "Dockerfile").write_text('FROM python\nENTRYPOINT ["python"]\n')
    image = build(folder, folder / "Dockerfile", cloud.root / "docker")
    cloud.client("ecr").create_repository(repositoryName="project")
    return image, ImageRegistry(cloud).push(image, "project", "v1")


def test_pushed_image_is_found_by_digest_and_tag(cloud, pushed):
    image, uri = pushed
    host = f"{cloud.account_id}.dkr.ecr.{cloud.region}.amazonaws.com"
    assert uri.startswith(f"{host}/project@sha256:")
    assert ImageRegistry(cloud).resolve(uri) == image
    assert ImageRegistry(cloud).resolve(f"{host}/project:v1") == image
    described = cloud.client("ecr").describe_images(repositoryName="project")["imageDetails"]
    assert [_["imageDigest"] for _ in described] == [uri.partition("@")[2]]


def test_pushing_twice_changes_nothing(cloud, pushed):
    image, uri = pushed
    assert ImageRegistry(cloud).push(image, "project", "v1") == uri


@pytest.mark.parametrize(
    "image_uri",
    [
        "python:3.13",
        "{host}/project:v2",
        "{host}/project",
        "{host}/other:v1",
        "{host}/project@sha256:" + "0" * 64,
    ],
)
def test_unknown_image_is_not_found(cloud, pushed, image_uri):
    uri = image_uri.format(host=pushed[1].partition("/")[0])
    with pytest.raises(ImageNotFoundError) as caught:
        ImageRegistry(cloud).resolve(uri)
    assert f"Requested image {uri} not found" in str(caught.value)


def test_image_of_another_store_cannot_be_pushed(cloud, pushed, context):
    with pytest.raises(ImageNotFoundError, match="has no image"):
        ImageRegistry(cloud).push(build_in(context), "project", "v3")


def test_module_runs_as_a_program(context):
    finished = subprocess.run(
        [sys.executable, "-m", "local_cloud.images", "build", str(context / "missing")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert finished.returncode == 1
    assert "is no folder" in finished.stderr
    assert "Traceback" not in finished.stderr
