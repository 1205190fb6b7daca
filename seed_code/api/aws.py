"""Clients of AWS's services: botocore alone, what boto3 adds would cost time at each cold start."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config

__all__ = ["client"]


def client(service: str, **config: Any) -> Any:
    """Return a client of `service` with the function's own role; `config` is botocore's."""
    return botocore.session.get_session().create_client(service, config=Config(**config))
