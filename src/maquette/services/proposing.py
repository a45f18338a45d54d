"""Spoken commands as instructions, each of which waits for a person's word."""

from __future__ import annotations

from typing import Any

from maquette.core.errors import CapabilityMissing, MaquetteError
from maquette.core.instructions import InstructionKind
from maquette.core.people import Caller
from maquette.core.speech import Command
from maquette.db import talk
from maquette.db.tables import Project
from maquette.services import instructing
from maquette.services.studio import Studio

ASK_AGAIN = (
    "A spoken word confirms nothing that may cost: confirm the instruction itself, by its id."
)


async def propose(
    studio: Studio, project: Project, caller: Caller, command: Command
) -> dict[str, Any]:
    """Make a command an instruction that waits; say why where it cannot be one."""
    proposal: dict[str, Any] = {"instruction_type": command.type}
    try:
        if command.type in set(InstructionKind):
            payload = await _payload(studio, project, command)
            wanted = instructing.Wanted(InstructionKind(command.type), payload, proposed=True)
            made = await instructing.create(studio, project, caller, wanted)
            return proposal | {"id": made.id, "payload_json": payload}
    except MaquetteError as error:
        return proposal | {"problem": str(error)}
    if command.type != "confirm":
        return proposal | {"problem": f"{command.type!r} is for whoever shows the studio to do."}
    async with studio.shop.db.read() as session:
        waiting = await talk.waiting(session, project.id)
    return proposal | {"refers_to": waiting, "problem": ASK_AGAIN}


async def _payload(studio: Studio, project: Project, command: Command) -> dict[str, Any]:
    """Translate what was said; nothing that was not said is filled in but *the last picture*."""
    names = {"candidates": "candidates", "factor": "scale", "profile": "profile"}
    payload: dict[str, Any] = {
        names[name]: value for name, value in command.parameters.items() if name in names
    }
    target = command.parameters.get("target")
    if command.type == "layers" or target == "last":
        async with studio.shop.db.read() as session:
            last = await talk.last_picture(session, project.id)
        if last is None:
            raise CapabilityMissing("There is no picture yet that could be meant; make one first.")
        payload["input"] = last
    return payload
