"""CloudFormation: an engine of our own, for moto's has no rollback and lacks a third of our types.

=================== ==============================================================================
module              holds
=================== ==============================================================================
``syntax``          a template's text as plain data
``template``        sections, names and mentions of a template
``parameters``      what parameters accept, and their values
``intrinsics``      the functions
``definition``      what a stack is to be, and what a template can ask for
``evaluation``      a template with its parameters: resources, properties, outputs
``schema``          what AWS publishes about a resource type
``validation``      whether everything can be made, before anything is
``graph``           in which order
``plan``            what an operation will do, as data
``deployer``        who makes the calls
``resources``       the types: their calls as data
``stack``           what is known about a stack
``engine``          carries out, and takes back
``stacks``          the account's stacks: what may be done, and who does it
``exports``         what stacks give each other
``change_sets``     plans that wait
``sources``         templates in S3
``descriptions``    all of this in the words of the API
``custom_responses`` where custom resources answer
``api``             requests and answers
=================== ==============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from moto.cloudformation import urls

from local_cloud.cloudformation import custom_responses
from local_cloud.cloudformation.api import Api
from local_cloud.cloudformation.resources.table import TYPES
from local_cloud.cloudformation.stacks import Stacks
from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install", "tags_of"]

PARITY = [
    Parity(
        "CloudFormation",
        "exact",
        "Stacks: create, update in place, replace, delete, roll back, with events and reasons;"
        " change sets; parameters, conditions, mappings, rules, intrinsic functions, exports;"
        " nested stacks; custom resources of functions; deletion policies; termination protection;"
        " an alias of a function moves with CodeDeploy where its UpdatePolicy says so. Resources"
        " are made by API calls with the stack's role, or the caller's, so a permission that is"
        " missing fails the stack",
    ),
    Parity("CloudFormation", "exact", "Types: " + ", ".join(sorted(TYPES))),
    Parity(
        "CloudFormation",
        "partial",
        "Resources of a stack are made one after the other; tags aws:cloudformation:* are not set;"
        " lists come in one page; a type is there when the local cloud has the API calls it takes;"
        " properties are checked against the published schemas before anything is made; why an"
        " alias did not move is told with the deployment's error",
    ),
    Parity(
        "CloudFormation",
        "refused",
        "Other types and properties, named; transforms, macros, hooks, dynamic references, custom"
        " resources of topics, SSM and AWS-specific parameter types, stack sets, drift, imports,"
        " stack policies, timeouts, notifications, snapshots, cancelling, updates without rollback",
    ),
]


_installed: Stacks | None = None


def install(cloud: LocalCloud) -> None:
    """Put this engine where moto's was, until `cloud` stops."""
    stacks = Stacks(cloud)
    _remember(stacks)
    cloud.on_stop(lambda: _remember(None))
    api = Api(cloud, stacks)
    cloud.gateway.open(custom_responses.PREFIX, custom_responses.responses)
    cloud.replace(urls, "url_paths", {"{0}/$": api.answer})
    cloud.on_stop(stacks.stop)


def tags_of(path: str) -> Mapping[str, str]:
    """Tags of the stack at ``stack/<name>/<id>``, where ``*`` stands for an id that nobody gave."""
    kind, _, rest = path.partition("/")
    name = rest.partition("/")[0]
    if _installed is None or kind != "stack":
        return {}
    found = (stack for stack in _installed.all() if stack.name == name and not stack.is_deleted)
    return next((stack.definition.tags for stack in found), {})


def _remember(stacks: Stacks | None) -> None:
    global _installed  # noqa: PLW0603 - one process holds one local cloud
    _installed = stacks
