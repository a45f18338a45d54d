"""What a job can cost at most: its calls, and the providers in its post chain."""

from __future__ import annotations

from collections.abc import Collection

from maquette.core import money
from maquette.core.errors import PriceUnknown
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
    """Price the calls of a job, without what is answered.

    `answered` has calls as the job's attempts name them, and steps that are done.
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
    done = {"post.background", *(call_name("background", one) for one in called)}
    if not called or done & set(answered):
        return money.FREE
    picture = _winner(spec)
    requests = [backends.request_for(one, picture) for one in called]
    alone = spec.post.background is not None and len(spec.post.background.backends) == 1
    if alone and _size_is_known(spec):  # where there is another, it is tried when this one refuses
        studio.shop.providers[requests[0].provider].check(requests[0])
    return max(_price(studio, one) for one in requests)


def _refine(studio: Studio, spec: JobSpec, answered: Collection[str]) -> Usd:
    """Price the refine pass for the picture that was asked for, and for any that may come instead.

    A generator may clamp the size to one of its own, so unless it is the very model that refines,
    the dearest size counts too.
    """
    step = spec.post.background.refine if spec.post.background is not None else None
    if step is None or not step.wanted or STEP in answered:
        return money.FREE
    request = backends.refine_request(studio.shop, step, _winner(spec))
    any_size = request.model_copy(update={"size": "auto"})
    if not _size_is_known(spec):
        return _price(studio, any_size)
    studio.shop.providers[request.provider].check(request)
    price = _price(studio, request)
    own = spec.request is None or step.model == f"{spec.request.provider}:{spec.request.model}"
    if own:
        return price
    try:
        return max(price, _price(studio, any_size))
    except PriceUnknown:  # a size nobody can price is refused when it comes
        return price


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
