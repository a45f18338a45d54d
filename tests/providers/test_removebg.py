"""remove.bg on a stand-in: the contract, the wire, credits, what failures mean for the money."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr, ValidationError

from maquette import bootstrap, net
from maquette.core.errors import (
    BadProviderReply,
    CapabilityMissing,
    ConnectionRefused,
    OutcomeUnknown,
    PriceUnknown,
    ProviderError,
    ProviderRefused,
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
from maquette.providers.removebg.config import RemoveBgConfig
from maquette.providers.removebg.failures import failure
from maquette.providers.removebg.provider import RemoveBgProvider
from maquette.settings import load
from maquette.testing.contracts import ProviderContract, RequestFor
from maquette.testing.provider_contract import FakeRun
from maquette.testing.standin_cutout import Act, CutoutStandIn, Seen

KEY = "rb-secret-8c1f2e"
CREDIT = Decimal("0.20")


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
        "provider": "removebg",
        "model": "removebg",
        "mode": "cutout",
        "size": "source",
        "inputs": (picture(),),
    }
    return ImageRequest(**(told | fields))


def provider(url: str = "http://127.0.0.1:9", **config: Any) -> RemoveBgProvider:
    rules = config.pop("rules", {})
    section: dict[str, Any] = {"base_url": url, "usd_per_credit": CREDIT} | config
    return RemoveBgProvider.build(RemoveBgConfig(**section), WireRules(paid_calls=False, **rules))


class Keyed(FakeRun):
    """A run whose project has this key."""

    def __init__(self, key: str = KEY) -> None:
        super().__init__(STORED)
        self._key = key

    def secret(self, name: str) -> SecretStr:
        assert name == "REMOVE_BG_API_KEY"
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
    """Cutting out one picture, with a price for credits."""

    @pytest.fixture
    def provider(self) -> Iterator[Provider]:
        with CutoutStandIn() as server:
            config = RemoveBgConfig(base_url=server.url, usd_per_credit=CREDIT)
            yield RemoveBgProvider.build(config, WireRules(paid_calls=False))

    @pytest.fixture
    def request_for(self) -> RequestFor:
        def make(profile: ModelProfile) -> ImageRequest:
            return wanted(model=profile.id)

        return make

    @pytest.fixture
    def inputs(self) -> Mapping[Digest, Encoded]:
        return STORED


async def test_these_fields_are_sent_and_no_others(server: CutoutStandIn) -> None:
    """Without `size` only a preview would come back."""
    seen, _, _ = await cut(server)
    assert seen.path == "/v1.0/removebg"
    assert seen.fields == {"size": "full", "format": "png", "channels": "rgba", "crop": "false"}
    assert seen.headers["x-api-key"] == KEY
    assert [(one.name, one.filename, one.media_type, one.data) for one in seen.files] == [
        ("image_file", "picture.png", "image/png", SOURCE)
    ]


async def test_the_cutout_is_the_very_file_that_came_at_the_size_of_the_source(
    server: CutoutStandIn,
) -> None:
    seen, generated, _ = await cut(server)
    (one,) = generated.images
    assert (one.data, one.media_type) == (seen.reply, "image/png")
    assert codec.decode(one.data).pixels.shape == (24, 32, 4)
    assert generated.effective.size == (32, 24)
    assert generated.findings == ()


async def test_credits_and_limits_are_told(server: CutoutStandIn) -> None:
    _, generated, _ = await cut(server)
    assert generated.details == {
        "size": "32x24",
        "alpha": "yes",
        "credits_charged": "1",
        "x-ratelimit-limit": "500",
        "x-ratelimit-remaining": "499",
        "x-ratelimit-reset": "1795000060",
    }


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"model": "other"}, "no model 'other'"),
        ({"mode": "generate"}, "does not support 'generate'"),
        ({"count": 2}, "one picture a call"),
        ({"seed": 1}, "no seed"),
        ({"prompt": "the cup"}, "no prompt"),
        ({"negative_prompt": "the cup"}, "no prompt"),
        ({"options": {"type": "car"}}, "no option 'type'"),
        ({"inputs": ()}, "exactly one picture"),
        ({"inputs": (picture(), picture(role="mask"))}, "without mask"),
        ({"size": (64, 48)}, "size of the source"),
        ({"inputs": (picture(media_type="image/avif"),)}, "not 'image/avif'"),
        ({"inputs": (picture(size_bytes=22_000_001),)}, "'holiday.png' smaller"),
        ({"inputs": (picture(width_px=4001, height_px=2500),)}, "10 megapixels, not 4001x2500 px"),
    ],
)
async def test_what_it_cannot_do_is_refused_before_sending(
    server: CutoutStandIn, fields: dict[str, Any], why: str
) -> None:
    """Nothing is dropped silently; a PNG over 10 megapixels would come back smaller."""
    with pytest.raises(CapabilityMissing, match="nothing was sent") as caught:
        await provider(server.url).generate(wanted(**fields), Keyed())
    assert why in str(caught.value)
    assert not server.seen


def test_ten_megapixels_are_taken() -> None:
    provider().check(wanted(inputs=(picture(width_px=4000, height_px=2500),)))


async def test_without_a_price_nothing_is_sent(server: CutoutStandIn) -> None:
    """WEB-3: a model without a price is refused, never taken as free."""
    unpriced = provider(server.url, usd_per_credit=None)
    with pytest.raises(PriceUnknown, match="MAQUETTE_PROVIDERS__REMOVEBG__USD_PER_CREDIT"):
        priced(unpriced, wanted())
    with pytest.raises(PriceUnknown, match="depends on the plan"):
        await unpriced.generate(wanted(), Keyed())
    assert not server.seen


@pytest.mark.parametrize("price", ["0", "-1", "nan", "inf", "1001"])
def test_a_price_that_cannot_be_one_is_refused(price: str) -> None:
    with pytest.raises(ValidationError):
        RemoveBgConfig(usd_per_credit=Decimal(price))


def test_the_worst_case_is_one_credit_a_picture() -> None:
    assert priced(provider(usd_per_credit=Decimal("0.073")), wanted()) == Decimal("0.073")


async def test_the_cost_is_what_was_charged(server: CutoutStandIn) -> None:
    _, generated, _ = await cut(server)
    assert generated.cost == server.charged_credits * CREDIT == CREDIT


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        ("0", "0"),
        ("0.0", "0"),
        ("0.25", "0.05"),
        ("1.0", "0.20"),
        ("2", "0.40"),
        ("1e9", None),
        ("1000000", None),
        ("-1", None),
        ("NaN", None),
        ("1_0", None),
        ("1, 1", None),
        ("one", None),
    ],
)
async def test_credits_are_settled_as_told_and_nonsense_leaves_the_estimate(
    server: CutoutStandIn, told: str, cost: str | None
) -> None:
    _, generated, _ = await cut(server, Act(credits=told))
    assert generated.cost == (None if cost is None else Decimal(cost))
    assert generated.details["credits_charged"] == told


async def test_a_kept_reply_says_the_same_after_a_crash(server: CutoutStandIn) -> None:
    """The charge is in a header, which the body alone would lose."""
    _, generated, run = await cut(server, Act(credits="0.25"))
    assert provider().read_reply(run.replies[0], wanted()) == generated
    assert b"session" not in run.replies[0]


@pytest.mark.parametrize(("told", "cost"), [("1", None), ("0", Decimal(0))])
async def test_a_kept_reply_outlives_the_price_in_the_settings(
    server: CutoutStandIn, told: str, cost: Decimal | None
) -> None:
    """A paid picture is not lost to a changed setting: what was reserved stands."""
    _, generated, run = await cut(server, Act(credits=told))
    again = provider(usd_per_credit=None).read_reply(run.replies[0], wanted())
    assert again.images == generated.images
    assert again.cost == cost


@pytest.mark.parametrize("stored", [b"", b"{}\n", SOURCE])
def test_a_kept_reply_that_is_none_is_put_before_a_person(stored: bytes) -> None:
    with pytest.raises(BadProviderReply):
        provider().read_reply(stored, wanted())


def test_the_settings_reach_it_and_say_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REMOVE_BG_API_KEY", raising=False)
    bare = bootstrap.build(load(home=tmp_path / "home"), RemoveBgProvider)
    missing = bare.missing() or ""
    assert "REMOVE_BG_API_KEY" in missing and "REMOVEBG__USD_PER_CREDIT" in missing
    monkeypatch.setenv("REMOVE_BG_API_KEY", KEY)
    monkeypatch.setenv("MAQUETTE_PROVIDERS__REMOVEBG__USD_PER_CREDIT", "0.11")
    ready = bootstrap.build(load(home=tmp_path / "home"), RemoveBgProvider)
    assert ready.missing() is None
    assert ready.estimate(wanted()) == Decimal("0.11")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("charged", [True, False])
async def test_a_5xx_may_have_been_charged_and_is_sent_once(
    server: CutoutStandIn, status: int, *, charged: bool
) -> None:
    error = await failed(server, Act("fail", status=status, charged=charged))
    assert isinstance(error, OutcomeUnknown)
    assert (len(server.seen), server.charged_credits) == (1, int(charged))


@pytest.mark.parametrize("does", ["cut-early", "cut-late", "cut-answer"])
async def test_a_cut_connection_may_have_been_charged_and_is_sent_once(
    server: CutoutStandIn, does: Any
) -> None:
    assert isinstance(await failed(server, Act(does)), OutcomeUnknown)
    assert len(server.seen) == 1


async def test_an_answer_that_is_too_slow_may_have_been_charged(server: CutoutStandIn) -> None:
    error = await failed(server, Act(delay_s=30), rules={"longest_wait_s": 0.5})
    assert isinstance(error, OutcomeUnknown)


async def test_the_switch_for_paid_calls_holds() -> None:
    with pytest.raises(ConnectionRefused, match="switched off"):
        await provider("https://192.0.2.1").generate(wanted(), Keyed())


@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "31"}, 31.0), ({}, None)])
async def test_a_429_says_when_to_come_back(
    server: CutoutStandIn, headers: dict[str, str], seconds: float | None
) -> None:
    error = await failed(server, Act("busy", headers=headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


async def test_an_account_without_credits_is_not_asked_again(server: CutoutStandIn) -> None:
    error = await failed(server, Act("no-credit", message="Insufficient credits"))
    assert type(error) is ProviderRefused
    assert error.retry is Retry.NEVER
    assert "no credits left" in str(error) and "'Insufficient credits'" in str(error)
    assert error.facts["upstream_code"] == "insufficient_credits"


@pytest.mark.parametrize("status", [302, 400, 404, 413, 415, 422])
@pytest.mark.parametrize("headers", [{}, {"X-Credits-Charged": "0"}])
async def test_a_refused_request_cost_nothing_and_says_why(
    server: CutoutStandIn, status: int, headers: dict[str, str]
) -> None:
    act = Act("error", status=status, code="unknown_foreground", message="No.", headers=headers)
    error = await failed(server, act)
    assert type(error) is ProviderRefused
    assert "'No.'" in str(error)
    assert error.facts == {"status": status, "upstream_code": "unknown_foreground"}


@pytest.mark.parametrize("status", [400, 402, 403, 429])
async def test_a_refusal_that_was_charged_all_the_same_gives_no_money_back(
    server: CutoutStandIn, status: int
) -> None:
    act = Act("error", status=status, headers={"X-Credits-Charged": "1"})
    assert isinstance(await failed(server, act), OutcomeUnknown)


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad gateway</html>", b'{"errors": 5}', b"[" * 100_000, b"\xff"]
)
def test_an_error_page_of_any_kind_is_still_a_refusal(body: bytes) -> None:
    error = failure(400, {}, body, key_name="K", key=KEY)
    assert type(error) is ProviderRefused
    assert "without a reason" in str(error)


@pytest.mark.parametrize("does", ["html", "garbage"])
async def test_an_answer_that_is_no_picture_is_kept(server: CutoutStandIn, does: Any) -> None:
    run = Keyed()
    assert isinstance(await failed(server, Act(does), run), BadProviderReply)
    kept = net.unpack(run.replies[0])
    assert kept.body
    assert kept.headers.get("x-credits-charged") == (None if does == "html" else "1")


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


@pytest.mark.parametrize("key", ["", "rb-ü", "rb-a\nb"])
async def test_a_key_that_cannot_be_one_is_refused_before_sending(
    server: CutoutStandIn, key: str
) -> None:
    with pytest.raises(CapabilityMissing, match="Set it again"):
        await provider(server.url).generate(wanted(), Keyed(key))
    assert not server.seen


async def test_a_wrong_key_is_named_and_never_shown(
    server: CutoutStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """LAB-24: the stand-in repeats the key in its message, as servers do."""
    caplog.set_level(logging.DEBUG)
    error = await failed(server, Act(), Keyed("rb-wrong-77aa"))
    assert isinstance(error, ProviderRefused)
    assert "REMOVE_BG_API_KEY" in str(error)
    assert "rb-wrong-77aa" not in f"{error}{error!r}{error.facts}{caplog.text}"


@pytest.mark.parametrize("status", [400, 401, 402, 429, 500])
async def test_no_message_and_no_log_holds_the_key(
    server: CutoutStandIn, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    act = Act("error", status=status, code=KEY, message=f"Your key {KEY} is odd.")
    error = await failed(server, act)
    assert caplog.records
    assert KEY not in f"{error}{error!r}{error.facts}{caplog.text}"


async def test_a_good_call_leaves_the_key_nowhere(
    server: CutoutStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, generated, run = await cut(server)
    assert KEY not in f"{caplog.text}{generated}"
    assert KEY.encode() not in run.replies[0]
