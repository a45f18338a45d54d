"""How a part of the API says errors where its clients expect other words than ours.

`problems` turns every error into a reply; what stands here only differs by where it was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maquette.core import errors as e

Kind = type[e.MaquetteError]


@dataclass(frozen=True)
class Dialect:
    """Another status, code or type for some classes; for the rest ours hold."""

    prefix: str
    """Of the addresses that speak it."""
    status: Mapping[Kind, int] = field(default_factory=dict[Kind, int])
    code: Mapping[Kind, str] = field(default_factory=dict[Kind, str])
    kind: Mapping[Kind, str] = field(default_factory=dict[Kind, str])
    """The word in `error.type`."""
    hopeless: tuple[Kind, ...] = ()
    """What asking again does not mend: clients that retry by themselves are told not to."""
    milliseconds: bool = False
    """Its clients also read how long to wait in `retry-after-ms`."""


IMAGES = Dialect(
    prefix="/v1/images",
    status={
        e.InvalidInput: 400,
        e.UnsupportedMedia: 400,
        e.SpendRefused: 429,
        e.ProviderRefused: 400,
        e.KeyRefused: 502,
        e.CreditGone: 429,
        e.ConnectionRefused: 502,
        e.OperationFailed: 422,
    },
    code={
        e.Unauthenticated: "invalid_api_key",
        e.ModelNotFound: "model_not_found",
        e.SpendRefused: "insufficient_quota",
        e.CreditGone: "insufficient_quota",
        e.TooManyRequests: "rate_limit_exceeded",
        e.Moderated: "moderation_blocked",
    },
    kind={
        e.SpendRefused: "insufficient_quota",
        e.CreditGone: "insufficient_quota",
        e.TooManyRequests: "rate_limit_error",
        e.Moderated: "image_generation_user_error",
    },
    hopeless=(e.SpendRefused, e.CreditGone, e.QuotaExceeded, e.IdempotencyMismatch),
    milliseconds=True,
)
"""OpenAI's clients make their own exceptions of the status: 400 `BadRequestError`, 429
`RateLimitError` (our limit, a cap, the kill switch, no credit), 422 `UnprocessableEntityError`
(the request was fine and worked on, but there is no picture to hand out), from 500 on
`InternalServerError` (whatever is between us and the model)."""

_OURS = Dialect(prefix="")
_DIALECTS = (IMAGES,)


def of_path(path: str) -> Dialect:
    """Return the dialect of an address; the empty one where ours is spoken."""
    for one in _DIALECTS:
        if path == one.prefix or path.startswith(f"{one.prefix}/"):
            return one
    return _OURS
