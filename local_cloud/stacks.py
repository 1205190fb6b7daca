"""CloudFormation: stacks of what a workflow needs, with moto's engine.

Here are three things that it lacks: a resource type that is not supported is refused instead of
left out, a resource that fails leaves a stack that says so instead of an answer in the resource's
own protocol, and a template is read as data (moto reads YAML with a loader that can call Python).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from moto.cloudformation import models, responses
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.parsing import OutputMap
from moto.cloudformation.utils import yaml_tag_constructor
from yaml.constructor import ConstructorError

from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "RESOURCE_TYPES", "install"]

#: What a stack can be made of.
RESOURCE_TYPES = frozenset(
    {
        "AWS::ECR::Repository",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::KMS::Key",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SSM::Parameter",
        "AWS::StepFunctions::StateMachine",
    }
)

PARITY = [
    Parity(
        "CloudFormation",
        "partial",
        "Stacks of "
        + ", ".join(sorted(RESOURCE_TYPES))
        + "; properties that moto does not know are"
        " left out; the permissions of a deploying role are not checked; an update that fails is"
        " not rolled back",
    ),
    Parity("CloudFormation", "refused", "Every other resource type, named"),
]


def install(cloud: LocalCloud) -> None:
    """Make moto's CloudFormation refuse, fail and read as AWS does, until `cloud` stops."""
    for module in (models, responses):
        cloud.replace(module, "yaml", _Yaml)
    _refuse_other_types(cloud)
    _fail_as_a_stack(cloud)


class _TemplateLoader(yaml.SafeLoader):
    """Plain data and the short forms of CloudFormation's functions, such as ``!Ref``."""


_TemplateLoader.add_multi_constructor(
    "!", lambda loader, name, node: yaml_tag_constructor(loader, f"!{name}", node)
)


class _Yaml:
    """Stands where moto's CloudFormation has the module ``yaml``."""

    Loader = _TemplateLoader

    @staticmethod
    def add_multi_constructor(*_: Any) -> None:
        """Nothing: the loader has its constructor."""

    @staticmethod
    def load(template: str, Loader: type[_TemplateLoader]) -> Any:  # noqa: N803
        """The template as data."""
        try:
            return yaml.load(template, Loader)  # noqa: S506 - it is a SafeLoader
        except ConstructorError as error:
            raise ValidationError(message=f"Template format error: {error}") from error


def _refuse_other_types(cloud: LocalCloud) -> None:
    def parse_template(self: models.Stack) -> None:
        original(self)
        resources = self.template_dict.get("Resources") or {}
        unknown = sorted(
            {str(resource.get("Type")) for resource in resources.values()} - RESOURCE_TYPES
        )
        if unknown:
            raise ValidationError(
                message="Template format error: Unrecognized resource types: "
                f"[{', '.join(unknown)}] (the local cloud has {', '.join(sorted(RESOURCE_TYPES))}; "
                "see docs/parity.md)"
            )

    original = cloud.replace(models.Stack, "_parse_template", parse_template)


def _fail_as_a_stack(cloud: LocalCloud) -> None:
    """A resource's error becomes the stack's state and an event, after what was made is deleted."""

    def create_resources(self: models.Stack) -> None:
        try:
            original_create(self)
        except Exception as error:  # whatever it is, it is the reason
            _note(self, "CREATE_FAILED", error)
            self.resource_map.delete()
            # The outputs of moto's stacks are computed when they are read, which would make the
            # resources again.
            self.output_map = OutputMap(self.resource_map, {}, self.stack_id)
            _note(self, "ROLLBACK_COMPLETE", error)

    def update(self: models.Stack, *args: Any, **options: Any) -> None:
        try:
            original_update(self, *args, **options)
        except ValidationError:
            raise  # of the template: nothing was touched
        except Exception as error:
            _note(self, "UPDATE_FAILED", error)

    original_create = cloud.replace(models.Stack, "create_resources", create_resources)
    original_update = cloud.replace(models.Stack, "update", update)


def _note(stack: models.Stack, status: str, error: Exception) -> None:
    reason = getattr(error, "message", None) or str(error)
    stack.status = status
    stack.stack_status_reason = reason  # a name that moto's serializer looks for
    stack._add_stack_event(status, resource_status_reason=reason)  # noqa: SLF001
