"""Figures for Prometheus: requests as they happen, the rest when somebody asks."""

from __future__ import annotations

import time
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maquette.services.status import Status

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Metrics:
    """The figures of one server; a registry of its own, so that two in a process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "maquette_requests", "Requests.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "maquette_request_seconds",
            "How long answers took; streams count until they ended.",
            ("method", "route"),
            buckets=_BOUNDS_S,
            registry=self.registry,
        )
        self._jobs = Gauge("maquette_jobs", "Open jobs.", ("state",), registry=self.registry)
        self._workers = Gauge("maquette_workers", "Living workers.", registry=self.registry)
        self._ready = Gauge("maquette_ready", "1: it can serve.", registry=self.registry)
        self._events = Gauge(
            "maquette_last_event", "The id of the newest event.", registry=self.registry
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def written(self, status: Status, last_event: int) -> bytes:
        """Return all figures in Prometheus' text form."""
        self._jobs.labels("queued").set(status.queue.queued)
        self._jobs.labels("running").set(status.queue.running)
        self._workers.set(status.queue.workers)
        self._ready.set(status.ready)
        self._events.set(last_event)
        return generate_latest(self.registry)


class Measured:
    """Counts every request under its route's pattern: an address of its own would never end."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = cast("BaseRoute | None", scope.get("route"))
            pattern = getattr(route, "path", "none")
            self._metrics.count(scope["method"], pattern, status, time.perf_counter() - began)
