"""Content-Type and Accept are read as RFC 9110 says."""

from __future__ import annotations

import pytest

from mlsystem.errors import RequestError
from mlsystem.media_types import answer_type, body_type

CSV, JSON, LINES, NPY = "text/csv", "application/json", "application/jsonlines", "application/x-npy"


@pytest.mark.parametrize(
    ("header", "media_type", "has_header"),
    [
        ("text/csv", CSV, False),
        ("Text/CSV; Charset=UTF-8", CSV, False),
        ('text/csv;charset="utf-8" ; header=present', CSV, True),
        ("text/csv; header=absent", CSV, False),
        ("application/json;charset=us-ascii", JSON, False),
        (" application/jsonlines ", LINES, False),
        ("application/json;;=;x", JSON, False),
    ],
)
def test_content_type(header: str, media_type: str, has_header: bool) -> None:
    assert body_type(header, (CSV, JSON, LINES)) == (media_type, has_header)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "Content-Type: ''; one of text/csv, application/json."),
        ("application/x-npy", "one of text/csv, application/json."),
        ("text/csv2", "'text/csv2'; one of"),
        ("text/csv,application/json", "one of"),
        ("text/csv; charset=latin-1", "Content-Type: charset 'latin-1'; utf-8."),
    ],
)
def test_refuses_content_types(header: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        body_type(header, (CSV, JSON))
    assert message in str(caught.value)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("accept", "request_type", "answer"),
    [
        ("", CSV, CSV),
        ("*/*", CSV, CSV),
        ("*/*", JSON, JSON),
        ("*/*", LINES, LINES),
        ("", NPY, JSON),
        ("application/json", CSV, JSON),
        ("Application/JSON; charset=utf-8", CSV, JSON),
        ("text/*", JSON, CSV),
        ("application/*", CSV, JSON),
        ("application/*", LINES, LINES),
        ("text/html, application/jsonlines;q=0.5, */*;q=0.1", CSV, LINES),
        ("text/csv;q=0.4, application/json;q=0.6", CSV, JSON),
        ("text/csv, application/json", JSON, JSON),
        ("text/csv;q=0, */*", CSV, JSON),
        ("text/csv; q=0.9, text/*; q=0.1", JSON, CSV),
        ("application/json;q=2", CSV, JSON),
        (", ,", CSV, CSV),
    ],
)
def test_accept(accept: str, request_type: str, answer: str) -> None:
    assert answer_type(accept, request_type) == answer


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;q=0", "*/*;q=nan", "json", "application/x-npy"]
)
def test_refuses_what_cannot_be_accepted(accept: str) -> None:
    with pytest.raises(RequestError, match="one of application/json, application/jsonlines") as c:
        answer_type(accept, CSV)
    assert c.value.status == 406
