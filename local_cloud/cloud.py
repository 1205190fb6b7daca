"""One AWS account on this machine: start it, get clients, stop it.

The account and the region are impossible on purpose: no request signed for them means anything to
the real AWS. While the cloud is started, the environment of this process points every AWS SDK here.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import boto3
from botocore.client import Config
from moto import backends
from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local_cloud.errors import LocalCloudError
from local_cloud.gateway import Gateway
from local_cloud.iam import Account, Credentials
from local_cloud.logs import Logs
from local_cloud.metrics import Metrics
from local_cloud.processes import Processes
from local_cloud.server import HOST, Server

__all__ = ["Credentials", "LocalCloud"]

#: Modules with an ``install(cloud)``, in the order of installation; stopped from the end.
SERVICES = (
    "local_cloud.ec2",
    "local_cloud.efs",
    "local_cloud.log_groups",
    "local_cloud.mail",
    "local_cloud.cloudformation",
    "local_cloud.s3",
    "local_cloud.images",
    "local_cloud.sagemaker",
    "local_cloud.stepfunctions",
    "local_cloud.codebuild",
    "local_cloud.events",
    "local_cloud.lambda_functions",
    "local_cloud.apigateway",
    "local_cloud.alarms",
    "local_cloud.codedeploy",
    "local_cloud.autoscaling",
    "local_cloud.codecommit",
    "local_cloud.codepipeline",  # stops before what it would start meanwhile
    "local_cloud.servicecatalog",
)


class LocalCloud:
    """A whole account on this machine; a context manager.

    Parameters
    ----------
    root
        The ``.local`` folder: logs, objects, jobs.
    port
        Port on the loopback address; 0 chooses a free one.
    wait_factor
        What every wait of a state machine is multiplied with: 0.01 makes five minutes three
        seconds.

    Examples
    --------
    >>> with LocalCloud(Path(".local")) as cloud:  # doctest: +SKIP
    ...     cloud.client("s3").list_buckets()["Buckets"]
    []
    """

    region = "xx-local-1"
    account_id = "000000000000"

    _started: ClassVar[LocalCloud | None] = None

    def __init__(self, root: Path, *, port: int = 0, wait_factor: float = 1.0) -> None:
        self.root = root.absolute()
        self.wait_factor = wait_factor
        self.endpoint_url = ""
        self.logs = Logs(self.root / "logs", lambda: self.client("logs"))
        self.metrics = Metrics(wait_factor)
        self.processes: Processes
        self.account: Account
        self.gateway: Gateway
        self._port = port
        # To make one takes ten times as long as to call with it.
        self._clients: dict[tuple[str | None, ...], Any] = {}
        self._client_lock = threading.RLock()
        self._session: Any = None
        self._on_stop: list[Callable[[], object]] = []

    def start(self) -> LocalCloud:
        """Start the account, empty; everything it needs in this process is put back by `stop`."""
        if LocalCloud._started is not None:
            raise LocalCloudError(
                "Local cloud",
                f"one is started at {LocalCloud._started.endpoint_url}",
                "one process holds one account at a time",
                "Stop the first one",
            )
        self.root.mkdir(parents=True, exist_ok=True)
        LocalCloud._started = self
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        self.on_stop(self._forget)
        _reset_moto()
        self.on_stop(_reset_moto)
        self._silence(logging.getLogger("moto"))
        modules = frozenset(backends.list_of_moto_modules())
        # Asked for every request; moto lists its folder each time.
        self.replace(backends, "list_of_moto_modules", lambda: modules)
        self.account = Account(self.region, self.account_id)
        moto = DomainDispatcherApplication(create_backend_app)
        self.gateway = Gateway(moto, self.account, self.root / "logs" / "local_cloud.log")
        server = Server(self.gateway, self._port)
        self.on_stop(server.stop)
        self.endpoint_url = server.url
        self._redirect_this_process(server.port)
        self._session = boto3.session.Session()
        # One that was made before would carry other keys, those of a real account even.
        self.replace(boto3, "DEFAULT_SESSION", None)
        self.processes = Processes()
        self.on_stop(self.processes.stop_all)
        for name in SERVICES:
            if importlib.util.find_spec(name) is not None:
                importlib.import_module(name).install(self)

    def stop(self) -> None:
        """Stop everything, newest first; everything is tried, the first error is raised."""
        errors: list[Exception] = []
        while self._on_stop:
            try:
                self._on_stop.pop()()
            except Exception as error:
                errors.append(error)
        self._clients.clear()
        if errors:
            raise errors[0]

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Have `callback` called when the cloud stops; the newest is called first."""
        self._on_stop.append(callback)

    def replace(self, owner: Any, name: str, value: Any) -> Any:
        """Replace an attribute of a class or module of moto until the cloud stops.

        Returns
        -------
        The attribute that was there, for the replacement to call.
        """
        if name in vars(owner):
            original = vars(owner)[name]
            self.on_stop(lambda: setattr(owner, name, original))
        else:  # inherited
            original = getattr(owner, name)
            self.on_stop(lambda: delattr(owner, name))
        setattr(owner, name, value)
        return original

    def environment(self) -> dict[str, str]:
        """Environment with which AWS CLI and SDKs work as administrator of this account only."""
        return self._environment(self.account.administrator.credentials)

    def role_environment(self, role_arn: str, service_principal: str) -> dict[str, str]:
        """Environment with which AWS CLI and SDKs work as a role assumed by a service."""
        return self._environment(self.credentials(role_arn, service_principal))

    def _environment(self, credentials: Credentials) -> dict[str, str]:
        environment = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": f"{HOST},localhost",
            "no_proxy": f"{HOST},localhost",
        }
        if credentials.session_token:
            environment["AWS_SESSION_TOKEN"] = credentials.session_token
        return environment

    def client(
        self,
        service: str,
        *,
        role_arn: str | None = None,
        service_principal: str | None = None,
        source_arn: str | None = None,
    ) -> Any:
        """boto3 client of the account's administrator, or of a role assumed by a service.

        Parameters
        ----------
        service
            As boto3 names it, for instance ``stepfunctions``.
        role_arn, service_principal
            Both or none: the role, and who assumes it, for instance ``sagemaker.amazonaws.com``.
        source_arn
            For which resource the service works, where the trust policy asks.

        Raises
        ------
        TrustError
            When the role does not exist or its trust policy does not name that service.
        """
        if (role_arn is None) != (service_principal is None):
            raise TypeError("client() needs both role_arn and service_principal, or none of them")
        if role_arn is not None and service_principal is not None:
            self.account.check_trust(role_arn, service_principal, source_arn)
        # The source matters to the trust policy alone: what the role may do is always the same.
        who = (service, role_arn, service_principal)
        with self._client_lock:
            if who not in self._clients:
                credentials = self.account.administrator.credentials
                if role_arn is not None and service_principal is not None:
                    credentials = self.credentials(
                        role_arn, service_principal, source_arn=source_arn
                    )
                self._clients[who] = self.client_as(service, credentials)
            return self._clients[who]

    def credentials(
        self, role_arn: str, service_principal: str, *, source_arn: str | None = None
    ) -> Credentials:
        """Credentials of a role as assumed by a service, after its trust policy was checked.

        Parameters
        ----------
        role_arn, service_principal
            The role, and the service that assumes it.
        source_arn
            For which resource, where the trust policy asks (``aws:SourceArn``).

        Raises
        ------
        TrustError
            When the role does not exist or its trust policy does not name that service.
        """
        return self.account.assume(role_arn, service_principal, source_arn)

    def client_as(self, service: str, credentials: Credentials) -> Any:
        """boto3 client of whose credentials these are, for instance of a caller."""
        with self._client_lock:  # a boto3 session is not thread-safe
            return self._session.client(
                service,
                region_name=self.region,
                endpoint_url=self.endpoint_url,
                aws_access_key_id=credentials.access_key,
                aws_secret_access_key=credentials.secret_key,
                aws_session_token=credentials.session_token or None,
                config=Config(retries={"total_max_attempts": 1}),
            )

    def _silence(self, logger: logging.Logger) -> None:
        """Keep moto's log, which prints whole parse trees, out of the run's output."""
        propagate = logger.propagate
        self.on_stop(lambda: setattr(logger, "propagate", propagate))
        handler = logging.NullHandler()
        self.on_stop(lambda: logger.removeHandler(handler))
        logger.propagate = False
        logger.addHandler(handler)

    def _redirect_this_process(self, port: int) -> None:
        """Point every AWS SDK in this process here, and tell moto its account and port."""
        # A profile, or an endpoint of one service, of whoever started us would win over ours.
        changes: dict[str, str | None] = {
            **{name: None for name in os.environ if name.startswith("AWS_")},
            **self.environment(),
            "MOTO_ACCOUNT_ID": self.account_id,
            "MOTO_ALLOW_NONEXISTENT_REGION": "true",
            "MOTO_PORT": str(port),
        }
        before = {name: os.environ.get(name) for name in changes}
        self.on_stop(lambda: _set_environment(before))
        _set_environment(changes)

    @staticmethod
    def _forget() -> None:
        LocalCloud._started = None

    def __enter__(self) -> LocalCloud:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _reset_moto() -> None:
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    BackendDict.reset()
    reset_model_data()


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
