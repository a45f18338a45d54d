"""Pictures byte for byte, their seeds, and which checkpoint made them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.providers.a1111_calls import (
    Keyed,
    closed,
    failed,
    inpaint,
    provider,
    sent,
    words,
)

from maquette.core.errors import (
    BadProviderReply,
    ProviderUnavailable,
)
from maquette.core.provider import Listed, profile_of
from maquette.core.wire import WireRules
from maquette.providers.a1111 import wire
from maquette.providers.a1111.config import A1111Config
from maquette.providers.a1111.provider import A1111Provider
from maquette.testing.standin_a1111 import A1111StandIn, Act, Dialect


@pytest.fixture
def server() -> Iterator[A1111StandIn]:
    with A1111StandIn() as running:
        yield running


class TestAnswers:
    """Pictures byte for byte, and what the server says that it did."""

    async def test_the_reply_is_kept_before_it_is_read_and_read_the_same_again(
        self, server: A1111StandIn
    ) -> None:
        request = words(count=3, seed=5)
        seen, generated, run = await sent(server, request)
        assert run.replies == [seen.reply]
        texts = json.loads(seen.reply)["images"]
        assert [one.data for one in generated.images] == [base64.b64decode(one) for one in texts]
        assert provider("http://127.0.0.1:9").read_reply(run.replies[0], request) == generated

    async def test_a_batch_counts_its_seeds_from_the_first(self, server: A1111StandIn) -> None:
        _, batch, _ = await sent(server, words(count=3, seed=5))
        _, third, _ = await sent(server, words(seed=7))
        assert batch.images[2].data == third.images[0].data
        assert batch.details["seeds"] == "5, 6, 7"
        assert batch.effective.seed == 5

    async def test_a_seed_that_the_server_chose_is_told(self, server: A1111StandIn) -> None:
        """So that the picture can be asked for again."""
        seen, generated, _ = await sent(server, words(count=2))
        assert seen.fields["seed"] == -1
        assert generated.details["seeds"] == "3000000000, 3000000001"
        assert generated.effective.seed == 3_000_000_000
        _, again, _ = await sent(server, words(count=2, seed=generated.effective.seed))
        assert [one.data for one in again.images] == [one.data for one in generated.images]

    async def test_a_seed_over_32_bits_is_brought_down_and_that_is_told(
        self, server: A1111StandIn
    ) -> None:
        """The whole batch stays within them."""
        seen, generated, _ = await sent(server, words(seed=2**63 - 1, count=8))
        assert 0 <= seen.fields["seed"] <= 2**32 - 8
        assert generated.effective.seed == seen.fields["seed"]
        assert generated.clamped[0].startswith(f"seed: {2**63 - 1} → {seen.fields['seed']}")

    async def test_another_seed_than_asked_for_is_told(self, server: A1111StandIn) -> None:
        server.script(Act(info=json.dumps({"seed": 9, "all_seeds": [9]})))
        _, generated, _ = await sent(server, words(seed=5))
        assert generated.effective.seed == 9
        assert generated.clamped == ["seed: 5 → 9, as the server says"]

    @pytest.mark.parametrize("dialect", ["sdcpp", "drawthings"])
    @pytest.mark.parametrize("seed", [None, 5])
    async def test_a_server_that_tells_nothing_is_not_quoted(
        self, dialect: Dialect, seed: int | None
    ) -> None:
        with A1111StandIn(dialect) as other:
            _, generated, _ = await sent(other, words(seed=seed, count=2))
        assert generated.effective.seed == seed
        assert "does not tell" in generated.details["seeds"]
        assert "tells nothing" in generated.details["info"]

    @pytest.mark.parametrize(
        "info",
        [
            "no json",
            "[]",
            "[" * 100_000,
            5,
            {"seed": "x"},
            json.dumps({"index_of_first_image": -1}),
        ],
    )
    async def test_what_cannot_be_understood_loses_no_picture(
        self, server: A1111StandIn, info: Any
    ) -> None:
        server.script(Act(info=info))
        _, generated, _ = await sent(server, words(seed=5))
        assert len(generated.images) == 1
        assert "cannot be read" in generated.details["info"]

    @pytest.mark.parametrize("seeds", [[-1], [], [2**70]])
    async def test_seeds_that_are_none_are_not_believed(
        self, server: A1111StandIn, seeds: list[int]
    ) -> None:
        server.script(Act(info={"seed": -1, "all_seeds": seeds, "sd_model_name": "photon_v1"}))
        _, generated, _ = await sent(server, words(seed=5))
        assert generated.effective.seed == 5
        assert generated.details["checkpoint"] == "photon_v1"

    async def test_an_address_with_the_data_in_it_is_read_too(self, server: A1111StandIn) -> None:
        server.script(Act(data_address=True))
        seen, generated, _ = await sent(server, words())
        text = json.loads(seen.reply)["images"][0]
        assert text.startswith("data:image/png;base64,")
        assert generated.images[0].data == base64.b64decode(text.partition(",")[2])
        assert generated.images[0].media_type == "image/png"

    async def test_a_sheet_that_comes_first_is_left_out(self, server: A1111StandIn) -> None:
        server.script(Act(sheet=True))
        _, sheeted, _ = await sent(server, words(count=2, seed=5))
        _, plain, _ = await sent(server, words(count=2, seed=5))
        assert [one.data for one in sheeted.images] == [one.data for one in plain.images]

    async def test_masks_among_the_pictures_are_not_taken_for_pictures(
        self, server: A1111StandIn
    ) -> None:
        server.script(Act(masks=True))
        with pytest.raises(BadProviderReply, match=r"2 pictures.*instead of 1.*Switch off"):
            await sent(server, inpaint())

    @pytest.mark.parametrize(
        ("document", "why"),
        [
            ([], "not what the API promises"),
            ({}, "not what the API promises"),
            ({"images": [None]}, "not what the API promises"),
            ({"images": None}, "not what the API promises"),
            ({"images": []}, "0 pictures"),
            ({"images": ["iVBORw0KGgo="] * 2}, "2 pictures"),
            ({"images": ["iVBORw0KGgo="], "info": {"index_of_first_image": 1}}, "1 pictures"),
            ({"images": ["%%%"]}, "not valid base64"),
            ({"images": ["é"]}, "not valid base64"),
            ({"images": [""]}, "holds nothing instead"),
            ({"images": ["PGh0bWw+"]}, "a web page instead of a picture"),
        ],
    )
    async def test_an_answer_that_was_not_promised_is_kept_and_said(
        self, server: A1111StandIn, document: object, why: str
    ) -> None:
        run, body = Keyed(), json.dumps(document).encode()
        error = await failed(server, Act(body=body), run)
        assert isinstance(error, BadProviderReply)
        assert why in str(error)
        assert run.replies == [body]

    async def test_a_server_without_batches_is_told_how_to_set(self, server: A1111StandIn) -> None:
        one = json.dumps({"images": ["iVBORw0KGgo="]}).encode()
        server.script(Act(body=one))
        with pytest.raises(BadProviderReply, match="MAX_COUNT=1"):
            await sent(server, words(count=4))
        limited = provider(server, max_count=1)
        assert [model.max_count for model in limited.models()] == [1]

    async def test_a_page_instead_of_an_answer_is_kept(self, server: A1111StandIn) -> None:
        run = Keyed()
        assert isinstance(await failed(server, Act("garbage"), run), BadProviderReply)
        assert run.replies == [b"<html>it works!</html>"]

    def test_a_kept_reply_whose_options_are_no_longer_known_is_not_uncertain(self) -> None:
        with pytest.raises(BadProviderReply, match="Start the run again"):
            provider("http://127.0.0.1:9").read_reply(b"{}", words(options={"gone": 1}))


class TestCheckpoints:
    """What the server lists, and what is asked for."""

    async def test_the_list_is_learned(self, server: A1111StandIn) -> None:
        one = provider(server, models=("mine",))
        assert [model.id for model in one.models()] == ["current", "mine"]
        listed = await one.listing(Keyed().secret)
        assert listed is not None
        one.learn(listed)
        assert [model.id for model in one.models()] == [
            "current",
            "mine",
            "photon_v1",
            "dreamer_xl",
        ]
        assert profile_of(one, "photon_v1").title == "photon_v1.safetensors [0123456789]"
        assert not any(model.paid or model.deterministic for model in one.models())

    async def test_a_chosen_checkpoint_is_asked_for_in_one_call_only(
        self, server: A1111StandIn
    ) -> None:
        seen, generated, _ = await sent(server, words("dreamer_xl"), models=("dreamer_xl",))
        assert seen.fields["override_settings"] == {"sd_model_checkpoint": "dreamer_xl"}
        assert seen.fields["override_settings_restore_afterwards"] is True
        assert generated.details["checkpoint"] == "dreamer_xl"
        assert not generated.findings

    async def test_the_loaded_checkpoint_is_named_in_the_details(
        self, server: A1111StandIn
    ) -> None:
        _, generated, _ = await sent(server, words())
        assert generated.details["checkpoint"] == "photon_v1"
        assert not generated.findings

    async def test_a_checkpoint_that_the_server_ignored_fails_the_picture(
        self, server: A1111StandIn
    ) -> None:
        """The web UI uses the loaded one for a name that it does not know, and says nothing."""
        _, generated, _ = await sent(server, words("gone"), models=("gone",))
        assert [(one.code, one.severity) for one in generated.findings] == [("other-model", "hard")]
        assert "'photon_v1' instead of 'gone'" in generated.findings[0].message

    @pytest.mark.parametrize(
        ("asked", "told"),
        [
            ("photon_v1.safetensors [0123456789]", "photon_v1"),
            ("sd15\\Photon_v1", "photon_v1"),
            ("sd15/photon_v1.ckpt", "photon_v1"),
            ("sd15_photon_v1", "photon_v1"),
            ("0123456789", "photon_v1"),
            ("flux1", "flux1.gguf"),
        ],
    )
    async def test_a_checkpoint_under_another_of_its_names_is_the_same(
        self, server: A1111StandIn, asked: str, told: str
    ) -> None:
        server.script(Act(info={"sd_model_name": told, "sd_model_hash": "0123456789"}))
        _, generated, _ = await sent(server, words(asked), models=(asked,))
        assert not generated.findings

    async def test_a_server_that_does_not_tell_its_checkpoint_is_not_quoted(self) -> None:
        with A1111StandIn("sdcpp") as other:
            _, generated, _ = await sent(other, words("flux1"), models=("flux1",))
        assert generated.details["checkpoint"] == "the server does not tell it"
        assert not generated.findings

    async def test_a_server_that_lists_nothing_is_not_down(self) -> None:
        with A1111StandIn("drawthings") as other:
            assert await provider(other).listing(Keyed().secret) == [Listed(id="current")]

    async def test_stable_diffusion_cpp_lists_its_one(self) -> None:
        with A1111StandIn("sdcpp", checkpoints=("flux1",)) as other:
            listed = await provider(other).listing(Keyed().secret)
        assert listed == [Listed(id="current"), Listed(id="flux1", title="flux1")]

    async def test_without_an_address_there_is_nobody_to_ask(self) -> None:
        one = A1111Provider.build(A1111Config(), WireRules(paid_calls=False))
        assert await one.listing(Keyed().secret) is None

    async def test_a_server_that_does_not_answer_is_unavailable(self) -> None:
        with pytest.raises(ProviderUnavailable, match="nothing was sent"):
            await provider(closed()).listing(Keyed().secret)

    @pytest.mark.parametrize("rows", [b"<html>", b"{}", b'[{"title": 5}]', b"[5]"])
    def test_a_list_that_is_none_is_said(self, rows: bytes) -> None:
        with pytest.raises(BadProviderReply, match="list of checkpoints"):
            wire.listed(rows)

    def test_rows_without_a_usable_name_are_left_out(self) -> None:
        rows = [
            {"title": "a [1]", "model_name": "a"},
            {"title": "b\n", "model_name": "b"},
            {"title": None, "model_name": "c"},
            {"title": "d"},
            {"title": "x", "model_name": "e\x1b[2J"},
            {"title": "", "model_name": " "},
            {"title": "again", "model_name": "a"},
        ]
        listed = wire.listed(json.dumps(rows).encode())
        assert [(one.id, one.title) for one in listed] == [
            ("current", ""),
            ("a", "a [1]"),
            ("b", "b"),
            ("c", "c"),
            ("d", "d"),
        ]
