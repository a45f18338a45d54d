"""WEB-2: the official JavaScript client, with its defaults. It needs node and npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.clients.running import Running, mask, picture, running

from maquette.testing.standin_openai import Act, Seen

HERE = Path(__file__).parent / "js"
NODE, NPM = shutil.which("node"), shutil.which("npm")
if (NODE is None or NPM is None) and os.environ.get("CI") != "true":
    pytest.skip("node and npm are not installed", allow_module_level=True)

Told = Mapping[str, Mapping[str, Any]]
_ACTS: Mapping[str, Act] = {
    "moderate this": Act("moderate"),
    "moderate later": Act("moderate-late"),
    "fail at this": Act("fail", status=502),
    "be late": Act(delay_s=2),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose upstream is told by the prompt what to do."""

    def choose(seen: Seen) -> Act:
        return _ACTS.get(str(seen.fields["prompt"]), Act())

    with running(tmp_path_factory.mktemp("home"), choose=choose) as found:
        yield found


@pytest.fixture(scope="module")
def told(house: Running, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Run all calls once, one after the other."""
    assert NODE is not None, "CI needs node"
    assert NPM is not None, "CI needs npm"
    place = tmp_path_factory.mktemp("js")
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(HERE / name, place / name)
    (place / "picture.png").write_bytes(picture())
    (place / "mask.png").write_bytes(mask())
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--omit=peer", "--loglevel=error")
    subprocess.run([NPM, "ci", *quiet], cwd=place, check=True, timeout=200)
    command = [NODE, "client.mjs", house.url, str(place)]
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line for line in lines}


def calls(house: Running, prompt: str) -> list[Seen]:
    return [one for one in house.upstream.seen if one.fields["prompt"] == prompt]


def test_pictures_are_made_and_edited(told: Told) -> None:
    wanted = {
        "generate": (2, "png"),
        "proof": (1, "jpeg"),
        "edit_stream": (1, "png"),
        "edit_bytes": (1, "png"),
        "extra": (1, "png"),
    }
    for name, (count, kind) in wanted.items():
        reply = told[name]["reply"]
        assert (reply["count"], reply["output_format"], reply["size"]) == (count, kind, "64x64")
    assert told["generate"]["reply"]["usage"]["total_tokens"] > 0


def test_pictures_and_mask_reach_the_provider(told: Told, house: Running) -> None:
    assert told["edit_bytes"]["reply"]
    (together,) = calls(house, "together")
    assert [part.data for part in together.files] == [picture(), picture()]
    (apple,) = calls(house, "an apple")
    assert [part.name for part in apple.files] == ["image", "mask"]


def test_a_stream_is_followed(told: Told) -> None:
    partial, done = "image_generation.partial_image", "image_generation.completed"
    assert told["stream"]["reply"] == [partial, partial, done]


@pytest.mark.parametrize(
    ("name", "kind", "status", "code"),
    [
        ("bad", "BadRequestError", 400, "bad-parameter"),
        ("missing", "NotFoundError", 404, "model_not_found"),
        ("moderated", "BadRequestError", 400, "moderation_blocked"),
        ("failing", "InternalServerError", 502, "outcome-unknown"),
        ("stream_error", "APIError", None, "moderation_blocked"),
    ],
)
def test_an_error_has_the_clients_own_class(
    told: Told, name: str, kind: str, status: int | None, code: str
) -> None:
    found = told[name]
    assert (found["error"], found.get("status"), found["code"]) == (kind, status, code)


@pytest.mark.parametrize("prompt", ["be late", "fail at this", "moderate this", "moderate later"])
def test_the_clients_retries_are_paid_once(told: Told, house: Running, prompt: str) -> None:
    """D12."""
    assert told["late"]["reply"]["count"] == 1
    assert len(calls(house, prompt)) == 1
