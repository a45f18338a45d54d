"""What the post chain hands from step to step."""

from __future__ import annotations

from dataclasses import dataclass

from maquette.core.errors import (
    Cancelled,
    NotCollected,
    OutcomeUnknown,
    SpendRefused,
    StorageUnavailable,
)
from maquette.core.findings import Expected, Finding

NO_WAY_ROUND = (Cancelled, OutcomeUnknown, NotCollected, SpendRefused, StorageUnavailable)
"""What another backend does not mend: a person or a resume has to."""


@dataclass(frozen=True)
class Link:
    """One picture of the chain, where it is shown and what the guard may expect of it."""

    asset_id: str
    folder: str | None
    expected: Expected
    findings: tuple[Finding, ...] = ()
    """What was noticed while it was made."""
