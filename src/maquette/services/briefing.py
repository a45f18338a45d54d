"""What the assistant is told of a project, as JSON."""

from __future__ import annotations

import asyncio
import json
from itertools import islice
from pathlib import Path
from typing import Any

from maquette.core import money
from maquette.core.errors import MaquetteError
from maquette.db import runs, talk
from maquette.db.tables import Project
from maquette.services import viewing
from maquette.services.inputs import PICTURES
from maquette.services.studio import Studio

_MOST_MODELS, _MOST_SCENES, _MOST_RUNS, _MOST_PROPOSED = 40, 60, 10, 10
_LONGEST_NAME = 80


async def facts(studio: Studio, project: Project, session_id: str) -> str:
    """Name the project's models, scenes, runs, and what this chat has proposed."""
    async with studio.shop.db.read() as session:
        proposed = await talk.proposed(session, session_id, _MOST_PROPOSED)
        waiting, working = await runs.count_open(session)
    found: dict[str, Any] = {
        "project": {"name": project.name[:_LONGEST_NAME], "slug": project.slug},
        "today": studio.shop.clock.today(),
        "queue": {"waiting": waiting, "working": working},
        "runs_newest_first": [
            {
                "id": one.run,
                "state": one.state,
                "scenes": one.scenes,
                "spent": money.show(one.spent),
            }
            for one in await viewing.listing(studio, project.slug, _MOST_RUNS, None)
        ],
        "proposed_in_this_chat": [
            {"id": one.id, "type": one.kind, "state": one.state} for one in proposed
        ],
        "models": _models(studio),
        "scenes": await asyncio.to_thread(_scenes, project.root),
    }
    return json.dumps(found, ensure_ascii=False)


def _models(studio: Studio) -> list[dict[str, Any]]:
    """List what pictures can be asked of, where it is ready."""
    found: list[dict[str, Any]] = []
    for name in studio.shop.providers:
        try:
            provider = studio.shop.providers[name]
            if provider.missing() is None:
                found += [
                    {"model": f"{name}:{one.id}", "costs": one.paid} for one in provider.models()
                ]
        except MaquetteError:  # a plugin that does not load
            continue
    return found[:_MOST_MODELS]


def _scenes(root: str | None) -> list[str]:
    folder = None if root is None else Path(root) / "scenes"
    if folder is None or not folder.is_dir():
        return []
    names = (one.name for one in folder.iterdir() if one.suffix.lower() in PICTURES)
    return sorted(name[:_LONGEST_NAME] for name in islice(names, _MOST_SCENES))
