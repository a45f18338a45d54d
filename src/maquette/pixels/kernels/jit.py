"""The one door to Numba: compiled functions keep their Python types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

prange = numba.prange
"""`range` for the outer loop of a parallel kernel."""


def compiled(*, parallel: bool = False, fastmath: bool = False) -> Callable[[F], F]:
    """Compile to machine code, cached on disk, without holding the interpreter lock."""
    decorate: Any = numba.njit(cache=True, nogil=True, parallel=parallel, fastmath=fastmath)

    def wrap(function: F) -> F:
        return decorate(function)

    return wrap
