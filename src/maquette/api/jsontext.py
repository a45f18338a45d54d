"""JSON text that no database keeps: NUL characters and halves of surrogates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from maquette.core.errors import BadParameter


def read(body: bytes | bytearray) -> Any:
    """Read a body; raise `ValueError` for what is no JSON, `BadParameter` for what nobody keeps."""
    try:
        found: Any = json.loads(body)
        check(found)
    except RecursionError:
        raise BadParameter("The body is nested deeper than anything here is.") from None
    return found


def check(value: Any) -> None:
    """Raise `BadParameter` where any text in it cannot be kept."""
    if isinstance(value, str):
        if "\0" in value:
            raise BadParameter("The body has a NUL character; leave it out.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadParameter("The body has half of a surrogate pair, which is no text.") from None
    elif isinstance(value, Mapping):
        for name, one in cast("Mapping[str, Any]", value).items():
            check(name)
            check(one)
    elif isinstance(value, list):
        for one in cast("Sequence[Any]", value):
            check(one)
