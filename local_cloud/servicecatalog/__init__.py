"""Service Catalog: products of a portfolio, launched as stacks with the portfolio's launch role.

=================== ==============================================================================
module              holds
=================== ==============================================================================
``catalog``         portfolios, products and their versions, and who may launch what
``administration``  operations of those who keep the catalog
``templates``       a version's template, checked and copied
``launching``       operations of those who launch products: each is a stack
``record``          what was done to a launched product, and how it ended
=================== ==============================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.servicecatalog import urls

from local_cloud.json_api import JsonApi
from local_cloud.parity import Parity
from local_cloud.servicecatalog.administration import Administration
from local_cloud.servicecatalog.catalog import Catalog
from local_cloud.servicecatalog.launching import Launching
from local_cloud.servicecatalog.templates import Templates

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity(
        "Service Catalog",
        "exact",
        "Portfolios, products, versions read from S3, associations, principals by ARN and by"
        " pattern, launch constraints, tag options; a launched product is the stack"
        " SC-<account>-pp-<id>, created, updated and deleted with the launch role, or the caller's"
        " permissions without one; nobody launches who is not a principal, the administrator"
        " neither; records, outputs, errors with the resource that failed",
    ),
    Parity(
        "Service Catalog",
        "partial",
        "Copies of templates are in a bucket of this account; stacks do not get the tags"
        " aws:servicecatalog:*; idempotency tokens are not remembered; lists come in one page;"
        " whoever may ask sees every launched product",
    ),
    Parity(
        "Service Catalog",
        "refused",
        "Other constraints, shares, copies, plans, service actions, budgets, stack sets, Terraform,"
        " products from a repository, notifications, terminating without deleting",
    ),
]


def install(cloud: LocalCloud) -> None:
    """Answer with an empty catalog until `cloud` stops."""
    catalog = Catalog(cloud)
    templates = Templates(cloud)
    operations = {
        **Administration(cloud, catalog, templates).operations(),
        **Launching(cloud, catalog, templates).operations(),
    }
    JsonApi(cloud, "servicecatalog", operations).install(urls)
