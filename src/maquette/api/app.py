"""The application: settings in, routes out. The only file of this room that reads settings."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from maquette import bootstrap
from maquette.api import agents, contract, problems
from maquette.api.dialectal import Dialectal
from maquette.api.house import House, Rules
from maquette.api.limits import RateLimits
from maquette.api.metrics import Measured, Metrics
from maquette.api.middleware import Addressed, Bounded, Correlated
from maquette.api.once import Once
from maquette.api.routes import ROUTERS
from maquette.core.provider import Provider
from maquette.services import exporting, resuming, working
from maquette.services.feed import Feed
from maquette.services.tokens import Tokens
from maquette.settings import ServerSettings, Settings

_EXPOSED = (
    "Content-Disposition",
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Mcp-Session-Id",
    "OpenAI-Processing-Ms",
    "Retry-After",
    "Retry-After-Ms",
    "Tus-Resumable",
    "Upload-Length",
    "Upload-Offset",
    "X-Correlation-ID",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
    "X-Should-Retry",
)
"""What pages of the allowed sites may read besides the body."""


def create_app(
    settings: Settings, *, work: bool = True, providers: Mapping[str, Provider] | None = None
) -> FastAPI:
    """Build the application; its lifespan opens the studio and, with `work`, works its runs."""
    rules = rules_of(settings.server)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with bootstrap.open_studio(settings, providers=providers) as studio:
            feed = Feed(studio.shop.db)
            await feed.open()
            limits = RateLimits(settings.server.per_minute, settings.server.logins_per_minute)
            house = House(studio, rules, feed, limits, await _tokens(settings), metrics)
            app.state.house = house
            await resuming.sweep(studio)
            await exporting.recover(studio)
            worker = asyncio.create_task(working.work(studio, house.stopping)) if work else None
            try:
                async with agents.opened(app, house):
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
    agents.mount(app)
    problems.install(app, api_routes())
    contract.install(app, api_routes())
    app.add_middleware(Once, exempt=_is_never_kept)
    app.add_middleware(Bounded, rules=rules, exempt=_reads_for_itself, patient=_makes_pictures)
    app.add_middleware(Addressed, rules=rules)
    if rules.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(rules.origins),
            allow_credentials=True,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
            max_age=600,
        )
    app.add_middleware(Dialectal)
    app.add_middleware(Measured, metrics=metrics)
    app.add_middleware(Correlated)
    return app


_OWN_PACE = (
    ("GET", re.compile(r"/api/.*/events")),
    ("GET", re.compile(r"/api/users/me/data")),
    ("GET", re.compile(r"/api/projects/[^/]+/assets/[^/]+/file")),
    ("POST", re.compile(r"/api/projects/[^/]+/(assets|uploads)")),
    ("POST", re.compile(r"/api/projects/[^/]+/voice/stt")),
    ("POST", re.compile(r"/api/projects/import")),
    ("GET", re.compile(r"/api/projects/[^/]+/exports/[^/]+/file")),
    ("PATCH", re.compile(r"/api/projects/[^/]+/uploads/[^/]+")),
    ("POST", re.compile(r"/v1/images/edits")),
    ("POST", re.compile(r"(/v1)?/edit")),
    ("POST", re.compile(r"/v1/mask/auto")),
    ("GET", re.compile(agents.PATH)),
    ("POST", re.compile(agents.PATH)),
)


def _reads_for_itself(scope: Scope) -> bool:
    """Uploads count their own bytes; streams and downloads last as long as somebody listens."""
    method, path = scope.get("method"), scope["path"]
    return any(method == one and pattern.fullmatch(path) for one, pattern in _OWN_PACE)


_PICTURES = re.compile(r"/v1/images/.*|(/v1)?/(generate|edit)|/v1/jobs/[^/]+")


def _makes_pictures(scope: Scope) -> bool:
    """Tell whether an answer waits for a model, which has limits of its own."""
    return _PICTURES.fullmatch(scope["path"]) is not None


def _is_never_kept(scope: Scope) -> bool:
    """Passwords come to these and keys go out: nothing of it is stored, not even a digest.

    Answers with pictures are too large: their routes look up by themselves what a key has made.
    """
    path: str = scope["path"]
    secret = path.startswith(("/api/auth", "/api/keys", "/api/users")) or path.endswith("/secrets")
    return secret or _reads_for_itself(scope) or _makes_pictures(scope)


async def _tokens(settings: Settings) -> Tokens:
    """Return what signs access tokens; where nobody signs in, no file is made for it."""
    if settings.server.auth == "single":
        return Tokens()
    return await asyncio.to_thread(bootstrap.open_tokens, settings)


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
        archive_bytes=server.archive_mb * 1024 * 1024,
        roots=server.roots,
    )
