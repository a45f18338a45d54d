"""The page that says what each provider does with each parameter is true."""

from __future__ import annotations

from tests.providers import matrix


def test_the_page_says_what_goes_over_the_wire() -> None:
    """D11: write it anew with `python -m tests.providers.matrix`."""
    found = matrix.everything()
    assert "ignored" not in found.partition("| provider |")[2]
    assert found == matrix.PAGE.read_text(encoding="utf-8")
