"""One file per resource; a route translates names and states and holds no logic."""

from maquette.api.routes import events, health, pages, projects, runs

ROUTERS = (pages.router, health.router, projects.router, runs.router, events.router)
