"""Operations of those who launch products.

A launched product is a stack. It is made with the role of the launch constraint, or, without one,
with the permissions of whoever launches it. How it goes is looked up in the stack when somebody
asks.

Source: https://docs.aws.amazon.com/servicecatalog/latest/dg/API_ProvisionProduct.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_cloud.errors import TrustError
from local_cloud.iam import Identity
from local_cloud.json_api import ApiError, Operation, Parameters, refuse_others
from local_cloud.servicecatalog.administration import product_summary
from local_cloud.servicecatalog.catalog import Catalog, Path, Product, Version
from local_cloud.servicecatalog.record import Kind, Launched, Record, error_of
from local_cloud.servicecatalog.templates import Templates

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Launching"]

_PRINCIPAL = "servicecatalog.amazonaws.com"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
_WHAT = (
    "AcceptLanguage", "PathId", "PathName", "ProductId", "ProductName", "ProvisioningArtifactId",
    "ProvisioningArtifactName", "ProvisioningParameters", "Tags",
)  # fmt: skip
_PROVISION = (*_WHAT, "ProvisionToken", "ProvisionedProductName")
_WHICH = ("AcceptLanguage", "ProvisionedProductId", "ProvisionedProductName")
_UPDATE = (*_WHAT, *_WHICH, "UpdateToken")
_TERMINATE = (*_WHICH, "TerminateToken")


class Launching:
    """Products as users see them, and what they have launched.

    Parameters
    ----------
    cloud, catalog, templates
        The account, what is offered, and the versions' templates.
    """

    def __init__(self, cloud: LocalCloud, catalog: Catalog, templates: Templates) -> None:
        self._cloud = cloud
        self._catalog = catalog
        self._templates = templates
        self._launched: dict[str, Launched] = {}
        self._lock = threading.RLock()

    def operations(self) -> dict[str, Operation]:
        """What the API answers, by the operations' names."""
        return {
            "DescribeProduct": self._describe_product,
            "DescribeProvisionedProduct": self._describe,
            "DescribeProvisioningParameters": self._describe_parameters,
            "DescribeRecord": self._describe_record,
            "GetProvisionedProductOutputs": self._outputs,
            "ListLaunchPaths": self._list_paths,
            "ListRecordHistory": self._list_records,
            "ProvisionProduct": self._provision,
            "SearchProducts": self._search_products,
            "SearchProvisionedProducts": self._search,
            "TerminateProvisionedProduct": self._terminate,
            "UpdateProvisionedProduct": self._update,
        }

    # ---------------------------------------------------------------- what is offered

    def _search_products(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        refuse_others("servicecatalog:SearchProducts", asked, ("AcceptLanguage",))
        offered = self._catalog.offered(identity)
        return {"ProductViewSummaries": [product_summary(_, has_path=True) for _ in offered]}

    def _describe_product(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        product = self._catalog.product(asked.get("Id"), asked.get("Name"))
        paths = self._paths(product, identity)
        return {
            "ProductViewSummary": product_summary(product, has_path=True),
            "ProvisioningArtifacts": [
                {
                    "Id": version.id,
                    "Name": version.name,
                    "Description": version.description,
                    "CreatedTime": version.created,
                    "Guidance": version.guidance,
                }
                for version in product.versions.values()
                if version.is_active
            ],
            "LaunchPaths": [{"Id": path.id, "Name": path.name} for path in paths],
        }

    def _list_paths(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        product = self._catalog.product(asked["ProductId"])
        return {
            "LaunchPathSummaries": [
                {
                    "Id": path.id,
                    "Name": path.name,
                    "ConstraintSummaries": _constraints(path),
                    "Tags": _tag_list(self._catalog.forced_tags(path)),
                }
                for path in self._paths(product, identity)
            ]
        }

    def _describe_parameters(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        path, version = self._chosen(asked, identity)
        template = self._templates.parsed(version.url)
        return {
            "ProvisioningArtifactParameters": [
                {
                    "ParameterKey": parameter.name,
                    "DefaultValue": parameter.default,
                    "ParameterType": parameter.type,
                    "IsNoEcho": parameter.no_echo,
                    "Description": parameter.description,
                    "ParameterConstraints": {
                        "AllowedValues": list(parameter.allowed_values or ()),
                        "AllowedPattern": parameter.allowed_pattern,
                        "ConstraintDescription": parameter.constraint_description or None,
                    },
                }
                for parameter in template.parameters.values()
            ],
            "ConstraintSummaries": _constraints(path),
            "ProvisioningArtifactOutputKeys": [
                {"Key": output.name, "Description": output.description}
                for output in template.outputs.values()
            ],
        }

    def _paths(self, product: Product, identity: Identity) -> list[Path]:
        paths = self._catalog.paths(product, identity)
        if not paths:
            raise ApiError(
                "ResourceNotFoundException", f"No launch paths found for resource: {product.id}"
            )
        return paths

    def _chosen(self, asked: Parameters, identity: Identity) -> tuple[Path, Version]:
        """The path and the version that a request names."""
        product = self._catalog.product(asked.get("ProductId"), asked.get("ProductName"))
        paths = self._paths(product, identity)
        version = product.version(
            asked.get("ProvisioningArtifactId"), asked.get("ProvisioningArtifactName")
        )
        if not version.is_active:
            raise _missing(f"Provisioning artifact {version.id} is not active.")
        return _chosen_path(asked, paths), version

    # ---------------------------------------------------------------- launching

    def _provision(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        refuse_others("servicecatalog:ProvisionProduct", asked, _PROVISION)
        path, version = self._chosen(asked, identity)
        name = asked["ProvisionedProductName"]
        tags = {**_tags(asked), **self._catalog.forced_tags(path)}
        with self._lock:
            if any(launched.name == name for launched in self._all()):
                raise _invalid(f"A provisioned product named {name} already exists.")
            launched = Launched(
                name, identity.arn, path.product.id, version.id, path.id, dict(tags)
            )
            self._launched[launched.id] = launched
            record = _record("PROVISION_PRODUCT", path, version, tags)
            launched.begin(record)
        stack = {
            "StackName": f"SC-{self._cloud.account_id}-{launched.id}",
            **_stack(asked, version, tags),
        }

        def create(client: Any) -> None:
            launched.stack_id = client.create_stack(**stack)["StackId"]

        self._start(launched, identity, create)
        return {"RecordDetail": launched.describe(record)}

    def _update(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        refuse_others("servicecatalog:UpdateProvisionedProduct", asked, _UPDATE)
        with self._lock:
            launched = self._changeable(asked)
            if not launched.stack_id:
                raise _invalid(
                    f"Provisioned product {launched.id} has no stack; terminate it, and launch it"
                    " again."
                )
            path, version = self._chosen(_unchanged(launched, asked), identity)
            tags = {**launched.tags, **_tags(asked), **self._catalog.forced_tags(path)}
            record = _record("UPDATE_PROVISIONED_PRODUCT", path, version, tags)
            launched.begin(record)
        stack = {"StackName": launched.stack_id, **_stack(asked, version, tags)}

        def update(client: Any) -> None:
            try:
                client.update_stack(**stack)
            except ClientError as error:
                if error.response["Error"].get("Message") != "No updates are to be performed.":
                    raise
                launched.succeed()

        self._start(launched, identity, update)
        return {"RecordDetail": launched.describe(record)}

    def _terminate(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        refuse_others("servicecatalog:TerminateProvisionedProduct", asked, _TERMINATE)
        with self._lock:
            launched = self._changeable(asked)
            last = launched.records[-1]
            record = Record(
                "TERMINATE_PROVISIONED_PRODUCT",
                launched.product_id,
                launched.version_id,
                launched.path_id,
                last.role_arn,
                launched.tags,
            )
            launched.begin(record)

        def delete(client: Any) -> None:
            if launched.stack_id:
                client.delete_stack(StackName=launched.stack_id)
            else:
                launched.succeed()  # it was never begun

        self._start(launched, identity, delete)
        return {"RecordDetail": launched.describe(record)}

    def _start(self, launched: Launched, identity: Identity, action: Callable[[Any], None]) -> None:
        """Begin what a record says; what goes wrong is its error, not the request's."""
        role_arn = launched.records[-1].role_arn
        try:
            credentials = identity.credentials
            if role_arn is not None:
                credentials = self._cloud.credentials(role_arn, _PRINCIPAL)
            action(self._cloud.client_as("cloudformation", credentials))
            launched.records[-1].has_begun = True
        except TrustError as error:
            launched.fail(f"Access denied while assuming the role {role_arn}. ({error})")
        except ClientError as error:
            launched.fail(error_of(error))

    # ---------------------------------------------------------------- what was launched

    def _describe(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        launched = self._find(asked.get("Id"), asked.get("Name"))
        return {"ProvisionedProductDetail": launched.detail(self._arn(launched))}

    def _search(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        supported = ("AcceptLanguage", "AccessLevelFilter", "Filters")
        refuse_others("servicecatalog:SearchProvisionedProducts", asked, supported)
        terms = (asked.get("Filters") or {}).get("SearchQuery") or []
        found = [launched for launched in self._all() if _answers(launched, terms)]
        return {
            "ProvisionedProducts": [self._search_result(launched) for launched in found],
            "TotalResultsCount": len(found),
        }

    def _search_result(self, launched: Launched) -> dict[str, Any]:
        detail = launched.detail(self._arn(launched))
        del detail["LaunchRoleArn"]
        return {
            **detail,
            "Tags": _tag_list(launched.tags),
            "PhysicalId": launched.stack_id or None,
            "UserArn": launched.user_arn,
        }

    def _outputs(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        launched = self._find(
            asked.get("ProvisionedProductId"), asked.get("ProvisionedProductName")
        )
        wanted = asked.get("OutputKeys") or []
        outputs = self._stack_outputs(launched)
        known = {output["OutputKey"] for output in outputs}
        if unknown := sorted(set(wanted) - known):
            raise _invalid(f"OutputKeys {', '.join(unknown)} are not outputs of {launched.name}.")
        return {"Outputs": [_ for _ in outputs if not wanted or _["OutputKey"] in wanted]}

    def _describe_record(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        for launched in self._settled():
            for record in launched.records:
                if record.id == asked["Id"]:
                    is_last = record is launched.records[-1] and record.status == "SUCCEEDED"
                    outputs = self._stack_outputs(launched) if is_last else []
                    return {"RecordDetail": launched.describe(record), "RecordOutputs": outputs}
        raise _missing(f"Record {asked['Id']} not found.")

    def _list_records(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        supported = ("AcceptLanguage", "AccessLevelFilter", "SearchFilter")
        refuse_others("servicecatalog:ListRecordHistory", asked, supported)
        wanted = asked.get("SearchFilter") or {}
        keys = {"product": "product_id", "provisionedproduct": "id"}
        name = keys.get(str(wanted.get("Key")))
        records = [
            launched.describe(record)
            for launched in self._settled()
            for record in launched.records
            if name is None or getattr(launched, name) == wanted.get("Value")
        ]
        return {"RecordDetails": records}

    def _stack_outputs(self, launched: Launched) -> list[dict[str, Any]]:
        if not launched.stack_id:
            return []
        client = self._cloud.client("cloudformation")
        (stack,) = client.describe_stacks(StackName=launched.stack_id)["Stacks"]
        names = ("OutputKey", "OutputValue", "Description")
        return [
            {name: output[name] for name in names if name in output}
            for output in stack.get("Outputs", [])
        ]

    # ---------------------------------------------------------------- parts

    def _settled(self) -> list[Launched]:
        """Everything that was ever launched, as it is now."""
        client = self._cloud.client("cloudformation")
        with self._lock:
            for launched in self._launched.values():
                launched.settle(client)
            return list(self._launched.values())

    def _all(self) -> list[Launched]:
        return [launched for launched in self._settled() if not launched.is_gone]

    def _find(self, launched_id: str | None, name: str | None) -> Launched:
        for launched in self._all():
            if launched.id == launched_id or (launched_id is None and launched.name == name):
                return launched
        raise _missing(f"Provisioned product {launched_id or name} not found.")

    def _changeable(self, asked: Parameters) -> Launched:
        launched = self._find(
            asked.get("ProvisionedProductId"), asked.get("ProvisionedProductName")
        )
        if launched.status == "UNDER_CHANGE":
            raise _invalid(f"Provisioned product {launched.id} is under change; try again later.")
        return launched

    def _arn(self, launched: Launched) -> str:
        name = f"{launched.name}/{launched.id}"
        return self._catalog.arn("stack", name, service="servicecatalog")


def _record(kind: Kind, path: Path, version: Version, tags: dict[str, str]) -> Record:
    role_arn = path.constraint.role_arn if path.constraint else None
    return Record(kind, path.product.id, version.id, path.id, role_arn, tags)


def _stack(asked: Parameters, version: Version, tags: Mapping[str, str]) -> dict[str, Any]:
    return {
        "TemplateURL": version.url,
        "Parameters": [_parameter(item) for item in asked.get("ProvisioningParameters") or ()],
        "Tags": _tag_list(tags),
        "Capabilities": _CAPABILITIES,
    }


def _parameter(given: Parameters) -> dict[str, Any]:
    if given.get("UsePreviousValue"):
        return {"ParameterKey": given["Key"], "UsePreviousValue": True}
    return {"ParameterKey": given["Key"], "ParameterValue": given.get("Value") or ""}


def _unchanged(launched: Launched, asked: Parameters) -> Parameters:
    """A request of an update, completed with what it does not say."""
    completed = dict(asked)
    if not (asked.get("ProductId") or asked.get("ProductName")):
        completed["ProductId"] = launched.product_id
    if not (asked.get("ProvisioningArtifactId") or asked.get("ProvisioningArtifactName")):
        completed["ProvisioningArtifactId"] = launched.version_id
    return completed


def _chosen_path(asked: Parameters, paths: list[Path]) -> Path:
    path_id, name = asked.get("PathId"), asked.get("PathName")
    if not (path_id or name) and len(paths) > 1:
        raise _invalid(
            f"Product {paths[0].product.id} has {len(paths)} launch paths; PathId is required."
        )
    for path in paths:
        if path_id in {None, path.id} and name in {None, path.name}:
            return path
    raise _missing(f"Launch path {path_id or name} not found.")


def _constraints(path: Path) -> list[dict[str, str]]:
    if path.constraint is None:
        return []
    return [{"Type": "LAUNCH", "Description": path.constraint.description}]


def _answers(launched: Launched, terms: list[str]) -> bool:
    """Whether a product has what every term says: ``field:value``, or a part of its name."""
    fields = {
        "id": launched.id,
        "name": launched.name,
        "productid": launched.product_id,
        "provisioningartifactid": launched.version_id,
        "physicalid": launched.stack_id,
        "status": launched.status,
        "type": "CFN_STACK",
    }
    for term in terms:
        name, separator, value = term.partition(":")
        if separator and name.lower() not in fields:
            raise _invalid(f"{term}: one of the fields {', '.join(fields)} is supported")
        if separator and fields[name.lower()].lower() != value.strip('"').lower():
            return False
        if not separator and term.lower() not in launched.name.lower():
            return False
    return True


def _tags(asked: Parameters) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in asked.get("Tags") or ()}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _missing(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", message)


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParametersException", message)
