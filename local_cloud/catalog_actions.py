"""What calls of Service Catalog need: portfolios and products, and ``*`` for what was launched.

Written from the Service Authorization Reference, as :mod:`local_cloud.actions`, of whose tables it
is one. Where an operation names portfolio and product, both are checked.

Source:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsservicecatalog.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SERVICE_CATALOG"]

Resources = Callable[[Mapping[str, Any]], list[str]]


def _of(**kinds: str) -> Resources:
    """``kind=parameter``: the things whose ids these parameters hold; ``*`` of a kind without."""

    def resources(parameters: Mapping[str, Any]) -> list[str]:
        return [f"{kind}/{parameters.get(name) or '*'}" for kind, name in kinds.items()]

    return resources


def _anything(_: Mapping[str, Any]) -> list[str]:
    return ["*"]


_portfolio = _of(portfolio="Id")
_product = _of(product="Id")
_in_portfolio = _of(portfolio="PortfolioId")
_of_product = _of(product="ProductId")
_both = _of(portfolio="PortfolioId", product="ProductId")

#: Operation -> what follows the account in the ARNs.
SERVICE_CATALOG: dict[str, Resources] = {
    "AssociatePrincipalWithPortfolio": _in_portfolio,
    "AssociateProductWithPortfolio": _both,
    "AssociateTagOptionWithResource": _anything,
    "CreateConstraint": _both,
    "CreatePortfolio": _anything,
    "CreateProduct": _anything,
    "CreateProvisioningArtifact": _of_product,
    "CreateTagOption": _anything,
    "DeleteConstraint": _anything,
    "DeletePortfolio": _portfolio,
    "DeleteProduct": _product,
    "DeleteProvisioningArtifact": _of_product,
    "DeleteTagOption": _anything,
    "DescribeConstraint": _anything,
    "DescribePortfolio": _portfolio,
    "DescribeProduct": _product,
    "DescribeProductAsAdmin": _product,
    "DescribeProvisionedProduct": _anything,
    "DescribeProvisioningArtifact": _of_product,
    "DescribeProvisioningParameters": _of_product,
    "DescribeRecord": _anything,
    "DescribeTagOption": _anything,
    "DisassociatePrincipalFromPortfolio": _in_portfolio,
    "DisassociateProductFromPortfolio": _both,
    "DisassociateTagOptionFromResource": _anything,
    "GetProvisionedProductOutputs": _anything,
    "ListConstraintsForPortfolio": _in_portfolio,
    "ListLaunchPaths": _of_product,
    "ListPortfolios": _anything,
    "ListPortfoliosForProduct": _of_product,
    "ListPrincipalsForPortfolio": _in_portfolio,
    "ListProvisioningArtifacts": _of_product,
    "ListRecordHistory": _anything,
    "ListTagOptions": _anything,
    "ProvisionProduct": _of_product,
    "SearchProducts": _anything,
    "SearchProductsAsAdmin": _anything,
    "SearchProvisionedProducts": _anything,
    "TerminateProvisionedProduct": _anything,
    "UpdateConstraint": _anything,
    "UpdatePortfolio": _portfolio,
    "UpdateProduct": _product,
    "UpdateProvisionedProduct": _anything,
    "UpdateProvisioningArtifact": _of_product,
    "UpdateTagOption": _anything,
}
