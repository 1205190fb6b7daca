"""Where everything of a release lives, and what it is called.

One function, :func:`bounded`, knows how to fit a name into a service's limit without losing
uniqueness; every other module asks :class:`Names`. The release id (the pipeline execution id)
is part of every name, so two releases, projects or regions never collide.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

__all__ = ["LIMITS", "Names", "bounded"]

# Characters, from each service's API reference (CreateTrainingJob, CreateStateMachine, ...).
LIMITS = {
    "endpoint": 63,
    "endpoint_config": 63,
    "execution": 80,
    "function": 64,
    "model": 63,
    "model_package_group": 63,
    "processing_job": 63,
    "state_machine": 80,
    "training_job": 63,
}

_DIGEST_LENGTH = 8
# `<project>-dev-<label>` fits into 63 characters for every project that can be deployed
# (infrastructure.workflow_input.PROJECT_NAME_LENGTH).
_LABEL_LENGTH = 13


def bounded(name: str, limit: int) -> str:
    """Return `name`, shortened to `limit` characters with a digest of the whole when too long.

    >>> bounded("churn-prepare-1", 63)
    'churn-prepare-1'
    >>> bounded("x" * 70, 20)
    'xxxxxxxxxxx-c71bd109'
    """
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: limit - _DIGEST_LENGTH - 1].rstrip('-')}-{digest}"


@dataclass(frozen=True)
class Names:
    """The names of one release of one project.

    Parameters
    ----------
    project
        What is unique in the account and region: ``[a-zA-Z0-9-]``, starts with a letter.
    release
        The pipeline execution id, ``[a-zA-Z0-9-]``.

    Raises
    ------
    ValueError
        When either contains another character.
    """

    project: str
    release: str

    def __post_init__(self) -> None:
        for field, value, pattern in (
            ("project", self.project, r"[a-zA-Z][a-zA-Z0-9-]*"),
            ("release", self.release, r"[a-zA-Z0-9][a-zA-Z0-9-]*"),
        ):
            if not re.fullmatch(pattern, value):
                raise ValueError(f"{field}: found {value!r}; required: {pattern}")

    def _of_release(self, service: str, stage: str) -> str:
        return bounded(f"{self.project}-{stage}-{self.release}", LIMITS[service])

    @property
    def prepare_job(self) -> str:
        return self._of_release("processing_job", "prepare")

    @property
    def training_job(self) -> str:
        return self._of_release("training_job", "train")

    @property
    def evaluate_job(self) -> str:
        return self._of_release("processing_job", "evaluate")

    @property
    def model(self) -> str:
        return self._of_release("model", "model")

    @property
    def endpoint_config(self) -> str:
        return self._of_release("endpoint_config", "config")

    @property
    def endpoint(self) -> str:
        """The endpoint that the workflow updates in place: the same for every release."""
        return bounded(self.project, LIMITS["endpoint"])

    # Of the dev stage. CloudFormation puts them together from project and label
    # (infrastructure.dev), because it cannot compute a digest.

    @property
    def label(self) -> str:
        """The release in at most 13 characters, for names that CloudFormation makes."""
        return bounded(self.release, _LABEL_LENGTH)

    @property
    def dev_model(self) -> str:
        return f"{self.project}-dev-{self.label}"

    @property
    def dev_endpoint_config(self) -> str:
        return f"{self.project}-dev-{self.label}"

    @property
    def dev_endpoint(self) -> str:
        """The endpoint that a person reviews: the same for every release."""
        return f"{self.project}-dev"

    # Of the production stage (infrastructure.production), put together by CloudFormation too.

    @property
    def prod_model(self) -> str:
        return f"{self.project}-prod-{self.label}"

    @property
    def prod_endpoint_config(self) -> str:
        return f"{self.project}-prod-{self.label}"

    @property
    def prod_endpoint(self) -> str:
        """The endpoint that this release alone has: traffic moves between them, not they."""
        return f"{self.project}-prod-{self.label}"

    @property
    def api_function(self) -> str:
        """The function behind the API; its alias `live` is what the API calls."""
        return f"{self.project}-api"

    @property
    def assets_function(self) -> str:
        return f"{self.project}-assets"

    @property
    def before_hook(self) -> str:
        """The function that checks a release before traffic; CodeDeploy wants this beginning."""
        return f"CodeDeployHook_{self.project}-before"

    @property
    def after_hook(self) -> str:
        return f"CodeDeployHook_{self.project}-after"

    @property
    def prod_stack(self) -> str:
        return f"{self.project}-prod"

    @property
    def production_place(self) -> str:
        """The parameter (SSM) that says what production uses of the account that it is in."""
        return f"/mlsystem/{self.project}-production"

    @property
    def model_package_group(self) -> str:
        return bounded(self.project, LIMITS["model_package_group"])

    @property
    def state_machine(self) -> str:
        return bounded(f"{self.project}-training", LIMITS["state_machine"])

    @property
    def execution(self) -> str:
        return bounded(self.release, LIMITS["execution"])

    # S3 keys, without bucket. `data/` is the user's; everything else is written once.

    @property
    def data_prefix(self) -> str:
        return "data"

    @staticmethod
    def repository_data_prefix(digest: str) -> str:
        """Data of the repository with this digest: a release's, while nobody has uploaded any."""
        return f"repository-data/{digest}"

    @staticmethod
    def tests_key(digest: str) -> str:
        """Note that the tests have passed on the repository's files with this digest."""
        return f"repository-tests/{digest}"

    @property
    def release_prefix(self) -> str:
        return f"releases/{self.release}"

    @property
    def settings_key(self) -> str:
        return f"{self.release_prefix}/settings/project.json"

    @property
    def prepared_prefix(self) -> str:
        """Parent of ``train/ validation/ test/ schema/ report/``."""
        return f"{self.release_prefix}/data"

    @property
    def model_prefix(self) -> str:
        return f"{self.release_prefix}/model"

    @property
    def model_archive_key(self) -> str:
        """Where SageMaker puts the archive: ``<S3OutputPath>/<job>/output/model.tar.gz``."""
        return f"{self.model_prefix}/{self.training_job}/output/model.tar.gz"

    @property
    def training_output_key(self) -> str:
        """Where SageMaker puts the rest of what training wrote (``output.tar.gz``)."""
        return f"{self.model_prefix}/{self.training_job}/output/output.tar.gz"

    @property
    def evaluation_prefix(self) -> str:
        return f"{self.release_prefix}/evaluation"

    @property
    def evaluation_key(self) -> str:
        return f"{self.evaluation_prefix}/evaluation.json"

    @property
    def golden_requests_key(self) -> str:
        return f"{self.evaluation_prefix}/golden_requests.json"

    @property
    def inputs_key(self) -> str:
        """What the release was made of: :class:`pipeline.changes.ReleaseInputs`."""
        return f"{self.release_prefix}/settings/inputs.json"

    @property
    def test_report_key(self) -> str:
        return f"{self.release_prefix}/tests/report.json"

    @property
    def capture_prefix(self) -> str:
        """Where the endpoint keeps requests and answers; SageMaker names the rest of the key."""
        return f"{self.release_prefix}/capture"

    @property
    def deployment_prefix(self) -> str:
        """Parent of what went into production, and of what the checks there found."""
        return f"{self.release_prefix}/deployment"

    @property
    def prod_template_key(self) -> str:
        """The production stack's template, as it was when the release was made."""
        return f"{self.deployment_prefix}/prod.json"

    @property
    def prod_configuration_key(self) -> str:
        """Parameters and tags of the production stack: what a return to this release deploys."""
        return f"{self.deployment_prefix}/prod-configuration.json"
