"""Whole numbers that a client wrote: Python itself refuses to read those of thousands of digits."""

from __future__ import annotations

_MOST_DIGITS = 18
"""As many as a database keeps."""


def whole(text: str) -> int | None:
    """Read a number that is digits alone; None for other text, and for more than anybody means."""
    return int(text) if is_whole(text) and len(text) <= _MOST_DIGITS else None


def exceeds(text: str, most: int) -> bool:
    """Tell whether a text is a number of more than that; one too long to be read is."""
    number = whole(text)
    return is_whole(text) if number is None else number > most


def is_whole(text: str) -> bool:
    """Tell whether a text is the digits of a number, of whatever length."""
    return text.isascii() and text.isdecimal()
