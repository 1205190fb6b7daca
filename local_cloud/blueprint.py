"""The folder that a run starts from: ``project.yml`` and ``data/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local_cloud.errors import LocalCloudError

__all__ = ["BLUEPRINTS", "Blueprint", "find"]

BLUEPRINTS = Path(__file__).parent.parent / "blueprints"

_REQUIRED = "a blueprint has project.yml and data/ with CSV or Parquet files"


@dataclass(frozen=True)
class Blueprint:
    """A data set and its settings."""

    name: str
    settings_path: Path
    data_path: Path

    def data_files(self) -> list[Path]:
        """Return the files below ``data/``, sorted; the hidden ones are left out."""
        return sorted(
            path
            for path in self.data_path.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )


def find(name_or_path: str) -> Blueprint:
    """Return the blueprint of that name in ``blueprints/``, or in the folder of that path.

    Raises
    ------
    LocalCloudError
        There is no such folder, or ``project.yml`` or ``data/`` is missing in it.
    """
    folder = BLUEPRINTS / name_or_path
    if not folder.is_dir():
        folder = Path(name_or_path).expanduser()
    if not folder.is_dir():
        known = ", ".join(sorted(path.parent.name for path in BLUEPRINTS.glob("*/project.yml")))
        raise LocalCloudError(
            f"BLUEPRINT={name_or_path}", "no such folder",
            f"a folder with project.yml and data/, or one of {known}",
        )  # fmt: skip
    blueprint = Blueprint(folder.resolve().name, folder / "project.yml", folder / "data")
    if not blueprint.settings_path.is_file():
        raise LocalCloudError(str(blueprint.settings_path), "no such file", _REQUIRED)
    if not blueprint.data_path.is_dir() or not blueprint.data_files():
        raise LocalCloudError(
            str(blueprint.data_path), "no such folder or no file in it", _REQUIRED
        )
    return blueprint
