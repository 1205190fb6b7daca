"""API Gateway's own API: making REST APIs, deploying them, keys and usage plans.

Source: https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import jsonschema

from local_cloud.actions import pass_role
from local_cloud.apigateway import patches
from local_cloud.apigateway.apis import Api, Apis, Deployment, not_found
from local_cloud.apigateway.patches import BOOLEAN, FLOAT, INTEGER, Patch, setting
from local_cloud.apigateway.responses import TYPES as RESPONSE_TYPES
from local_cloud.errors import TrustError, UnsupportedError
from local_cloud.iam import DeniedError, Identity
from local_cloud.json_api import ApiError, Operation, Parameters, refuse_others

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PRINCIPAL", "ApiGatewayApi", "function_of"]

PRINCIPAL = "apigateway.amazonaws.com"
_API = {
    "apiKeySource", "binaryMediaTypes", "description", "disableExecuteApiEndpoint",
    "endpointConfiguration", "name", "tags", "version",
}  # fmt: skip
_METHOD = {
    "apiKeyRequired", "authorizationType", "httpMethod", "operationName", "requestModels",
    "requestParameters", "requestValidatorId", "resourceId", "restApiId",
}  # fmt: skip
_INTEGRATION = {
    "contentHandling", "httpMethod", "integrationHttpMethod", "passthroughBehavior", "resourceId",
    "restApiId", "timeoutInMillis", "type", "uri",
}  # fmt: skip
_STAGE = {
    "deploymentId", "description", "restApiId", "stageName", "tags", "tracingEnabled", "variables",
}  # fmt: skip
_PLAN = {"apiStages", "description", "name", "quota", "tags", "throttle"}
_KEY = {"customerId", "description", "enabled", "name", "tags", "value"}
_LEAST_KEY_LENGTH = 20
_TIMEOUT_MS = 29_000
_LEAST_TIMEOUT_MS = 50

_METHOD_SETTINGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "logging/dataTrace": ("dataTraceEnabled", BOOLEAN),
    "logging/loglevel": ("loggingLevel", str),
    "metrics/enabled": ("metricsEnabled", BOOLEAN),
    "throttling/burstLimit": ("throttlingBurstLimit", INTEGER),
    "throttling/rateLimit": ("throttlingRateLimit", FLOAT),
}


class ApiGatewayApi:
    """Answers API Gateway's operations.

    Parameters
    ----------
    cloud
        The account.
    apis
        Everything of API Gateway in it.
    """

    def __init__(self, cloud: LocalCloud, apis: Apis) -> None:
        self._cloud = cloud
        self._apis = apis

    def operations(self) -> dict[str, Operation]:
        """What the API answers, by the operations' names."""
        found: dict[str, Callable[[Parameters], dict[str, Any] | None]] = {
            "CreateApiKey": self._create_key,
            "CreateDeployment": self._create_deployment,
            "CreateModel": self._create_model,
            "CreateRequestValidator": self._create_validator,
            "CreateResource": self._create_resource,
            "CreateRestApi": self._create_api,
            "CreateStage": self._create_stage,
            "CreateUsagePlan": self._create_plan,
            "CreateUsagePlanKey": self._create_plan_key,
            "DeleteApiKey": self._delete_key,
            "DeleteDeployment": self._delete_deployment,
            "DeleteGatewayResponse": self._delete_response,
            "DeleteMethod": self._delete_method,
            "DeleteModel": self._delete_model,
            "DeleteRequestValidator": self._delete_validator,
            "DeleteResource": self._delete_resource,
            "DeleteRestApi": self._delete_api,
            "DeleteStage": self._delete_stage,
            "DeleteUsagePlan": self._delete_plan,
            "DeleteUsagePlanKey": self._delete_plan_key,
            "GetAccount": lambda _: self._shown_account(),
            "GetApiKey": self._get_key,
            "GetApiKeys": self._get_keys,
            "GetDeployment": lambda asked: self._deployment(asked).shown,
            "GetGatewayResponse": self._get_response,
            "GetMethod": self._method,
            "GetModel": self._model,
            "GetRequestValidator": self._validator,
            "GetResource": self._resource,
            "GetResources": self._get_resources,
            "GetRestApi": lambda asked: self._api(asked).definition.settings,
            "GetRestApis": self._get_apis,
            "GetStage": self._stage,
            "GetStages": self._get_stages,
            "GetTags": self._get_tags,
            "GetUsagePlan": self._plan,
            "GetUsagePlans": lambda _: {"items": list(self._apis.plans.values())},
            "PutGatewayResponse": self._put_response,
            "PutIntegration": self._put_integration,
            "PutMethod": self._put_method,
            "PutMethodResponse": self._put_method_response,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "UpdateApiKey": self._update_key,
            "UpdateDeployment": self._update_deployment,
            "UpdateModel": self._update_model,
            "UpdateRequestValidator": self._update_validator,
            "UpdateRestApi": self._update_api,
            "UpdateStage": self._update_stage,
            "UpdateUsagePlan": self._update_plan,
        }
        operations = {name: self._locked(operation) for name, operation in found.items()}
        return {**operations, "UpdateAccount": self._update_account}

    def _locked(self, operation: Callable[[Parameters], dict[str, Any] | None]) -> Operation:
        def answer(asked: Parameters, _: object) -> dict[str, Any] | None:
            with self._apis.lock:
                return operation(asked)

        return answer

    # ---------------------------------------------------------------- APIs

    def _create_api(self, asked: Parameters) -> dict[str, Any]:
        refuse_others("apigateway:CreateRestApi", asked, _API)
        endpoint = asked.get("endpointConfiguration", {"types": ["EDGE"]})
        _check_endpoint(endpoint)
        _check_key_source(asked.get("apiKeySource", "HEADER"))
        settings = {
            "apiKeySource": "HEADER",
            "disableExecuteApiEndpoint": False,
            **asked,
            "endpointConfiguration": endpoint,
        }
        return self._apis.add(settings).definition.settings

    def _update_api(self, asked: Parameters) -> dict[str, Any]:
        settings = self._api(asked).definition.settings
        known: dict[str, Patch] = {
            "/apiKeySource": setting("apiKeySource", convert=_check_key_source),
            "/description": setting("description"),
            "/disableExecuteApiEndpoint": setting("disableExecuteApiEndpoint", convert=BOOLEAN),
            "/name": setting("name"),
        }
        for operation in asked.get("patchOperations", []):
            path = operation.get("path", "")
            first, *rest = patches.parts(path) or [""]
            if first == "binaryMediaTypes" and len(rest) == 1:
                known[path] = _member("binaryMediaTypes", rest[0])
        patches.apply("UpdateRestApi", settings, asked.get("patchOperations", []), known)
        return settings

    def _delete_api(self, asked: Parameters) -> None:
        self._apis.remove(self._api(asked))

    def _get_apis(self, _: Parameters) -> dict[str, Any]:
        return {"items": [api.definition.settings for api in self._apis.all()]}

    # ---------------------------------------------------------------- resources, methods

    def _create_resource(self, asked: Parameters) -> dict[str, Any]:
        api = self._api(asked)
        parent, part = api.resource(asked["parentId"]), asked["pathPart"]
        path = f"{parent['path'].rstrip('/')}/{part}"
        if any(resource["path"] == path for resource in api.definition.resources.values()):
            raise ApiError(
                "ConflictException",
                "Another resource with the same parent already has this name: " + part,
            )
        resource = {
            "id": self._apis.new_id(6),
            "parentId": asked["parentId"],
            "pathPart": part,
            "path": path,
            "resourceMethods": {},
        }
        api.definition.resources[resource["id"]] = resource
        return resource

    def _delete_resource(self, asked: Parameters) -> None:
        resources = self._api(asked).definition.resources
        doomed = self._resource(asked)
        for name, resource in list(resources.items()):
            if f"{resource['path']}/".startswith(f"{doomed['path']}/"):
                del resources[name]

    def _get_resources(self, asked: Parameters) -> dict[str, Any]:
        return {"items": list(self._api(asked).definition.resources.values())}

    def _put_method(self, asked: Parameters) -> dict[str, Any]:
        refuse_others("apigateway:PutMethod", asked, _METHOD)
        if asked["authorizationType"] not in {"AWS_IAM", "NONE"}:
            raise UnsupportedError(
                "apigateway:PutMethod",
                f"authorizationType {asked['authorizationType']}",
                "AWS_IAM and NONE are supported",
            )
        methods, verb = self._resource(asked)["resourceMethods"], asked["httpMethod"]
        if verb in methods:
            raise ApiError("ConflictException", "Method already exists for this resource")
        definition = self._api(asked).definition
        validator = asked.get("requestValidatorId")
        if validator and validator not in definition.validators:
            raise ApiError("BadRequestException", "Invalid Request Validator identifier specified")
        for name in asked.get("requestModels", {}).values():
            if name not in definition.models:
                raise ApiError("BadRequestException", f"Invalid model identifier specified: {name}")
        given = {key: asked[key] for key in asked if key not in {"resourceId", "restApiId"}}
        method: dict[str, Any] = {"apiKeyRequired": False, **given}
        methods[verb] = method
        return method

    def _delete_method(self, asked: Parameters) -> None:
        self._method(asked)
        del self._resource(asked)["resourceMethods"][asked["httpMethod"]]

    def _put_integration(self, asked: Parameters) -> dict[str, Any]:
        refuse_others("apigateway:PutIntegration", asked, _INTEGRATION)
        if asked["type"] != "AWS_PROXY":
            raise UnsupportedError(
                "apigateway:PutIntegration", f"type {asked['type']}", "AWS_PROXY is supported"
            )
        if function_of(asked.get("uri", "")) is None:
            raise UnsupportedError(
                "apigateway:PutIntegration",
                f"uri {asked.get('uri')}",
                "arn:aws:apigateway:<region>:lambda:path/2015-03-31/functions/<ARN>/invocations is",
            )
        if asked.get("integrationHttpMethod") != "POST":
            raise ApiError("BadRequestException", "Lambda functions are invoked with POST")
        timeout = asked.get("timeoutInMillis", _TIMEOUT_MS)
        if not _LEAST_TIMEOUT_MS <= timeout <= _TIMEOUT_MS:
            raise ApiError(
                "BadRequestException",
                f"Timeout should be between {_LEAST_TIMEOUT_MS} ms and {_TIMEOUT_MS} ms",
            )
        integration = {
            "type": "AWS_PROXY",
            "httpMethod": "POST",
            "uri": asked["uri"],
            "timeoutInMillis": timeout,
            "passthroughBehavior": asked.get("passthroughBehavior", "WHEN_NO_MATCH"),
        }
        self._method(asked)["methodIntegration"] = integration
        return integration

    def _put_method_response(self, asked: Parameters) -> dict[str, Any]:
        """What a method answers with: documentation, where the function says everything itself."""
        response = {
            "statusCode": asked["statusCode"],
            "responseModels": asked.get("responseModels", {}),
            "responseParameters": asked.get("responseParameters", {}),
        }
        responses = self._method(asked).setdefault("methodResponses", {})
        responses[asked["statusCode"]] = response
        return response

    # ---------------------------------------------------------------- models, validators, answers

    def _create_model(self, asked: Parameters) -> dict[str, Any]:
        models, name = self._api(asked).definition.models, asked["name"]
        if name in models:
            raise ApiError("ConflictException", f"Model name already exists for this API: {name}")
        schema = asked.get("schema", "{}")
        _check_schema(schema)
        models[name] = {
            "id": self._apis.new_id(6),
            "name": name,
            "contentType": asked["contentType"],
            "description": asked.get("description", ""),
            "schema": schema,
        }
        return models[name]

    def _update_model(self, asked: Parameters) -> dict[str, Any]:
        model = self._model(asked)
        known = {
            "/description": setting("description"),
            "/schema": setting("schema", convert=_check_schema),
        }
        patches.apply("UpdateModel", model, asked.get("patchOperations", []), known)
        return model

    def _delete_model(self, asked: Parameters) -> None:
        name = self._model(asked)["name"]
        definition = self._api(asked).definition
        if any(name in method.get("requestModels", {}).values()
               for _, method in definition.methods()):  # fmt: skip
            raise ApiError("ConflictException", f"Cannot delete model '{name}', is referenced in"
                           " method request")  # fmt: skip
        del definition.models[name]

    def _create_validator(self, asked: Parameters) -> dict[str, Any]:
        validator = {
            "id": self._apis.new_id(6),
            "name": asked.get("name", ""),
            "validateRequestBody": asked.get("validateRequestBody", False),
            "validateRequestParameters": asked.get("validateRequestParameters", False),
        }
        self._api(asked).definition.validators[validator["id"]] = validator
        return validator

    def _update_validator(self, asked: Parameters) -> dict[str, Any]:
        validator = self._validator(asked)
        known = {
            "/name": setting("name"),
            "/validateRequestBody": setting("validateRequestBody", convert=BOOLEAN),
            "/validateRequestParameters": setting("validateRequestParameters", convert=BOOLEAN),
        }
        operations = asked.get("patchOperations", [])
        patches.apply("UpdateRequestValidator", validator, operations, known)
        return validator

    def _delete_validator(self, asked: Parameters) -> None:
        validator_id = self._validator(asked)["id"]
        definition = self._api(asked).definition
        if any(method.get("requestValidatorId") == validator_id
               for _, method in definition.methods()):  # fmt: skip
            raise ApiError("ConflictException", "Cannot delete a request validator that a method"
                           " refers to")  # fmt: skip
        del definition.validators[validator_id]

    def _put_response(self, asked: Parameters) -> dict[str, Any]:
        kind = asked["responseType"]
        if kind not in RESPONSE_TYPES:
            raise ApiError("BadRequestException", f"Invalid response type {kind}")
        for name, value in asked.get("responseParameters", {}).items():
            is_literal = len(value) > 1 and value[0] == value[-1] == "'"
            if not (name.startswith("gatewayresponse.header.") and is_literal):
                raise UnsupportedError(
                    "apigateway:PutGatewayResponse",
                    f"response parameter {name}: {value}",
                    "gatewayresponse.header.<name>: 'a literal text' is supported",
                )
        response = {
            "responseType": kind,
            "responseParameters": asked.get("responseParameters", {}),
            "responseTemplates": asked.get("responseTemplates", {}),
            "defaultResponse": False,
            **({"statusCode": asked["statusCode"]} if "statusCode" in asked else {}),
        }
        self._api(asked).definition.responses[kind] = response
        return response

    def _get_response(self, asked: Parameters) -> dict[str, Any]:
        found = self._api(asked).definition.responses.get(asked["responseType"])
        return found or {"responseType": asked["responseType"], "defaultResponse": True}

    def _delete_response(self, asked: Parameters) -> None:
        if self._api(asked).definition.responses.pop(asked["responseType"], None) is None:
            raise not_found("Gateway response type")

    # ---------------------------------------------------------------- deployments, stages

    def _create_deployment(self, asked: Parameters) -> dict[str, Any]:
        known = {"description", "restApiId"}
        refuse_others("apigateway:CreateDeployment", asked, known)
        api = self._api(asked)
        methods = list(api.definition.methods())
        if not methods:
            raise ApiError("BadRequestException", "The REST API doesn't contain any methods")
        if not all("methodIntegration" in method for _, method in methods):
            raise ApiError("BadRequestException", "No integration defined for method")
        shown = {
            "id": self._apis.new_id(6),
            "description": asked.get("description", ""),
            "createdDate": dt.datetime.now(dt.UTC),
        }
        api.deployments[shown["id"]] = Deployment(shown["id"], api.definition.copied(), shown)
        return shown

    def _update_deployment(self, asked: Parameters) -> dict[str, Any]:
        shown = self._deployment(asked).shown
        known = {"/description": setting("description")}
        patches.apply("UpdateDeployment", shown, asked.get("patchOperations", []), known)
        return shown

    def _delete_deployment(self, asked: Parameters) -> None:
        api, deployment = self._api(asked), self._deployment(asked)
        if any(stage["deploymentId"] == deployment.id for stage in api.stages.values()):
            raise ApiError(
                "BadRequestException",
                "Active stages pointing to this deployment must be moved or deleted",
            )
        del api.deployments[deployment.id]

    def _create_stage(self, asked: Parameters) -> dict[str, Any]:
        refuse_others("apigateway:CreateStage", asked, _STAGE)
        api, name = self._api(asked), asked["stageName"]
        self._deployment(asked)
        if name in api.stages:
            raise ApiError("ConflictException", "Stage already exists")
        now = dt.datetime.now(dt.UTC)
        stage = {key: asked[key] for key in asked if key != "restApiId"}
        api.stages[name] = {
            "variables": {},
            **stage,
            "methodSettings": {},
            "createdDate": now,
            "lastUpdatedDate": now,
        }
        return api.stages[name]

    def _update_stage(self, asked: Parameters) -> dict[str, Any]:
        api, stage = self._api(asked), self._stage(asked)
        operations = asked.get("patchOperations", [])
        known: dict[str, Patch] = {
            "/accessLogSettings": setting("accessLogSettings"),
            "/accessLogSettings/destinationArn": setting("accessLogSettings", "destinationArn"),
            "/accessLogSettings/format": setting("accessLogSettings", "format"),
            "/deploymentId": setting("deploymentId"),
            "/description": setting("description"),
        }
        for operation in operations:
            path = operation.get("path", "")
            found = _stage_patch(path.split("/")[1:])
            if found is not None:
                known.setdefault(path, found)
        changed = copy.deepcopy(stage)
        patches.apply("UpdateStage", changed, operations, known)
        if changed["deploymentId"] not in api.deployments:
            raise ApiError("BadRequestException", "Invalid deployment identifier specified")
        self._check_logging(changed)
        api.stages[asked["stageName"]] = {**changed, "lastUpdatedDate": dt.datetime.now(dt.UTC)}
        return api.stages[asked["stageName"]]

    def _check_logging(self, stage: Mapping[str, Any]) -> None:
        """Refuse logs while the account has no role to write them with, as AWS does."""
        levels = {item.get("loggingLevel", "OFF") for item in stage["methodSettings"].values()}
        wants_log = bool(stage.get("accessLogSettings")) or levels - {"OFF"}
        if wants_log and not self._apis.account.get("cloudwatchRoleArn"):
            raise ApiError(
                "BadRequestException",
                "CloudWatch Logs role ARN must be set in account settings to enable logging",
            )

    def _delete_stage(self, asked: Parameters) -> None:
        self._stage(asked)
        del self._api(asked).stages[asked["stageName"]]

    def _get_stages(self, asked: Parameters) -> dict[str, Any]:
        return {"item": list(self._api(asked).stages.values())}

    # ---------------------------------------------------------------- account

    def _shown_account(self) -> dict[str, Any]:
        limits = {"rateLimit": 10_000.0, "burstLimit": 5000}
        return {"throttleSettings": limits, "features": ["UsagePlans"], **self._apis.account}

    def _update_account(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        convert = partial(self._writer, identity)
        known = {"/cloudwatchRoleArn": setting("cloudwatchRoleArn", convert=convert)}
        operations = asked.get("patchOperations", [])
        with self._apis.lock:
            patches.apply("UpdateAccount", self._apis.account, operations, known)
            return self._shown_account()

    def _writer(self, identity: Identity, role_arn: str) -> str:
        """A role that the caller may pass, and that lets API Gateway assume it."""
        if not role_arn:
            return ""
        try:
            self._cloud.account.check(identity, [pass_role(role_arn, PRINCIPAL)])
            self._cloud.account.check_trust(role_arn, PRINCIPAL)
        except DeniedError as error:
            raise ApiError("AccessDeniedException", str(error)) from error
        except TrustError as error:
            raise ApiError(
                "BadRequestException",
                "The role ARN does not have required permissions configured. Please grant trust"
                " permission for API Gateway and add the required role policy.",
            ) from error
        return role_arn

    # ---------------------------------------------------------------- keys, plans

    def _create_key(self, asked: Parameters) -> dict[str, Any]:
        refuse_others("apigateway:CreateApiKey", asked, _KEY)
        value = asked.get("value") or secrets.token_urlsafe(30).replace("_", "a").replace("-", "b")
        if len(value) < _LEAST_KEY_LENGTH:
            raise ApiError("BadRequestException", "API Key value should be at least 20 characters")
        if any(key["value"] == value for key in self._apis.keys.values()):
            raise ApiError("ConflictException", "API Key already exists")
        now = dt.datetime.now(dt.UTC)
        key = {
            "enabled": False,
            **asked,
            "id": self._apis.new_id(),
            "value": value,
            "createdDate": now,
            "lastUpdatedDate": now,
        }
        self._apis.keys[key["id"]] = key
        return key

    def _update_key(self, asked: Parameters) -> dict[str, Any]:
        key = self._key(asked)
        known = {
            "/customerId": setting("customerId"),
            "/description": setting("description"),
            "/enabled": setting("enabled", convert=BOOLEAN),
            "/name": setting("name"),
        }
        patches.apply("UpdateApiKey", key, asked.get("patchOperations", []), known)
        return _without_value(key)

    def _delete_key(self, asked: Parameters) -> None:
        key_id = self._key(asked)["id"]
        for keys in self._apis.plan_keys.values():
            if key_id in keys:
                keys.remove(key_id)
        del self._apis.keys[key_id]

    def _get_key(self, asked: Parameters) -> dict[str, Any]:
        key = self._key(asked)
        return key if asked.get("includeValue") else _without_value(key)

    def _get_keys(self, asked: Parameters) -> dict[str, Any]:
        keys = self._apis.keys.values()
        found = [key for key in keys if key.get("name", "").startswith(asked.get("nameQuery", ""))]
        return {
            "items": found if asked.get("includeValues") else [_without_value(_) for _ in found]
        }

    def _create_plan(self, asked: Parameters) -> dict[str, Any]:
        refuse_others("apigateway:CreateUsagePlan", asked, _PLAN)
        for entry in asked.get("apiStages", []):
            refuse_others("apigateway:CreateUsagePlan: apiStages", entry, {"apiId", "stage"})
            self._apis.get(entry["apiId"]).stage(entry["stage"])
        plan = {"apiStages": [], **asked, "id": self._apis.new_id(6)}
        self._apis.plans[plan["id"]] = plan
        return plan

    def _update_plan(self, asked: Parameters) -> dict[str, Any]:
        known: dict[str, Patch] = {
            "/apiStages": self._stage_member,
            "/description": setting("description"),
            "/name": setting("name"),
            "/quota": setting("quota"),
            "/quota/limit": setting("quota", "limit", convert=INTEGER),
            "/quota/offset": setting("quota", "offset", convert=INTEGER),
            "/quota/period": setting("quota", "period"),
            "/throttle": setting("throttle"),
            "/throttle/burstLimit": setting("throttle", "burstLimit", convert=INTEGER),
            "/throttle/rateLimit": setting("throttle", "rateLimit", convert=FLOAT),
        }
        plan = self._plan(asked)
        patches.apply("UpdateUsagePlan", plan, asked.get("patchOperations", []), known)
        return plan

    def _stage_member(self, plan: dict[str, Any], operation: str, value: str) -> None:
        api_id, _, stage = value.partition(":")
        entry = {"apiId": api_id, "stage": stage}
        plan["apiStages"] = [_ for _ in plan["apiStages"] if _ != entry]
        if operation == "add":
            self._apis.get(api_id).stage(stage)
            plan["apiStages"].append(entry)

    def _delete_plan(self, asked: Parameters) -> None:
        plan = self._plan(asked)
        if plan["apiStages"]:
            raise ApiError(
                "BadRequestException",
                f"Cannot delete usage plan {plan['id']} because there are API stages associated"
                " with this usage plan. Remove them first.",
            )
        self._apis.plans.pop(plan["id"])
        self._apis.plan_keys.pop(plan["id"], None)

    def _create_plan_key(self, asked: Parameters) -> dict[str, Any]:
        plan = self._plan(asked)
        key = self._apis.keys.get(asked["keyId"])
        if key is None or asked["keyType"] != "API_KEY":
            raise not_found("API Key")
        keys = self._apis.plan_keys.setdefault(plan["id"], [])
        if key["id"] in keys:
            raise ApiError("ConflictException", "Usage Plan Key already exists")
        keys.append(key["id"])
        return {"id": key["id"], "type": "API_KEY", "name": key.get("name", ""),
                "value": key["value"]}  # fmt: skip

    def _delete_plan_key(self, asked: Parameters) -> None:
        keys = self._apis.plan_keys.get(self._plan(asked)["id"], [])
        if asked["keyId"] not in keys:
            raise not_found("Usage Plan Key")
        keys.remove(asked["keyId"])

    # ---------------------------------------------------------------- tags

    def _tag(self, asked: Parameters) -> None:
        self._tagged(asked).setdefault("tags", {}).update(asked["tags"])

    def _untag(self, asked: Parameters) -> None:
        tags = self._tagged(asked).setdefault("tags", {})
        for key in asked["tagKeys"]:
            tags.pop(key, None)

    def _get_tags(self, asked: Parameters) -> dict[str, Any]:
        return {"tags": self._tagged(asked).get("tags", {})}

    def _tagged(self, asked: Parameters) -> dict[str, Any]:
        """What an ARN ``arn:aws:apigateway:<region>::/restapis/<id>`` names."""
        found = self._apis.tagged(asked["resourceArn"].partition("::")[2])
        if found is None:
            raise not_found("resource")
        return found

    # ---------------------------------------------------------------- finding

    def _api(self, asked: Parameters) -> Api:
        return self._apis.get(asked["restApiId"])

    def _resource(self, asked: Parameters) -> dict[str, Any]:
        return self._api(asked).resource(asked["resourceId"])

    def _method(self, asked: Parameters) -> dict[str, Any]:
        found: dict[str, Any] | None = self._resource(asked)["resourceMethods"].get(
            asked["httpMethod"]
        )
        if found is None:
            raise not_found("Method")
        return found

    def _model(self, asked: Parameters) -> dict[str, Any]:
        found = self._api(asked).definition.models.get(asked["modelName"])
        if found is None:
            raise not_found("Model Name")
        return found

    def _validator(self, asked: Parameters) -> dict[str, Any]:
        found = self._api(asked).definition.validators.get(asked["requestValidatorId"])
        if found is None:
            raise not_found("Request Validator")
        return found

    def _deployment(self, asked: Parameters) -> Deployment:
        found = self._api(asked).deployments.get(asked["deploymentId"])
        if found is None:
            raise not_found("Deployment")
        return found

    def _stage(self, asked: Parameters) -> dict[str, Any]:
        return self._api(asked).stage(asked["stageName"])

    def _key(self, asked: Parameters) -> dict[str, Any]:
        found = self._apis.keys.get(asked["apiKey"])
        if found is None:
            raise not_found("API Key")
        return found

    def _plan(self, asked: Parameters) -> dict[str, Any]:
        found = self._apis.plans.get(asked["usagePlanId"])
        if found is None:
            raise not_found("Usage Plan")
        return found


def function_of(uri: str) -> str | None:
    """ARN of the function that an integration's address names; `None` when it names none."""
    _, _, rest = uri.partition(":lambda:path/2015-03-31/functions/")
    arn, slash, end = rest.rpartition("/")
    return arn if slash and end == "invocations" and arn.startswith("arn:aws:lambda:") else None


def _check_endpoint(endpoint: Mapping[str, Any]) -> None:
    refuse_others("apigateway endpointConfiguration", endpoint, {"types"})
    if endpoint.get("types") not in (["EDGE"], ["REGIONAL"]):
        raise UnsupportedError(
            "apigateway",
            f"endpoint types {endpoint.get('types')}",
            "REGIONAL and EDGE are supported",
        )


def _check_key_source(source: str) -> str:
    if source != "HEADER":
        raise UnsupportedError("apigateway", f"apiKeySource {source}", "HEADER is supported")
    return source


def _check_schema(text: str) -> str:
    try:
        jsonschema.Draft4Validator.check_schema(json.loads(text))
    except (ValueError, jsonschema.SchemaError) as error:
        raise ApiError("BadRequestException", f"Invalid model schema specified: {error}") from error
    return text


def _member(name: str, member: str) -> Patch:
    """Adds a member to a list of texts, or removes it."""

    def patch(thing: dict[str, Any], operation: str, _: str) -> None:
        kept = [item for item in thing.get(name) or [] if item != member]
        thing[name] = kept if operation == "remove" else [*kept, member]

    return patch


def _stage_patch(parts: list[str]) -> Patch | None:
    """What a path of a stage's patch is about, besides the stage's own members."""
    match parts:
        case ["variables", name]:
            return setting("variables", name)
        case [resource, verb]:
            return setting("methodSettings", f"{resource}/{verb}")
        case [resource, verb, *rest] if "/".join(rest) in _METHOD_SETTINGS:
            name, convert = _METHOD_SETTINGS["/".join(rest)]
            return setting("methodSettings", f"{resource}/{verb}", name, convert=convert)
    return None


def _without_value(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "value"}
