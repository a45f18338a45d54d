"""What a route knows of the idempotency key that its request came with."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from maquette.api.contract import Responses, raises
from maquette.core.errors import IdempotencyMismatch, StillWorking
from maquette.db.idempotency import Claim

ONCE_ERRORS = (IdempotencyMismatch, StillWorking)
ONCE: Responses = raises(*ONCE_ERRORS)
"""What a route that takes a key may answer besides."""


TheKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=255,
        description="Sent again with the same body, the request is answered as before.",
    ),
]


def _claim(request: Request, _key: TheKey = None) -> Claim | None:
    return getattr(request.state, "claim", None)


def _made_before(request: Request) -> str | None:
    return getattr(request.state, "made_before", None)


TheClaim = Annotated[Claim | None, Depends(_claim)]
MadeBefore = Annotated[str | None, Depends(_made_before)]
"""`run:<id>` …, where an earlier try of this request has made that and died before answering."""
