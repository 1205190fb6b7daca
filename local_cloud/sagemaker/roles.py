"""A role as SageMaker uses it: for one job or model, and only where its trust policy agrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto.sagemaker.exceptions import ValidationError

from local_cloud.cloud import LocalCloud
from local_cloud.errors import TrustError

__all__ = ["SERVICE_PRINCIPAL", "Role"]

#: Who assumes the role of a job or model.
SERVICE_PRINCIPAL = "sagemaker.amazonaws.com"


@dataclass(frozen=True)
class Role:
    """The role of a job or model.

    Parameters
    ----------
    cloud
        The account.
    arn
        The role.
    source_arn
        The job or model, for trust policies with a condition on ``aws:SourceArn``.
    """

    cloud: LocalCloud
    arn: str
    source_arn: str

    def check(self) -> None:
        """Refuse a role that SageMaker cannot assume, in the words of AWS."""
        try:
            self._credentials()
        except TrustError as error:
            raise ValidationError(
                f"Could not assume role {self.arn}. Please ensure that the role exists and allows "
                f"principal '{SERVICE_PRINCIPAL}' to assume the role. ({error})"
            ) from error

    def client(self, service: str) -> Any:
        """boto3 client with the role's permissions."""
        return self.cloud.client(
            service,
            role_arn=self.arn,
            service_principal=SERVICE_PRINCIPAL,
            source_arn=self.source_arn,
        )

    def environment(self) -> dict[str, str]:
        """Environment with which SDKs in a container have the role's permissions."""
        credentials = self._credentials()
        return {
            **self.cloud.environment(),
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.session_token,
        }

    def _credentials(self) -> Any:
        return self.cloud.credentials(self.arn, SERVICE_PRINCIPAL, source_arn=self.source_arn)
