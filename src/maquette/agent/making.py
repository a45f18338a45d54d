"""Pictures: planned, begun at once where they are free, else when a person has said the word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from pydantic import ValidationError

from maquette.agent import following
from maquette.agent.call import Answer, Call
from maquette.agent.tells import JobTold, PlanTold
from maquette.agent.wants import Confirm, Edit, Generate, Inpaint, Plan, PostProcess
from maquette.core import money
from maquette.core.errors import BadParameter, NotConfirmed, NothingToDo
from maquette.core.masks import Adjust
from maquette.core.money import Usd
from maquette.core.people import Needs, Scope
from maquette.core.pipeline import BackgroundStep, ColourStep, CompositeStep, UpscaleStep
from maquette.core.wanted import Wanted
from maquette.db.tables import Project
from maquette.folders import BACKGROUND_REMOVED, COLOUR_CORRECTED, UPSCALED
from maquette.jobs.backends import Step
from maquette.services import asking, confirming, ordering, placing, projects, stepping
from maquette.services.asking import Given, Wish
from maquette.services.confirming import Waiting
from maquette.services.placing import MaskWords
from maquette.services.starting import Spending

Begin = Callable[[Spending], Awaitable[str]]
"""Makes the run, and returns its id."""
SURFACE = "agent"
_AS_IT_IS = MaskWords()


@dataclass(frozen=True)
class Planned:
    """A request that can be granted; nothing was sent."""

    told: PlanTold
    price: Usd
    arguments: Mapping[str, Any]
    """The request with what was left open filled in: what a person agrees to."""
    begin: Begin
    check_ready: Callable[[], Awaitable[None]]
    """Raises what is missing, before a person is asked."""


class _Named(placing.Nothing):
    """Pictures of the project that a call names by their assets."""

    def __init__(self, pictures: tuple[Given, ...] = (), mask: Given | None = None) -> None:
        self.pictures = pictures
        self.mask = mask


async def _generate(call: Call, project: Project, wanted: Generate) -> Planned:
    return await _asked(call, project, wanted, "generate", _Named())


async def _edit(call: Call, project: Project, wanted: Edit) -> Planned:
    given = [await asking.given(call.studio, project, one) for one in wanted.pictures]
    return await _asked(call, project, wanted, "edit", _Named(tuple(given)))


async def _inpaint(call: Call, project: Project, wanted: Inpaint) -> Planned:
    picture = await asking.given(call.studio, project, wanted.picture)
    mask = await asking.given(call.studio, project, wanted.mask, "mask")
    adjust = Adjust(invert=wanted.invert, grow_px=wanted.grow_px)
    words = MaskWords(wanted.mask_edits, adjust)
    return await _asked(call, project, wanted, "inpaint", _Named((picture,), mask), words)


async def _asked(
    call: Call,
    project: Project,
    wanted: Generate | Edit | Inpaint,
    tool: str,
    named: _Named,
    words: MaskWords = _AS_IT_IS,
) -> Planned:
    wish = _wish(wanted)
    asked = await placing.look(call.studio, project, call.caller, wish, named, words)
    request = asked.spec.asked
    model = f"{asked.provider.id}:{asked.profile.id}"
    told = PlanTold(
        tool=tool,
        project=project.slug,
        price_usd=str(asked.worst_case),
        provider=asked.provider.id,
        model=model,
        mode=request.mode,
        size="x".join(map(str, request.size)) if isinstance(request.size, tuple) else request.size,
        count=asked.spec.candidates,
        calls=len(asked.spec.calls),
        notes=list(asked.notes),
    )

    async def begin(spending: Spending) -> str:
        placed = await placing.place(
            call.studio, project, call.caller, wish, named, spending, words
        )
        return placed.job_id.rpartition("-")[0]

    fixed = {"model": model, "seed": request.seed, "project": project.slug}
    ready = partial(asking.check_ready, call.studio, project, asked)
    return Planned(told, asked.worst_case, _said(wanted) | fixed, begin, ready)


def _wish(wanted: Generate | Edit | Inpaint) -> Wish:
    wish = Wish(
        prompt=wanted.prompt,
        model=wanted.model,
        negative_prompt=wanted.negative_prompt,
        size=wanted.measure,
        count=wanted.count,
        seed=wanted.seed,
        options=wanted.options,
        surface=SURFACE,
    )
    if isinstance(wanted, Inpaint):
        return replace(wish, composite=CompositeStep(feather_px=wanted.feather_px))
    return wish


async def _post(call: Call, project: Project, wanted: PostProcess) -> Planned:
    root = await projects.root_of(call.studio, project.slug, None)
    place = call.studio.shop.place(root)
    step, folder = _step_of(wanted)
    order = stepping.PostOrder(
        project=project.slug,
        root=root,
        input=await ordering.picture_path(call.studio, project, place, wanted.picture),
        output=folder,
        step=step,
    )
    planned = await stepping.plan(
        call.studio, order, Spending(confirmed=True, by=call.caller.user_id)
    )
    told = PlanTold(
        tool="post_process",
        project=project.slug,
        price_usd=str(planned.worst_case),
        mode=wanted.step,
        notes=list(planned.notes),
    )

    async def begin(spending: Spending) -> str:
        run_id = await stepping.start(call.studio, planned, spending)
        if run_id is None:
            raise NothingToDo(f"The picture could not be read: {planned.unreadable[0].error}")
        return run_id

    async def ready() -> None:
        """Its backends were looked at when it was planned."""

    fixed = {"project": project.slug}
    return Planned(told, planned.worst_case, _said(wanted) | fixed, begin, ready)


def _step_of(wanted: PostProcess) -> tuple[Step, str]:
    if wanted.step == "remove_background":
        backends = (wanted.backend,) if wanted.backend else ()
        return BackgroundStep(backends=backends), BACKGROUND_REMOVED
    if wanted.step == "upscale":
        return UpscaleStep(backend=wanted.backend, scale=wanted.scale), UPSCALED
    return ColourStep(profile=wanted.look, strength=wanted.strength), COLOUR_CORRECTED


def _said(wanted: Wanted) -> dict[str, Any]:
    return wanted.model_dump(mode="json")


Planner = Callable[[Call, Project, Any], Awaitable[Planned]]
PLANNERS: Mapping[str, tuple[type[Wanted], Planner]] = {
    "generate": (Generate, _generate),
    "edit": (Edit, _edit),
    "inpaint": (Inpaint, _inpaint),
    "post_process": (PostProcess, _post),
}


async def plan(call: Call, wanted: Plan) -> Answer:
    """Say what a call would send, and the most that it costs."""
    model, planner = PLANNERS[wanted.tool]
    said = read(model, wanted.arguments, wanted.tool)
    project = await call.enter(cast("Any", said).project, Needs.PROJECT_VIEWER)
    return Answer((await planner(call, project, said)).told)


def read(model: type[Wanted], arguments: Mapping[str, Any], tool: str) -> Wanted:
    """Check arguments; say in one sentence what is wrong with the first that is."""
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        flaw = error.errors()[0]
        where = ".".join(str(part) for part in flaw["loc"])[:100]
        known = ", ".join(model.model_fields) or "none"
        hint = f" It takes: {known}." if flaw["type"] == "extra_forbidden" else ""
        member = f"the argument {where!r} of " if where else ""
        raise BadParameter(
            f"{tool}: {member}the call cannot be used: {flaw['msg']}.{hint} Nothing was done."
        ) from None


async def make(tool: str, call: Call, wanted: Any) -> Answer:
    """Begin what is free; say what the rest costs, and wait for a person's word."""
    _, planner = PLANNERS[tool]
    project = await call.enter(wanted.project, Needs.PROJECT_EDITOR)
    planned = await planner(call, project, wanted)
    if planned.price > 0:
        return await _propose(call, tool, wanted, planned)
    run_id = await planned.begin(Spending(by=call.caller.user_id))
    return await following.answer(call, project, f"{run_id}-001", wanted.wait_s)


TOOLS = {name: partial(make, name) for name in PLANNERS}


async def _propose(call: Call, tool: str, wanted: Wanted, planned: Planned) -> Answer:
    call.check_scope(Scope.SPEND)
    await planned.check_ready()
    request = {"tool": tool, "arguments": dict(planned.arguments), "said": _said(wanted)}
    proposal = await confirming.propose(call.studio, call.caller, request, planned.price)
    price = money.show(planned.price)
    told = JobTold(
        state="awaiting_confirmation",
        words=(
            f"This costs up to {price}; nothing was sent. Ask the person, and when they agree, "
            f"call confirm with this confirmation. It is good for one run until "
            f"{proposal.expires_at:%H:%M:%S} UTC."
        ),
        project=planned.told.project,
        price_usd=str(planned.price),
        confirmation=proposal.key,
        expires_at=proposal.expires_at,
        plan=planned.told,
    )
    return Answer(told, proposal=proposal)


async def confirm(call: Call, wanted: Confirm) -> Answer:
    """Begin what was planned, once; said again, it tells of the same job."""
    call.check_scope(Scope.SPEND)
    found = await confirming.waiting(call.studio, call.caller, wanted.confirmation)
    slug = str(found.request["arguments"]["project"])
    project = await call.enter(slug, Needs.PROJECT_EDITOR)

    async def start(waiting: Waiting, spending: Spending) -> str:
        tool = waiting.request["tool"]
        model, planner = PLANNERS[tool]
        said = read(model, waiting.request["arguments"], tool)
        planned = await planner(call, project, said)
        confirming.check_price(waiting.price, planned.price)
        return await planned.begin(spending)

    run_id = await confirming.begin(call.studio, call.caller, wanted.confirmation, start)
    return await following.answer(call, project, f"{run_id}-001", wanted.wait_s)


async def check_same(call: Call, key: str, tool: str, arguments: Mapping[str, Any]) -> None:
    """Refuse a word that was said of another call than the one that it comes back with."""
    model, _ = PLANNERS[tool]
    found = await confirming.waiting(call.studio, call.caller, key)
    said = _said(read(model, arguments, tool))
    if (found.request["tool"], found.request["said"]) != (tool, said):
        raise NotConfirmed(
            "The price was agreed to for another call than this one, so nothing was sent. Make "
            "this call by itself."
        )


async def declined(call: Call, key: str) -> Answer:
    """Forget what a person did not want."""
    found = await confirming.waiting(call.studio, call.caller, key)
    await confirming.forget(call.studio, call.caller, key)
    told = JobTold(
        state="declined",
        words="The person did not agree to the price. Nothing was sent and nothing is charged.",
        project=str(found.request["arguments"]["project"]),
        price_usd=str(found.price),
    )
    return Answer(told)
