"""The MCP server over standard input and output: for a client that starts it as its own program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp.server.stdio import stdio_server

from maquette.agent import server
from maquette.agent.call import Office
from maquette.agent.server import Who
from maquette.core.people import Caller
from maquette.services import people, working
from maquette.services.feed import Feed
from maquette.services.studio import Studio
from maquette.services.thumbs import Thumbnails


@asynccontextmanager
async def office_of(studio: Studio, most_bytes: int) -> AsyncGenerator[Office]:
    """Open what the tools work with, for one person at this machine."""
    feed = Feed(studio.shop.db)
    await feed.open()
    try:
        yield Office(studio, feed, Thumbnails(studio), most_bytes, local=True)
    finally:
        await feed.close()


async def serve(studio: Studio, project: str | None, most_bytes: int, stop: asyncio.Event) -> bool:
    """Talk until the client closes its end, or `stop` is set; say whether the client did.

    What is queued is worked here, unless another process has the desk: then that one works it.
    Leaving waits for paid calls; the rest stays queued for whoever works next.
    """
    caller = await people.local(studio)
    async with office_of(studio, most_bytes) as office:

        async def again() -> Caller:
            return caller

        who = Who(caller, again, project)
        talking = asyncio.create_task(_talk(office, who), name="mcp")
        worker = asyncio.create_task(working.work(studio, stop), name="worker")
        leaving = asyncio.create_task(stop.wait())
        await asyncio.wait((talking, leaving), return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        office.feed.end()
        await worker
        await leaving
        if talking.done():
            talking.result()
        return talking.done()


async def _talk(office: Office, who: Who) -> None:
    served = server.made(office, lambda _context: who)
    async with stdio_server() as (incoming, outgoing):
        await served.run(incoming, outgoing, served.create_initialization_options())
