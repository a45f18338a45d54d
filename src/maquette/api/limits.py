"""How many requests a caller may make; counted in this process."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from maquette.core.errors import TooManyRequests

_MOST_WAITING = 64
_AGAIN_S = 5


@dataclass(frozen=True)
class Allowance:
    """Where a caller stands; told in the `X-RateLimit-*` headers."""

    limit: int
    remaining: int
    reset_s: int
    """Seconds until the oldest counted request is forgotten."""

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_s),
        }


class RateLimits:
    """A moving minute for every caller, and a stricter one for signing in."""

    def __init__(self, per_minute: int, logins_per_minute: int) -> None:
        self._strategy = MovingWindowRateLimiter(MemoryStorage())
        self._calls = RateLimitItemPerMinute(per_minute, namespace="calls")
        self._logins = RateLimitItemPerMinute(logins_per_minute, namespace="logins")

    def count(self, caller: str) -> Allowance:
        """Count one request of `caller`; raise `TooManyRequests` over the limit."""
        return self._count(self._calls, caller)

    def count_login(self, address: str) -> Allowance:
        """Count one try to sign in from `address`."""
        return self._count(self._logins, address)

    def _count(self, item: RateLimitItemPerMinute, who: str) -> Allowance:
        allowed = self._strategy.hit(item, who)
        reset, remaining = self._strategy.get_window_stats(item, who)
        reset_s = max(1, round(reset - time.time()))
        if not allowed:
            raise TooManyRequests(
                f"More than {item.amount} requests in a minute; try again in {reset_s} s.",
                retry_after=reset_s,
                limit=item.amount,
            )
        return Allowance(item.amount, remaining, reset_s)


class Waiters:
    """How many requests of each person wait for a job at the same time, in this process."""

    def __init__(self, most: int = _MOST_WAITING) -> None:
        self._most = most
        self._now: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """How many wait now, of all people together."""
        return sum(self._now.values())

    @contextmanager
    def place(self, user_id: str) -> Generator[None]:
        """Let a request wait; raise `TooManyRequests` where as many of its caller's do already."""
        now = self._now.get(user_id, 0)
        if now >= self._most:
            raise TooManyRequests(
                f"{self._most} of your requests wait for jobs, which is the most at once. Try "
                "again soon, or ask without waiting.",
                retry_after=_AGAIN_S,
                limit=self._most,
            )
        self._now[user_id] = now + 1
        try:
            yield
        finally:
            self._now[user_id] -= 1
            if not self._now[user_id]:
                del self._now[user_id]
