"""Lambda: functions whose events real processes of their images handle.

==================== ============================================================================
module               holds
==================== ============================================================================
``configuration``    what a function is made of, and what is refused
``function``         functions, versions, aliases
``registry``         the functions of the account, and how events reach them
``pool``             the execution environments of one version
``environment``      an execution environment: a process
``runtime_api``      how the process gets events and gives answers
``invocation``       an event, and what comes of it
``asynchronous``     events that nobody waits for
``embedded_metrics`` metrics in log lines
``file_systems``     EFS as folders
``vpc_endpoints``    whom a function reaches by a VPC endpoint's name
``api``              Lambda's operations
==================== ============================================================================
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from moto.awslambda import urls

from local_cloud.errors import LocalCloudError
from local_cloud.lambda_functions.api import LambdaApi
from local_cloud.lambda_functions.asynchronous import Events
from local_cloud.lambda_functions.registry import Functions
from local_cloud.parity import Parity
from local_cloud.rest_json_api import RestJsonApi

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "functions", "install"]

PARITY = [
    Parity(
        "Lambda",
        "exact",
        "Functions of container images, run by the image's runtime client against the Runtime API,"
        " one event at a time; versions; aliases with weights, chosen for each event; timeouts;"
        " errors of the function, at import and at its end, as AWS reports them; payload limits;"
        " asynchronous events with retries; resource policies for services; reserved concurrency;"
        " pulling by the repository's policy; the role's credentials and log groups with START, END"
        " and REPORT; metrics by function, alias and executed version; embedded metric format",
    ),
    Parity(
        "Lambda",
        "partial",
        "Memory is the peak resident size of the process, looked at every 20 ms and at its answer,"
        " on Linux only; at most 8 environments of a version, or twice the machine's processors,"
        " further events wait; a function is active at once; it is not in its VPC, nor cut off from"
        " the network; addresses of VPC endpoints in its environment variables are rewritten to the"
        " local cloud's, and it is not started with one of another network or service; CPU does not"
        " follow memory; /tmp is the machine's, TMPDIR the function's own",
    ),
    Parity(
        "Lambda",
        "refused",
        "Archives of code and layers, function URLs, event source mappings, destinations, dead"
        " letters, tracing, JSON log format, provisioned concurrency, SnapStart, code signing,"
        " principals other than services in resource policies",
    ),
    Parity(
        "EFS",
        "partial",
        "A folder below `.local/efs`; where an access point is mounted is rewritten in the values"
        " of the function's environment variables, as a process has no mounts; POSIX users"
        " and file system policies are not enforced",
    ),
]

_installed: Functions | None = None


def install(cloud: LocalCloud) -> None:
    """Have functions executed until the cloud stops; what the last run left is removed."""
    for folder in ("functions", "efs"):
        shutil.rmtree(cloud.root / folder, ignore_errors=True)
    found = Functions(cloud)
    events = Events(found)
    RestJsonApi(cloud, "lambda", LambdaApi(found, events).operations()).install(urls)
    _remember(found)
    cloud.on_stop(lambda: _remember(None))
    cloud.on_stop(found.stop)
    cloud.on_stop(events.stop)


def functions() -> Functions:
    """The functions of the local cloud of this process, for services that invoke them.

    Raises
    ------
    LocalCloudError
        When no local cloud is started in this process.
    """
    if _installed is None:
        raise LocalCloudError(
            "Lambda", "no local cloud is started", "one is needed in this process"
        )
    return _installed


def _remember(found: Functions | None) -> None:
    global _installed  # noqa: PLW0603 - one process holds one local cloud
    _installed = found
