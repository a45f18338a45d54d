"""The same key speaks once and listens once, so nobody pays twice."""

from __future__ import annotations

import base64
from typing import Any

from tests.api.conftest import Serve
from tests.api.test_voice import VOICE, project

from maquette.testing.standin_audio import Act, StandInAudio, tone

KEY = {"Idempotency-Key": "1"}


async def test_the_same_key_speaks_once(serve: Serve, paid: StandInAudio) -> None:
    """WEB-7."""
    body = {"text": "Twice", "confirm_spend": True}
    async with project(serve) as served:
        replies = [
            await served.client.post(f"{VOICE}/tts", json=body, headers=KEY) for _ in range(2)
        ]
        assert replies[0].json() == replies[1].json()
    assert len(paid.seen) == 1


async def test_the_same_key_listens_once(serve: Serve, paid: StandInAudio) -> None:
    """In whichever form the recording comes."""
    form: Any = {
        "files": {"file": ("recording", tone())},
        "data": {"confirm_spend": "true"},
    }
    same: dict[str, Any] = {
        "audio_base64": base64.b64encode(tone()).decode(),
        "confirm_spend": True,
    }
    async with project(serve) as served:
        first = await served.client.post(f"{VOICE}/stt", headers=KEY, **form)
        assert (first.status_code, "Idempotency-Replayed" in first.headers) == (201, False)
        again_as: list[Any] = [form, {"json": same}]
        for sent in again_as:
            again = await served.client.post(f"{VOICE}/stt", headers=KEY, **sent)
            assert (again.status_code, again.json()) == (201, first.json())
            assert again.headers["Idempotency-Replayed"] == "true"
        for other in (same | {"propose": True}, same | {"audio_base64": ""}):
            reply = await served.client.post(f"{VOICE}/stt", headers=KEY, json=other)
            told = (reply.status_code, reply.json()["error"]["code"])
            assert told == (409, "idempotency-mismatch")
    assert len(paid.seen) == 1


async def test_a_key_is_free_again_where_listening_was_refused(
    serve: Serve, paid: StandInAudio
) -> None:
    files = {"file": ("recording", tone())}
    async with project(serve) as served:
        for said, status in (("false", 402), ("true", 201)):
            data = {"confirm_spend": said}
            reply = await served.client.post(f"{VOICE}/stt", files=files, data=data, headers=KEY)
            assert reply.status_code == status, reply.text
    assert len(paid.seen) == 1


async def test_who_asks_again_after_a_lost_answer_is_shown_what_was_made(
    serve: Serve, paid: StandInAudio
) -> None:
    """Nobody knows whether that was paid, so it is not done again."""
    paid.script(Act(does="cut-late"))
    files = {"file": ("recording", tone())}
    data = {"confirm_spend": "true"}
    async with project(serve) as served:
        lost, *shown = [
            await served.client.post(f"{VOICE}/stt", files=files, data=data, headers=KEY)
            for _ in range(3)
        ]
        assert lost.status_code == 502
        for reply in shown:
            told = (reply.status_code, reply.json()["state"], reply.json()["error_code"])
            assert told == (201, "failed", "outcome-unknown")
    assert len(paid.seen) == 1
