"""Limits inside the call: how hard an endpoint is pressed, and when it is left alone.

They stand in the process, not in a queue: a job waits here before its money is reserved, and a
cancelled job waits no longer.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from maquette.core.errors import (
    BadProviderReply,
    EndpointResting,
    NotCollected,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
)
from maquette.core.wire import Limits

MINUTE_S = 60.0
_FAILURES = (ProviderUnavailable, OutcomeUnknown, BadProviderReply, NotCollected)
"""What says that an endpoint is not well; a refusal says that it is."""
_LONGEST_ASKED_S = 600.0
"""More patience than that is not asked of the other jobs."""
_VAIN = 3
"""Trials after a rest that fail before callers are turned away instead of kept waiting."""

Pause = Callable[[float], Awaitable[None]]
"""Sleeps, or raises where the job is being cancelled."""


@dataclass
class Gate:
    """The way to one endpoint, shared by all jobs of the process."""

    limits: Limits
    clock: Callable[[], float] = time.monotonic
    _under_way: int = 0
    _begun: deque[float] = field(default_factory=deque[float])
    _not_before: float = 0.0
    _failures: int = 0
    _vain: int = 0
    _rests_until: float = 0.0
    _trying: bool = False
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def call(self, pause: Pause) -> AsyncGenerator[None]:
        """Wait until a call may be made, and learn from how it ends.

        Raises
        ------
        EndpointResting
            The endpoint failed so often that nobody is kept waiting for it.
        """
        trial = await self._enter(pause)
        try:
            yield
        except _FAILURES:
            self._failed(trial=trial)
            raise
        except (RateLimited, ProviderRefused) as error:
            self._well()
            self._be_patient(error)
            raise
        else:
            self._well()
        finally:
            self._under_way -= 1
            self._trying = self._trying and not trial
            self._moved.set()
            self._moved = asyncio.Event()

    async def _enter(self, pause: Pause) -> bool:
        """Take a place; return whether this is the one call that tries a resting endpoint."""
        while True:
            wait_s = self._wait_s()
            if wait_s is None:
                trial = self._resting
                self._trying = self._trying or trial
                self._under_way += 1
                self._begun.append(self.clock())
                return trial
            if self._resting and self._vain >= _VAIN and not self._trying:
                raise EndpointResting(
                    f"The endpoint failed {self._failures} times in a row and is left alone for "
                    f"{wait_s:.0f} s, so nothing was sent. See that it works, then `maquette "
                    "resume`."
                )
            await self._wait(pause, wait_s)

    @property
    def _resting(self) -> bool:
        return self._failures >= self.limits.failures

    def _wait_s(self) -> float | None:
        """Return how long to wait before looking again; None: go."""
        now = self.clock()
        if self._resting:
            if self._trying:
                return self.limits.rest_s or MINUTE_S
            if now < self._rests_until:
                return self._rests_until - now
        if now < self._not_before:
            return self._not_before - now
        most = self.limits.concurrent
        if most is not None and self._under_way >= most:
            return MINUTE_S
        return self._rate_wait_s(now)

    def _rate_wait_s(self, now: float) -> float | None:
        while self._begun and self._begun[0] <= now - MINUTE_S:
            self._begun.popleft()
        most = self.limits.per_minute
        if most is None:
            self._begun.clear()
            return None
        return None if len(self._begun) < most else self._begun[0] + MINUTE_S - now

    async def _wait(self, pause: Pause, seconds: float) -> None:
        """Wait for a place to come free, or for the time to pass."""
        moved = asyncio.ensure_future(self._moved.wait())
        slept = asyncio.ensure_future(pause(seconds))
        try:
            await asyncio.wait([moved, slept], return_when=asyncio.FIRST_COMPLETED)
            if slept.done():
                await slept
        finally:
            for task in (moved, slept):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def _failed(self, *, trial: bool) -> None:
        self._failures += 1
        if self._resting:
            self._rests_until = self.clock() + self.limits.rest_s
            self._vain += trial

    def _be_patient(self, error: RateLimited | ProviderRefused) -> None:
        """What one call is told by `Retry-After`, all calls heed."""
        asked = error.retry_after if isinstance(error, RateLimited) else None
        if asked is not None and asked <= _LONGEST_ASKED_S:
            self._not_before = max(self._not_before, self.clock() + asked)

    def _well(self) -> None:
        self._failures = self._vain = 0


class Gates:
    """One gate for each endpoint of each provider."""

    def __init__(self) -> None:
        self._gates: dict[tuple[str, str], Gate] = {}

    def to(self, provider: str, limits: Limits, endpoint: str = "default") -> Gate:
        return self._gates.setdefault((provider, endpoint), Gate(limits))
