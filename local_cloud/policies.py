"""Whether IAM policies allow an action on a resource: pure, nothing but documents and a request.

Implements the evaluation of one account: an explicit deny anywhere wins; then the permissions
boundary and the session policy, where there are any, must allow; then an identity-based policy or a
resource-based policy must. A key policy comes first for KMS: without its leave no identity-based
policy counts.

Sources:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html

What is not understood (an operator, a condition key, a principal) is refused by name with
:class:`local_cloud.errors.UnsupportedError`, never taken for allowed or denied.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.errors import UnsupportedError

__all__ = ["Decision", "Policies", "Request", "decide", "matches", "matches_arn", "statements"]

Statement = Mapping[str, Any]

#: Condition keys that every request carries, or could carry and does not.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
GLOBAL_KEYS = frozenset(
    {
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "aws:currenttime",
        "aws:epochtime",
        "aws:multifactorauthpresent",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalisawsservice",
        "aws:principalorgid",
        "aws:principaltype",
        "aws:requestedregion",
        "aws:resourceaccount",
        "aws:securetransport",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceorgid",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:tagkeys",
        "aws:useragent",
        "aws:viaawsservice",
        "lambda:sourcefunctionarn",
    }
)
#: Keys with a name after the slash.
GLOBAL_PREFIXES = ("aws:requesttag/", "aws:principaltag/")


@dataclass(frozen=True)
class Request:
    """One action on one resource, with what is known about it.

    Parameters
    ----------
    action
        For instance ``s3:GetObject``.
    resource
        ARN, or ``*`` for an action without resources.
    context
        Condition key, lower case -> its values (several for a key with many values).
    keys
        Condition keys of the service that `context` would hold where they apply, lower case:
        a policy that asks for any other key is refused, because nobody here knows its value.
    principals
        How a resource-based policy names who asks: ARNs of role and session, or a service.
    accounts
        How it names the whole account, which leaves the decision to identity-based policies.
    """

    action: str
    resource: str
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    principals: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Policies:
    """The documents that apply; `None` where there is none of a kind.

    Parameters
    ----------
    identity
        Inline and managed policies of the role.
    boundary, session, resource
        Permissions boundary of the role, policy of the session, policy of the resource.
    resource_decides
        Whether an identity-based policy counts only with the leave of the resource's policy, given
        to the account (KMS keys, and trust policies of roles).
    """

    identity: tuple[Mapping[str, Any], ...] = ()
    boundary: Mapping[str, Any] | None = None
    session: Mapping[str, Any] | None = None
    resource: Mapping[str, Any] | None = None
    resource_decides: bool = False


@dataclass(frozen=True)
class Decision:
    """Whether a request is allowed, and where not, why, in AWS's words."""

    allowed: bool
    reason: str = ""


def decide(policies: Policies, request: Request) -> Decision:
    """Allowed or not, by the evaluation logic of one account."""
    kinds: tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...] = (
        ("an identity-based policy", policies.identity),
        ("a permissions boundary", _some(policies.boundary)),
        ("a session policy", _some(policies.session)),
        ("a resource-based policy", _some(policies.resource)),
    )
    anyone = dataclasses.replace(request, principals=request.principals | request.accounts)
    for kind, documents in kinds:
        if _any_matches(documents, anyone, "Deny"):
            return Decision(False, f"with an explicit deny in {kind}")
    for kind, document in (
        ("permissions boundary", policies.boundary),
        ("session policy", policies.session),
    ):
        if document is not None and not _any_matches((document,), request, "Allow"):
            return _no(kind, request)
    if _any_matches(_some(policies.resource), request, "Allow"):
        return Decision(True)
    if policies.resource_decides and not _any_matches(
        _some(policies.resource), _of_account(request), "Allow"
    ):
        return _no("resource-based policy", request)
    if _any_matches(policies.identity, request, "Allow"):
        return Decision(True)
    return _no("identity-based policy", request)


def _of_account(request: Request) -> Request:
    return dataclasses.replace(request, principals=request.accounts)


def _no(kind: str, request: Request) -> Decision:
    return Decision(False, f"because no {kind} allows the {request.action} action")


def _some(document: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    return () if document is None else (document,)


def _any_matches(documents: Iterable[Mapping[str, Any]], request: Request, effect: str) -> bool:
    return any(
        statement["Effect"] == effect and statement_matches(statement, request)
        for document in documents
        for statement in statements(document)
    )


def statements(document: Mapping[str, Any] | str) -> list[Statement]:
    """Statements of a policy document, which may be JSON text and may hold one without a list."""
    parsed = json.loads(document) if isinstance(document, str) else document
    found = parsed.get("Statement", [])
    return [found] if isinstance(found, Mapping) else list(found)


def statement_matches(statement: Statement, request: Request) -> bool:
    """Whether a statement speaks of this request, whatever its effect."""
    return (
        _action_matches(statement, request)
        and _resource_matches(statement, request)
        and _principal_matches(statement, request)
        and _conditions_match(statement.get("Condition", {}), request)
    )


def _action_matches(statement: Statement, request: Request) -> bool:
    action = request.action.lower()
    if "NotAction" in statement:
        return not any(matches(_.lower(), action) for _ in _list(statement["NotAction"]))
    return any(matches(_.lower(), action) for _ in _list(statement["Action"]))


def _resource_matches(statement: Statement, request: Request) -> bool:
    if "NotResource" in statement:
        patterns = _filled(statement["NotResource"], request)
        return not any(matches_arn(pattern, request.resource) for pattern in patterns)
    if "Resource" not in statement:  # a trust policy is about its own role
        return "Principal" in statement
    patterns = _filled(statement["Resource"], request)
    return any(matches_arn(pattern, request.resource) for pattern in patterns)


def _principal_matches(statement: Statement, request: Request) -> bool:
    if "NotPrincipal" in statement:
        raise UnsupportedError(
            "IAM policy", "a statement with NotPrincipal", "Principal with a condition is supported"
        )
    if "Principal" not in statement:
        return True
    principal = statement["Principal"]
    if principal == "*":
        return True
    named = {name for kind in ("AWS", "Service") for name in _list(principal.get(kind, [])) if name}
    return "*" in named or bool(named & request.principals)


# ------------------------------------------------------------------------------ matching


@functools.lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": ".", "\0*": r"\*", "\0?": r"\?"}
    pieces = re.split(r"(\0?[*?])", pattern)
    return re.compile("".join(parts.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern in which ``*`` is any text and ``?`` any character."""
    return _pattern(pattern).fullmatch(text) is not None


def matches_arn(pattern: str, resource: str) -> bool:
    """Whether a resource matches, part by part: no wildcard reaches over the first five colons.

    An ARN that stops early stands for any of what is missing, as AWS completes it.

    Examples
    --------
    >>> matches_arn("arn:aws:s3:::data/*", "arn:aws:s3:::data/a/b")
    True
    >>> matches_arn("arn:aws:*data", "arn:aws:s3:::data")
    False
    """
    if pattern == "*":
        return True
    if not resource.startswith("arn:"):
        return False
    patterns = pattern.split(":", 5)
    patterns += ["*"] * (6 - len(patterns))
    parts = resource.split(":", 5)
    return len(parts) == len(patterns) and all(map(matches, patterns, parts))


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class _UnknownVariableError(Exception):
    pass


def _filled(patterns: Any, request: Request) -> list[str]:
    """Patterns with their policy variables filled in; those without a value match nothing.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    filled = []
    for pattern in _list(patterns):
        try:
            filled.append(_VARIABLE.sub(functools.partial(_variable, request), str(pattern)))
        except _UnknownVariableError:
            continue
    return filled


def _variable(request: Request, found: re.Match[str]) -> str:
    name, _, default = (part.strip() for part in found.group(1).partition(","))
    if name in {"*", "?"}:
        return f"\0{name}"
    if name == "$":
        return "$"
    values = request.context.get(name.lower(), ())
    if len(values) == 1:
        return values[0]
    if default:
        return default.strip("'")
    _refuse_unknown_key(name, request)
    raise _UnknownVariableError(name)


# ------------------------------------------------------------------------------ conditions


def _conditions_match(conditions: Mapping[str, Mapping[str, Any]], request: Request) -> bool:
    return all(
        _condition_matches(operator, key, expected, request)
        for operator, block in conditions.items()
        for key, expected in block.items()
    )


def _condition_matches(operator: str, key: str, expected: Any, request: Request) -> bool:
    quantifier, _, name = operator.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if (name != "Null" and name not in _OPERATORS) or quantifier not in _QUANTIFIERS:
        raise UnsupportedError(
            "IAM policy",
            f"condition operator {operator!r}",
            f"one of {', '.join(['Null', *_OPERATORS])} is supported",
        )
    _refuse_unknown_key(key, request)
    found = request.context.get(key.lower(), ())
    wanted = _filled(expected, request)
    if name == "Null":
        return (not found) == (wanted[0].lower() == "true")
    if not found and if_exists:
        return True
    return _quantified(quantifier, name, found, wanted)


_QUANTIFIERS = frozenset({"", "ForAllValues", "ForAnyValue"})


def _quantified(quantifier: str, name: str, found: tuple[str, ...], wanted: list[str]) -> bool:
    positive = name.replace("Not", "", 1)
    negated = positive != name
    compare = _OPERATORS[positive]
    hits = [any(_holds(compare, value, want) for want in wanted) for value in found]
    verdicts = [hit != negated for hit in hits]
    if quantifier == "ForAllValues":
        return all(verdicts)
    if quantifier == "ForAnyValue":
        return any(verdicts)
    # A key without a value satisfies a negated operator only.
    return not any(hits) if negated else any(hits)


def _holds(compare: Callable[[str, str], bool], value: str, want: str) -> bool:
    try:
        return compare(value, want)
    except ValueError:  # "abc" is no number: the condition does not hold, as in AWS
        return False


def _refuse_unknown_key(key: str, request: Request) -> None:
    name = key.lower()
    known = name in GLOBAL_KEYS or name in request.keys or name in request.context
    if not known and not name.startswith((*GLOBAL_PREFIXES, *_open_keys(request))):
        raise UnsupportedError(
            "IAM policy",
            f"condition key {key!r} for {request.action}",
            "a key whose value is known here is needed",
            "See docs/parity.md",
        )


def _open_keys(request: Request) -> tuple[str, ...]:
    """Keys of a service that end in any name, for instance ``kms:EncryptionContext:aws:s3:arn``."""
    return tuple(key.removesuffix("*") for key in request.keys if key.endswith("*"))


def _time(text: str) -> dt.datetime:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return dt.datetime.fromtimestamp(float(text), dt.UTC)
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _in_network(value: str, want: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(want, strict=False)


def _like_arn(value: str, want: str) -> bool:
    return value.startswith("arn:") and matches_arn(want, value)


#: Operator without "Not" and without "IfExists" -> whether a value of the request satisfies it.
_POSITIVE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, want: value == _literal(want),
    "StringEqualsIgnoreCase": lambda value, want: value.lower() == _literal(want).lower(),
    "StringLike": lambda value, want: matches(want, value),
    "ArnEquals": _like_arn,
    "ArnLike": _like_arn,
    "Bool": lambda value, want: value.lower() == want.lower(),
    "NumericEquals": lambda value, want: float(value) == float(want),
    "NumericLessThan": lambda value, want: float(value) < float(want),
    "NumericLessThanEquals": lambda value, want: float(value) <= float(want),
    "NumericGreaterThan": lambda value, want: float(value) > float(want),
    "NumericGreaterThanEquals": lambda value, want: float(value) >= float(want),
    "DateEquals": lambda value, want: _time(value) == _time(want),
    "DateLessThan": lambda value, want: _time(value) < _time(want),
    "DateLessThanEquals": lambda value, want: _time(value) <= _time(want),
    "DateGreaterThan": lambda value, want: _time(value) > _time(want),
    "DateGreaterThanEquals": lambda value, want: _time(value) >= _time(want),
    "IpAddress": _in_network,
}
_NEGATED = (
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
    "ArnNotEquals",
    "ArnNotLike",
    "NumericNotEquals",
    "DateNotEquals",
    "NotIpAddress",
)
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    **_POSITIVE,
    **{name: _POSITIVE[name.replace("Not", "", 1)] for name in _NEGATED},
}


def _literal(want: str) -> str:
    """A filled-in ``${*}`` is a plain asterisk where no wildcard is meant."""
    return want.replace("\0", "")
