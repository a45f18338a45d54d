"""Speech: recorded with its sound, never paid unasked, and nothing spoken does anything."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.api.conftest import Serve

from maquette.core.money import FREE
from maquette.core.requests import digest_of
from maquette.core.speech import MOST_AUDIO_BYTES
from maquette.db.tables import VoiceRequest
from maquette.services import keeping, projects, spending, voices
from maquette.speech.tool import TOOL
from maquette.testing.serving import Served
from maquette.testing.standin_audio import SOUNDS, Act, StandInAudio, tone

VOICE = "/api/projects/demo/voice"


@asynccontextmanager
async def project(serve: Serve, **server: Any) -> AsyncGenerator[Served]:
    async with serve(work=False, **server) as served:
        await served.client.post("/api/projects", json={"name": "Demo", "slug": "demo"})
        yield served


async def hear(
    served: Served, data: bytes = b"", status: int = 201, **fields: Any
) -> dict[str, Any]:
    files = {"file": ("recording", data or tone())}
    reply = await served.client.post(f"{VOICE}/stt", files=files, data=fields)
    assert reply.status_code == status, reply.text
    return reply.json()


async def speak(served: Served, status: int = 201, **body: Any) -> dict[str, Any]:
    reply = await served.client.post(f"{VOICE}/tts", json={"text": "It is done.", **body})
    assert reply.status_code == status, reply.text
    return reply.json()


async def test_without_the_extra_it_says_how_to_get_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LAB-28: nothing pretends to be a voice."""
    monkeypatch.setattr("maquette.speech.espeak.missing", lambda: ["espeak-ng"])
    monkeypatch.setattr("maquette.speech.sphinx.missing", lambda: ["pocketsphinx"])
    async with project(serve) as served:
        for told in (await speak(served, 422), await hear(served, status=422)):
            assert told["error"]["code"] == "capability-missing"
            assert TOOL.command in told["detail"]
        assert (await served.client.get(f"{VOICE}/requests")).json()["items"] == []


async def test_a_text_is_spoken_and_its_sound_kept(serve: Serve, service: StandInAudio) -> None:
    async with project(serve) as served:
        told = await speak(served, voice="marin", format="wav")
        assert (told["kind"], told["state"], told["text"]) == ("tts", "succeeded", "It is done.")
        assert (told["source"], told["voice"], told["audio_media_type"]) == (
            "mouth", "marin", "audio/wav",
        )  # fmt: skip
        again = (await served.client.get(f"{VOICE}/requests/{told['id']}")).json()
        assert again == told
        sound = await served.client.get(told["audio_url"])
        assert (sound.headers["content-type"], sound.content) == ("audio/wav", SOUNDS["wav"])
        part = await served.client.get(told["audio_url"], headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, SOUNDS["wav"][4:8])
        beyond = await served.client.get(told["audio_url"], headers={"Range": "bytes=99999999-"})
        assert beyond.json()["error"]["code"] == "range-outside"
    assert service.seen[0].fields["response_format"] == "wav"


@pytest.mark.parametrize("form", ["form", "json"])
async def test_a_recording_is_written_down_and_kept(
    serve: Serve, service: StandInAudio, form: str
) -> None:
    service.script(Act(text="The light is too cold."))
    clip = tone(0.3)
    async with project(serve) as served:
        if form == "form":
            told = await hear(served, clip)
        else:
            body = {"audio_base64": base64.b64encode(clip).decode()}
            told = (await served.client.post(f"{VOICE}/stt", json=body)).json()
        assert (told["state"], told["text"]) == ("succeeded", "The light is too cold.")
        assert told["command"] is None
        sound = await served.client.get(told["audio_url"])
        assert sound.content == clip
    assert service.seen[0].files[0].data == clip


@pytest.mark.usefixtures("service")
async def test_sound_survives_a_sweep_and_is_checked(serve: Serve) -> None:
    """The store's rows know of it, as they do of pictures."""
    async with project(serve) as served:
        told = await speak(served)
        studio = served.house.studio
        root = await projects.root_of(studio, "demo", None)
        assert await keeping.sweep(studio, "demo", root, dry_run=True) == []
        assert await keeping.verify(studio, "demo", root) == (1, [])
        digest = digest_of(SOUNDS["mp3"])
        (root / ".maquette" / "objects" / digest[:2] / digest).unlink()
        lost = await served.client.get(told["audio_url"])
        assert (lost.status_code, lost.json()["error"]["code"]) == (404, "object-not-found")


@pytest.mark.parametrize(
    ("said", "kind", "payload"),
    [
        ("Run the pipeline with 3 candidates.", "pipeline_run", {"candidates": 3}),
        ("upscale all pictures by two", "upscale", {"scale": 2}),
        ("Check all pictures.", "qa", {}),
        ("export the project", "export", {}),
        ("sync the project", "sync_s3", {}),
        ("color all pictures with golden hour", "color", {"profile": "golden_hour"}),
    ],
)
async def test_a_command_becomes_a_proposal_that_waits(
    serve: Serve, service: StandInAudio, said: str, kind: str, payload: dict[str, Any]
) -> None:
    """LAB-28: even what costs nothing."""
    service.script(Act(text=said), Act(text=said))
    async with project(serve) as served:
        only_heard = await hear(served)
        assert (only_heard["command"]["type"], only_heard["proposal"]) == (kind, None)
        proposal = (await hear(served, propose="true"))["proposal"]
        assert (proposal["problem"], proposal["payload_json"]) == (None, payload)
        url = f"/api/projects/demo/agent/instructions/{proposal['id']}"
        found = (await served.client.get(url)).json()
        assert found["state"] == "awaiting_confirmation"


async def test_a_spoken_confirm_confirms_nothing(serve: Serve, service: StandInAudio) -> None:
    service.script(Act(text="export the project"), Act(text="Confirm."))
    async with project(serve) as served:
        waiting = (await hear(served, propose="true"))["proposal"]["id"]
        proposal = (await hear(served, propose="true"))["proposal"]
        assert (proposal["id"], proposal["refers_to"]) == (None, waiting)
        assert "confirms nothing" in proposal["problem"]
        url = f"/api/projects/demo/agent/instructions/{waiting}"
        assert (await served.client.get(url)).json()["state"] == "awaiting_confirmation"


async def test_the_last_picture_must_be_there(serve: Serve, service: StandInAudio) -> None:
    service.script(Act(text="upscale the last picture"))
    async with project(serve) as served:
        proposal = (await hear(served, propose="true"))["proposal"]
        assert proposal["id"] is None
        assert "no picture yet" in proposal["problem"]


async def test_nothing_is_paid_unconfirmed(serve: Serve, paid: StandInAudio) -> None:
    async with project(serve) as served:
        for told in (await speak(served, 402), await hear(served, status=402)):
            assert told["error"]["code"] == "spend-not-confirmed"
        assert (await served.client.get(f"{VOICE}/requests")).json()["items"] == []
    assert not paid.seen


async def test_what_was_charged_is_what_is_settled(serve: Serve, paid: StandInAudio) -> None:
    """WEB-8: to the billionth."""
    async with project(serve) as served:
        spoken = await speak(served, confirm_spend=True)
        heard = await hear(served, tone(1.5), confirm_spend="true")
        told = sum(round(float(one["cost_usd"]) * 10**9) for one in (spoken, heard))
        assert told == paid.charged_nano > 0
        lines = await spending.report(served.house.studio, "demo")
        assert sum(round(float(one.actual) * 10**9) for one in lines) == told
        assert {one.held for one in await spending.meters(served.house.studio)} == {FREE}


async def test_a_lost_paid_answer_is_recorded_and_put_before_a_person(
    serve: Serve, paid: StandInAudio
) -> None:
    paid.script(Act(does="cut-late"))
    async with project(serve) as served:
        told = await speak(served, 502, confirm_spend=True)
        assert told["error"]["code"] == "outcome-unknown"
        (row,) = (await served.client.get(f"{VOICE}/requests")).json()["items"]
        assert (row["state"], row["error_code"]) == ("failed", "outcome-unknown")
        assert len(await spending.undecided(served.house.studio)) == 1


async def test_a_service_that_fails_leaves_the_recording(
    serve: Serve, service: StandInAudio
) -> None:
    service.script(Act(does="busy"))
    async with project(serve) as served:
        await hear(served, status=503)
        (row,) = (await served.client.get(f"{VOICE}/requests")).json()["items"]
        assert row["state"] == "failed"
        assert (await served.client.get(row["audio_url"])).content == tone()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"not a sound", 422, "bad-parameter"),
        (b"RIFF\0\0\0\0WAVE" + bytes(MOST_AUDIO_BYTES), 413, "request-too-large"),
    ],
    ids=["none", "large"],
)
async def test_recordings_that_cannot_be_are_refused(
    serve: Serve, service: StandInAudio, data: bytes, status: int, code: str
) -> None:
    async with project(serve) as served:
        assert (await hear(served, data, status))["error"]["code"] == code
        encoded = {"audio_base64": base64.b64encode(data).decode()}
        reply = await served.client.post(f"{VOICE}/stt", json=encoded)
        assert (reply.status_code, reply.json()["error"]["code"]) == (
            (status, code) if status == 413 else (422, "bad-parameter")
        )
    assert not service.seen


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"audio_base64": "???"}', "application/json", 422),
        (b'{"audio_base64": "", "unknown": 1}', "application/json", 422),
        (b"hello", "text/plain", 415),
    ],
)
async def test_bodies_that_cannot_be_are_refused(
    serve: Serve, service: StandInAudio, body: bytes, kind: str, status: int
) -> None:
    async with project(serve) as served:
        headers = {"Content-Type": kind}
        reply = await served.client.post(f"{VOICE}/stt", content=body, headers=headers)
        assert reply.status_code == status, reply.text
    assert not service.seen


@pytest.mark.parametrize(
    "body", [{"text": ""}, {"rate": 9}, {"format": "aiff"}, {"text": "x" * 4097}, {"speed": 1}]
)
async def test_wishes_that_cannot_be_are_refused(
    serve: Serve, service: StandInAudio, body: dict[str, Any]
) -> None:
    async with project(serve) as served:
        assert (await speak(served, 422, **body))["error"]["code"] == "bad-parameter"
    assert not service.seen


@pytest.mark.usefixtures("service")
async def test_requests_are_listed_in_pages_and_belong_to_their_project(
    serve: Serve,
) -> None:
    async with project(serve) as served:
        made = [(await speak(served, text=f"number {one}"))["id"] for one in range(3)]
        url = f"{VOICE}/requests"
        first = (await served.client.get(url, params={"limit": 2})).json()
        rest = (await served.client.get(url, params={"before": first["next"]})).json()
        assert [one["id"] for one in first["items"] + rest["items"]] == made[::-1]
        await served.client.post("/api/projects", json={"name": "Other", "slug": "other"})
        for path in (made[0], f"{made[0]}/audio", "nothing"):
            reply = await served.client.get(f"/api/projects/other/voice/requests/{path}")
            assert reply.json()["error"]["code"] == "voice-request-not-found"


@pytest.mark.usefixtures("service")
async def test_what_a_dead_process_left_is_ended(serve: Serve) -> None:
    async with project(serve) as served:
        studio = served.house.studio
        found = await projects.find(studio, "demo")
        lost = VoiceRequest(
            id="lost",
            project_id=found.id,
            kind="tts",
            state="running",
            data={},
            created_at=studio.shop.clock.now(),
        )
        async with studio.shop.db.write() as session:
            session.add(lost)
        async with studio.shop.db.alive("lost"):
            await voices.put_in_order(studio)
            shown = (await served.client.get(f"{VOICE}/requests/lost")).json()
            assert shown["state"] == "running"
        await voices.put_in_order(studio)
        shown = (await served.client.get(f"{VOICE}/requests/lost")).json()
        assert (shown["state"], shown["error_code"]) == ("failed", "cancelled")


async def test_speaking_goes_on_when_nobody_waits(serve: Serve, service: StandInAudio) -> None:
    go = threading.Event()
    service.script(Act(until=go))
    async with project(serve, request_timeout_s=4.0) as served:
        await speak(served, 504)
        go.set()
        url = "/api/projects/demo/events?last_event_id=0"
        async with asyncio.timeout(20), served.client.stream("GET", url) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:") and '"succeeded"' in line:
                    break
        (row,) = (await served.client.get(f"{VOICE}/requests")).json()["items"]
        assert row["state"] == "succeeded"
