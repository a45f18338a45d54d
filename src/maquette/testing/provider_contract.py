"""What every provider promises; plugin authors import it from `maquette.testing.contracts`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

import pytest
from pydantic import SecretStr

from maquette.core.errors import OutcomeUnknown, PriceUnknown
from maquette.core.provider import Provider, Ticket
from maquette.core.requests import Digest, Encoded, Generated, ImageRequest, ModelProfile
from maquette.imaging import codec

P = ParamSpec("P")
R = TypeVar("R")


class FakeRun:
    """A `Run` that remembers; `compute` works in this process."""

    def __init__(self, inputs: Mapping[Digest, Encoded]) -> None:
        self._inputs = inputs
        self.fractions: list[float] = []
        self.tickets: list[Ticket] = []
        self.replies: list[bytes] = []
        self.partials: list[Encoded] = []

    async def read(self, asset: Digest) -> Encoded:
        return self._inputs[asset]

    async def progress(self, fraction: float, note: str = "") -> None:
        self.fractions.append(fraction)

    async def partial(self, index: int, image: Encoded) -> None:
        self.partials.append(image)

    async def accepted(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)

    async def raw(self, reply: bytes) -> None:
        self.replies.append(reply)

    def secret(self, name: str) -> SecretStr:
        return SecretStr("a key for tests")

    async def compute(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(work, *args, **kwargs)


RequestFor = Callable[[ModelProfile], ImageRequest]


class ProviderContract:
    """What every `Provider` promises; point it at a server of your own that imitates the real one.

    Fixtures: `provider`; `request_for`, a function that makes a good request for one of its
    models. Override `inputs` with the bytes of the pictures that the request refers to.
    """

    @pytest.fixture
    def inputs(self) -> Mapping[Digest, Encoded]:
        """Return the stored pictures by digest."""
        return {}

    def test_lists_models_of_different_names(self, provider: Provider) -> None:
        names = [profile.id for profile in provider.models()]
        assert names
        assert len(names) == len(set(names))

    def test_every_model_can_do_something(self, provider: Provider) -> None:
        for profile in provider.models():
            assert profile.modes
            assert profile.max_count >= 1
            assert profile.title.strip()

    def test_estimates_are_pure_and_grow_with_the_count(
        self, provider: Provider, request_for: RequestFor
    ) -> None:
        for profile in self.priced(provider, request_for):
            prices = [
                provider.estimate(request_for(profile).model_copy(update={"count": count}))
                for count in (1, 1, 2)
            ]
            assert prices[0] == prices[1] >= 0
            assert prices[2] >= prices[1]

    def test_only_free_models_cost_nothing(
        self, provider: Provider, request_for: RequestFor
    ) -> None:
        """No price is refused by `PriceUnknown`, never told as 0."""
        for profile in self.priced(provider, request_for):
            assert (provider.estimate(request_for(profile)) > 0) is profile.paid

    def test_returns_as_many_pictures_as_asked_for(
        self, provider: Provider, request_for: RequestFor, inputs: Mapping[Digest, Encoded]
    ) -> None:
        for profile in self.priced(provider, request_for):
            request = request_for(profile).model_copy(update={"count": profile.max_count})
            generated, run = self.generated(provider, request, inputs)
            assert len(generated.images) == profile.max_count
            for image in generated.images:
                assert codec.sniff(image.data, name="picture").media_type == image.media_type
                codec.decode(image.data, name="picture")
            assert all(0 <= fraction <= 1 for fraction in run.fractions)

    def test_pictures_of_one_call_differ(
        self, provider: Provider, request_for: RequestFor, inputs: Mapping[Digest, Encoded]
    ) -> None:
        for profile in self.priced(provider, request_for):
            request = request_for(profile).model_copy(update={"count": profile.max_count})
            generated, _ = self.generated(provider, request, inputs)
            assert len({image.data for image in generated.images}) == profile.max_count

    def test_says_what_was_really_asked_for(
        self, provider: Provider, request_for: RequestFor, inputs: Mapping[Digest, Encoded]
    ) -> None:
        for profile in self.priced(provider, request_for):
            request = request_for(profile)
            effective = self.generated(provider, request, inputs)[0].effective
            assert (effective.provider, effective.model) == (provider.id, profile.id)
            assert effective.inputs == request.inputs

    def test_never_costs_more_than_estimated(
        self, provider: Provider, request_for: RequestFor, inputs: Mapping[Digest, Encoded]
    ) -> None:
        for profile in self.priced(provider, request_for):
            request = request_for(profile)
            cost = self.generated(provider, request, inputs)[0].cost
            assert cost is None or 0 <= cost <= provider.estimate(request)

    def test_deterministic_models_repeat_themselves(
        self, provider: Provider, request_for: RequestFor, inputs: Mapping[Digest, Encoded]
    ) -> None:
        for profile in self.priced(provider, request_for):
            if profile.deterministic:
                request = request_for(profile).model_copy(update={"seed": 5})
                first, second = (self.generated(provider, request, inputs)[0] for _ in range(2))
                assert [one.data for one in first.images] == [one.data for one in second.images]

    def test_a_stored_reply_says_the_same_again(
        self, provider: Provider, request_for: RequestFor, inputs: Mapping[Digest, Encoded]
    ) -> None:
        """A crash after the answer costs nothing."""
        for profile in self.priced(provider, request_for):
            request = request_for(profile)
            generated, run = self.generated(provider, request, inputs)
            for reply in run.replies[-1:]:
                again = provider.read_reply(reply, request)
                assert [one.data for one in again.images] == [one.data for one in generated.images]

    def test_accepted_work_can_be_collected(
        self, provider: Provider, request_for: RequestFor, inputs: Mapping[Digest, Encoded]
    ) -> None:
        """After a crash the ticket is asked for, not the money."""
        for profile in self.priced(provider, request_for):
            request = request_for(profile)
            generated, run = self.generated(provider, request, inputs)
            for ticket in run.tickets[-1:]:
                again = asyncio.run(provider.resume(ticket, request, FakeRun(inputs)))
                assert [one.data for one in again.images] == [one.data for one in generated.images]

    def test_an_unknown_ticket_is_an_unknown_outcome(
        self, provider: Provider, request_for: RequestFor, inputs: Mapping[Digest, Encoded]
    ) -> None:
        request = request_for(provider.models()[0])
        with pytest.raises(OutcomeUnknown):
            asyncio.run(provider.resume(Ticket("nobody-knows"), request, FakeRun(inputs)))

    @staticmethod
    def priced(provider: Provider, request_for: RequestFor) -> list[ModelProfile]:
        """Return the models that can be asked for: those with a price."""
        found: list[ModelProfile] = []
        for profile in provider.models():
            try:
                provider.estimate(request_for(profile))
            except PriceUnknown:
                continue
            found.append(profile)
        assert found
        return found

    @staticmethod
    def generated(
        provider: Provider, request: ImageRequest, inputs: Mapping[Digest, Encoded]
    ) -> tuple[Generated, FakeRun]:
        run = FakeRun(inputs)
        return asyncio.run(provider.generate(request, run)), run
