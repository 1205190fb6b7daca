"""Report groups: made by the first build that names them, and there until somebody deletes them.

Reports themselves are not kept: what a test runner wrote is in the build's log.

Source: https://docs.aws.amazon.com/codebuild/latest/userguide/test-report-group-naming.html
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

from local_cloud.iam import Identity
from local_cloud.json_api import ApiError, Operation, Parameters

__all__ = ["ReportGroups"]


class ReportGroups:
    """The account's report groups, and the operations on them.

    Parameters
    ----------
    arn_of
        Gives the ARN of ``report-group/<name>``.
    """

    def __init__(self, arn_of: Callable[[str], str]) -> None:
        self._arn_of = arn_of
        self._groups: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def operations(self) -> dict[str, Operation]:
        """What the API answers, by the operations' names."""
        return {
            "BatchGetReportGroups": self._batch_get,
            "CreateReportGroup": self._create,
            "DeleteReportGroup": self._delete,
            "ListReportGroups": self._list,
        }

    def _create(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        arn = self._arn_of(f"report-group/{asked['name']}")
        with self._lock:
            if arn in self._groups:
                raise ApiError(
                    "ResourceAlreadyExistsException", f"Report group already exists: {arn}"
                )
            now = dt.datetime.now(dt.UTC)
            self._groups[arn] = {
                **asked, "arn": arn, "created": now, "lastModified": now, "status": "ACTIVE"
            }  # fmt: skip
            return {"reportGroup": self._groups[arn]}

    def _delete(self, asked: Parameters, _: Identity) -> None:
        self._groups.pop(asked["arn"], None)  # AWS minds no group that is gone

    def _batch_get(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        arns = asked["reportGroupArns"]
        return {
            "reportGroups": [self._groups[arn] for arn in arns if arn in self._groups],
            "reportGroupsNotFound": [arn for arn in arns if arn not in self._groups],
        }

    def _list(self, _: Parameters, __: Identity) -> dict[str, Any]:
        return {"reportGroups": sorted(self._groups)}
