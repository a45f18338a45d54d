"""LAB-28: speech through an OpenAI-compatible audio API, and what each failure means for money."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from maquette.core.errors import (
    BadParameter,
    BadProviderReply,
    CapabilityMissing,
    OutcomeUnknown,
    PriceUnknown,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
    Retry,
)
from maquette.core.money import to_nano
from maquette.core.speech import MOST_AUDIO_BYTES, MOST_CHARACTERS, Audio, Command
from maquette.core.wire import WireRules
from maquette.speech import pricing
from maquette.speech.config import OPENAI_URL, SpeechConfig
from maquette.speech.grammar import Grammar
from maquette.speech.remote import RemoteListener, RemoteSpeaker
from maquette.testing.standin_audio import SOUNDS, Act, StandInAudio, tone

KEY = "sk-secret-8c1f2e"
TODAY = date(2026, 12, 1)
PRICES: dict[str, Any] = {
    "writes": {"per_minute": "0.0045", "date": TODAY, "source": "a test"},
    "speaks": {"per_million_characters": 15, "date": TODAY, "source": "a test"},
}
CLIP = Audio(tone(2.5), "audio/wav")


@pytest.fixture
def server() -> Iterator[StandInAudio]:
    with StandInAudio(key=KEY) as running:
        yield running


def config(url: str, **fields: Any) -> SpeechConfig:
    own: dict[str, Any] = {"key_name": "SPEECH_KEY", "has_key": True, "prices": PRICES}
    own |= {"listen_model": "writes", "speak_model": "speaks"} | fields
    return SpeechConfig(base_url=url, **own)


def secret(_name: str) -> SecretStr:
    return SecretStr(KEY)


def speaker(url: str, rules: WireRules | None = None, **fields: Any) -> RemoteSpeaker:
    rules = rules or WireRules(paid_calls=False)
    return RemoteSpeaker(config(url, **fields), rules, secret, today=lambda: TODAY)


def listener(url: str, rules: WireRules | None = None, **fields: Any) -> RemoteListener:
    rules = rules or WireRules(paid_calls=False)
    grammar = Grammar(("golden_hour",))
    return RemoteListener(config(url, **fields), rules, secret, grammar, today=lambda: TODAY)


async def call(server: StandInAudio, end: str, **fields: Any) -> None:
    """Make one call at either end."""
    if end == "speak":
        await speaker(server.url, **fields).speak("Hello")
    else:
        await listener(server.url, **fields).listen(CLIP)


async def failed(server: StandInAudio, act: Act, end: str, **fields: Any) -> ProviderError:
    """Return the error of one call that meets `act`."""
    server.script(act)
    with pytest.raises(ProviderError) as caught:
        await call(server, end, **fields)
    assert len(server.seen) <= 1
    return caught.value


both = pytest.mark.parametrize("end", ["speak", "listen"])


async def test_listening_sends_the_file_under_a_name_that_tells_its_format(
    server: StandInAudio,
) -> None:
    heard = await listener(server.url).listen(CLIP)
    seen = server.seen[0]
    assert seen.path == "/v1/audio/transcriptions"
    assert seen.fields == {"model": "writes", "response_format": "json"}
    assert [(one.name, one.filename, one.media_type) for one in seen.files] == [
        ("file", "recording.wav", "audio/wav")
    ]
    assert seen.files[0].data == CLIP.data
    assert (heard.text, heard.source) == ("Run the pipeline with 3 candidates.", "writes")
    assert heard.command == Command("pipeline_run", {"candidates": 3})
    assert heard.confidence is None


async def test_speaking_sends_these_fields_and_no_others(server: StandInAudio) -> None:
    spoken = await speaker(server.url).speak("Hello,\tworld\x01")
    seen = server.seen[0]
    assert seen.path == "/v1/audio/speech"
    assert seen.fields == {
        "model": "speaks",
        "input": "Hello, world",
        "voice": "alloy",
        "response_format": "mp3",
    }
    assert (spoken.audio.data, spoken.audio.media_type) == (SOUNDS["mp3"], "audio/mpeg")


async def test_a_voice_and_a_rate_that_were_asked_for_are_sent(server: StandInAudio) -> None:
    await speaker(server.url).speak("Hello", "marin", 1.5)
    assert (server.seen[0].fields["voice"], server.seen[0].fields["speed"]) == ("marin", 1.5)


@pytest.mark.parametrize(
    ("wanted", "media_type"),
    [
        ("wav", "audio/wav"),
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg"),
        ("flac", "audio/flac"),
    ],
)
async def test_what_comes_back_is_named_by_its_bytes(
    server: StandInAudio, wanted: str, media_type: str
) -> None:
    spoken = await speaker(server.url, speak_format=wanted).speak("Hello")
    assert spoken.audio.media_type == media_type


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"OggS\x00", "recording.ogg"),
        (b"\x1a\x45\xdf\xa3", "recording.webm"),
        (b"fLaC", "recording.flac"),
        (b"\x00\x00\x00\x20ftypM4A ", "recording.m4a"),
        (b"ID3\x04", "recording.mp3"),
        (b"\xff\xf3\x40\x00", "recording.mp3"),
    ],
)
async def test_a_recording_is_named_by_its_bytes_whatever_it_claims(
    server: StandInAudio, start: bytes, name: str
) -> None:
    await listener(server.url).listen(Audio(start + bytes(500), "audio/wav"))
    assert server.seen[0].files[0].filename == name


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF\x00\x00\x00\x00AVI ", b"\xff\xf1\x50\x80", b"<html>", b"\x89PNG\r\n", bytes(4000)],
)
async def test_bytes_that_are_no_recording_are_refused_before_sending(
    server: StandInAudio, data: bytes
) -> None:
    """The fourth is raw AAC, which looks much like MP3."""
    with pytest.raises(BadParameter, match="nothing was sent"):
        await listener(server.url).listen(Audio(data, "audio/mpeg"))
    assert not server.seen


async def test_a_recording_over_25_mb_is_refused_before_sending(server: StandInAudio) -> None:
    large = Audio(b"ID3" + bytes(MOST_AUDIO_BYTES), "audio/mpeg")
    with pytest.raises(BadParameter, match="Make it shorter"):
        await listener(server.url).listen(large)
    assert not server.seen


@pytest.mark.parametrize(
    ("words", "voice", "rate"),
    [
        ("", "", 1.0),
        (" \n\x00\x1b ", "", 1.0),
        ("x" * (MOST_CHARACTERS + 1), "", 1.0),
        ("x" * 100_000, "", 1.0),
        ("Hello", "al\nloy", 1.0),
        ("Hello", "x" * 300, 1.0),
        ("Hello", "", 0.1),
        ("Hello", "", 5.0),
        ("Hello", "", float("nan")),
    ],
)
async def test_what_cannot_be_spoken_is_refused_before_sending(
    server: StandInAudio, words: str, voice: str, rate: float
) -> None:
    with pytest.raises(BadParameter, match="nothing was sent"):
        await speaker(server.url).speak(words, voice, rate)
    assert not server.seen


async def test_the_longest_text_is_sent_whole(server: StandInAudio) -> None:
    await speaker(server.url).speak("ü" * MOST_CHARACTERS)
    assert server.seen[0].fields["input"] == "ü" * MOST_CHARACTERS


async def test_the_estimates_hold_and_the_costs_are_what_was_charged(server: StandInAudio) -> None:
    """A recording of 2.5 s is billed as 3."""
    ear, mouth = listener(server.url), speaker(server.url)
    heard, spoken = await ear.listen(CLIP), await mouth.speak("Hello, world")
    assert heard.cost is not None and spoken.cost is not None
    assert to_nano(heard.cost) + to_nano(spoken.cost) == server.charged_nano
    assert ear.estimate(CLIP) >= heard.cost == Decimal("0.000225")
    assert mouth.estimate("Hello, world") >= spoken.cost


async def test_a_reply_that_counts_nothing_leaves_the_estimate_standing(
    server: StandInAudio,
) -> None:
    server.script(Act(counts=False))
    assert (await listener(server.url).listen(CLIP)).cost is None


@pytest.mark.parametrize(
    "usage",
    [
        {"type": "tokens", "input_tokens": 12},
        {"type": "duration", "seconds": -1},
        {"type": "duration", "seconds": 1e300},
        "much",
        None,
    ],
)
async def test_odd_words_about_money_do_not_lose_the_text(
    server: StandInAudio, usage: object
) -> None:
    server.script(Act(body=json.dumps({"text": " hi\x00there ", "usage": usage}).encode()))
    heard = await listener(server.url).listen(CLIP)
    assert (heard.text, heard.cost) == ("hi there", None)


@pytest.mark.parametrize("start", [b"OggS\x00", b"\x1a\x45\xdf\xa3", b"ID3", b"fLaC"])
def test_a_packed_recording_is_taken_for_the_longest_that_it_may_be(start: bytes) -> None:
    """One minute of dense speech, at 8000 bits a second, is not held for less than it costs."""
    packed = Audio(start + bytes(60_000), "audio/webm")
    assert listener("http://127.0.0.1:9/v1").estimate(packed) >= Decimal("0.0045")


@both
async def test_a_model_without_a_price_is_refused_before_sending(
    server: StandInAudio, end: str
) -> None:
    with pytest.raises(PriceUnknown, match="nothing was sent"):
        await call(server, end, speak_model="other", listen_model="other")
    assert not server.seen


async def test_the_wrong_kind_of_price_is_no_price(server: StandInAudio) -> None:
    with pytest.raises(PriceUnknown, match="for characters"):
        await speaker(server.url, speak_model="writes").speak("Hello")
    assert not server.seen


async def test_a_server_of_ones_own_needs_no_key_and_no_price() -> None:
    with StandInAudio(key=None) as own:
        fields: dict[str, Any] = {"key_name": None, "prices": {}, "free": True}
        heard = await listener(own.url, **fields).listen(CLIP)
        assert "authorization" not in own.seen[0].headers
    assert heard.cost == 0
    assert not listener(own.url, **fields).paid


@both
@pytest.mark.parametrize("status", [500, 502, 503, 529])
async def test_a_5xx_may_have_been_charged_and_is_sent_once(
    server: StandInAudio, end: str, status: int
) -> None:
    error = await failed(server, Act("fail", status=status), end)
    assert isinstance(error, OutcomeUnknown)
    assert error.facts["status"] == status


@both
@pytest.mark.parametrize("does", ["cut-early", "cut-late", "cut-answer"])
async def test_a_cut_connection_may_have_been_charged_and_is_sent_once(
    server: StandInAudio, end: str, does: Any
) -> None:
    assert isinstance(await failed(server, Act(does), end), OutcomeUnknown)


@both
@pytest.mark.parametrize("does", ["fail", "cut-late"])
async def test_what_costs_nothing_may_be_sent_again(
    server: StandInAudio, end: str, does: Any
) -> None:
    error = await failed(server, Act(does, status=503), end, free=True, prices={})
    assert isinstance(error, ProviderUnavailable)
    assert error.retry is Retry.LATER


@both
async def test_an_answer_that_is_too_slow_may_have_been_charged(
    server: StandInAudio, end: str
) -> None:
    rules = WireRules(paid_calls=False, longest_wait_s=0.2)
    error = await failed(server, Act(delay_s=30), end, rules=rules)
    assert isinstance(error, OutcomeUnknown)
    assert "did not answer in time" in str(error)


@both
async def test_a_429_says_when_to_come_back(server: StandInAudio, end: str) -> None:
    error = await failed(server, Act("busy", headers={"retry-after": "7"}), end)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 7


@both
async def test_an_account_without_credit_is_not_asked_again(server: StandInAudio, end: str) -> None:
    error = await failed(server, Act("busy", code="insufficient_quota"), end)
    assert isinstance(error, ProviderRefused)
    assert error.retry is Retry.NEVER


@both
@pytest.mark.parametrize("status", [400, 404, 413, 415, 422, 302])
async def test_a_refused_request_cost_nothing(server: StandInAudio, end: str, status: int) -> None:
    error = await failed(server, Act("error", status=status, message="No such thing."), end)
    assert type(error) is ProviderRefused
    assert error.facts["status"] == status


@both
async def test_a_success_without_a_result_may_have_been_charged(
    server: StandInAudio, end: str
) -> None:
    error = await failed(server, Act("error", status=202), end)
    assert isinstance(error, BadProviderReply)
    assert "may have been charged" in str(error)


@both
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>it works!</html>", b"[]", b'{"words": "hi"}', b'{"error": "later"}', b"\xff\xfe"],
)
async def test_a_200_that_is_not_what_was_promised_may_have_been_charged(
    server: StandInAudio, end: str, body: bytes
) -> None:
    assert isinstance(await failed(server, Act(body=body), end), BadProviderReply)


@both
async def test_a_reply_over_the_limit_is_not_read_further(server: StandInAudio, end: str) -> None:
    rules = WireRules(paid_calls=False, most_bytes=10)
    assert isinstance(await failed(server, Act(), end, rules=rules), BadProviderReply)


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_no_message_and_no_log_holds_the_key(
    server: StandInAudio, caplog: pytest.LogCaptureFixture, end: str, status: int
) -> None:
    """LAB-24."""
    caplog.set_level(logging.DEBUG)
    error = await failed(server, Act("error", status=status, message=f"Your key {KEY}?"), end)
    assert KEY not in f"{error}{error!r}{error.facts}{caplog.text}"
    assert error.__cause__ is None


@pytest.mark.parametrize("key", ["", "  ", "sk-ü", "sk-a\nb"])
async def test_a_key_that_cannot_be_one_is_refused_before_sending(
    server: StandInAudio, key: str
) -> None:
    rules = WireRules(paid_calls=False)
    one = RemoteSpeaker(config(server.url), rules, lambda _name: SecretStr(key))
    with pytest.raises(CapabilityMissing, match="Set it again"):
        await one.speak("Hello")
    assert not server.seen


@both
async def test_a_model_without_a_key_says_what_to_set(server: StandInAudio, end: str) -> None:
    one = speaker if end == "speak" else listener
    assert "SPEECH_KEY" in (one(server.url, has_key=False).missing() or "")
    with pytest.raises(CapabilityMissing, match="SPEECH_KEY"):
        await call(server, end, has_key=False)
    assert not server.seen


def test_another_address_must_name_its_models() -> None:
    lack = speaker("http://127.0.0.1:9/v1", speak_model="").missing()
    assert lack is not None and "MAQUETTE_SPEECH__SPEAK_MODEL" in lack


def test_openai_is_ready_as_soon_as_its_key_is_set() -> None:
    own = SpeechConfig(has_key=True)
    rules = WireRules(paid_calls=False)
    assert RemoteSpeaker(own, rules, secret, today=lambda: TODAY).missing() is None
    assert RemoteListener(own, rules, secret, Grammar(), today=lambda: TODAY).missing() is None
    assert own.key_name == "OPENAI_API_KEY"


def test_the_key_of_openai_is_shown_to_no_other_address() -> None:
    assert SpeechConfig(base_url="http://localhost:8000/v1").key_name is None
    with pytest.raises(ValidationError, match="key_name"):
        SpeechConfig(base_url="https://speech.example/v1")


@pytest.mark.parametrize("model", ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"])
def test_a_speaking_model_is_refused_from_the_day_that_it_is_shut_down(model: str) -> None:
    own = SpeechConfig(has_key=True, speak_model=model)
    rules = WireRules(paid_calls=False)
    for day, gone in ((date(2027, 1, 5), False), (date(2027, 1, 6), True)):
        lack = RemoteSpeaker(own, rules, secret, today=lambda day=day: day).missing()
        assert (lack is not None and "the embedded voice" in lack) is gone


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"])
def test_a_listening_model_that_was_shut_down_names_its_successor(model: str) -> None:
    own = SpeechConfig(has_key=True, listen_model=model)
    lack = pricing.gone(own, model, date(2027, 2, 26))
    assert lack is not None and "gpt-transcribe" in lack
    assert pricing.gone(own, model, date(2027, 2, 25)) is None


def test_the_shipped_prices_say_where_they_are_from() -> None:
    for price in pricing.SHIPPED.values():
        assert price.source.startswith("https://") and price.date >= date(2026, 11, 1)
        assert (price.per_minute is None) != (price.per_million_characters is None)


@pytest.mark.parametrize(
    "fields",
    [
        {"base_url": "ftp://host/v1"},
        {"base_url": "https://user:word@host/v1", "key_name": "K"},
        {"base_url": "https://host/v1?a=b", "key_name": "K"},
        {"base_url": OPENAI_URL, "free": True},
        {"base_url": "http://localhost/v1", "free": True, "prices": PRICES},
        {"base_url": "http://localhost/v1", "prices": {"m": {"per_minute": -1}}},
        {"wait_s": 1},
    ],
)
def test_settings_that_cannot_be_right_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SpeechConfig(**fields)
