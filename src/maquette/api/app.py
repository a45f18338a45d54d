"""The application: settings in, routes out. The only file of this room that reads settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import Scope

from maquette import bootstrap
from maquette.api import contract, problems
from maquette.api.house import House, Rules
from maquette.api.limits import RateLimits
from maquette.api.middleware import Addressed, Bounded, Correlated
from maquette.api.routes import ROUTERS
from maquette.core.provider import Provider
from maquette.services import working
from maquette.services.feed import Feed
from maquette.settings import ServerSettings, Settings


def create_app(
    settings: Settings, *, work: bool = True, providers: Mapping[str, Provider] | None = None
) -> FastAPI:
    """Build the application; its lifespan opens the studio and, with `work`, works its runs."""
    rules = rules_of(settings.server)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with bootstrap.open_studio(settings, providers=providers) as studio:
            feed = Feed(studio.shop.db)
            await feed.open()
            limits = RateLimits(settings.server.per_minute, settings.server.logins_per_minute)
            house = House(studio, rules, feed, limits)
            app.state.house = house
            worker = asyncio.create_task(working.work(studio, house.stopping)) if work else None
            try:
                yield
            finally:
                house.stop()
                if worker is not None:
                    await worker
                await feed.close()

    app = FastAPI(
        title="Maquette",
        description=contract.DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    for router in ROUTERS:
        app.include_router(router)
    problems.install(app)
    contract.install(app, api_routes())
    app.add_middleware(Bounded, rules=rules, exempt=_reads_for_itself)
    app.add_middleware(Addressed, rules=rules)
    app.add_middleware(Correlated)
    return app


def _reads_for_itself(scope: Scope) -> bool:
    """Uploads count their own bytes; streams last as long as somebody listens."""
    path: str = scope["path"]
    return path.endswith(("/events", "/assets")) or "/uploads" in path


def api_routes() -> list[APIRoute]:
    """Return every route there is, for the contract and for whoever checks all of them."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def rules_of(server: ServerSettings) -> Rules:
    """Translate the settings for the routes."""
    return Rules(
        multi_user=server.auth == "multi",
        hosts=server.hosts,
        origins=server.origins,
        secure_cookies=server.secure_cookies,
        session_days=server.session_days,
        token_minutes=server.token_minutes,
        body_bytes=server.body_kb * 1024,
        upload_bytes=server.upload_mb * 1024 * 1024,
        parallel_uploads=server.parallel_uploads,
        request_timeout_s=server.request_timeout_s,
    )
