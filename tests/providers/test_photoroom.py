"""Photoroom on a stand-in: the contract, the wire, its score, the money, kept replies."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from maquette import bootstrap, net
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
from maquette.core.provider import Provider, priced
from maquette.core.requests import (
    Digest,
    Encoded,
    Generated,
    ImageRequest,
    Input,
    ModelProfile,
    digest_of,
)
from maquette.core.wire import WireRules
from maquette.imaging import codec, png
from maquette.providers.photoroom.config import PhotoroomConfig
from maquette.providers.photoroom.provider import PhotoroomProvider
from maquette.settings import load
from maquette.testing.contracts import ProviderContract, RequestFor
from maquette.testing.provider_contract import FakeRun
from maquette.testing.standin_cutout import Act, CutoutStandIn, Seen

KEY = "pr-secret-8c1f2e"


def subject() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A coloured square on white."""
    pixels = np.full((24, 32, 3), 255, np.uint8)
    pixels[6:18, 10:22] = (180, 40, 30)
    return pixels


SOURCE = png.write(subject())
STORED = {digest_of(SOURCE): Encoded(SOURCE, "image/png")}


def picture(**fields: Any) -> Input:
    told: dict[str, Any] = {
        "role": "init",
        "digest": digest_of(SOURCE),
        "name": "holiday.png",
        "media_type": "image/png",
        "width_px": 32,
        "height_px": 24,
        "size_bytes": len(SOURCE),
    }
    return Input(**(told | fields))


def wanted(**fields: Any) -> ImageRequest:
    told: dict[str, Any] = {
        "provider": "photoroom",
        "model": "segment",
        "mode": "cutout",
        "size": "source",
        "inputs": (picture(),),
    }
    return ImageRequest(**(told | fields))


def provider(url: str = "http://127.0.0.1:9", **config: Any) -> PhotoroomProvider:
    rules = config.pop("rules", {})
    return PhotoroomProvider.build(
        PhotoroomConfig(base_url=url, **config), WireRules(paid_calls=False, **rules)
    )


class Keyed(FakeRun):
    """A run whose project has this key."""

    def __init__(self, key: str = KEY, inputs: Mapping[Digest, Encoded] = STORED) -> None:
        super().__init__(inputs)
        self._key = key

    def secret(self, name: str) -> SecretStr:
        assert name == "PHOTOROOM_API_KEY"
        return SecretStr(self._key)


@pytest.fixture
def server() -> Iterator[CutoutStandIn]:
    with CutoutStandIn(key=KEY) as running:
        yield running


async def cut(
    server: CutoutStandIn, act: Act | None = None, **config: Any
) -> tuple[Seen, Generated, FakeRun]:
    server.script(act or Act())
    run = Keyed()
    generated = await provider(server.url, **config).generate(wanted(), run)
    return server.seen[-1], generated, run


async def failed(
    server: CutoutStandIn, act: Act, run: FakeRun | None = None, **config: Any
) -> ProviderError:
    server.script(act)
    with pytest.raises(ProviderError) as caught:
        await provider(server.url, **config).generate(wanted(), run or Keyed())
    return caught.value


class TestContract(ProviderContract):
    """Cutting out one picture."""

    @pytest.fixture
    def provider(self) -> Iterator[Provider]:
        with CutoutStandIn() as server:
            config = PhotoroomConfig(base_url=server.url)
            yield PhotoroomProvider.build(config, WireRules(paid_calls=False))

    @pytest.fixture
    def request_for(self) -> RequestFor:
        def make(profile: ModelProfile) -> ImageRequest:
            return wanted(model=profile.id)

        return make

    @pytest.fixture
    def inputs(self) -> Mapping[Digest, Encoded]:
        return STORED


async def test_these_fields_are_sent_and_no_others(server: CutoutStandIn) -> None:
    seen, _, _ = await cut(server)
    assert seen.path == "/v1/segment"
    assert seen.fields == {"format": "png", "channels": "rgba", "size": "full", "crop": "false"}
    assert seen.headers["x-api-key"] == KEY
    assert [(one.name, one.media_type, one.data) for one in seen.files] == [
        ("image_file", "image/png", SOURCE)
    ]


async def test_the_name_of_a_persons_file_stays_here(server: CutoutStandIn) -> None:
    seen, _, _ = await cut(server)
    assert seen.files[0].filename == "picture.png"


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
async def test_other_readable_formats_go_as_they_are(server: CutoutStandIn, kind: Any) -> None:
    data = codec.encode(subject(), format=kind)
    source = picture(digest=digest_of(data), media_type=f"image/{kind}", size_bytes=len(data))
    run = Keyed(inputs={digest_of(data): Encoded(data, f"image/{kind}")})
    await provider(server.url).generate(wanted(inputs=(source,)), run)
    (part,) = server.seen[-1].files
    assert (part.filename, part.media_type, part.data) == (
        f"picture.{kind}",
        f"image/{kind}",
        data,
    )


async def test_the_cutout_is_the_very_file_that_came_at_the_size_of_the_source(
    server: CutoutStandIn,
) -> None:
    seen, generated, _ = await cut(server)
    (one,) = generated.images
    assert (one.data, one.media_type) == (seen.reply, "image/png")
    decoded = codec.decode(one.data)
    expected = np.zeros((24, 32), np.uint8)
    expected[6:18, 10:22] = 255
    np.testing.assert_array_equal(decoded.pixels[..., 3], expected)
    assert generated.effective.size == (32, 24)
    assert generated.details == {"size": "32x24", "alpha": "yes", "uncertainty": "0.12"}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"model": "other"}, "no model 'other'"),
        ({"mode": "edit"}, "does not support 'edit'"),
        ({"count": 2}, "one picture a call"),
        ({"seed": 1}, "no seed"),
        ({"prompt": "the cup"}, "no prompt"),
        ({"negative_prompt": "the cup"}, "no prompt"),
        ({"options": {"crop": True}}, "no option 'crop'"),
        ({"inputs": ()}, "exactly one picture"),
        ({"inputs": (picture(), picture(role="mask"))}, "without mask"),
        ({"inputs": (picture(role="reference"),)}, "exactly one picture"),
        ({"size": (64, 48)}, "size of the source"),
        ({"inputs": (picture(media_type="image/tiff"),)}, "not 'image/tiff'"),
        ({"inputs": (picture(size_bytes=50_000_001),)}, "'holiday.png' smaller"),
        ({"inputs": (picture(width_px=6001),)}, "6000 px a side, not 6001x24 px"),
    ],
)
async def test_what_it_cannot_do_is_refused_before_sending(
    server: CutoutStandIn, fields: dict[str, Any], why: str
) -> None:
    """Nothing is dropped silently."""
    with pytest.raises(CapabilityMissing, match="nothing was sent") as caught:
        await provider(server.url).generate(wanted(**fields), Keyed())
    assert why in str(caught.value)
    assert not server.seen


@pytest.mark.parametrize("fields", [{"size": "auto"}, {"size": (32, 24)}, {}])
def test_the_sources_own_size_may_be_asked_for_in_any_way(fields: dict[str, Any]) -> None:
    provider().check(wanted(**fields))


async def test_a_stored_file_of_another_format_is_not_sent(server: CutoutStandIn) -> None:
    run = Keyed(inputs={digest_of(SOURCE): Encoded(b"GIF89a and more", "image/png")})
    with pytest.raises(CapabilityMissing, match="nothing was sent"):
        await provider(server.url).generate(wanted(), run)
    assert not server.seen


@pytest.mark.parametrize(
    ("score", "told", "measured"),
    [
        ("0", "0", None),
        ("0.5", "0.5", None),
        ("0.51", "0.51", 0.51),
        ("1", "1", 1.0),
        ("1.0000", "1", 1.0),
        ("5e-05", "5e-05", None),
        ("-1", "not scored", None),
        ("-1.0", "not scored", None),
        ("1.01", "not scored", None),
        ("nan", "not scored", None),
        ("inf", "not scored", None),
        ("very", "not scored", None),
        ("", "not scored", None),
    ],
)
async def test_the_score_is_told_and_a_high_one_is_a_soft_finding(
    server: CutoutStandIn, score: str, told: str, measured: float | None
) -> None:
    _, generated, _ = await cut(server, Act(uncertainty=score))
    assert generated.details["uncertainty"] == told
    if measured is None:
        assert generated.findings == ()
    else:
        (finding,) = generated.findings
        assert (finding.code, finding.severity) == ("doubtful_cutout", "soft")
        assert (finding.measured, finding.limit) == (measured, 0.5)


async def test_without_a_score_nothing_is_said(server: CutoutStandIn) -> None:
    _, generated, _ = await cut(server, Act(uncertainty=None))
    assert "uncertainty" not in generated.details
    assert generated.findings == ()


async def test_the_limit_of_doubt_can_be_set(server: CutoutStandIn) -> None:
    _, generated, _ = await cut(server, Act(uncertainty="0.2"), doubtful_above=0.1)
    assert [finding.limit for finding in generated.findings] == [0.1]


def test_the_price_is_what_the_settings_say() -> None:
    assert priced(provider(), wanted()) == Decimal("0.02")
    assert priced(provider(price_usd=Decimal("0.035")), wanted()) == Decimal("0.035")


@pytest.mark.parametrize("price", ["0", "-1", "nan", "inf", "1001"])
def test_a_price_that_cannot_be_one_is_refused(price: str) -> None:
    with pytest.raises(ValidationError):
        PhotoroomConfig(price_usd=Decimal(price))


async def test_the_estimate_stands_since_no_answer_names_a_charge(server: CutoutStandIn) -> None:
    _, generated, _ = await cut(server)
    assert generated.cost is None
    assert server.charged_pictures == 1


def test_an_odd_address_is_refused() -> None:
    for url in (
        "sdk.photoroom.com",
        "ftp://host",
        "https://me:secret@host",
        "https://host?key=secret",
    ):
        with pytest.raises(ValidationError):
            PhotoroomConfig(base_url=url)


def test_the_settings_reach_it_and_its_key_makes_it_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PHOTOROOM_API_KEY", raising=False)
    monkeypatch.setenv("MAQUETTE_PROVIDERS__PHOTOROOM__PRICE_USD", "0.05")
    settings = load(home=tmp_path / "home")
    bare = bootstrap.build(settings, PhotoroomProvider)
    assert "PHOTOROOM_API_KEY" in (bare.missing() or "")
    assert bare.estimate(wanted()) == Decimal("0.05")
    monkeypatch.setenv("PHOTOROOM_API_KEY", KEY)
    assert bootstrap.build(settings, PhotoroomProvider).missing() is None


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
@pytest.mark.parametrize("charged", [True, False])
async def test_a_5xx_may_have_been_charged_and_is_sent_once(
    server: CutoutStandIn, status: int, *, charged: bool
) -> None:
    error = await failed(server, Act("fail", status=status, charged=charged))
    assert isinstance(error, OutcomeUnknown)
    assert error.retry is Retry.NEVER
    assert error.facts["status"] == status
    assert (len(server.seen), server.charged_pictures) == (1, int(charged))


@pytest.mark.parametrize("does", ["cut-early", "cut-late", "cut-answer"])
async def test_a_cut_connection_may_have_been_charged_and_is_sent_once(
    server: CutoutStandIn, does: Any
) -> None:
    run = Keyed()
    assert isinstance(await failed(server, Act(does), run), OutcomeUnknown)
    assert len(server.seen) == 1
    assert not run.replies


async def test_an_answer_that_is_too_slow_may_have_been_charged(server: CutoutStandIn) -> None:
    error = await failed(server, Act(delay_s=30), rules={"longest_wait_s": 0.5})
    assert isinstance(error, OutcomeUnknown)
    assert "did not answer in time" in str(error)


async def test_a_connection_that_never_opened_cost_nothing() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ProviderUnavailable, match="nothing was sent"):
            await provider(url).generate(wanted(), Keyed())


async def test_the_switch_for_paid_calls_holds() -> None:
    with pytest.raises(ConnectionRefused, match="switched off"):
        await provider("https://192.0.2.1").generate(wanted(), Keyed())


@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "7"}, 7.0), ({}, None)])
async def test_a_429_says_when_to_come_back(
    server: CutoutStandIn, headers: dict[str, str], seconds: float | None
) -> None:
    error = await failed(server, Act("busy", headers=headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


async def test_an_account_without_credit_is_not_asked_again(server: CutoutStandIn) -> None:
    error = await failed(server, Act("no-credit", message="API credits exhausted."))
    assert type(error) is ProviderRefused
    assert error.retry is Retry.NEVER
    assert "no credit left" in str(error) and "API credits exhausted." in str(error)
    assert server.charged_pictures == 0


@pytest.mark.parametrize("status", [302, 400, 404, 413, 415, 422])
async def test_a_refused_request_cost_nothing_and_says_why(
    server: CutoutStandIn, status: int
) -> None:
    error = await failed(server, Act("error", status=status, code="bad", message="No subject."))
    assert type(error) is ProviderRefused
    assert "No subject." in str(error) and "nothing was charged" in str(error)
    assert error.facts == {"status": status, "upstream_code": "bad"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"[]",
        b'{"detail": null}',
        b'{"error": ["odd"]}',
        b"[" * 100_000,
        b'{"detail": "' + b"x" * 1_000_000 + b'"}',
        b"\xff\xfe",
    ],
)
def test_an_error_page_of_any_kind_is_still_a_refusal(body: bytes) -> None:
    from maquette.providers.photoroom.failures import failure  # noqa: PLC0415 - only this test

    error = failure(400, {}, body, key_name="K", key=KEY)
    assert type(error) is ProviderRefused
    assert len(str(error)) < 1000


def test_the_other_form_of_an_error_is_read_too() -> None:
    from maquette.providers.photoroom.failures import failure  # noqa: PLC0415 - only this test

    body = b'{"error": {"detail": "API credits exhausted."}}'
    assert "exhausted" in str(failure(402, {}, body, key_name="K", key=KEY))


@pytest.mark.parametrize("does", ["html", "garbage"])
async def test_an_answer_that_is_no_picture_is_kept(server: CutoutStandIn, does: Any) -> None:
    run = Keyed()
    error = await failed(server, Act(does), run)
    assert isinstance(error, BadProviderReply)
    assert len(run.replies) == 1
    assert net.unpack(run.replies[0]).body


@pytest.mark.parametrize("body", [b"", b'{"detail": "soon"}', SOURCE[:30]])
async def test_a_200_of_any_kind_is_kept_and_said(server: CutoutStandIn, body: bytes) -> None:
    """A picture that is cut short in its header is none."""
    run = Keyed()
    error = await failed(server, Act(body=body), run)
    assert isinstance(error, BadProviderReply)
    assert net.unpack(run.replies[0]).body == body


async def test_a_reply_over_the_limit_is_not_read_further(server: CutoutStandIn) -> None:
    error = await failed(server, Act(body=SOURCE * 50), rules={"most_bytes": 1000})
    assert isinstance(error, BadProviderReply)


async def test_a_picture_larger_than_we_decode_is_kept_for_the_guard(
    server: CutoutStandIn,
) -> None:
    """It may have been paid for."""
    wide = png.write(np.zeros((1, 20_001, 4), np.uint8))
    _, generated, _ = await cut(server, Act(body=wide))
    assert generated.images[0].data == wide
    assert "20001 x 1 px" in generated.details["unexpected"]


@pytest.mark.parametrize(
    ("does", "unexpected"),
    [("wrong-size", "16x12 px instead of 32x24"), ("no-alpha", "no alpha")],
)
async def test_an_odd_picture_is_returned_with_a_note(
    server: CutoutStandIn, does: Any, unexpected: str
) -> None:
    _, generated, _ = await cut(server, Act(does))
    assert len(generated.images) == 1
    assert generated.details["unexpected"] == unexpected


@pytest.mark.parametrize("key", ["", "  ", "pr-ü", "pr-a\nb"])
async def test_a_key_that_cannot_be_one_is_refused_before_sending(
    server: CutoutStandIn, key: str
) -> None:
    with pytest.raises(CapabilityMissing, match="Set it again") as caught:
        await provider(server.url).generate(wanted(), Keyed(key))
    assert not server.seen
    assert not key.strip() or key not in str(caught.value)


async def test_a_wrong_key_is_named_and_never_shown(
    server: CutoutStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """LAB-24: the stand-in repeats the key in its message, as servers do."""
    caplog.set_level(logging.DEBUG)
    error = await failed(server, Act(), Keyed("pr-wrong-77aa"))
    assert isinstance(error, ProviderRefused)
    assert "PHOTOROOM_API_KEY" in str(error)
    assert "pr-wrong-77aa" not in f"{error}{error!r}{error.facts}{caplog.text}"


@pytest.mark.parametrize("status", [400, 401, 402, 429, 500])
async def test_no_message_and_no_log_holds_the_key(
    server: CutoutStandIn, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    act = Act("error", status=status, code=KEY, message=f"Your key {KEY} is odd.")
    error = await failed(server, act)
    assert caplog.records
    assert KEY not in f"{error}{error!r}{error.facts}{caplog.text}"
    assert error.__cause__ is None


async def test_a_good_call_leaves_the_key_nowhere(
    server: CutoutStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, generated, run = await cut(server)
    assert KEY not in f"{caplog.text}{generated}"
    assert KEY.encode() not in run.replies[0]


async def test_a_kept_reply_says_the_same_after_a_crash(server: CutoutStandIn) -> None:
    """The score is in a header, which the body alone would lose."""
    _, generated, run = await cut(server, Act(uncertainty="0.9"))
    assert generated.findings
    assert provider().read_reply(run.replies[0], wanted()) == generated
    assert b"session" not in run.replies[0]


HEADERS = st.dictionaries(st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True), st.text())


@given(HEADERS, st.binary())
def test_an_envelope_keeps_everything(headers: dict[str, str], body: bytes) -> None:
    kept = net.unpack(net.pack(headers, body, keep=headers))
    assert (kept.headers, kept.body) == (headers, body)


@given(HEADERS, st.binary(), st.data())
def test_a_damaged_envelope_is_never_believed(
    headers: dict[str, str], body: bytes, data: st.DataObject
) -> None:
    stored = net.pack(headers, body, keep=headers)
    at = data.draw(st.integers(0, len(stored) - 1))
    bits = data.draw(st.integers(1, 255))
    changed = stored[:at] + bytes([stored[at] ^ bits]) + stored[at + 1 :]
    for damaged in (changed, stored[:at], stored + b"x"):
        try:
            kept = net.unpack(damaged)
        except BadProviderReply:
            continue
        # Only a change that means the same, as another letter case in an escape.
        assert (kept.headers, kept.body) == (headers, body)


@given(st.binary())
def test_bytes_that_are_no_envelope_are_refused(stored: bytes) -> None:
    with pytest.raises(BadProviderReply):
        net.unpack(stored)


@pytest.mark.parametrize("stored", [b"[" * 100_000 + b"\n", b"{}\n", b"null\n", SOURCE])
def test_odd_first_lines_are_refused(stored: bytes) -> None:
    with pytest.raises(BadProviderReply):
        provider().read_reply(stored, wanted())


def test_an_envelope_keeps_only_the_headers_that_are_wanted() -> None:
    stored = net.pack({"X-Score": "1", "Set-Cookie": "a"}, b"body", keep=("x-score", "x-other"))
    assert net.unpack(stored).headers == {"x-score": "1"}
