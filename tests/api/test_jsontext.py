"""What a body may say: any text that a database keeps, and no other."""

from __future__ import annotations

import pytest

from maquette.api import jsontext
from maquette.core.errors import BadParameter


@pytest.mark.parametrize(
    "body",
    [
        rb'{"a": ["\u0000"]}',
        rb'{"a\u0000": 1}',
        rb'{"a": "\ud800"}',
        rb'["\udc00\ud800"]',
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_text_that_nobody_keeps_is_refused(body: bytes) -> None:
    with pytest.raises(BadParameter):
        jsontext.read(body)


def test_a_backslash_and_letters_are_only_that() -> None:
    assert jsontext.read(rb'{"a": "\\u0000 \u00e9"}') == {"a": "\\u0000 é"}


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert jsontext.read(rb'"\ud83d\ude00"') == "\U0001f600"


def test_no_json_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        jsontext.read(b"{no}")
