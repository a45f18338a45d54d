"""Time as one object, so that a test can hold it."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


class Clock:
    """Now, and the installation's calendar day that caps count by."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone

    def now(self) -> datetime:
        return datetime.now(UTC)

    def today(self) -> str:
        return self.day_of(self.now())

    def day_of(self, moment: datetime) -> str:
        return moment.astimezone(self._zone).date().isoformat()
