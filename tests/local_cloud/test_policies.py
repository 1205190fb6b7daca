"""IAM's evaluation logic, against small oracles and tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.errors import UnsupportedError
from local_cloud.policies import Decision, Policies, Request, decide, matches, matches_arn

ROLE = "arn:aws:iam::000000000000:role/job"
ACCOUNT = frozenset({"000000000000", "arn:aws:iam::000000000000:root"})
OBJECT = "arn:aws:s3:::data/releases/r1/model.tar.gz"
ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENY = {**ALLOW, "Effect": "Deny"}
NO_IDENTITY = "because no identity-based policy allows the s3:GetObject action"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def request(action: str = "s3:GetObject", resource: str = OBJECT, **context: Any) -> Request:
    """A request of ROLE; context keys are written with ``__`` for the colon."""
    return Request(
        action,
        resource,
        {
            key.replace("__", ":"): (value,) if isinstance(value, str) else tuple(value)
            for key, value in context.items()
        },
        frozenset({"s3:prefix", "kms:encryptioncontext:*"}),
        frozenset({ROLE}),
        ACCOUNT,
    )


def allowed(statement: dict[str, Any], asked: Request) -> bool:
    return decide(Policies((document({**ALLOW, **statement}),)), asked).allowed


# ------------------------------------------------------------------------------ wildcards


def matches_by_definition(pattern: str, text: str) -> bool:
    """What ``*`` and ``?`` mean, one character at a time."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return matches_by_definition(pattern[1:], text) or (
            bool(text) and matches_by_definition(pattern, text[1:])
        )
    return (
        bool(text) and pattern[0] in {"?", text[0]} and matches_by_definition(pattern[1:], text[1:])
    )


@given(
    pattern=st.text(alphabet="ab*?.[\n", max_size=8),
    text=st.text(alphabet="ab.[\n", max_size=8),
)
def test_wildcards_mean_what_they_are_defined_to_mean(pattern: str, text: str) -> None:
    assert matches(pattern, text) == matches_by_definition(pattern, text)


@given(
    parts=st.lists(st.text(alphabet="ab/", max_size=3), min_size=5, max_size=5),
    pattern=st.lists(st.text(alphabet="ab*?", max_size=3), min_size=5, max_size=5),
)
def test_an_arn_matches_part_by_part(parts: list[str], pattern: list[str]) -> None:
    expected = all(map(matches_by_definition, pattern, parts))
    assert matches_arn(":".join(["arn", *pattern]), ":".join(["arn", *parts])) == expected


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        ("*", OBJECT, True),
        ("*", "*", True),
        ("arn:aws:s3:::data/*", OBJECT, True),
        ("arn:aws:s3:::data", OBJECT, False),
        ("arn:aws:s3:::*", OBJECT, True),
        ("arn:aws:s3", OBJECT, True),  # completed by AWS with wildcards
        ("arn:aws:*data*", OBJECT, False),  # no wildcard reaches over a colon
        ("arn:aws:s3:::DATA/*", OBJECT, False),
        ("arn:aws:s3:::data/*", "*", False),  # an action without resources needs "*"
        ("arn:aws:logs:*:*:log-group:/a:*", "arn:aws:logs:r:1:log-group:/a:log-stream:b", True),
        ("arn:aws:logs:*:*:log-group:/a", "arn:aws:logs:r:1:log-group:/a:log-stream:", False),
    ],
)
def test_resources(pattern: str, resource: str, *, expected: bool) -> None:
    assert matches_arn(pattern, resource) is expected
    assert allowed({"Resource": ["arn:aws:sns:::x", pattern]}, request(resource=resource)) is (
        expected
    )


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Action": "s3:GetObject"}, True),
        ({"Action": "S3:getobject"}, True),
        ({"Action": ["s3:PutObject", "s3:Get*"]}, True),
        ({"Action": "s3:Get"}, False),
        ({"Action": "s3:Get?bject"}, True),
        ({"NotAction": "s3:Put*"}, True),
        ({"NotAction": ["s3:Get*"]}, False),
    ],
)
def test_actions(statement: dict[str, Any], *, expected: bool) -> None:
    base = {"Effect": "Allow", "Resource": "*", **statement}
    assert decide(Policies((document(base),)), request()).allowed is expected


@pytest.mark.parametrize(
    ("patterns", "expected"), [("arn:aws:s3:::other/*", True), (["arn:aws:s3:::data/*"], False)]
)
def test_not_resource(patterns: Any, *, expected: bool) -> None:
    statement = {"Effect": "Allow", "Action": "*", "NotResource": patterns}
    assert decide(Policies((document(statement),)), request()).allowed is expected


def test_a_single_statement_needs_no_list() -> None:
    assert decide(Policies(({"Statement": ALLOW},)), request()).allowed


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("arn:aws:s3:::data/${aws:PrincipalTag/team}/*", True),
        ("arn:aws:s3:::data/${aws:PrincipalTag/missing}*", False),
        ("arn:aws:s3:::data/${aws:PrincipalTag/missing, 'releases'}/*", True),
        ("arn:aws:s3:::data/releases/${*}", False),  # a plain asterisk
    ],
)
def test_variables(resource: str, *, expected: bool) -> None:
    asked = request(**{"aws__principaltag/team": "releases"})
    assert allowed({"Resource": resource}, asked) is expected


def test_a_literal_asterisk_matches_itself() -> None:
    assert allowed({"Resource": "arn:aws:s3:::a${*}b"}, request(resource="arn:aws:s3:::a*b"))


# ------------------------------------------------------------------------------ evaluation

DENIED = "with an explicit deny in"


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        (Policies(), Decision(False, NO_IDENTITY)),
        (Policies((document(ALLOW),)), Decision(True)),
        (
            Policies((document(ALLOW), document(DENY))),
            Decision(False, f"{DENIED} an identity-based policy"),
        ),
        (
            Policies((document(ALLOW),), boundary=document()),
            Decision(False, "because no permissions boundary allows the s3:GetObject action"),
        ),
        (Policies((document(ALLOW),), boundary=document(ALLOW)), Decision(True)),
        (Policies((), boundary=document(ALLOW)), Decision(False, NO_IDENTITY)),
        (
            Policies((document(ALLOW),), boundary=document(ALLOW, DENY)),
            Decision(False, f"{DENIED} a permissions boundary"),
        ),
        (
            Policies((document(ALLOW),), session=document()),
            Decision(False, "because no session policy allows the s3:GetObject action"),
        ),
        (
            Policies((document(ALLOW),), session=document(DENY)),
            Decision(False, f"{DENIED} a session policy"),
        ),
        (
            Policies((document(ALLOW),), resource=document({**DENY, "Principal": "*"})),
            Decision(False, f"{DENIED} a resource-based policy"),
        ),
        (
            Policies(resource=document({**ALLOW, "Principal": {"AWS": ROLE}})),
            Decision(True),
        ),
        (
            Policies(resource=document({**ALLOW, "Principal": {"AWS": min(ACCOUNT)}})),
            Decision(False, NO_IDENTITY),
        ),
        (
            Policies(resource=document({**ALLOW, "Principal": {"Service": "s3.amazonaws.com"}})),
            Decision(False, NO_IDENTITY),
        ),
        (
            Policies(resource=document({**ALLOW, "Principal": {"AWS": ROLE}}), boundary=document()),
            Decision(False, "because no permissions boundary allows the s3:GetObject action"),
        ),
    ],
)
def test_evaluation(policies: Policies, expected: Decision) -> None:
    assert decide(policies, request()) == expected


@pytest.mark.parametrize(
    ("identity", "principal", "expected"),
    [
        ((document(ALLOW),), "arn:aws:iam::000000000000:root", True),
        ((document(ALLOW),), "000000000000", True),
        ((document(ALLOW),), "arn:aws:iam::000000000000:role/other", False),
        ((), "arn:aws:iam::000000000000:root", False),
        ((), ROLE, True),
    ],
)
def test_where_the_resource_decides(
    identity: tuple[dict[str, Any], ...], principal: str, *, expected: bool
) -> None:
    """A key: identity-based policies count with the leave of the key policy only."""
    policies = Policies(
        identity,
        resource=document({**ALLOW, "Principal": {"AWS": principal}}),
        resource_decides=True,
    )
    assert decide(policies, request("kms:Decrypt")).allowed is expected


def test_a_deny_of_the_whole_account_denies_its_roles() -> None:
    deny = {**DENY, "Principal": {"AWS": "arn:aws:iam::000000000000:root"}}
    assert not decide(Policies((document(ALLOW),), resource=document(deny)), request()).allowed


# ------------------------------------------------------------------------------ conditions


@pytest.mark.parametrize(
    ("operator", "expected", "given_value", "holds"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", ["b", "a"], "a", True),
        ("StringEquals", "a*", "ab", False),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringEqualsIgnoreCase", "A", "a", True),
        ("StringNotEqualsIgnoreCase", "A", "a", False),
        ("StringLike", "releases/*", "releases/r1", True),
        ("StringLike", "releases/?", "releases/r1", False),
        ("StringNotLike", "releases/*", "data/", True),
        ("ArnLike", "arn:aws:iam::*:role/j*", ROLE, True),
        ("ArnEquals", "arn:aws:iam::*:role/j*", ROLE, True),
        ("ArnNotLike", "arn:aws:iam::*:role/j*", ROLE, False),
        ("ArnLike", "*", "no arn", False),
        ("Bool", True, "true", True),
        ("Bool", "false", "true", False),
        ("NumericEquals", 3, "3.0", True),
        ("NumericNotEquals", "3", "4", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "11", True),
        ("NumericGreaterThanEquals", "10", "9", False),
        ("NumericLessThan", "10", "many", False),
        ("DateLessThan", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59+00:00", True),
        ("DateGreaterThan", "2026-01-01", "1767225601", True),
        ("DateEquals", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", True),
        ("DateLessThanEquals", "2026-01-01", "2026-01-01", True),
        ("DateGreaterThanEquals", "2026-01-02", "2026-01-01", False),
        ("DateNotEquals", "2026-01-01", "2026-01-01", False),
        ("IpAddress", "127.0.0.0/8", "127.0.0.1", True),
        ("IpAddress", "10.0.0.0/8", "127.0.0.1", False),
        ("NotIpAddress", "10.0.0.0/8", "127.0.0.1", True),
        ("Null", "false", "a", True),
        ("Null", "true", "a", False),
        ("StringEqualsIfExists", "a", "b", False),
    ],
)
def test_operators(operator: str, expected: Any, given_value: str, *, holds: bool) -> None:
    condition = {"Condition": {operator: {"aws:UserAgent": expected}}}
    assert allowed(condition, request(aws__useragent=given_value)) is holds


@pytest.mark.parametrize(
    ("operator", "holds"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("StringNotLike", True),
        ("ArnNotLike", True),
        ("Bool", False),
        ("NumericLessThan", False),
        ("StringEqualsIfExists", True),
        ("ArnLikeIfExists", True),
        ("Null", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAllValues:StringEquals", True),
    ],
)
def test_operators_without_a_value(operator: str, *, holds: bool) -> None:
    """As documented for a key that the request does not have."""
    expected = "true" if operator in {"Null", "Bool"} else "a"
    assert allowed({"Condition": {operator: {"aws:SourceVpce": expected}}}, request()) is holds


@pytest.mark.parametrize(
    ("operator", "expected", "values", "holds"),
    [
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a"], ["a", "b"], False),
        ("ForAnyValue:StringEquals", ["a"], ["a", "b"], True),
        ("ForAnyValue:StringEquals", ["c"], ["a", "b"], False),
        ("ForAllValues:StringNotEquals", ["c"], ["a", "b"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["a", "b"], False),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "b"], True),
        ("ForAnyValue:StringNotEquals", ["a", "b"], ["a", "b"], False),
        ("ForAllValues:StringLike", ["pro*"], ["project", "product"], True),
    ],
)
def test_operators_over_many_values(
    operator: str, expected: list[str], values: list[str], *, holds: bool
) -> None:
    condition = {"Condition": {operator: {"aws:TagKeys": expected}}}
    assert allowed(condition, request(aws__tagkeys=values)) is holds


def test_all_conditions_must_hold() -> None:
    both = {
        "StringEquals": {"aws:UserAgent": "a", "aws:PrincipalAccount": "1"},
        "Bool": {"aws:SecureTransport": "true"},
    }
    holding = {"aws__useragent": "a", "aws__principalaccount": "1", "aws__securetransport": "true"}
    assert allowed({"Condition": both}, request(**holding))
    for key in holding:
        assert not allowed({"Condition": both}, request(**{**holding, key: "x"}))


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ({"StringSounds": {"aws:UserAgent": "a"}}, "StringSounds"),
        ({"ForSomeValues:StringEquals": {"aws:TagKeys": "a"}}, "ForSomeValues:StringEquals"),
        ({"BinaryEquals": {"aws:UserAgent": "a"}}, "BinaryEquals"),
        ({"StringEquals": {"aws:ResourceTag/team": "a"}}, "aws:ResourceTag/team"),
        ({"Null": {"ec2:InstanceType": "true"}}, "ec2:InstanceType"),
        ({"StringEquals": {"aws:UserAgent": "${ec2:SourceInstanceArn}"}}, "ec2:SourceInstanceArn"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(condition: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedError, match=named):
        allowed({"Condition": condition}, request())


def test_not_principal_is_refused() -> None:
    policies = Policies(resource=document({**DENY, "NotPrincipal": {"AWS": ROLE}}))
    with pytest.raises(UnsupportedError, match="NotPrincipal"):
        decide(policies, request())


def test_what_is_not_understood_elsewhere_does_no_harm() -> None:
    other = {"Action": "s3:PutObject", "Condition": {"StringSounds": {"aws:UserAgent": "a"}}}
    assert not allowed(other, request())


def test_keys_of_the_service_are_known_where_they_are_absent() -> None:
    assert not allowed({"Condition": {"StringLike": {"s3:prefix": "a"}}}, request())
    key = "kms:EncryptionContext:aws:s3:arn"
    assert not allowed({"Condition": {"StringEquals": {key: "a"}}}, request())
    context = {key.lower(): ("a",)}
    asked = Request("kms:Decrypt", "*", context, frozenset({"kms:encryptioncontext:*"}))
    assert allowed({"Condition": {"StringEquals": {key: "a"}}}, asked)
