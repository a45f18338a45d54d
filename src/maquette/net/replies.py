"""What a failure of sending means: whether anything was sent, and may have been charged.

Nobody is sure after a timeout or a cut connection: the work may have been done and billed. Only
a connection that never opened cost nothing for certain.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from maquette.core.errors import OutcomeUnknown, ProviderError, ProviderUnavailable

NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
_LONGEST_QUOTE = 500


@contextmanager
def sending(to: str, *, paid: bool) -> Generator[None]:
    """Turn what the client raises into our errors; wrap the call and the reading of its body.

    `to` names the other side in messages. A call that costs nothing may simply be made again, so
    its failures are `ProviderUnavailable`; a paid one that was cut off is an `OutcomeUnknown`.
    """
    try:
        yield
    except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError) as error:
        raise failure(to, error, paid=paid) from None


def failure(to: str, error: BaseException | None, *, paid: bool) -> ProviderError:
    """Return our error for one that the client raised."""
    name = type(error).__name__
    if isinstance(error, (*NEVER_SENT, httpx2.InvalidURL)):
        return ProviderUnavailable(
            f"No connection to {to!r} ({name}); nothing was sent. Check the network and address."
        )
    what = "did not answer in time" if isinstance(error, httpx2.TimeoutException) else "was cut off"
    if not paid:
        return ProviderUnavailable(f"The call to {to!r} {what} ({name}); it cost nothing.")
    return OutcomeUnknown(
        f"The call to {to!r} was sent and {what} ({name}); it may have been charged."
    )


def cleaned(said: object, key: str | None = None) -> str:
    """Quote another's message: one line, cut to a sane length, without the key."""
    text = "" if said is None else str(said)
    if key:
        text = text.replace(key, "***")
    text = " ".join(text.split())[:_LONGEST_QUOTE]
    return repr(text) + "." if text else "without a reason."


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `retry-after-ms`, or `retry-after` in seconds or as a date."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        until = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
