"""The address that a project tells of its runs' ends: checked, and shown without its secrets."""

from __future__ import annotations

from urllib.parse import urlsplit

from maquette.core.errors import BadParameter

LONGEST = 2000


def checked(url: str) -> str:
    """Return an address that can be told, or say what is wrong with it."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
        host.encode("idna")  # as looking it up does; a UnicodeError is a ValueError
    except ValueError:
        raise _wrong() from None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise _wrong()
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url:
        raise _wrong()
    return url


def shown(url: str | None) -> str | None:
    """Name an address without its path, which often is a secret."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    return f"{parts.scheme}://{parts.netloc}/…"


def _wrong() -> BadParameter:
    return BadParameter(
        "The address to notify cannot be used: write one such as "
        "https://example.org/hooks/maquette, without a user or password in it."
    )
