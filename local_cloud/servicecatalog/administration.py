"""Operations of those who keep the catalog.

Source: https://docs.aws.amazon.com/servicecatalog/latest/dg/API_Operations_AWS_Service_Catalog.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from local_cloud.actions import pass_role
from local_cloud.errors import UnsupportedError
from local_cloud.iam import DeniedError, Identity
from local_cloud.json_api import ApiError, Operation, Parameters, refuse_others
from local_cloud.servicecatalog.catalog import (
    Catalog,
    Constraint,
    Portfolio,
    Product,
    TagOption,
    Version,
)
from local_cloud.servicecatalog.templates import Templates

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Administration", "product_summary"]

_PORTFOLIO_TEXTS = ("DisplayName", "ProviderName", "Description")
_PRODUCT_TEXTS = (
    "Name", "Owner", "Description", "Distributor", "SupportDescription", "SupportEmail",
    "SupportUrl",
)  # fmt: skip
#: Kinds of products and versions.
_TEMPLATE = "CLOUD_FORMATION_TEMPLATE"
_COMMON = ("AcceptLanguage", "IdempotencyToken", "Tags", "AddTags", "RemoveTags", "Id")
_PRINCIPAL = "servicecatalog.amazonaws.com"
_PRINCIPAL_TYPES = ("IAM", "IAM_PATTERN")


class Administration:
    """Portfolios, products, versions, principals, constraints and tag options.

    Parameters
    ----------
    cloud, catalog, templates
        The account, what is kept, and where templates are copied.
    """

    def __init__(self, cloud: LocalCloud, catalog: Catalog, templates: Templates) -> None:
        self._cloud = cloud
        self._catalog = catalog
        self._templates = templates

    def operations(self) -> dict[str, Operation]:
        """What the API answers, by the operations' names."""
        return {
            "AssociatePrincipalWithPortfolio": self._associate_principal,
            "AssociateProductWithPortfolio": self._associate_product,
            "AssociateTagOptionWithResource": self._associate_tag_option,
            "CreateConstraint": self._create_constraint,
            "CreatePortfolio": self._create_portfolio,
            "CreateProduct": self._create_product,
            "CreateProvisioningArtifact": self._create_version,
            "CreateTagOption": self._create_tag_option,
            "DeleteConstraint": self._delete_constraint,
            "DeletePortfolio": self._delete_portfolio,
            "DeleteProduct": self._delete_product,
            "DeleteProvisioningArtifact": self._delete_version,
            "DeleteTagOption": self._delete_tag_option,
            "DescribeConstraint": self._describe_constraint,
            "DescribePortfolio": self._describe_portfolio,
            "DescribeProductAsAdmin": self._describe_product,
            "DescribeProvisioningArtifact": self._describe_version,
            "DescribeTagOption": self._describe_tag_option,
            "DisassociatePrincipalFromPortfolio": self._disassociate_principal,
            "DisassociateProductFromPortfolio": self._disassociate_product,
            "DisassociateTagOptionFromResource": self._disassociate_tag_option,
            "ListConstraintsForPortfolio": self._list_constraints,
            "ListPortfolios": self._list_portfolios,
            "ListPortfoliosForProduct": self._list_portfolios_of_product,
            "ListPrincipalsForPortfolio": self._list_principals,
            "ListProvisioningArtifacts": self._list_versions,
            "ListTagOptions": self._list_tag_options,
            "SearchProductsAsAdmin": self._search_products,
            "UpdateConstraint": self._update_constraint,
            "UpdatePortfolio": self._update_portfolio,
            "UpdateProduct": self._update_product,
            "UpdateProvisioningArtifact": self._update_version,
            "UpdateTagOption": self._update_tag_option,
        }

    # ---------------------------------------------------------------- portfolios

    def _create_portfolio(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        portfolio = Portfolio(_texts(asked, _PORTFOLIO_TEXTS), _tags(asked.get("Tags")))
        self._catalog.portfolios[portfolio.id] = portfolio
        return self._portfolio(portfolio)

    def _update_portfolio(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        portfolio = self._catalog.portfolio(asked["Id"])
        portfolio.texts.update(_texts(asked, _PORTFOLIO_TEXTS))
        _change_tags(portfolio.tags, asked)
        return self._portfolio(portfolio)

    def _describe_portfolio(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        portfolio = self._catalog.portfolio(asked["Id"])
        options = self._catalog.tag_options_of(portfolio.id)
        return {**self._portfolio(portfolio), "TagOptions": self._options(options)}

    def _delete_portfolio(self, asked: Parameters, _: Identity) -> None:
        portfolio = self._catalog.portfolio(asked["Id"])
        if portfolio.product_ids or portfolio.principals:
            raise _in_use(f"Portfolio {portfolio.id} still has products or principals.")
        del self._catalog.portfolios[portfolio.id]
        self._forget_tag_options(portfolio.id)

    def _list_portfolios(self, _: Parameters, __: Identity) -> dict[str, Any]:
        return self._portfolios(list(self._catalog.portfolios.values()))

    def _list_portfolios_of_product(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        product = self._catalog.product(asked["ProductId"])
        return self._portfolios(self._having(product))

    def _portfolios(self, portfolios: Iterable[Portfolio]) -> dict[str, Any]:
        return {"PortfolioDetails": [self._portfolio(_)["PortfolioDetail"] for _ in portfolios]}

    def _portfolio(self, portfolio: Portfolio) -> dict[str, Any]:
        return {
            "PortfolioDetail": {
                "Id": portfolio.id,
                "ARN": self._catalog.arn("portfolio", portfolio.id),
                "CreatedTime": portfolio.created,
                **portfolio.texts,
            },
            "Tags": _tag_list(portfolio.tags),
        }

    # ---------------------------------------------------------------- principals

    def _associate_principal(self, asked: Parameters, _: Identity) -> None:
        principal = _principal(asked)
        portfolio = self._catalog.portfolio(asked["PortfolioId"])
        if principal not in portfolio.principals:
            portfolio.principals.append(principal)

    def _disassociate_principal(self, asked: Parameters, _: Identity) -> None:
        principal = _principal(asked)
        portfolio = self._catalog.portfolio(asked["PortfolioId"])
        if principal in portfolio.principals:
            portfolio.principals.remove(principal)

    def _list_principals(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        portfolio = self._catalog.portfolio(asked["PortfolioId"])
        return {
            "Principals": [
                {"PrincipalARN": arn, "PrincipalType": kind} for kind, arn in portfolio.principals
            ]
        }

    # ---------------------------------------------------------------- products

    def _create_product(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        where = "servicecatalog:CreateProduct"
        supported = (*_COMMON, *_PRODUCT_TEXTS, "ProductType", "ProvisioningArtifactParameters")
        refuse_others(where, asked, supported)
        _require_template(where, asked["ProductType"])
        if not asked.get("ProvisioningArtifactParameters"):
            raise _invalid("ProvisioningArtifactParameters is required")
        product = Product(_texts(asked, _PRODUCT_TEXTS), _tags(asked.get("Tags")))
        version = self._add_version(product, asked["ProvisioningArtifactParameters"], identity)
        self._catalog.products[product.id] = product
        return {**self._product(product), "ProvisioningArtifactDetail": _version(version)}

    def _update_product(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        refuse_others("servicecatalog:UpdateProduct", asked, (*_COMMON, *_PRODUCT_TEXTS))
        product = self._catalog.product(asked["Id"])
        product.texts.update(_texts(asked, _PRODUCT_TEXTS))
        _change_tags(product.tags, asked)
        return self._product(product)

    def _describe_product(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        product = self._catalog.product(asked.get("Id"), asked.get("Name"))
        return {
            **self._product(product),
            "ProvisioningArtifactSummaries": [
                {
                    "Id": version.id,
                    "Name": version.name,
                    "Description": version.description,
                    "CreatedTime": version.created,
                }
                for version in product.versions.values()
            ],
            "TagOptions": self._options(self._catalog.tag_options_of(product.id)),
        }

    def _delete_product(self, asked: Parameters, _: Identity) -> None:
        product = self._catalog.product(asked["Id"])
        if self._having(product):
            raise _in_use(f"Product {product.id} is still in a portfolio.")
        del self._catalog.products[product.id]
        self._forget_tag_options(product.id)

    def _search_products(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        refuse_others("servicecatalog:SearchProductsAsAdmin", asked, (*_COMMON, "PortfolioId"))
        products = list(self._catalog.products.values())
        if asked.get("PortfolioId"):
            portfolio = self._catalog.portfolio(asked["PortfolioId"])
            products = [_ for _ in products if _.id in portfolio.product_ids]
        return {"ProductViewDetails": [self._product(_)["ProductViewDetail"] for _ in products]}

    def _associate_product(self, asked: Parameters, _: Identity) -> None:
        refuse_others(
            "servicecatalog:AssociateProductWithPortfolio",
            asked,
            (*_COMMON, "PortfolioId", "ProductId"),
        )
        product = self._catalog.product(asked["ProductId"])
        portfolio = self._catalog.portfolio(asked["PortfolioId"])
        if product.id not in portfolio.product_ids:
            portfolio.product_ids.append(product.id)

    def _disassociate_product(self, asked: Parameters, _: Identity) -> None:
        product = self._catalog.product(asked["ProductId"])
        portfolio = self._catalog.portfolio(asked["PortfolioId"])
        if self._catalog.constraint_of(portfolio.id, product.id):
            raise _in_use(f"Product {product.id} has a constraint in portfolio {portfolio.id}.")
        if product.id in portfolio.product_ids:
            portfolio.product_ids.remove(product.id)

    def _having(self, product: Product) -> list[Portfolio]:
        portfolios = list(self._catalog.portfolios.values())
        return [portfolio for portfolio in portfolios if product.id in portfolio.product_ids]

    def _product(self, product: Product) -> dict[str, Any]:
        return {
            "ProductViewDetail": {
                "ProductViewSummary": product_summary(
                    product, has_path=bool(self._having(product))
                ),
                "Status": "AVAILABLE",
                "ProductARN": self._catalog.arn("product", product.id),
                "CreatedTime": product.created,
            },
            "Tags": _tag_list(product.tags),
        }

    # ---------------------------------------------------------------- versions

    def _create_version(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        product = self._catalog.product(asked["ProductId"])
        version = self._add_version(product, asked["Parameters"], identity)
        return self._described(version)

    def _add_version(self, product: Product, given: Parameters, identity: Identity) -> Version:
        where = "servicecatalog: version of a product"
        supported = ("Name", "Description", "Info", "Type", "DisableTemplateValidation")
        refuse_others(where, given, supported)
        refuse_others(f"{where}, Info", given["Info"], ("LoadTemplateFromURL",))
        _require_template(where, given.get("Type") or _TEMPLATE)
        url = given["Info"].get("LoadTemplateFromURL")
        if not url:
            raise _invalid("Info.LoadTemplateFromURL is required")
        is_checked = not given.get("DisableTemplateValidation")
        copy = self._templates.publish(url, identity, is_checked=is_checked)
        version = Version(given.get("Name") or "", given.get("Description") or "", url, copy)
        product.versions[version.id] = version
        return version

    def _update_version(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        version = self._version_asked_for(asked)
        version.name = asked.get("Name", version.name)
        version.description = asked.get("Description", version.description)
        version.is_active = asked.get("Active", version.is_active)
        version.guidance = asked.get("Guidance", version.guidance)
        return self._described(version)

    def _delete_version(self, asked: Parameters, _: Identity) -> None:
        product = self._catalog.product(asked["ProductId"])
        version = product.version(asked["ProvisioningArtifactId"])
        if len(product.versions) == 1:
            raise _in_use(f"{version.id} is the only version of product {product.id}.")
        del product.versions[version.id]

    def _describe_version(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        return self._described(self._version_asked_for(asked))

    def _list_versions(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        product = self._catalog.product(asked["ProductId"])
        return {"ProvisioningArtifactDetails": [_version(_) for _ in product.versions.values()]}

    def _version_asked_for(self, asked: Parameters) -> Version:
        product = self._catalog.product(asked.get("ProductId"), asked.get("ProductName"))
        return product.version(
            asked.get("ProvisioningArtifactId"), asked.get("ProvisioningArtifactName")
        )

    @staticmethod
    def _described(version: Version) -> dict[str, Any]:
        return {
            "ProvisioningArtifactDetail": _version(version),
            "Info": {"TemplateUrl": version.source_url},
            "Status": "AVAILABLE",
        }

    # ---------------------------------------------------------------- constraints

    def _create_constraint(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        if asked["Type"] != "LAUNCH":
            raise UnsupportedError(
                "servicecatalog:CreateConstraint", f"Type {asked['Type']}", "LAUNCH is supported"
            )
        portfolio = self._catalog.portfolio(asked["PortfolioId"])
        product = self._catalog.product(asked["ProductId"])
        if product.id not in portfolio.product_ids:
            raise ApiError(
                "ResourceNotFoundException",
                f"Product {product.id} is not in portfolio {portfolio.id}.",
            )
        if self._catalog.constraint_of(portfolio.id, product.id):
            raise ApiError(
                "DuplicateResourceException",
                f"Product {product.id} has a launch constraint in portfolio {portfolio.id}.",
            )
        constraint = Constraint(
            portfolio.id,
            product.id,
            asked["Parameters"],
            self._launch_role(asked["Parameters"], identity),
            asked.get("Description", ""),
        )
        self._catalog.constraints[constraint.id] = constraint
        return self._constraint(constraint)

    def _launch_role(self, parameters: str, identity: Identity) -> str:
        """ARN of the role of a constraint, which the caller must be allowed to pass on."""
        try:
            given = json.loads(parameters)
        except json.JSONDecodeError as error:
            raise _invalid(f"Parameters is not JSON: {error}") from error
        if not isinstance(given, dict) or len({"RoleArn", "LocalRoleName"} & set(given)) != 1:
            raise _invalid(f"Parameters is {parameters}; RoleArn or LocalRoleName is required")
        local = f"arn:aws:iam::{self._cloud.account_id}:role/{given.get('LocalRoleName')}"
        role_arn = str(given.get("RoleArn") or local)
        try:
            self._cloud.account.check(identity, [pass_role(role_arn, _PRINCIPAL)])
        except DeniedError as error:
            raise ApiError("AccessDeniedException", str(error)) from error
        return role_arn

    def _update_constraint(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        constraint = self._catalog.constraint(asked["Id"])
        if asked.get("Parameters"):
            constraint.role_arn = self._launch_role(asked["Parameters"], identity)
            constraint.parameters = asked["Parameters"]
        constraint.description = asked.get("Description", constraint.description)
        return self._constraint(constraint)

    def _describe_constraint(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        return self._constraint(self._catalog.constraint(asked["Id"]))

    def _delete_constraint(self, asked: Parameters, _: Identity) -> None:
        del self._catalog.constraints[self._catalog.constraint(asked["Id"]).id]

    def _list_constraints(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        portfolio = self._catalog.portfolio(asked["PortfolioId"])
        product_id = asked.get("ProductId")
        return {
            "ConstraintDetails": [
                self._constraint(constraint)["ConstraintDetail"]
                for constraint in list(self._catalog.constraints.values())
                if constraint.portfolio_id == portfolio.id
                and product_id in {None, constraint.product_id}
            ]
        }

    def _constraint(self, constraint: Constraint) -> dict[str, Any]:
        return {
            "ConstraintDetail": {
                "ConstraintId": constraint.id,
                "Type": "LAUNCH",
                "Description": constraint.description,
                "Owner": self._cloud.account_id,
                "ProductId": constraint.product_id,
                "PortfolioId": constraint.portfolio_id,
            },
            "ConstraintParameters": constraint.parameters,
            "Status": "AVAILABLE",
        }

    # ---------------------------------------------------------------- tag options

    def _create_tag_option(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        option = TagOption(asked["Key"], asked["Value"])
        if any((o.key, o.value) == (option.key, option.value) for o in self._all_options()):
            raise ApiError(
                "DuplicateResourceException",
                f"TagOption {option.key}={option.value} already exists.",
            )
        self._catalog.tag_options[option.id] = option
        return {"TagOptionDetail": self._option(option)}

    def _update_tag_option(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        option = self._catalog.tag_option(asked["Id"])
        option.value = asked.get("Value", option.value)
        option.is_active = asked.get("Active", option.is_active)
        return {"TagOptionDetail": self._option(option)}

    def _describe_tag_option(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        return {"TagOptionDetail": self._option(self._catalog.tag_option(asked["Id"]))}

    def _delete_tag_option(self, asked: Parameters, _: Identity) -> None:
        option = self._catalog.tag_option(asked["Id"])
        if option.resource_ids:
            raise _in_use(f"TagOption {option.id} is associated with {option.resource_ids[0]}.")
        del self._catalog.tag_options[option.id]

    def _list_tag_options(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        refuse_others("servicecatalog:ListTagOptions", asked, ())
        return {"TagOptionDetails": self._options(self._all_options())}

    def _associate_tag_option(self, asked: Parameters, _: Identity) -> None:
        option = self._catalog.tag_option(asked["TagOptionId"])
        resource_id = asked["ResourceId"]
        if resource_id not in {*self._catalog.products, *self._catalog.portfolios}:
            raise ApiError("ResourceNotFoundException", f"Resource {resource_id} not found.")
        if resource_id in option.resource_ids:
            raise ApiError(
                "DuplicateResourceException",
                f"TagOption {option.id} is associated with {resource_id} already.",
            )
        option.resource_ids.append(resource_id)

    def _disassociate_tag_option(self, asked: Parameters, _: Identity) -> None:
        option = self._catalog.tag_option(asked["TagOptionId"])
        if asked["ResourceId"] not in option.resource_ids:
            raise ApiError(
                "ResourceNotFoundException",
                f"TagOption {option.id} is not associated with {asked['ResourceId']}.",
            )
        option.resource_ids.remove(asked["ResourceId"])

    def _forget_tag_options(self, resource_id: str) -> None:
        for option in self._catalog.tag_options_of(resource_id):
            option.resource_ids.remove(resource_id)

    def _all_options(self) -> list[TagOption]:
        return list(self._catalog.tag_options.values())

    def _options(self, options: Iterable[TagOption]) -> list[dict[str, Any]]:
        return [self._option(option) for option in options]

    def _option(self, option: TagOption) -> dict[str, Any]:
        return {
            "Id": option.id,
            "Key": option.key,
            "Value": option.value,
            "Active": option.is_active,
            "Owner": self._cloud.account_id,
        }


def product_summary(product: Product, *, has_path: bool) -> dict[str, Any]:
    """A product as lists show it."""
    texts = dict(product.texts)
    return {
        "Id": product.id.replace("prod-", "prodview-", 1),
        "ProductId": product.id,
        "Type": _TEMPLATE,
        "HasDefaultPath": has_path,
        "ShortDescription": texts.pop("Description", ""),
        **texts,
    }


def _version(version: Version) -> dict[str, Any]:
    return {
        "Id": version.id,
        "Name": version.name,
        "Description": version.description,
        "Type": _TEMPLATE,
        "CreatedTime": version.created,
        "Active": version.is_active,
        "Guidance": version.guidance,
    }


def _texts(asked: Parameters, names: Iterable[str]) -> dict[str, str]:
    return {name: asked[name] for name in names if asked.get(name) is not None}


def _tags(given: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in given or ()}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _change_tags(tags: dict[str, str], asked: Parameters) -> None:
    tags.update(_tags(asked.get("AddTags")))
    for key in asked.get("RemoveTags") or ():
        tags.pop(key, None)


def _principal(asked: Parameters) -> tuple[str, str]:
    kind = asked.get("PrincipalType") or "IAM"
    arn = asked["PrincipalARN"]
    if kind not in _PRINCIPAL_TYPES:
        raise _invalid(f"PrincipalType {kind}; one of {', '.join(_PRINCIPAL_TYPES)} is required")
    if (kind == "IAM_PATTERN") != arn.startswith("arn:aws:iam:::"):
        required = "an ARN without account" if kind == "IAM_PATTERN" else "an ARN with account"
        raise _invalid(f"PrincipalARN {arn} with PrincipalType {kind}; {required} is required")
    return kind, arn


def _require_template(where: str, kind: str) -> None:
    if kind != _TEMPLATE:
        raise UnsupportedError(where, f"type {kind}", f"{_TEMPLATE} is supported")


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParametersException", message)


def _in_use(message: str) -> ApiError:
    return ApiError("ResourceInUseException", message)
