"""What is done when a run has ended, before it is closed; doing it again changes nothing."""

from __future__ import annotations

from maquette.services import forgetting, runlog
from maquette.services.studio import Studio


async def finish(studio: Studio, run_id: str) -> None:
    """Leave the run's log, and forget what it was only lent."""
    await runlog.write(studio, run_id)
    await forgetting.after(studio, run_id)
