"""The APIs, keys and usage plans of the account."""

from __future__ import annotations

import datetime as dt
import random
import string
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from local_cloud.apigateway.definition import Definition
from local_cloud.json_api import ApiError

__all__ = ["Api", "Apis", "Deployment", "not_found"]

_LETTERS = string.ascii_lowercase + string.digits
_ID_LENGTH = 10
#: What a content type's model is when nobody says otherwise: every API has these two.
_MODELS = {
    "Empty": '{"$schema": "http://json-schema.org/draft-04/schema#", "title": "Empty Schema",'
    ' "type": "object"}',
    "Error": '{"$schema": "http://json-schema.org/draft-04/schema#", "title": "Error Schema",'
    ' "type": "object", "properties": {"message": {"type": "string"}}}',
}


def not_found(what: str) -> ApiError:
    """An error that says that something does not exist."""
    return ApiError("NotFoundException", f"Invalid {what} identifier specified")


@dataclass(frozen=True)
class Deployment:
    """A copy of an API's definition that stages can show.

    Parameters
    ----------
    id
        Unique in the API.
    definition
        The copy.
    shown
        As the API shows it.
    """

    id: str
    definition: Definition
    shown: dict[str, Any]


@dataclass
class Api:
    """One REST API.

    Parameters
    ----------
    id
        First part of its host name.
    definition
        As it is now, not as it is deployed.
    deployments
        Id -> deployment.
    stages
        Name -> stage, as the API shows it.
    """

    id: str
    definition: Definition
    deployments: dict[str, Deployment] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As the metrics call it."""
        return str(self.definition.settings["name"])

    def resource(self, resource_id: str) -> dict[str, Any]:
        """A resource; raises `ApiError` when there is none."""
        found = self.definition.resources.get(resource_id)
        if found is None:
            raise not_found("Resource")
        return found

    def stage(self, name: str) -> dict[str, Any]:
        """A stage; raises `ApiError` when there is none."""
        found = self.stages.get(name)
        if found is None:
            raise not_found("Stage")
        return found

    def deployed(self, stage_name: str) -> tuple[dict[str, Any], Deployment] | None:
        """A stage and what it shows; `None` when there is none."""
        stage = self.stages.get(stage_name)
        return None if stage is None else (stage, self.deployments[stage["deploymentId"]])


class Apis:
    """Everything of API Gateway in the account.

    Attributes
    ----------
    keys
        Id -> API key, as the API shows it, with its value.
    plans
        Id -> usage plan, as the API shows it.
    plan_keys
        Id of a usage plan -> ids of its keys.
    account
        Settings of the account.
    lock
        Held while something is changed.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.keys: dict[str, dict[str, Any]] = {}
        self.plans: dict[str, dict[str, Any]] = {}
        self.plan_keys: dict[str, list[str]] = {}
        self.account: dict[str, Any] = {}
        self._apis: dict[str, Api] = {}

    def new_id(self, length: int = _ID_LENGTH) -> str:
        """A new id in the form of AWS's."""
        return "".join(random.choices(_LETTERS, k=length))  # noqa: S311 - no secret

    def all(self) -> list[Api]:
        """Every API."""
        return list(self._apis.values())

    def find(self, api_id: str) -> Api | None:
        """An API by its id; `None` when there is none."""
        return self._apis.get(api_id)

    def get(self, api_id: str) -> Api:
        """An API by its id; raises `ApiError` when there is none."""
        found = self._apis.get(api_id)
        if found is None:
            raise not_found("API")
        return found

    def add(self, settings: dict[str, Any]) -> Api:
        """Make an API with its root resource and the models that every API has."""
        api_id, root_id = self.new_id(), self.new_id()
        created = dt.datetime.now(dt.UTC)
        known = {**settings, "id": api_id, "rootResourceId": root_id, "createdDate": created}
        definition = Definition(known)
        definition.resources[root_id] = {"id": root_id, "path": "/", "resourceMethods": {}}
        for name, schema in _MODELS.items():
            definition.models[name] = {
                "id": self.new_id(6),
                "name": name,
                "contentType": "application/json",
                "schema": schema,
            }
        api = Api(api_id, definition)
        self._apis[api_id] = api
        return api

    def remove(self, api: Api) -> None:
        """Forget an API."""
        for plan in self.plans.values():
            plan["apiStages"] = [_ for _ in plan.get("apiStages", []) if _["apiId"] != api.id]
        self._apis.pop(api.id, None)

    def tagged(self, path: str) -> dict[str, Any] | None:
        """What has tags of its own at a path, for instance ``/restapis/<id>/stages/<name>``."""
        match path.split("/")[1:]:
            case ["restapis", api_id]:
                api = self.find(api_id)
                return api.definition.settings if api else None
            case ["restapis", api_id, "stages", name]:
                api = self.find(api_id)
                return api.stages.get(name) if api else None
            case ["apikeys", key_id]:
                return self.keys.get(key_id)
            case ["usageplans", plan_id]:
                return self.plans.get(plan_id)
        return None

    def tags(self, path: str) -> dict[str, str]:
        """Tags that count for a path: its own, and those of what it belongs to.

        Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
        """
        if path.startswith("/tags/"):
            return self.tags(unquote(path.removeprefix("/tags/")).partition("::")[2])
        parts = path.split("/")
        places = ["/".join(parts[: index + 1]) for index in range(1, len(parts))]
        found: dict[str, str] = {}
        for place in places:
            found |= (self.tagged(place) or {}).get("tags", {})
        return found

    def plans_of(self, api_id: str, stage_name: str) -> Iterator[dict[str, Any]]:
        """Usage plans that hold a stage."""
        for plan in list(self.plans.values()):
            for entry in plan.get("apiStages", []):
                if (entry["apiId"], entry["stage"]) == (api_id, stage_name):
                    yield plan
