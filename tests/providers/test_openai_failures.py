"""What each failure of the other side means for the money."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from maquette import net
from maquette.core.errors import (
    BadProviderReply,
    CapabilityMissing,
    ConnectionRefused,
    OutcomeUnknown,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
    Retry,
)
from maquette.core.requests import Encoded, ImageRequest, Input, Option, digest_of
from maquette.core.wire import WireRules
from maquette.providers.openai.config import OpenAIConfig
from maquette.providers.openai.provider import OpenAIProvider
from maquette.testing.provider_contract import FakeRun
from maquette.testing.standin_openai import Act, StandIn

KEY = "sk-secret-8c1f2e"
STREAM: dict[str, Option] = {"partial_images": 1, "quality": "low"}


class Keyed(FakeRun):
    """A run whose project has this key."""

    def __init__(self, key: str = KEY) -> None:
        super().__init__({})
        self._key = key

    def secret(self, name: str) -> SecretStr:
        return SecretStr(self._key)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn(key=KEY) as running:
        yield running


def words(**options: Option) -> ImageRequest:
    return ImageRequest(
        provider="openai", model="gpt-image-2", prompt="a lighthouse", options=options
    )


def provider(url: str, **rules: Any) -> OpenAIProvider:
    config = OpenAIConfig(base_url=url, shipped_models=True)
    return OpenAIProvider.build(config, WireRules(paid_calls=False, **rules))


async def failed(
    server: StandIn, act: Act, run: FakeRun | None = None, **rules: Any
) -> ProviderError:
    """Return the error of one call that meets `act`."""
    server.script(act)
    options = STREAM if rules.pop("stream", False) else {}
    with pytest.raises(ProviderError) as caught:
        await provider(server.url, **rules).generate(words(**options), run or Keyed())
    return caught.value


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
async def test_a_5xx_may_have_been_charged_and_is_sent_once(server: StandIn, status: int) -> None:
    """The SDK's own retries would bill up to three times."""
    error = await failed(server, Act("fail", status=status))
    assert isinstance(error, OutcomeUnknown)
    assert error.facts["status"] == status
    assert len(server.seen) == 1


@pytest.mark.parametrize("does", ["cut-early", "cut-late", "cut-answer"])
async def test_a_cut_connection_may_have_been_charged_and_is_sent_once(
    server: StandIn, does: Any
) -> None:
    error = await failed(server, Act(does))
    assert isinstance(error, OutcomeUnknown)
    assert len(server.seen) == 1


async def test_an_answer_that_is_too_slow_may_have_been_charged(server: StandIn) -> None:
    error = await failed(server, Act(delay_s=30), longest_wait_s=0.2)
    assert isinstance(error, OutcomeUnknown)
    assert "did not answer in time" in str(error)
    assert len(server.seen) <= 1


async def test_a_connection_that_never_opened_cost_nothing() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with pytest.raises(ProviderUnavailable, match="nothing was sent") as caught:
            await provider(url).generate(words(), Keyed())
    assert caught.value.retry is Retry.LATER


async def test_the_switch_for_paid_calls_holds() -> None:
    """Nothing but this machine is called where outbound calls are off."""
    with pytest.raises(ConnectionRefused, match="switched off"):
        await provider("https://192.0.2.1/v1").generate(words(), Keyed())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
async def test_a_429_says_when_to_come_back(
    server: StandIn, headers: dict[str, str], seconds: float | None
) -> None:
    error = await failed(server, Act("busy", headers=headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds
    assert error.retry is Retry.LATER
    assert len(server.seen) == 1


def test_a_date_to_come_back_is_understood() -> None:
    later = datetime.now(UTC) + timedelta(seconds=90)
    seconds = net.retry_after({"retry-after": format_datetime(later, usegmt=True)})
    assert seconds is not None
    assert 80 < seconds <= 90


def test_a_date_that_has_passed_asks_for_no_wait() -> None:
    assert net.retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


async def test_an_account_without_credit_is_not_asked_again(server: StandIn) -> None:
    error = await failed(server, Act("busy", code="insufficient_quota"))
    assert isinstance(error, ProviderRefused)
    assert error.retry is Retry.NEVER
    assert "credit" in str(error)


async def test_moderation_is_a_refusal_and_never_sent_again(server: StandIn) -> None:
    error = await failed(server, Act("moderate", message="Rejected by the safety system."))
    assert isinstance(error, ProviderRefused)
    assert error.retry is Retry.NEVER
    assert "Rejected by the safety system." in str(error)
    assert error.facts["upstream_code"] == "moderation_blocked"


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 302])
async def test_a_refused_request_cost_nothing(server: StandIn, status: int) -> None:
    error = await failed(server, Act("error", status=status, code="bad", message="No such thing."))
    assert type(error) is ProviderRefused
    assert "No such thing." in str(error) or status == 302
    assert error.facts["status"] == status


async def test_a_wrong_key_is_refused_and_never_shown(
    server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """LAB-24: the stand-in repeats the key in its message, as servers do."""
    caplog.set_level(logging.DEBUG)
    wrong = "sk-wrong-77aa"
    error = await failed(server, Act(), Keyed(wrong))
    assert isinstance(error, ProviderRefused)
    assert "OPENAI_API_KEY" in str(error)
    assert wrong not in f"{error}{error!r}{error.facts}{caplog.text}"


@pytest.mark.parametrize("status", [400, 403, 429, 500])
async def test_no_message_and_no_log_holds_the_key(
    server: StandIn, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    error = await failed(server, Act("error", status=status, message=f"Your key {KEY} is odd."))
    assert KEY not in f"{error}{error!r}{error.facts}{caplog.text}"
    assert error.__cause__ is None


async def test_no_log_of_a_good_call_holds_the_key(
    server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one = provider(server.url)
    await one.generate(words(quality="low"), Keyed())
    assert caplog.records
    assert KEY not in caplog.text
    assert KEY not in repr(vars(one))


@pytest.mark.parametrize("key", ["", "  ", "sk-ü", "sk-a\nb"])
async def test_a_key_that_cannot_be_one_is_refused_before_sending(
    server: StandIn, key: str
) -> None:
    with pytest.raises(CapabilityMissing, match="Set it again") as caught:
        await provider(server.url).generate(words(), Keyed(key))
    assert not server.seen
    assert not key.strip() or key not in str(caught.value)


async def test_a_page_instead_of_an_answer_is_kept(server: StandIn) -> None:
    run = Keyed()
    error = await failed(server, Act("garbage"), run)
    assert isinstance(error, BadProviderReply)
    assert run.replies == [b"<html>it works!</html>"]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ([], "not what the Images API promises"),
        ({}, "0 pictures instead of 1"),
        ({"data": []}, "0 pictures instead of 1"),
        ({"data": [{"b64_json": "iVBORw0KGgo="}] * 2}, "2 pictures instead of 1"),
        ({"data": [{"b64_json": "%%%"}]}, "not valid base64"),
        ({"data": [{"b64_json": "PGh0bWw+"}]}, "a web page instead of a picture"),
        ({"data": [{"url": "https://cdn.example/1.png"}]}, "only an address"),
        ({"data": [{"b64_json": "iVBORw0KGgo="}], "usage": {"output_tokens": -5}}, "not what"),
    ],
)
async def test_an_answer_that_was_not_promised_is_kept_and_said(
    server: StandIn, document: object, why: str
) -> None:
    run = Keyed()
    body = json.dumps(document).encode()
    error = await failed(server, Act(body=body), run)
    assert isinstance(error, BadProviderReply)
    assert why in str(error)
    assert run.replies == [body]


def test_a_kept_reply_of_a_model_that_left_the_settings_is_not_taken_for_uncharged() -> None:
    """`CapabilityMissing` would give the money back, and the call may have been paid."""
    gone = words().model_copy(update={"model": "mine"})
    with pytest.raises(BadProviderReply, match="Put its entry back"):
        provider("http://127.0.0.1:9/v1").read_reply(b"{}", gone)


async def test_a_reply_over_the_limit_is_not_read_further(server: StandIn) -> None:
    error = await failed(server, Act(), most_bytes=1000)
    assert isinstance(error, BadProviderReply)


async def test_moderation_at_the_end_of_a_stream_is_a_refusal(server: StandIn) -> None:
    error = await failed(server, Act("moderate-late"), stream=True)
    assert isinstance(error, ProviderRefused)


async def test_a_stream_that_ends_early_may_have_been_charged(server: StandIn) -> None:
    run = Keyed()
    error = await failed(server, Act("stream-ends"), run, stream=True)
    assert isinstance(error, OutcomeUnknown)
    assert len(run.partials) == 1


async def test_an_error_in_a_stream_may_have_been_charged(server: StandIn) -> None:
    error = await failed(server, Act("stream-fails", message=f"{KEY} broke."), stream=True)
    assert isinstance(error, OutcomeUnknown)
    assert KEY not in str(error)


async def test_garbage_in_a_stream_may_have_been_charged(server: StandIn) -> None:
    error = await failed(server, Act("stream-garbage"), stream=True)
    assert isinstance(error, OutcomeUnknown)


async def test_nothing_is_sent_for_what_the_model_cannot_do(server: StandIn) -> None:
    with pytest.raises(CapabilityMissing):
        await provider(server.url).generate(words(quality="max"), Keyed())
    assert not server.seen


async def test_nothing_is_sent_where_a_picture_cannot_be_read(server: StandIn) -> None:
    mask = b"no mask at all"
    given = [
        Input(
            role=role,
            digest=digest_of(mask),
            media_type="image/png",
            width_px=8,
            height_px=8,
            size_bytes=9,
        )
        for role in ("init", "mask")
    ]
    request = words().model_copy(update={"mode": "inpaint", "inputs": tuple(given)})
    run = FakeRun({digest_of(mask): Encoded(mask, "image/png")})
    with pytest.raises(Exception, match="mask"):
        await provider(server.url).generate(request, run)
    assert not server.seen


def test_the_sdk_is_not_loaded_before_a_call() -> None:
    """It takes 0.4 s, which a command that calls nobody should not wait for."""
    code = "import sys, maquette.providers.openai.provider\nsys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
