"""WEB-14: `maquette mcp`, started by the official client as its own program."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mcp import Client, StdioServerParameters
from sqlalchemy import select
from tests.api.agents import Progress, pictures, refused, told

from maquette.agent.tools import TOOLS
from maquette.db.tables import Worker
from maquette.imaging import png
from maquette.settings import WorkerSettings, load
from maquette.testing.serving import Served, serving

if TYPE_CHECKING:
    from tests.cli.conftest import Workplace

MAQUETTE = ("-c", "from maquette.cli import main; main()")
OPENING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def environment(home: Path) -> dict[str, str]:
    return {
        "MAQUETTE_HOME": str(home),
        "MAQUETTE_NET__PAID_CALLS": "false",
        "MAQUETTE_WORKERS__COUNT": "1",
    }


@asynccontextmanager
async def started(home: Path, *words: str) -> AsyncGenerator[Client]:
    """Start the program, and talk to it as a client does."""
    program = StdioServerParameters(
        command=sys.executable, args=[*MAQUETTE, "mcp", *words], env=environment(home)
    )
    async with Client(program) as client:
        yield client


def picture() -> bytes:
    return png.write(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8))


async def test_a_client_that_starts_it_gets_pictures(tmp_path: Path) -> None:
    """Words to a picture, a file below the root to an edit; all of it with proofs, for nothing."""
    home, progress = tmp_path / "home", Progress()
    async with started(home) as client:
        assert [one.name for one in (await client.list_tools()).tools] == [
            one.name for one in TOOLS
        ]
        boat = {"prompt": "A red boat", "size": "96x64"}
        made = await client.call_tool("generate", boat, progress_callback=progress)
        assert told(made)["state"] == "succeeded"
        assert [one.shape[:2] for one in pictures(made)] == [(64, 96)]
        root = home / "projects/personal-local"
        (root / "given.png").write_bytes(picture())
        (tmp_path / "secret.png").write_bytes(picture())
        (root / "link.png").symlink_to(tmp_path / "secret.png")
        given = told(await client.call_tool("upload_image", {"path": "given.png"}))["picture"]
        edit = {"prompt": "warmer", "pictures": [given["asset"]], "size": "source"}
        edited = await client.call_tool("edit", edit)
        assert [one.shape[:2] for one in pictures(edited)] == [(32, 48)]
        for path in ("../../../secret.png", str(tmp_path / "secret.png"), "link.png"):
            refused(await client.call_tool("upload_image", {"path": path}), "unsafe-path")
        again = base64.b64encode(picture()).decode()
        twice = told(await client.call_tool("upload_image", {"data": again}))
        assert twice["duplicate_of"] == given["asset"]
    assert progress.seen
    assert progress.seen == sorted(set(progress.seen))


async def test_a_server_that_runs_works_its_jobs(tmp_path: Path) -> None:
    """Whoever holds the desk works: here the server does, and the program stands by."""
    settings = load(home=tmp_path / "home", workers=WorkerSettings(count=1))
    async with serving(settings) as served:
        reply = await served.client.post("/api/projects", json={"name": "Lab", "slug": "lab"})
        assert reply.status_code == 201
        async with started(tmp_path / "home", "--project", "lab") as client:
            made = await client.call_tool("generate", {"prompt": "A red boat", "size": "64x64"})
            states = await _workers(served)
    assert (told(made)["state"], told(made)["project"]) == ("succeeded", "lab")
    assert states == ["standing_by", "working"]


async def _workers(served: Served) -> list[str]:
    async with served.house.studio.shop.db.read() as session:
        return sorted((await session.execute(select(Worker.state))).scalars())


def test_only_the_protocol_is_on_standard_output(tmp_path: Path) -> None:
    """Every line is a message, and the program leaves when its client does."""
    call = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": "generate", "arguments": {"prompt": "A red boat", "size": "64x64"}},
    }
    program = subprocess.Popen(
        [sys.executable, *MAQUETTE, "mcp"],
        env={**os.environ, **environment(tmp_path / "home")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        assert program.stdin is not None
        assert program.stdout is not None
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        for message in (OPENING, ready, call):
            program.stdin.write(json.dumps(message) + "\n")
            program.stdin.flush()
        answers = [json.loads(program.stdout.readline()) for _ in range(2)]
        program.stdin.close()
        assert program.stdout.read() == ""
        assert program.wait(30) == 0
    assert [one["id"] for one in answers] == [1, 2]
    assert answers[1]["result"]["structuredContent"]["state"] == "succeeded"


def test_a_signal_ends_it_while_its_client_still_listens(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, *MAQUETTE, "mcp"],
        env={**os.environ, **environment(tmp_path / "home")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(json.dumps(OPENING) + "\n")
        program.stdin.flush()
        assert json.loads(program.stdout.readline())["id"] == 1
        program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 130


def test_a_project_that_is_not_there_is_said_at_once(place: Workplace) -> None:
    said = place("mcp", "--project", "nowhere")
    assert said.status == 2
    assert "nowhere" in said.err
    assert said.out == ""


def test_both_commands_print_the_functions(place: Workplace) -> None:
    both: list[Any] = [place("functions").json, place("mcp", "manifest").json]
    assert both[0] == both[1]
    assert [one["name"] for one in both[0]] == [one.name for one in TOOLS]
    assert {one["type"] for one in both[0]} == {"function"}
