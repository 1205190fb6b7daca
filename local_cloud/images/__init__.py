"""Builds and runs images without Docker: the subset of the Dockerfile that our Dockerfiles use.

An image is a folder whose name is the digest of what is in it::

    <store>/images/<digest>/rootfs/        the copied files, as the container would see them
    <store>/images/<digest>/config.json    environment, working directory, entry point
    <store>/layers/<key>/                  a virtual environment, shared by images

In place of the base image stands the Python that runs the local cloud: ``/usr/local/bin/python3``
inside the image. A virtual environment is a layer of its own; its key is that Python, the ``pip``
commands and the bytes of the requirements files. So a change of code installs nothing, and a
package that the requirements file misses is missed when the image runs.

A container sees the machine's file system, no root of its own: paths of the image (in the
environment and in the command) are replaced by those of the folder.
"""

from __future__ import annotations

from local_cloud.images.build import build
from local_cloud.images.dockerfile import DockerfileError
from local_cloud.images.image import STORE, Image, ImageError, ImageNotFoundError
from local_cloud.images.registry import Registry, install
from local_cloud.parity import Parity

__all__ = [
    "PARITY",
    "STORE",
    "DockerfileError",
    "Image",
    "ImageError",
    "ImageNotFoundError",
    "Registry",
    "build",
    "install",
]

PARITY = [
    Parity(
        "Docker",
        "partial",
        "Dockerfile with ARG, one FROM, WORKDIR, COPY, ENV, RUN (`python3 -m venv` and "
        "`pip install`, chained with `&&`), EXPOSE, LABEL, USER, ENTRYPOINT and CMD in exec form; "
        "`.dockerignore`; the Python of the local cloud stands in for the base image",
    ),
    Parity(
        "Docker",
        "partial",
        "Containers are processes of the current user: no namespaces, no limits on CPU and memory; "
        "what they write outside SageMaker's folders stays on the machine",
    ),
    Parity(
        "Docker",
        "refused",
        "Every other instruction and flag, multi-stage builds, here-documents, shell forms",
    ),
    Parity("ECR", "exact", "Repositories; images pushed, and found by tag or digest"),
    Parity("ECR", "partial", "A manifest has one layer, the image's folder; scans find nothing"),
]
