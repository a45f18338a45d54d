"""Messages that Stripe signs: HMAC-SHA256 over the time and the very bytes of the body."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from pydantic import SecretStr

from maquette.core.errors import SignatureWrong

TOLERANCE_S = 300


def check(header: str | None, body: bytes, secret: SecretStr, now: datetime) -> None:
    """Raise `SignatureWrong` unless the header `t=…,v1=…` signs the body, and is of this time.

    While a secret is replaced there are several signatures; one that fits is enough.
    """
    told_at, signatures = _parts(header or "")
    signed = f"{told_at}.".encode() + body
    due = hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
    right = [hmac.compare_digest(due.encode(), one.encode()) for one in signatures]
    if not any(right):
        raise SignatureWrong(
            "This message is not signed with the webhook's secret; it was ignored."
        )
    if abs(now.timestamp() - told_at) > TOLERANCE_S:
        raise SignatureWrong(
            f"This message was signed more than {TOLERANCE_S} s from now, so it was ignored. "
            "Compare this machine's clock with the time."
        )


def _parts(header: str) -> tuple[int, list[str]]:
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t" and value.isdecimal()]
    if len(times) != 1 or len(times[0]) > 12 or not times[0].isascii():
        raise SignatureWrong("This message has no `Stripe-Signature`, so it was ignored.")
    return int(times[0]), [value for name, _, value in pairs if name == "v1"]
