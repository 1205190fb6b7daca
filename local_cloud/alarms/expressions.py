"""Metric math: expressions over series of values, one value or none per period.

Numbers, ids of other metrics, ``+ - * /``, comparisons, ``AND`` and ``OR``, parentheses, ``IF`` and
``FILL``. Every other function of AWS's is refused by name.

Source:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from local_cloud.errors import UnsupportedError

__all__ = ["Expression", "ExpressionError", "Series"]

#: One value, or none, for each of some periods.
Series = Sequence[float | None]
#: A number stands for a series that is the same everywhere.
_Value = Series | float

_FUNCTIONS = {"IF": (2, 3), "FILL": (2, 2)}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z][A-Za-z0-9_]*)"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^<>(),]))"
)
_WORDS = {"AND": "&&", "OR": "||"}
#: Sign -> how tightly it binds.
_BINDS = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, ">": 3, "<=": 3, ">=": 3, "+": 4, "-": 4,
    "*": 5, "/": 5,
}  # fmt: skip
_TIGHTEST = 6


class ExpressionError(ValueError):
    """An expression that CloudWatch does not take."""


def _divided(dividend: float, divisor: float) -> float | None:
    return dividend / divisor if divisor else None


_OPERATIONS: dict[str, Callable[[float, float], float | None]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
    "<": lambda a, b: float(a < b),
    ">": lambda a, b: float(a > b),
    "<=": lambda a, b: float(a <= b),
    ">=": lambda a, b: float(a >= b),
    "&&": lambda a, b: float(bool(a) and bool(b)),
    "||": lambda a, b: float(bool(a) or bool(b)),
}


@dataclass(frozen=True)
class _Number:
    value: float


@dataclass(frozen=True)
class _Name:
    name: str


@dataclass(frozen=True)
class _Operation:
    sign: str
    operands: tuple[_Node, _Node]


@dataclass(frozen=True)
class _Function:
    name: str
    arguments: tuple[_Node, ...]


_Node = _Number | _Name | _Operation | _Function


class Expression:
    """One expression.

    Parameters
    ----------
    text
        For instance ``IF(requests > 20, errors / requests, 0)``.

    Raises
    ------
    ExpressionError
        When it is none.
    UnsupportedError
        When it has a function, or a sign, that is not here.

    Examples
    --------
    >>> Expression("100 * failed / asked").evaluate({"failed": [1, 2], "asked": [4, None]})
    [25.0, None]
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = _tokens(text)
        self._place = 0
        self._node = self._parse(1)
        if self._next() is not None:
            raise self._wrong()
        self.names = frozenset(_names(self._node))
        if not self.names:
            raise ExpressionError(f"Error in expression {text!r}: it mentions no metric")

    def evaluate(self, series: Mapping[str, Series]) -> list[float | None]:
        """Its value in each period.

        Parameters
        ----------
        series
            Values of every metric that it mentions, all of the same periods.
        """
        length = len(next(iter(series.values())))
        return list(_spread(_evaluate(self._node, series), length))

    # ---------------------------------------------------------------- parsing

    def _next(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _take(self, expected: str | None = None) -> str:
        token = self._next()
        if token is None or (expected is not None and token != expected):
            raise self._wrong()
        self._place += 1
        return token

    def _wrong(self) -> ExpressionError:
        found = self._next()
        where = "its end" if found is None else repr(found)
        return ExpressionError(f"Error in expression {self.text!r}: syntax error at {where}")

    def _parse(self, tightness: int) -> _Node:
        """What follows, as far as it binds at least so tightly."""
        left = self._operand()
        while (sign := self._next()) is not None and _BINDS.get(sign, 0) >= tightness:
            self._take()
            left = _Operation(sign, (left, self._parse(_BINDS[sign] + 1)))
        return left

    def _operand(self) -> _Node:
        token = self._take()
        if token == "(":  # noqa: S105 - a parenthesis
            inner = self._parse(1)
            self._take(")")
            return inner
        if token == "-":  # noqa: S105 - a sign
            return _Operation("-", (_Number(0.0), self._parse(_TIGHTEST)))
        if token[0].isdigit() or token[0] == ".":
            return _Number(float(token))
        if self._next() == "(":
            return self._function(token)
        if not token[0].isalpha():
            self._place -= 1
            raise self._wrong()
        return _Name(token)

    def _function(self, name: str) -> _Node:
        if name not in _FUNCTIONS:
            raise UnsupportedError(
                "Metric math", f"the function {name}", f"{' and '.join(_FUNCTIONS)} are supported"
            )
        self._take("(")
        arguments = [self._parse(1)]
        while self._next() == ",":
            self._take()
            arguments.append(self._parse(1))
        self._take(")")
        least, most = _FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            raise ExpressionError(
                f"Error in expression {self.text!r}: {name} takes {least} to {most} arguments"
            )
        if name == "FILL" and arguments[1] == _Name("LINEAR"):
            raise UnsupportedError("Metric math", "FILL with LINEAR", "a number and REPEAT are")
        return _Function(name, tuple(arguments))


def _tokens(text: str) -> list[str]:
    found, place = [], 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ExpressionError(f"Error in expression {text!r}: syntax error at {text[place]!r}")
        token = match[match.lastgroup or 0]
        if token == "^":  # noqa: S105 - a sign
            raise UnsupportedError("Metric math", "the sign ^", f"{' '.join(_BINDS)} are supported")
        found.append(_WORDS.get(token, token))
        place = match.end()
    return found


def _names(node: _Node) -> list[str]:
    if isinstance(node, _Name):
        return [node.name]
    if isinstance(node, _Operation):
        return [name for operand in node.operands for name in _names(operand)]
    if isinstance(node, _Function):
        names = [name for argument in node.arguments for name in _names(argument)]
        return [name for name in names if (node.name, name) != ("FILL", "REPEAT")]
    return []


# ------------------------------------------------------------------------------ values


def _spread(value: _Value, length: int) -> Series:
    return [float(value)] * length if isinstance(value, int | float) else value


def _evaluate(node: _Node, series: Mapping[str, Series]) -> _Value:
    if isinstance(node, _Number):
        return node.value
    if isinstance(node, _Name):
        return series[node.name]
    if isinstance(node, _Operation):
        first, second = (_evaluate(operand, series) for operand in node.operands)
        return _combined(_OPERATIONS[node.sign], first, second, series)
    return _if(node, series) if node.name == "IF" else _filled(node, series)


def _combined(
    operation: Callable[[float, float], float | None],
    first: _Value,
    second: _Value,
    series: Mapping[str, Series],
) -> Series:
    """Where one of the two has no value, the result has none."""
    length = len(next(iter(series.values())))
    return [
        None if a is None or b is None else operation(a, b)
        for a, b in zip(_spread(first, length), _spread(second, length), strict=True)
    ]


def _if(node: _Function, series: Mapping[str, Series]) -> Series:
    """Without a value of the condition, or an alternative, there is none."""
    length = len(next(iter(series.values())))
    condition, *choices = (_spread(_evaluate(_, series), length) for _ in node.arguments)
    nothing: Series = [None] * length
    yes, no = choices if len(choices) == 2 else (choices[0], nothing)  # noqa: PLR2004 - a pair
    return [
        None if decides is None else (a if decides else b)
        for decides, a, b in zip(condition, yes, no, strict=True)
    ]


def _filled(node: _Function, series: Mapping[str, Series]) -> Series:
    length = len(next(iter(series.values())))
    values = _spread(_evaluate(node.arguments[0], series), length)
    if node.arguments[1] == _Name("REPEAT"):
        return _repeated(values)
    filling = _spread(_evaluate(node.arguments[1], series), length)
    return [b if a is None else a for a, b in zip(values, filling, strict=True)]


def _repeated(values: Series) -> Series:
    last: float | None = None
    found = []
    for value in values:
        last = last if value is None else value
        found.append(last)
    return found
