"""CloudWatch Logs: the key of a log group, which moto takes but neither checks nor changes.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import moto.logs.urls
from moto.kms.models import kms_backends
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.responses import LogsResponse

from local_cloud.parity import Parity
from local_cloud.policies import Policies, Request, decide

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity(
        "CloudWatch Logs",
        "partial",
        "A group's key must exist, and its policy must let the service use it for that group; the"
        " lines are not encrypted",
    ),
]

#: What the service does with a key, each of which its policy must allow.
_ACTIONS = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")


def install(cloud: LocalCloud) -> None:
    """Check the keys of log groups until `cloud` stops."""
    cloud.replace(moto.logs.urls, "url_paths", {"{0}/$": _Logs.dispatch})


class _Logs(LogsResponse):  # type: ignore[misc]
    """Operations of ``logs``; moto makes one object for each request."""

    def create_log_group(self) -> Any:
        """Make a group, with a key that can be used for it."""
        key = self._get_param("kmsKeyId")
        if key:
            self._require_usable(key, self._get_param("logGroupName"))
        return super().create_log_group()

    def associate_kms_key(self) -> str:
        """Encrypt what a group is sent from now on with another key."""
        group, key = self._group(), self._get_param("kmsKeyId")
        self._require_usable(key, group.name)
        group.kms_key_id = key
        return "{}"

    def disassociate_kms_key(self) -> str:
        """Encrypt what a group is sent from now on with the service's own key."""
        self._group().kms_key_id = None
        return "{}"

    def _group(self) -> Any:
        identifier = self._get_param("logGroupName") or self._get_param("resourceIdentifier") or ""
        name = identifier.rpartition(":log-group:")[2].removesuffix(":*")
        if name not in self.logs_backend.groups:
            raise ResourceNotFoundException
        return self.logs_backend.groups[name]

    def _require_usable(self, key_arn: str, group_name: str) -> None:
        place = f"{self.region}:{self.current_account}"
        group_arn = f"arn:aws:logs:{place}:log-group:{group_name}"
        key = kms_backends[self.current_account][self.region].keys.get(key_arn.rpartition("/")[2])
        service = f"logs.{self.region}.amazonaws.com"
        context = {
            "kms:encryptioncontext:aws:logs:arn": (group_arn,),
            "aws:principalisawsservice": ("true",),
            "aws:principalservicename": (service,),
            "aws:sourceaccount": (self.current_account,),
            "aws:sourcearn": (group_arn,),
        }
        requests = [
            Request(f"kms:{action}", key_arn, context, frozenset(), frozenset({service}))
            for action in _ACTIONS
        ]
        is_usable = key is not None and key.key_state == "Enabled"
        if not is_usable or not all(_allows(key.policy, request) for request in requests):
            raise InvalidParameterException(
                f"The specified KMS key does not exist or is not allowed to be used with Arn"
                f" '{group_arn}'"
            )


def _allows(policy: str, request: Request) -> bool:
    return decide(Policies((), resource=json.loads(policy), resource_decides=True), request).allowed
