"""What a job can cost at most: its calls, and the providers in its post chain."""

from __future__ import annotations

from collections.abc import Collection

from maquette.core import money
from maquette.core.money import Usd
from maquette.core.pipeline import JobSpec
from maquette.core.provider import priced
from maquette.core.requests import ImageRequest, Input
from maquette.jobs import backends
from maquette.jobs.post import call_name
from maquette.jobs.refining import STEP
from maquette.services import chain
from maquette.services.studio import Studio


def worst_case(studio: Studio, spec: JobSpec, answered: Collection[str] = ()) -> Usd:
    """Price the calls of a job, without those that are `answered`, as its attempts name them.

    Of the backends that remove a background at most one is charged: the next is only tried where
    the one before was not.
    """
    calls = [
        spec.asked.model_copy(update={"count": count})
        for index, count in enumerate(spec.calls)
        if f"generate.{index}" not in answered
    ]
    total = sum((_price(studio, one) for one in calls), start=money.FREE)
    return Usd(total + _background(studio, spec, answered) + _refine(studio, spec, answered))


def _price(studio: Studio, request: ImageRequest) -> Usd:
    return priced(studio.shop.providers[request.provider], request)


def _background(studio: Studio, spec: JobSpec, answered: Collection[str]) -> Usd:
    called = chain.paid_calls(studio, spec.post)
    if any(call_name("background", one) in answered for one in called):
        return money.FREE
    picture = _winner(spec)
    prices = [_price(studio, backends.request_for(one, picture)) for one in called]
    return max(prices, default=money.FREE)


def _refine(studio: Studio, spec: JobSpec, answered: Collection[str]) -> Usd:
    step = spec.post.background.refine if spec.post.background is not None else None
    if step is None or not step.wanted or STEP in answered:
        return money.FREE
    request = backends.refine_request(studio.shop, step, _winner(spec))
    if not _size_is_known(spec):
        request = request.model_copy(update={"size": "auto"})
    return _price(studio, request)


def _size_is_known(spec: JobSpec) -> bool:
    return spec.request is None or spec.request.size != "auto"


def _winner(spec: JobSpec) -> Input:
    """Stand in for the picture that will go into the chain, as large as it was asked for."""
    first = spec.source
    size = "source" if spec.request is None else spec.request.size
    width_px, height_px = (1, 1) if first is None else (first.width_px, first.height_px)
    if isinstance(size, tuple):
        width_px, height_px = size
    return Input.model_validate(
        {
            "role": "init",
            "digest": "" if first is None else first.digest,
            "media_type": "image/png",
            "width_px": width_px,
            "height_px": height_px,
            "size_bytes": 0,
        }
    )
