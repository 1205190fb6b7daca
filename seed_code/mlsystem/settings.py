"""The settings of a project: ``project.yml``, typed and checked.

Each key is a field below; its type is the rule, its description the documentation, so that the
JSON Schema for editors and the reference page are generated from this module alone
(:mod:`mlsystem.settings_reference`).

Every mistake in a file is reported at once, each with its line, and an unknown key with the
nearest known one.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from mlsystem.artifacts import Problem
from mlsystem.errors import SettingsError

__all__ = [
    "ALGORITHMS",
    "HYPERPARAMETERS",
    "METRICS",
    "STRATEGIES",
    "Alarms",
    "Api",
    "Checks",
    "Data",
    "DecisionTreeHyperparameters",
    "Deploy",
    "EndpointInstances",
    "Evaluate",
    "Hyperparameters",
    "Instances",
    "JobInstance",
    "LinearHyperparameters",
    "Model",
    "Production",
    "ProductionInstances",
    "Settings",
    "Split",
    "Strategy",
    "XGBoostHyperparameters",
    "load",
    "loads",
    "parse_hyperparameters",
]

# Metric name -> whether more of it is better, by problem. `mlsystem.metrics` computes them.
METRICS: dict[str, dict[str, Literal["minimum", "maximum"]]] = {
    "binary": {
        "roc_auc": "minimum",
        "f1": "minimum",
        "accuracy": "minimum",
        "error_rate": "maximum",
        "log_loss": "maximum",
    },
    "multiclass": {
        "accuracy": "minimum",
        "f1_macro": "minimum",
        "f1_weighted": "minimum",
        "error_rate": "maximum",
    },
    "regression": {"r2": "minimum", "rmse": "maximum", "mae": "maximum"},
}


_SUM_TOLERANCE = 1e-9
_LONGEST_SHOWN = 120


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


# --- model --------------------------------------------------------------------------------------


class Hyperparameters(_Section):
    """Hyperparameters of one algorithm; a subclass per algorithm."""


class XGBoostHyperparameters(Hyperparameters):
    """Gradient-boosted trees. Names and meanings are SageMaker's built-in XGBoost's."""

    num_round: int = Field(default=200, ge=1, le=10_000)
    """Most trees to grow (for multiclass: per label)."""
    max_depth: int = Field(default=5, ge=1, le=20)
    """Deepest a tree may grow."""
    eta: float = Field(default=0.1, gt=0, le=1)
    """Learning rate: how much of each tree's correction is kept."""
    gamma: float = Field(default=0.0, ge=0)
    """Least reduction of the loss that justifies a split."""
    min_child_weight: float = Field(default=1.0, ge=0)
    """Least weight of rows in a leaf."""
    subsample: float = Field(default=0.8, gt=0, le=1)
    """Share of rows drawn for each tree."""
    colsample_bytree: float = Field(default=1.0, gt=0, le=1)
    """Share of columns drawn for each tree."""
    early_stopping_rounds: int = Field(default=20, ge=0)
    """Stop when the validation loss has not improved for so many rounds; 0 never stops early."""


class LinearHyperparameters(Hyperparameters):
    """Least squares (regression) or logistic regression (classification), on scaled numbers."""

    l2: float = Field(default=1.0, ge=0)
    """Strength of the L2 penalty; 0 for none."""
    max_iterations: int = Field(default=1_000, ge=1, le=1_000_000)
    """Most iterations of the solver (classification)."""


class DecisionTreeHyperparameters(Hyperparameters):
    """One tree."""

    max_depth: int = Field(default=8, ge=1, le=64)
    """Deepest the tree may grow."""
    min_samples_leaf: int = Field(default=1, ge=1)
    """Fewest rows in a leaf."""
    max_leaf_nodes: int | None = Field(default=None, ge=2)
    """Most leaves; unlimited when not given."""


HYPERPARAMETERS: dict[str, type[Hyperparameters]] = {
    "xgboost": XGBoostHyperparameters,
    "linear": LinearHyperparameters,
    "decision_tree": DecisionTreeHyperparameters,
}

_ALGORITHMS_FOLDER = Path(__file__).parent / "algorithms"

# A module in mlsystem/algorithms/ is an algorithm: that is how one brings one's own estimator.
ALGORITHMS = tuple(
    sorted(path.stem for path in _ALGORITHMS_FOLDER.glob("*.py") if path.stem[0] != "_")
)


def parse_hyperparameters(
    algorithm: str, values: dict[str, Any]
) -> Hyperparameters | dict[str, Any]:
    """Return the typed hyperparameters of `algorithm`; values may be strings, as SageMaker's are.

    An algorithm of one's own (a module in ``mlsystem/algorithms/``) checks its own: its values
    are returned as they are.

    Raises
    ------
    pydantic.ValidationError
        An unknown hyperparameter or a value out of range.
    """
    known = HYPERPARAMETERS.get(algorithm)
    return values if known is None else known.model_validate(values)


class Model(_Section):
    """What is predicted, and how."""

    name: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=20)
    """Name of the model: lower-case letters, digits and single hyphens. It names the endpoint."""
    problem: Problem
    """`binary` (two labels), `multiclass` (three or more) or `regression` (a number)."""
    target: str = Field(min_length=1)
    """Column to predict."""
    positive_label: str | None = None
    """Binary only: the label whose probability is the score. Default: the one that reads as yes
    (`yes`, `true`, `1`, ...), else the rarer one."""
    algorithm: str = "xgboost"
    """`xgboost`, `linear`, `decision_tree`, or the name of your own module in
    `mlsystem/algorithms/`."""
    hyperparameters: dict[str, str | float | int | bool] = {}
    """Of the algorithm; see the tables below. What is not given has its default."""
    seed: int = Field(default=20, ge=0, le=2**31 - 1)
    """Seed of everything random in training."""

    @model_validator(mode="after")
    def _known_algorithm(self) -> Model:
        if self.algorithm not in ALGORITHMS:
            raise _mistake(
                "algorithm", f"{self.algorithm!r}", f"one of {', '.join(ALGORITHMS)}",
                _nearest(self.algorithm, ALGORITHMS),
            )  # fmt: skip
        try:
            parse_hyperparameters(self.algorithm, dict(self.hyperparameters))
        except ValidationError as error:
            detail = error.errors()[0]
            key = ".".join(map(str, detail["loc"]))
            fields = tuple(HYPERPARAMETERS[self.algorithm].model_fields)
            if detail["type"] == "extra_forbidden":
                raise _mistake(
                    f"hyperparameters/{key}", f"unknown hyperparameter of {self.algorithm}",
                    f"one of {', '.join(fields)}", _nearest(key, fields),
                ) from error  # fmt: skip
            raise _mistake(
                f"hyperparameters/{key}", repr(detail["input"]), detail["msg"].lower()
            ) from error
        if self.positive_label is not None and self.problem != "binary":
            raise _mistake(
                "positive_label", f"given for a {self.problem} problem", "a binary problem",
                "Remove it",
            )  # fmt: skip
        return self


# --- data ---------------------------------------------------------------------------------------


class Split(_Section):
    """How rows are divided into train, validation and test."""

    by: Literal["row", "time", "group"] = "row"
    """`row`: by a stable hash of the row's features, so the same row always falls on the same
    side. `time`: the oldest rows train, the newest test. `group`: by a hash of a column, so that
    a group (a customer, a device) is never on two sides."""
    column: str | None = None
    """The column of `time` or `group`."""
    train: float = Field(default=0.7, gt=0, lt=1)
    """Share of rows to fit on."""
    validation: float = Field(default=0.15, gt=0, lt=1)
    """Share of rows for early stopping."""
    test: float = Field(default=0.15, gt=0, lt=1)
    """Share of rows for evaluation alone."""
    seed: int = Field(default=20, ge=0, le=2**31 - 1)
    """Another seed divides differently (`row`, `group`)."""

    @model_validator(mode="after")
    def _possible(self) -> Split:
        total = self.train + self.validation + self.test
        if abs(total - 1) > _SUM_TOLERANCE:
            raise _mistake(
                "", f"train + validation + test = {total:g}", "a sum of 1",
                "Change the shares",
            )  # fmt: skip
        if (self.by == "row") != (self.column is None):
            found = "no column" if self.column is None else f"column {self.column!r}"
            required = "no column" if self.by == "row" else "the column to split by"
            raise _mistake("column", f"{found} with by: {self.by}", required)
        return self


class Data(_Section):
    """How the files in ``data/`` are read."""

    format: Literal["csv", "parquet"] | None = None
    """Of the files. Default: by their endings; a folder holds one format."""
    header: bool = True
    """Whether the first line of each CSV file names the columns."""
    columns: tuple[str, ...] | None = Field(default=None, min_length=2)
    """Names of the columns, for CSV files without a header. Default: `column_0`, `column_1`, ..."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Between values of a CSV line. Default: recognized among `,` `;` tab and `|`."""
    types: dict[str, Literal["number", "category", "ignore"]] = {}
    """Of columns; the others are inferred. `number`: text in it is an error. `category`: values
    are compared as text. `ignore`: not a feature."""
    null_values: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
    """Texts that mean a missing value."""
    duplicates: Literal["drop", "keep"] = "drop"
    """What happens to rows that are equal in every column."""
    split: Split = Split()

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        if self.columns is None:
            return self
        if self.header:
            raise _mistake(
                "columns", "given together with header: true", "header: false",
                "Remove columns, or set header: false",
            )  # fmt: skip
        if len(set(self.columns)) < len(self.columns):
            twice = next(name for name in self.columns if self.columns.count(name) > 1)
            raise _mistake("columns", f"{twice!r} twice", "different names")
        return self


# --- evaluate -----------------------------------------------------------------------------------


class Evaluate(_Section):
    """The gate: what a model must reach on the test rows to be registered."""

    metric: str
    """`roc_auc` `f1` `accuracy` `error_rate` `log_loss` (binary), `accuracy` `f1_macro`
    `f1_weighted` `error_rate` (multiclass), `r2` `rmse` `mae` (regression)."""
    threshold: float
    """The least the metric may be; for errors (`error_rate`, `log_loss`, `rmse`, `mae`) the
    most."""
    champion: bool = True
    """Whether a new model must be at least as good as the one that serves, on the same rows."""
    champion_tolerance: float = Field(default=0.0, ge=0)
    """How much worse than the champion is still accepted, in units of the metric."""


# --- deploy -------------------------------------------------------------------------------------


class Dev(_Section):
    """What the dev endpoint must reach before a person is asked to approve the release."""

    latency_requests: int = Field(default=200, ge=100, le=10_000)
    """How many requests, one after the other, the latency is measured with."""
    latency_p50_ms: float = Field(default=100.0, gt=0)
    """Half of the requests may take at most so long, milliseconds, from the test to the answer."""
    latency_p99_ms: float = Field(default=500.0, gt=0)
    """99 of 100 requests may take at most so long, milliseconds."""


# Series, generation and further letters of an instance type's family; -flex and the like at last.
# https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
_FAMILY = re.compile(r"^ml\.([a-z]+)(\d+)([a-z]*)(?:-([a-z0-9]+))?\.")
_OTHER_FAMILIES = "Choose one of the families m5, m6i, m7i, c5, c6i, c7i, r5, r6i and r7i"
# From this generation on; the others have storage only where a d is among the letters.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ssd-instance-store.html
_WITH_STORAGE = {"dl": 1, "f": 1, "g": 5, "gr": 6, "i": 2, "im": 1, "is": 1, "p": 5, "trn": 1}


def _runs_here(instance_type: str) -> str:
    """Return the type if its machines run x86 images, and take a key for their volumes.

    SageMaker refuses a key for storage of an instance's own:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html,
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
    """
    family = _FAMILY.match(instance_type)
    if family is None:
        return instance_type
    series, generation, letters, option = family.groups()
    if series == "a" or "g" in letters or (option or "").startswith("gb"):
        found, required = "Graviton or another Arm processor", "x86 processors, as the image needs"
    elif "d" in letters or int(generation) >= _WITH_STORAGE.get(series, math.inf):
        found = "local storage, for which SageMaker takes no key"
        required = "volumes that the project's key encrypts"
    else:
        return instance_type
    raise _mistake("", f"{instance_type} has {found}", required, _OTHER_FAMILIES)


_InstanceType = Annotated[
    str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$"), AfterValidator(_runs_here)
]


class ProductionInstances(_Section):
    """The machines of the production endpoint, in as many zones as SageMaker has capacity in."""

    type: _InstanceType = "ml.m5.large"
    """SageMaker instance type: x86 processors, no local (NVMe) storage."""
    min: int = Field(default=2, ge=2, le=100)
    """Fewest. Two or more are spread over zones, so that one may fail."""
    max: int = Field(default=4, ge=2, le=100)
    """Most."""
    target_invocations_per_minute: float = Field(default=6_000.0, ge=1, le=10_000_000)
    """Of each instance. There are more instances while each has more to do than this, and fewer
    while it has less."""

    @model_validator(mode="after")
    def _ordered(self) -> ProductionInstances:
        if self.max < self.min:
            raise _mistake(
                "max", f"{self.max}, with min: {self.min}", "at least as many as min",
                f"Set max to {self.min} or more",
            )  # fmt: skip
        return self


def _named_strategies() -> dict[str, dict[str, Any]]:
    """Return the ways to shift traffic that CodeDeploy has for Lambda, by our names.

    Source: https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
    """
    canary = {
        f"canary-10-percent-{minutes}-minutes": {"kind": "canary", "minutes": minutes}
        for minutes in (5, 10, 15, 30)
    }
    linear = {
        f"linear-10-percent-every-{minutes}-minute{'' if minutes == 1 else 's'}": {
            "kind": "linear",
            "minutes": minutes,
        }
        for minutes in (1, 2, 3, 10)
    }
    return {**canary, **linear, "all-at-once": {"kind": "all-at-once"}}


STRATEGIES = _named_strategies()
# https://docs.aws.amazon.com/codedeploy/latest/userguide/limits.html
_MOST_SHIFT_MINUTES = 2_880


def _or_a_name(schema: dict[str, Any]) -> None:
    numbers = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"enum": list(STRATEGIES)}, numbers]


class Strategy(_Section):
    """How traffic moves from one release to the next: a named way, or numbers of one's own."""

    model_config = ConfigDict(json_schema_extra=_or_a_name)

    kind: Literal["canary", "linear", "all-at-once"] = "canary"
    """`canary`: first `percent` of the requests, after `minutes` all. `linear`: `percent` more
    every `minutes`. `all-at-once`. In place of the three keys `strategy` can be a name:
    `canary-10-percent-5-minutes` (or 10, 15, 30), `linear-10-percent-every-1-minute` (or
    2-minutes, 3, 10), `all-at-once`."""
    percent: int = Field(default=10, ge=1, le=99)
    """Share of the requests, of 100."""
    minutes: int = Field(default=5, ge=1, le=2_880)
    """How long a share is watched before it grows."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if given not in STRATEGIES:
            raise _mistake(
                "", repr(given), f"one of {', '.join(STRATEGIES)}, or kind, percent and minutes",
                _nearest(given, tuple(STRATEGIES)),
            )  # fmt: skip
        return STRATEGIES[given]

    @model_validator(mode="after")
    def _in_time(self) -> Strategy:
        shares = -(-100 // self.percent) - 1 if self.kind == "linear" else 1
        if self.kind != "all-at-once" and shares * self.minutes > _MOST_SHIFT_MINUTES:
            raise _mistake(
                "", f"{shares} steps of {self.minutes} minutes",
                f"at most {_MOST_SHIFT_MINUTES} minutes from the first share to all, as CodeDeploy",
                "Raise percent or lower minutes",
            )  # fmt: skip
        return self


class Checks(_Section):
    """What a release must do before any request reaches it, through the function that answers."""

    latency_requests: int = Field(default=100, ge=10, le=1_000)
    """How many requests, one after the other, the latency is measured with."""
    latency_p50_ms: float = Field(default=200.0, gt=0, le=60_000)
    """Half of the requests may take at most so long, milliseconds."""
    latency_p99_ms: float = Field(default=1_000.0, gt=0, le=60_000)
    """99 of 100 requests may take at most so long, milliseconds."""


class Alarms(_Section):
    """What takes all traffic back to the release before. Each is looked at every minute."""

    crashes: int = Field(default=1, ge=1, le=1_000_000)
    """So many crashes of the release's function: its errors, time-outs, too little memory."""
    model_errors: int = Field(default=1, ge=1, le=1_000_000)
    """So many requests that the release's endpoint fails. A client's mistake is none."""
    error_percent: float = Field(default=1.0, gt=0, lt=100)
    """The share of failed requests may be so many points higher than that of the other release."""
    api_error_percent: float = Field(default=5.0, gt=0, lt=100)
    """Share of all requests to the API that may end with 5XX."""
    latency_p99_ms: float = Field(default=1_000.0, gt=0, le=60_000)
    """99 of 100 answers of the model may take at most so long, milliseconds; two minutes count."""


class Production(_Section):
    """How releases come into production."""

    instances: ProductionInstances = ProductionInstances()
    strategy: Strategy = Strategy()
    capture_percent: int = Field(default=100, ge=1, le=100)
    """Share of requests and answers that are kept, encrypted, for what watches the model."""
    checks: Checks = Checks()
    alarms: Alarms = Alarms()


class Api(_Section):
    """Of the API that applications ask."""

    auth: Literal["iam", "key"] = "iam"
    """`iam`: requests are signed (Signature Version 4) by who may `execute-api:Invoke`. `key`: they
    carry an API key in `x-api-key`."""
    rate_per_second: float = Field(default=100.0, gt=0, le=10_000)
    """Requests per second, in the long run; more are refused with 429."""
    burst: int = Field(default=200, ge=1, le=5_000)
    """Requests at once."""
    quota_per_day: int | None = Field(default=None, ge=1)
    """`auth: key` only: requests of the key in a day. Unlimited when not given."""
    memory_mb: int = Field(default=1_024, ge=512, le=10_240)
    """Memory of the function, and by it the share of a CPU (1,769 MB: one)."""
    timeout_seconds: int = Field(default=10, ge=3, le=29)
    """Longest that a request may take; API Gateway waits for 29 seconds at most."""

    @model_validator(mode="after")
    def _quota_of_a_key(self) -> Api:
        if self.quota_per_day is not None and self.auth != "key":
            raise _mistake(
                "quota_per_day", f"given with auth: {self.auth}", "auth: key",
                "A quota is a key's. Remove it, or set auth: key",
            )  # fmt: skip
        return self


class Deploy(_Section):
    """What happens to a model that passed the gate."""

    by: Literal["workflow", "pipeline"] = "pipeline"
    """`pipeline`: the training workflow ends with the registered package, for the pipeline's stages
    to deploy. `workflow`: it creates or updates the endpoint itself, without a pipeline."""
    examples: tuple[str, ...] = ()
    """Rows to ask the new endpoint about, as CSV: the features in the file's order."""
    dev: Dev = Dev()
    serving: Literal["endpoint", "lambda"] = "endpoint"
    """Where production answers from. `endpoint`: SageMaker instances, always ready. `lambda`: the
    API's function itself, which costs nothing while nobody asks."""
    production: Production = Production()
    api: Api = Api()


# --- instances ----------------------------------------------------------------------------------


class JobInstance(_Section):
    """The machine of a job."""

    type: _InstanceType = "ml.m5.large"
    """SageMaker instance type: x86 processors, no local (NVMe) storage."""
    volume_gb: int = Field(default=20, ge=1, le=16_384)
    """Size of its volume, GB."""
    timeout_minutes: int = Field(default=60, ge=1, le=60 * 24 * 5)
    """Longest it may run."""


class EndpointInstances(_Section):
    """The machines of the endpoint."""

    type: _InstanceType = "ml.m5.large"
    """SageMaker instance type: x86 processors, no local (NVMe) storage."""
    count: int = Field(default=1, ge=1, le=100)
    """How many."""


class Instances(_Section):
    """Machines, by what runs on them."""

    prepare: JobInstance = JobInstance()
    train: JobInstance = JobInstance()
    evaluate: JobInstance = JobInstance()
    endpoint: EndpointInstances = EndpointInstances()


# --- the whole ----------------------------------------------------------------------------------


class Settings(_Section):
    """A project's settings."""

    model: Model
    data: Data = Data()
    evaluate: Evaluate
    deploy: Deploy = Deploy()
    instances: Instances = Instances()

    @model_validator(mode="after")
    def _metric_of_problem(self) -> Settings:
        known = tuple(METRICS[self.model.problem])
        if self.evaluate.metric not in known:
            raise _mistake(
                "evaluate/metric", repr(self.evaluate.metric),
                f"a metric of a {self.model.problem} problem: {', '.join(known)}",
                _nearest(self.evaluate.metric, known),
            )  # fmt: skip
        if self.data.types.get(self.model.target) == "ignore":
            raise _mistake(
                f"data/types/{self.model.target}", "the target is ignored", "a column to predict"
            )
        return self

    @property
    def direction(self) -> Literal["minimum", "maximum"]:
        """Whether the gate's threshold is the least or the most that its metric may be."""
        return METRICS[self.model.problem][self.evaluate.metric]

    def to_json(self) -> str:
        """Return all settings, defaults included, as JSON: what the jobs of a release read."""
        return self.model_dump_json(indent=2) + "\n"


def load(path: Path) -> Settings:
    """Return the settings in the YAML file `path`.

    Raises
    ------
    SettingsError
        The file cannot be read or is not accepted: every mistake, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError(str(path), "no such file", "the project's settings") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), str(error), "a readable UTF-8 file") from error
    return loads(text, str(path))


def loads(text: str, where: str = "project.yml") -> Settings:
    """Return the settings in `text` (YAML, of which JSON is a part); see :func:`load`."""
    document, lines = _parse_yaml(text, where)
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        mistakes = [_explain(detail, where, lines) for detail in error.errors()]
    raise _combined(mistakes)


def _combined(mistakes: list[SettingsError]) -> SettingsError:
    if len(mistakes) == 1:
        return mistakes[0]
    first = mistakes[0]
    error = SettingsError(first.where, first.found, first.required, first.fix)
    error.args = ("\n".join(str(mistake) for mistake in mistakes),)
    return error


# --- YAML with line numbers ---------------------------------------------------------------------

_Lines = dict[tuple[str | int, ...], int]


def _parse_yaml(text: str, where: str) -> tuple[Any, _Lines]:
    """Return the document and the line (from 1) of each of its keys."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: _Lines = {}
        if node is not None:
            _collect_lines(node, (), lines, where)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or str(error)
        raise SettingsError(f"{where}:{line}", problem, "YAML") from error
    if not isinstance(document, dict):
        raise SettingsError(
            f"{where}:1", "no settings", "a mapping with at least model: and evaluate:"
        )
    return document, lines


def _collect_lines(node: yaml.Node, path: tuple[str | int, ...], lines: _Lines, where: str) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            inner = (*path, key.value)
            if inner in lines:
                raise SettingsError(
                    f"{where}:{line}",
                    f"{key.value!r} a second time (first in line {lines[inner]})",
                    "each key once",
                )  # fmt: skip
            _collect_lines(value, inner, lines, where)
            lines[inner] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*path, index), lines, where)


# --- from a validation error to a sentence ------------------------------------------------------


def _mistake(pointer: str, found: str, required: str, fix: str = "") -> PydanticCustomError:
    """A rule over several fields was broken; `pointer` is relative to the section."""
    return PydanticCustomError(
        "mistake", "{found}; {required}",
        {"pointer": pointer, "found": found, "required": required, "fix": fix},
    )  # fmt: skip


def _explain(detail: ErrorDetails, where: str, lines: _Lines) -> SettingsError:
    path = tuple(detail["loc"])
    if detail["type"] == "mistake":
        context = detail["ctx"]
        path += tuple(part for part in context["pointer"].split("/") if part)
        found, required, fix = context["found"], context["required"], context["fix"]
    elif detail["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        found = f"unknown key {str(path[-1])!r}"
        required = f"one of {', '.join(known)}"
        fix = _nearest(str(path[-1]), known)
    elif detail["type"] == "missing":
        found, required, fix = "no such key", "a value", f"Add {path[-1]}:"
    elif detail["type"] == "string_type":
        found, required, fix = _shown(detail["input"]), "text", "Put it in quotes"
    else:
        found = _shown(detail["input"])
        required, fix = detail["msg"][0].lower() + detail["msg"][1:], ""
    return SettingsError(f"{where}:{_line(path, lines)} {'/'.join(map(str, path))}",
                         found, required, fix)  # fmt: skip


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def _line(path: tuple[str | int, ...], lines: _Lines) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _known_keys(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """Names of the keys of the section at `path`."""
    section: type[BaseModel] = Settings
    for part in path:
        annotation = section.model_fields[str(part)].annotation
        candidates = [annotation, *typing.get_args(annotation)]
        section = next(
            kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)
        )
    return tuple(section.model_fields)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else ""
