"""Where SageMaker puts a container's files, and expects to find what it wrote.

Sources: `training <https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html>`_,
`processing <https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html>`_,
`exit messages <https://docs.aws.amazon.com/sagemaker/latest/dg/byoc-metadata.html>`_,
`hosting <https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html>`_.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Paths"]


@dataclass(frozen=True)
class Paths:
    """The files of one container, all below `base` (``/opt/ml`` on SageMaker)."""

    base: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Paths:
        """Return the paths below ``SAGEMAKER_BASE_DIR``, the SageMaker toolkits' variable."""
        return cls(Path(environment.get("SAGEMAKER_BASE_DIR", "/opt/ml")))

    # --- every job ---

    @property
    def failure(self) -> Path:
        """Text that becomes a training job's ``FailureReason``."""
        return self.base / "output/failure"

    @property
    def exit_message(self) -> Path:
        """Text that becomes a processing job's ``ExitMessage``."""
        return self.base / "output/message"

    # --- prepare and evaluate (processing jobs) ---

    @property
    def settings(self) -> Path:
        """The project's settings, validated, as JSON."""
        return self.base / "processing/input/settings/project.json"

    @property
    def raw_data(self) -> Path:
        """Folder of the CSV or Parquet files to prepare."""
        return self.base / "processing/input/data"

    @property
    def prepared(self) -> Path:
        """Folder that gets ``train/ validation/ test/ schema/ report/``."""
        return self.base / "processing/output/data"

    @property
    def model_archive(self) -> Path:
        """The model to evaluate."""
        return self.base / "processing/input/model/model.tar.gz"

    @property
    def training_archive(self) -> Path:
        """What training wrote beside the model."""
        return self.base / "processing/input/training_output/output.tar.gz"

    @property
    def champion_archive(self) -> Path:
        """The model that serves today; there may be none."""
        return self.base / "processing/input/champion/model.tar.gz"

    def split(self, name: str) -> Path:
        """Return the folder of the split `name` in a processing job that reads it."""
        return self.base / "processing/input" / name

    @property
    def evaluation(self) -> Path:
        """Folder that gets ``evaluation.json``, golden requests and plots."""
        return self.base / "processing/output/evaluation"

    # --- train (training job) ---

    @property
    def hyperparameters(self) -> Path:
        """A JSON object whose values are all strings."""
        return self.base / "input/config/hyperparameters.json"

    @property
    def input_data_config(self) -> Path:
        """The channels, as JSON."""
        return self.base / "input/config/inputdataconfig.json"

    @property
    def resource_config(self) -> Path:
        """The hosts of the job, as JSON."""
        return self.base / "input/config/resourceconfig.json"

    def channel(self, name: str) -> Path:
        """Return the folder of the training channel `name`."""
        return self.base / "input/data" / name

    @property
    def training_output(self) -> Path:
        """Folder that SageMaker packs into ``output.tar.gz``."""
        return self.base / "output/data"

    # --- train writes, serve reads ---

    @property
    def model(self) -> Path:
        """Folder of ``model.onnx`` and ``model.json``; packed into ``model.tar.gz``."""
        return self.base / "model"
