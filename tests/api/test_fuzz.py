"""Every operation of the contract, fuzzed: no 5xx, and no answer that is not promised."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.api.conftest import Serve

from maquette.core.people import Caller, Role, Scope
from maquette.services import keys, people
from maquette.testing.serving import Served

ROOT = Path(__file__).parents[2]
EXAMPLES = os.environ.get("MAQUETTE_FUZZ_EXAMPLES", "8")


async def fuzzed(served: Served, key: str, folder: Path) -> tuple[int, str]:
    """Run schemathesis with all its checks; streams end at once, since nobody tells anything."""
    served.house.feed.end()
    program = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "st"),
        "--config-file",
        str(ROOT / "schemathesis.toml"),
        "run",
        f"{served.url}/openapi.json",
        "--header",
        f"Authorization: Bearer {key}",
        "--checks=all",
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={EXAMPLES}",
        "--seed=20261121",
        "--generation-database=none",
        "--suppress-health-check=all",
        "--continue-on-failure",
        "--request-timeout=30",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await program.communicate()
    return program.returncode or 0, said.decode()


async def administrator(served: Served) -> str:
    """Return the key of somebody who may do everything."""
    known = await people.local(served.house.studio)
    caller = Caller(known.user_id, known.name, Role.ADMIN)
    _, text = await keys.make(served.house.studio, caller, "fuzz", list(Scope), None)
    return text


@pytest.mark.timeout(1200)
async def test_no_operation_answers_what_it_does_not_promise(serve: Serve, tmp_path: Path) -> None:
    async with serve(auth="multi", per_minute=1_000_000, logins_per_minute=1_000_000) as served:
        key = await administrator(served)
        for slug in ("demo", "contract"):
            body = {"name": slug, "slug": slug}
            headers = {"Authorization": f"Bearer {key}"}
            await served.client.post("/api/projects", json=body, headers=headers)
        status, said = await fuzzed(served, key, tmp_path)
    assert status == 0, said
