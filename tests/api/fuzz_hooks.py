"""What the fuzzer does not know by itself: how bodies of our media types are written."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer(
    "application/offset+octet-stream", "application/gzip", "audio/wav", "audio/mpeg"
)
def as_it_is(_context: Any, value: Any) -> bytes:
    """Send bytes as bytes, anything else as its text."""
    return value if isinstance(value, bytes) else str(value).encode()
