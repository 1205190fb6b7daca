"""AWS::ServiceCatalog: portfolios, products, who may launch them and with which role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.resources.calls import (
    ID,
    ITEM,
    Call,
    Code,
    Source,
    State,
    attr,
    given,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_call = partial(Call, "servicecatalog")
_MISSING = ("ResourceNotFoundException",)
#: Makes a repeated creation the same one.
_TOKEN = {"IdempotencyToken": Source(lambda state: state.name)}


def _tags(operation: str) -> Items:
    return tags(
        _call(operation, {"Id": ID, "AddTags": ITEM}),
        _call(operation, {"Id": ID, "RemoveTags": TAG_KEYS}),
    )


_PORTFOLIO = given("AcceptLanguage", "DisplayName", "ProviderName")

PORTFOLIO = ResourceType(
    name="AWS::ServiceCatalog::Portfolio",
    create=_call("CreatePortfolio", {**_PORTFOLIO, **given("Description", "Tags"), **_TOKEN}),
    made={"Id": "PortfolioDetail.Id"},
    id=attr("Id"),
    parts=(
        Setting(
            _call(
                "UpdatePortfolio",
                {"Id": ID, **_PORTFOLIO, "Description": prop("Description", default="")},
            ),
            made_with_resource=True,
        ),
        _tags("UpdatePortfolio"),
    ),
    read=_call("DescribePortfolio", {"Id": ID}),
    attributes={"PortfolioName": "PortfolioDetail.DisplayName"},
    delete=(_call("DeletePortfolio", {"Id": ID}),),
    missing=_MISSING,
    volatile=frozenset({"PortfolioName"}),
)

# ------------------------------------------------------------------------------ products

_TEXTS = ("Description", "Distributor", "SupportDescription", "SupportEmail", "SupportUrl")
_PRODUCT = given("AcceptLanguage", "Name", "Owner")


def _artifact(version: Mapping[str, Any]) -> dict[str, Any]:
    """A version as Service Catalog takes it; template files are the only kind."""
    return {**version, "Type": "CLOUD_FORMATION_TEMPLATE"}


def _first(versions: list[Mapping[str, Any]]) -> dict[str, Any]:
    return _artifact(versions[0])


def _version(deployer: Deployer, state: State) -> dict[str, str]:
    """Which version of the product the template's entry has become: the oldest of that name."""
    product = {"ProductId": state.physical_id}
    answer = deployer.call("servicecatalog", "ListProvisioningArtifacts", product)
    found = sorted(
        (_ for _ in answer["ProvisioningArtifactDetails"] if _["Name"] == state.item.get("Name")),
        key=lambda version: version["CreatedTime"],
    )
    if not found:
        raise ResourceError(f"{state.physical_id} has no version {state.item.get('Name')!r}")
    return {**product, "ProvisioningArtifactId": found[0]["Id"]}


def _update_version(deployer: Deployer, state: State) -> None:
    described = {"Description": state.item.get("Description", "")}
    which = _version(deployer, state)
    deployer.call("servicecatalog", "UpdateProvisioningArtifact", {**which, **described})


def _delete_version(deployer: Deployer, state: State) -> None:
    which = _version(deployer, state)
    deployer.call("servicecatalog", "DeleteProvisioningArtifact", which)


_FIND_VERSION = ("servicecatalog", "ListProvisioningArtifacts")


def _describe(deployer: Deployer, state: State) -> dict[str, Any]:
    """The product, with its versions as one text each for ids and names."""
    answer = _DESCRIBE.run(deployer, state)
    versions = answer["ProvisioningArtifactSummaries"]
    return {
        "Name": answer["ProductViewDetail"]["ProductViewSummary"]["Name"],
        "Ids": ",".join(version["Id"] for version in versions),
        "Names": ",".join(version["Name"] for version in versions),
    }


_DESCRIBE = _call("DescribeProductAsAdmin", {"Id": ID})
_ADD_VERSION = _call(
    "CreateProvisioningArtifact",
    {"ProductId": ID, "Parameters": Source(lambda state: _artifact(state.item)), **_TOKEN},
)


class _Versions(Items):
    """Versions of a product, of which creation has made the first."""

    def apply(self, deployer: Deployer, before: State | None, after: State | None) -> None:
        if before is None and after is not None:
            versions = after.properties["ProvisioningArtifactParameters"]
            made = {**after.properties, "ProvisioningArtifactParameters": versions[:1]}
            before = State(after.name, made, after.physical_id, after.attributes)
        super().apply(deployer, before, after)


class _Product(ResourceType):
    def problems(self, properties: Mapping[str, Any]) -> Iterator[str]:
        """Versions stay what they are when others come: to replace them all is refused."""
        yield from super().problems(properties)
        if properties.get("ReplaceProvisioningArtifacts") in {True, "true"}:
            yield "#/ReplaceProvisioningArtifacts: true is not part of the local cloud"


PRODUCT = _Product(
    name="AWS::ServiceCatalog::CloudFormationProduct",
    fixed=("ReplaceProvisioningArtifacts",),
    create=_call(
        "CreateProduct",
        {
            **_PRODUCT,
            **given(*_TEXTS, "Tags"),
            "ProductType": "CLOUD_FORMATION_TEMPLATE",
            "ProvisioningArtifactParameters": prop("ProvisioningArtifactParameters", _first),
            **_TOKEN,
        },
    ),
    made={"Id": "ProductViewDetail.ProductViewSummary.ProductId"},
    id=attr("Id"),
    parts=(
        _Versions(
            prop("ProvisioningArtifactParameters"),
            _ADD_VERSION,
            Code(
                _delete_version,
                extra_operations=(_FIND_VERSION, ("servicecatalog", "DeleteProvisioningArtifact")),
            ),
            key=("Info", "Name"),
            update=Code(
                _update_version,
                extra_operations=(_FIND_VERSION, ("servicecatalog", "UpdateProvisioningArtifact")),
            ),
        ),
        Setting(
            _call(
                "UpdateProduct",
                {"Id": ID, **_PRODUCT, **{name: prop(name, default="") for name in _TEXTS}},
            ),
            made_with_resource=True,
        ),
        _tags("UpdateProduct"),
    ),
    read=Code(_describe, (_DESCRIBE,)),
    attributes={
        "ProductName": "Name",
        "ProvisioningArtifactIds": "Ids",
        "ProvisioningArtifactNames": "Names",
    },
    delete=(_call("DeleteProduct", {"Id": ID}),),
    missing=_MISSING,
    volatile=frozenset({"ProductName", "ProvisioningArtifactIds", "ProvisioningArtifactNames"}),
)

# ------------------------------------------------------------------------------ who may, and how


def _association(
    kind: str, parts: tuple[str, str], verb: str, *, once: tuple[str, ...] = (), both: str = ""
) -> ResourceType:
    """A type that says of two things that they belong together.

    `once` are properties that only making it takes, `both` one that deleting it takes as well.
    """
    named = (*parts, both) if both else parts
    return ResourceType(
        name=f"AWS::ServiceCatalog::{kind}",
        create=_call(f"Associate{verb}", given(*named, *once)),
        id=Source(lambda state: "|".join(state.properties[name] for name in parts)),
        delete=(_call(f"Disassociate{verb.replace('With', 'From')}", given(*named)),),
        missing=_MISSING,
    )


PORTFOLIO_PRODUCT = _association(
    "PortfolioProductAssociation",
    ("PortfolioId", "ProductId"),
    "ProductWithPortfolio",
    once=("SourcePortfolioId",),
    both="AcceptLanguage",
)
PORTFOLIO_PRINCIPAL = _association(
    "PortfolioPrincipalAssociation",
    ("PortfolioId", "PrincipalARN"),
    "PrincipalWithPortfolio",
    once=("AcceptLanguage",),
    both="PrincipalType",  # a pattern is not found without it
)
TAG_OPTION_ASSOCIATION = _association(
    "TagOptionAssociation", ("TagOptionId", "ResourceId"), "TagOptionWithResource"
)


def _launch_role(state: State) -> dict[str, Any] | None:
    names = ("LocalRoleName", "RoleArn")
    return {name: state.properties[name] for name in names if name in state.properties} or None


_CONSTRAINT = {
    "Parameters": Source(_launch_role, ("LocalRoleName", "RoleArn")),
    **given("AcceptLanguage", "Description"),
}

LAUNCH_ROLE_CONSTRAINT = ResourceType(
    name="AWS::ServiceCatalog::LaunchRoleConstraint",
    create=_call(
        "CreateConstraint",
        {**_CONSTRAINT, **given("PortfolioId", "ProductId"), "Type": "LAUNCH", **_TOKEN},
    ),
    made={"Id": "ConstraintDetail.ConstraintId"},
    id=attr("Id"),
    parts=(Setting(_call("UpdateConstraint", {"Id": ID, **_CONSTRAINT}), made_with_resource=True),),
    delete=(_call("DeleteConstraint", {"Id": ID}),),
    missing=_MISSING,
)

TAG_OPTION = ResourceType(
    name="AWS::ServiceCatalog::TagOption",
    create=_call("CreateTagOption", given("Key", "Value")),
    made={"Id": "TagOptionDetail.Id"},
    id=attr("Id"),
    parts=(Setting(_call("UpdateTagOption", {"Id": ID, "Active": prop("Active", default=True)})),),
    delete=(_call("DeleteTagOption", {"Id": ID}),),
    missing=_MISSING,
)

TYPES = (
    PORTFOLIO,
    PRODUCT,
    PORTFOLIO_PRODUCT,
    PORTFOLIO_PRINCIPAL,
    LAUNCH_ROLE_CONSTRAINT,
    TAG_OPTION,
    TAG_OPTION_ASSOCIATION,
)
