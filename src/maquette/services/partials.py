"""Pictures in the making: told as events, kept like any bytes that nothing points to."""

from __future__ import annotations

from maquette.core.errors import ObjectNotFound
from maquette.core.requests import Digest, Encoded
from maquette.core.storage import object_key
from maquette.db import events
from maquette.db.tables import Job, Run
from maquette.services.studio import Studio


async def read(studio: Studio, job_id: str, digest: str) -> Encoded:
    """Return a partial picture that an event of the job has named."""
    async with studio.shop.db.read() as session:
        job = await session.get_one(Job, job_id)
        run = await session.get_one(Run, job.run_id)
        named = await events.partials_of(session, run.id, job_id)
    if digest not in named:
        raise ObjectNotFound("No partial picture of this job has that name.")
    data = await studio.shop.place(run.root).storage.read(object_key(Digest(digest)))
    return Encoded(data, named[digest])
