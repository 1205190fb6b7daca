"""What is offered to whom: portfolios, products, versions, constraints and tag options.

Source: https://docs.aws.amazon.com/servicecatalog/latest/adminguide/what-is_concepts.html
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from local_cloud.iam import Identity
from local_cloud.json_api import ApiError
from local_cloud.policies import matches

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = [
    "Catalog",
    "Constraint",
    "Path",
    "Portfolio",
    "Product",
    "TagOption",
    "Version",
    "new_id",
    "now",
]

_Thing = TypeVar("_Thing")

_ALPHABET = string.ascii_lowercase + string.digits
_ID_CHARACTERS = 13


def new_id(prefix: str) -> str:
    """An id as Service Catalog makes them, for instance ``prod-5uomzsqgmhf2k``."""
    return f"{prefix}-{''.join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))}"


def now() -> dt.datetime:
    """The moment, with its zone."""
    return dt.datetime.now(dt.UTC)


@dataclass
class Version:
    """A version of a product: a provisioning artifact.

    Parameters
    ----------
    name, description
        As given.
    source_url, url
        Where the template was read, and where its copy lies.
    is_active
        Whether it can be launched.
    """

    name: str
    description: str
    source_url: str
    url: str
    is_active: bool = True
    guidance: str = "DEFAULT"
    id: str = field(default_factory=lambda: new_id("pa"))
    created: dt.datetime = field(default_factory=now)


@dataclass
class Product:
    """A product with its versions, in the order in which they were made.

    Parameters
    ----------
    texts
        ``Name``, ``Owner``, ``Description`` and so on, as given.
    """

    texts: dict[str, str]
    tags: dict[str, str]
    versions: dict[str, Version] = field(default_factory=dict)
    id: str = field(default_factory=lambda: new_id("prod"))
    created: dt.datetime = field(default_factory=now)

    @property
    def name(self) -> str:
        """What users see."""
        return self.texts["Name"]

    def version(self, version_id: str | None, name: str | None = None) -> Version:
        """A version by id or name.

        Raises
        ------
        ApiError
            When there is none.
        """
        for version in self.versions.values():
            if version.id == version_id or (version_id is None and version.name == name):
                return version
        raise _missing("Provisioning artifact", version_id or name)


@dataclass
class Portfolio:
    """Products, and the principals who may launch them.

    Parameters
    ----------
    texts
        ``DisplayName``, ``ProviderName``, ``Description``.
    product_ids
        Products it has.
    principals
        Type, ``IAM`` or ``IAM_PATTERN``, and ARN.
    """

    texts: dict[str, str]
    tags: dict[str, str]
    product_ids: list[str] = field(default_factory=list)
    principals: list[tuple[str, str]] = field(default_factory=list)
    id: str = field(default_factory=lambda: new_id("port"))
    created: dt.datetime = field(default_factory=now)

    def admits(self, identity: Identity) -> bool:
        """Whether somebody may launch the products of this portfolio."""
        arn = str(identity.role.arn) if identity.role else identity.arn
        # A pattern has no account: it is meant for portfolios that are shared.
        head, _, name = arn.partition("::")
        anywhere = f"{head}:::{name.partition(':')[2]}"
        return any(
            arn == wanted if kind == "IAM" else matches(wanted, anywhere)
            for kind, wanted in self.principals
        )


@dataclass
class Constraint:
    """The role with which a product of a portfolio is launched."""

    portfolio_id: str
    product_id: str
    parameters: str
    role_arn: str
    description: str
    id: str = field(default_factory=lambda: new_id("cons"))


@dataclass
class TagOption:
    """A tag for what is launched of the products and portfolios it belongs to."""

    key: str
    value: str
    is_active: bool = True
    resource_ids: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: new_id("tag"))


@dataclass(frozen=True)
class Path:
    """A way to launch a product: through one portfolio.

    Parameters
    ----------
    constraint
        ``None`` when whoever launches it needs the permissions of the template's resources.
    """

    portfolio: Portfolio
    product: Product
    constraint: Constraint | None

    @property
    def id(self) -> str:
        """The same for the same portfolio and product."""
        parts = f"{self.portfolio.id}/{self.product.id}".encode()
        return f"lpv3-{hashlib.sha256(parts).hexdigest()[:_ID_CHARACTERS]}"

    @property
    def name(self) -> str:
        """Of the portfolio."""
        return self.portfolio.texts["DisplayName"]


class Catalog:
    """Everything that the administrators of one account keep.

    Parameters
    ----------
    cloud
        The account.
    """

    def __init__(self, cloud: LocalCloud) -> None:
        self.portfolios: dict[str, Portfolio] = {}
        self.products: dict[str, Product] = {}
        self.constraints: dict[str, Constraint] = {}
        self.tag_options: dict[str, TagOption] = {}
        self._cloud = cloud

    def arn(self, kind: str, name: str, service: str = "catalog") -> str:
        """ARN of a portfolio, a product, or (service ``servicecatalog``) of what was launched."""
        return f"arn:aws:{service}:{self._cloud.region}:{self._cloud.account_id}:{kind}/{name}"

    def portfolio(self, portfolio_id: str) -> Portfolio:
        """A portfolio; raises ApiError without one."""
        return _found(self.portfolios, portfolio_id, "Portfolio")

    def product(self, product_id: str | None, name: str | None = None) -> Product:
        """A product by id or name; raises ApiError without one."""
        for product in list(self.products.values()):
            if product.id == product_id or (product_id is None and product.name == name):
                return product
        raise _missing("Product", product_id or name)

    def constraint(self, constraint_id: str) -> Constraint:
        """A constraint; raises ApiError without one."""
        return _found(self.constraints, constraint_id, "Constraint")

    def tag_option(self, option_id: str) -> TagOption:
        """A tag option; raises ApiError without one."""
        return _found(self.tag_options, option_id, "TagOption")

    def constraint_of(self, portfolio_id: str, product_id: str) -> Constraint | None:
        """The launch constraint of a product in a portfolio."""
        found = (
            constraint
            for constraint in list(self.constraints.values())
            if (constraint.portfolio_id, constraint.product_id) == (portfolio_id, product_id)
        )
        return next(found, None)

    def paths(self, product: Product, identity: Identity) -> list[Path]:
        """The ways in which somebody may launch a product; none for who is no principal."""
        return [
            Path(portfolio, product, self.constraint_of(portfolio.id, product.id))
            for portfolio in list(self.portfolios.values())
            if product.id in portfolio.product_ids and portfolio.admits(identity)
        ]

    def offered(self, identity: Identity) -> list[Product]:
        """The products that somebody may launch."""
        return [
            product for product in list(self.products.values()) if self.paths(product, identity)
        ]

    def tag_options_of(self, *resource_ids: str) -> list[TagOption]:
        """Tag options of any of these products and portfolios."""
        return [
            option
            for option in list(self.tag_options.values())
            if set(resource_ids) & set(option.resource_ids)
        ]

    def forced_tags(self, path: Path) -> dict[str, str]:
        """Tags that everything launched on a path gets: those with one value to choose from."""
        values: dict[str, set[str]] = {}
        for option in self.tag_options_of(path.product.id, path.portfolio.id):
            if option.is_active:
                values.setdefault(option.key, set()).add(option.value)
        return {key: next(iter(found)) for key, found in values.items() if len(found) == 1}


def _found(things: Mapping[str, _Thing], name: str, kind: str) -> _Thing:
    if name not in things:
        raise _missing(kind, name)
    return things[name]


def _missing(kind: str, name: str | None) -> ApiError:
    return ApiError("ResourceNotFoundException", f"{kind} {name} not found.")
