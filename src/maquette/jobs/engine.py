"""The durable engine's port: it remembers which jobs were begun, and begins them again.

What is done of a job stands in our own rows; an engine only calls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

Work = Callable[[str], Awaitable[None]]
"""Do what is left of the job with that id; never raises."""


class Engine(ABC):
    """Calls `work(job_id)` at least once for every submitted ticket, across restarts."""

    @abstractmethod
    async def launch(self, work: Work) -> None:
        """Begin; work that a dead process left is begun again."""

    @abstractmethod
    async def submit(self, ticket: str) -> None:
        """Begin `job.round`; a ticket that was submitted before is not begun twice."""

    @abstractmethod
    async def ended(self, ticket: str) -> bool:
        """Tell whether the engine is through with a ticket, so that it will never call again."""

    @abstractmethod
    async def close(self) -> None:
        """Stop calling; what is unfinished stays for the next launch."""


def job_of(ticket: str) -> str:
    return ticket.rpartition(".")[0]
