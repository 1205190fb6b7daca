"""Clients of AWS's services: botocore alone, what boto3 adds would cost time at each cold start."""

from __future__ import annotations

import functools
from typing import Any

import botocore.session
from botocore.config import Config

__all__ = ["client"]


def client(service: str, **config: Any) -> Any:
    """Return a client of `service` with the function's own role; `config` is botocore's."""
    return _session().create_client(service, config=Config(**config))


@functools.cache
def _session() -> Any:
    """Return the one session: it reads what it knows of services once."""
    return botocore.session.get_session()
