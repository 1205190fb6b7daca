"""Images in the account's ECR: pushed, and found by tag or digest."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import moto.ecr.models

from local_cloud.cloud import LocalCloud
from local_cloud.images.image import STORE, Image, ImageNotFoundError

__all__ = ["Registry", "install", "manifest_of"]


class Registry:
    """The account's ECR, and the store that holds the images' bytes.

    Parameters
    ----------
    cloud
        Where the repositories are.
    client
        ECR client with which images are pulled, a role's; the administrator's without.
    """

    def __init__(self, cloud: LocalCloud, client: Any = None) -> None:
        self._cloud = cloud
        self._store = cloud.root / STORE.name
        self._host = f"{cloud.account_id}.dkr.ecr.{cloud.region}.amazonaws.com"
        self._client = client or cloud.client("ecr")

    def push(self, image: Image, repository: str, tag: str) -> str:
        """Push an image; return its URI by digest, which never means another image.

        The image must be in the store of the local cloud, ``<root>/docker``.
        """
        Image.open(self._store, image.digest)
        manifest = manifest_of(image.digest)
        with contextlib.suppress(self._client.exceptions.ImageAlreadyExistsException):
            self._client.put_image(repositoryName=repository, imageManifest=manifest, imageTag=tag)
        digest = hashlib.sha256(manifest.encode()).hexdigest()
        return f"{self._host}/{repository}@sha256:{digest}"

    def resolve(self, image_uri: str) -> Image:
        """The image behind ``<host>/<repository>:<tag>`` or ``<host>/<repository>@sha256:<hex>``.

        Raises
        ------
        ImageNotFoundError
            When the registry, the repository, the tag or the digest does not exist.
        botocore.exceptions.ClientError
            When the role may not pull.
        """
        host, _, rest = image_uri.partition("/")
        repository, _, digest = rest.partition("@")
        repository, _, tag = repository.partition(":")
        if host != self._host or not repository:
            raise self._not_found(image_uri, f"images of {self._host} are known")
        image_id = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
        self._client.get_authorization_token()  # pulling needs this permission too
        try:
            answer = self._client.batch_get_image(repositoryName=repository, imageIds=[image_id])
        except self._client.exceptions.RepositoryNotFoundException as error:
            raise self._not_found(image_uri, f"repository {repository!r} must exist") from error
        if not answer["images"]:
            raise self._not_found(image_uri, "it must be pushed first")
        manifest = json.loads(answer["images"][0]["imageManifest"])
        return Image.open(self._store, manifest["config"]["digest"].removeprefix("sha256:"))

    @staticmethod
    def _not_found(image_uri: str, required: str) -> ImageNotFoundError:
        return ImageNotFoundError("ECR", f"Requested image {image_uri} not found", required)


def install(cloud: LocalCloud) -> None:
    """Give a pushed manifest the digest that ECR gives it: that of the manifest's bytes."""

    def create_digest(self: Any) -> None:
        digest = hashlib.sha256(self.image_manifest.encode()).hexdigest()
        self._image_digest = f"sha256:{digest}"

    cloud.replace(moto.ecr.models.Image, "_create_digest", create_digest)


def manifest_of(image_digest: str) -> str:
    """Manifest whose configuration has the image's digest, as ``docker image inspect`` shows it."""
    media = "application/vnd.docker"
    digest = f"sha256:{image_digest}"
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{media}.distribution.manifest.v2+json",
            "config": {
                "mediaType": f"{media}.container.image.v1+json",
                "size": 0,
                "digest": digest,
            },
            "layers": [
                {
                    "mediaType": f"{media}.image.rootfs.diff.tar.gzip",
                    "size": 0,
                    "digest": digest,
                }
            ],
        },
        sort_keys=True,
    )
