"""What the failures of a server mean; none of them ever costs money."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.providers.a1111_calls import (
    PASSWORD,
    Keyed,
    closed,
    failed,
    provider,
    words,
)

from maquette import bootstrap
from maquette.core.errors import (
    BadProviderReply,
    CapabilityMissing,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
    Retry,
)
from maquette.core.wire import WireRules
from maquette.providers.a1111.config import A1111Config
from maquette.providers.a1111.provider import A1111Provider
from maquette.settings import load
from maquette.testing.standin_a1111 import A1111StandIn, Act


@pytest.fixture
def server() -> Iterator[A1111StandIn]:
    with A1111StandIn() as running:
        yield running


class TestFailures:
    """What the other side's failures mean; none of them ever costs money."""

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    async def test_a_5xx_may_be_tried_again_and_is_sent_once(
        self, server: A1111StandIn, status: int
    ) -> None:
        error = await failed(server, Act("error", status=status))
        assert type(error) is ProviderUnavailable
        assert error.retry is Retry.LATER
        assert "told to say this" in str(error)
        assert "cost nothing" in str(error)
        assert len(server.seen) == 1

    @pytest.mark.parametrize("does", ["cut-early", "cut-late", "cut-answer"])
    async def test_a_cut_connection_may_be_tried_again(
        self, server: A1111StandIn, does: Any
    ) -> None:
        run = Keyed()
        error = await failed(server, Act(does), run)
        assert type(error) is ProviderUnavailable
        assert not run.replies

    async def test_a_server_that_is_not_there_may_come_back(self) -> None:
        with pytest.raises(ProviderUnavailable, match="nothing was sent") as caught:
            await provider(closed()).generate(words(), Keyed())
        assert caught.value.retry is Retry.LATER

    async def test_too_little_memory_is_not_tried_again_and_says_what_to_do(
        self, server: A1111StandIn
    ) -> None:
        error = await failed(server, Act("no-memory"))
        assert type(error) is ProviderRefused
        assert error.retry is Retry.NEVER
        assert "smaller --size" in str(error)

    @pytest.mark.parametrize(
        "problem", [{"detail": "Not Found"}, {"detail": "Method Not Allowed"}, b"<html>404</html>"]
    )
    @pytest.mark.parametrize("status", [404, 405])
    async def test_a_server_without_its_api_says_how_to_start_it(
        self, server: A1111StandIn, problem: Any, status: int
    ) -> None:
        error = await failed(server, Act("error", status=status, problem=problem))
        assert type(error) is ProviderRefused
        assert "started without its API (--api)" in str(error)

    async def test_a_404_about_something_else_is_quoted(self, server: A1111StandIn) -> None:
        problem = {"detail": "Sampler not found"}
        error = await failed(server, Act("error", status=404, problem=problem))
        assert type(error) is ProviderRefused
        assert "'Sampler not found'" in str(error)
        assert "--api" not in str(error)

    @pytest.mark.parametrize(
        ("problem", "words_said"),
        [
            (
                {"detail": [{"loc": ["body", "steps"], "msg": "not an integer", "type": "x"}]},
                "body.steps: not an integer",
            ),
            ({"detail": ["odd", {"loc": 5}]}, "odd; : None"),
            ({"error": "prompt required"}, "prompt required"),
            ({"error": "server_error", "message": "no\nwords"}, "server_error; no words"),
            (b"no json", "without a reason"),
            (b'{"detail": "%s"}' % (b"x" * 100_000), "without a reason"),
            ([1], "without a reason"),
        ],
    )
    @pytest.mark.parametrize("status", [400, 422, 302])
    async def test_a_refusal_is_quoted_in_one_clean_line(
        self, server: A1111StandIn, problem: Any, words_said: str, status: int
    ) -> None:
        error = await failed(server, Act("error", status=status, problem=problem))
        assert type(error) is ProviderRefused
        assert words_said in str(error)
        assert error.facts["status"] == status
        assert "\n" not in str(error)
        assert len(str(error)) < 800

    async def test_a_server_that_asks_for_patience_is_heeded(self, server: A1111StandIn) -> None:
        error = await failed(server, Act("error", status=429, headers={"retry-after": "7"}))
        assert isinstance(error, RateLimited)
        assert error.retry_after == 7

    async def test_a_reply_over_the_limit_is_not_read_further(self, server: A1111StandIn) -> None:
        error = await failed(server, Act(), rules={"most_bytes": 1000})
        assert isinstance(error, BadProviderReply)

    async def test_nothing_is_sent_without_an_address(self) -> None:
        one = A1111Provider.build(A1111Config(), WireRules(paid_calls=False))
        with pytest.raises(CapabilityMissing, match="MAQUETTE_PROVIDERS__A1111__BASE_URL"):
            await one.generate(words(), Keyed())


class TestTheLogin:
    """A user of the settings, a password of the keys."""

    async def test_user_and_password_open_the_server(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with A1111StandIn(login=("ann", PASSWORD)) as locked:
            one = provider(locked, user="ann", has_key=True)
            assert one.missing() is None
            assert len((await one.generate(words(), Keyed())).images) == 1
            listed = await one.listing(Keyed().secret)
        assert listed is not None
        assert len(listed) == 3
        assert caplog.records
        assert PASSWORD not in f"{caplog.text}{vars(one)!r}"

    @pytest.mark.parametrize(("user", "name"), [("ann", "A1111_PASSWORD"), (None, "__USER")])
    async def test_a_wrong_or_missing_login_names_the_setting(
        self, user: str | None, name: str
    ) -> None:
        with A1111StandIn(login=("ann", "another")) as locked:
            one = provider(locked, user=user)
            with pytest.raises(ProviderRefused, match=name) as caught:
                await one.generate(words(), Keyed())
            with pytest.raises(ProviderRefused, match=name):
                await one.listing(Keyed().secret)
        assert PASSWORD not in f"{caught.value}{caught.value.facts}"

    async def test_a_message_that_repeats_the_password_is_cleaned(
        self, server: A1111StandIn
    ) -> None:
        problem = {"detail": f"ann:{PASSWORD} may not do that"}
        error = await failed(server, Act("error", status=400, problem=problem), user="ann")
        assert "may not do that" in str(error)
        assert PASSWORD not in f"{error}{error.facts}"

    @pytest.mark.parametrize("password", ["", "  ", "two\nlines"])
    async def test_a_password_that_cannot_be_one_is_refused_before_sending(
        self, server: A1111StandIn, password: str
    ) -> None:
        with pytest.raises(CapabilityMissing, match="Set it again"):
            await provider(server, user="ann").generate(words(), Keyed(password=password))
        assert not server.seen


class TestTheSettings:
    """What the section can say, and what is missing."""

    def test_without_an_address_it_says_how_to_set_one(self) -> None:
        one = A1111Provider.build(A1111Config(), WireRules())
        missing = one.missing() or ""
        assert "MAQUETTE_PROVIDERS__A1111__BASE_URL=http://127.0.0.1:7860" in missing
        assert one.tool is not None
        assert "MAQUETTE_PROVIDERS__A1111__BASE_URL" in one.tool.command
        assert [model.id for model in one.models()] == ["current"]

    def test_a_user_needs_a_password(self) -> None:
        assert "A1111_PASSWORD" in (provider("http://127.0.0.1:9", user="ann").missing() or "")

    def test_it_is_pressed_by_one_call_at_a_time(self) -> None:
        assert provider("http://127.0.0.1:9").limits().concurrent == 1

    @pytest.mark.parametrize(
        ("url", "kept"),
        [
            ("http://127.0.0.1:7860/", "http://127.0.0.1:7860"),
            ("http://127.0.0.1:7860/sdapi/v1", "http://127.0.0.1:7860"),
            ("https://studio.lan/webui", "https://studio.lan/webui"),
        ],
    )
    def test_an_address_may_be_written_in_several_ways(self, url: str, kept: str) -> None:
        assert A1111Config(base_url=url).base_url == kept

    @pytest.mark.parametrize(
        "wrong",
        [
            {"base_url": "127.0.0.1:7860"},
            {"base_url": "ftp://host"},
            {"base_url": "http://ann:secret@host"},
            {"base_url": "http://host/?token=1"},
            {"user": "ann:secret"},
            {"user": ""},
            {"models": ["current"]},
            {"models": [""]},
            {"default_size": [100, 64]},
            {"max_count": 9},
            {"wait_s": 60},
            {"surprise": 1},
        ],
    )
    def test_a_section_that_cannot_be_right_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            A1111Config.model_validate(wrong)

    async def test_the_environment_is_enough(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The example of the guide; the registry finds it by its entry point."""
        monkeypatch.setenv("MAQUETTE_PROVIDERS__A1111__BASE_URL", "http://127.0.0.1:7860")
        monkeypatch.setenv("MAQUETTE_PROVIDERS__A1111__USER", "ann")
        monkeypatch.setenv("MAQUETTE_PROVIDERS__A1111__MODELS", '["photon_v1"]')
        monkeypatch.setenv("A1111_PASSWORD", PASSWORD)
        async with bootstrap.open_studio(load(home=tmp_path / "home")) as studio:
            one = studio.shop.providers["a1111"]
            assert one.missing() is None
            assert [model.id for model in one.models()] == ["current", "photon_v1"]
