"""A plan on screen and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from maquette.cli.screen import say, table

if TYPE_CHECKING:
    from maquette.core.money import Usd
    from maquette.services.planning import Plan


def document(planned: Plan) -> dict[str, Any]:
    return {
        "project": planned.order.project,
        "root": str(planned.root),
        "provider": planned.provider,
        "model": planned.profile.id,
        "calls": planned.calls,
        "post_chain_calls": planned.chain_calls,
        "worst_case_usd": str(planned.worst_case),
        "needs_confirmation": planned.worst_case > 0,
        "notes": list(planned.notes),
        "jobs": [
            {
                "scene": job.spec.scene,
                "source": str(job.source.path),
                "worst_case_usd": str(job.worst_case),
                "spec": job.spec.model_dump(mode="json"),
            }
            for job in planned.jobs
        ],
    }


def show(planned: Plan) -> None:
    from maquette.core import money  # noqa: PLC0415 - as above

    table(
        f"Plan for {planned.order.project}: {planned.provider}:{planned.profile.id}, "
        f"{planned.calls} calls",
        ("scene", "size", ">candidates", "refs", "post chain", ">at most"),
        [
            (
                job.spec.scene,
                _size_words(job.spec.asked.size, job.spec.source),
                job.spec.candidates,
                ", ".join(ref.path.name for ref in job.references) or "-",
                " → ".join(job.spec.post.names()) or "-",
                money.show(job.worst_case),
            )
            for job in planned.jobs
        ],
    )
    show_notes(planned.notes)
    show_price(planned)


def show_notes(notes: Sequence[str], worst_case: Usd | None = None) -> None:
    """Say what was decided, and the price where there is one."""
    from maquette.core import money  # noqa: PLC0415 - as above

    for line in notes:
        say(f"  · {line}")
    if worst_case:
        say(f"  Price: at most {money.show(worst_case)}; needs --confirm-spend.")


def show_price(planned: Plan) -> None:
    from maquette.core import money  # noqa: PLC0415 - as above

    price = money.show(planned.worst_case)
    need = "needs --confirm-spend" if planned.worst_case > 0 else "no confirmation needed"
    scenes = f"{len(planned.jobs)} scenes, {planned.calls} calls"
    if planned.chain_calls:
        scenes += f" and up to {planned.chain_calls} in the post chain"
    say(f"  {scenes}. Price: at most {price}; {need}.")


def _size_words(size: Any, source: Any) -> str:
    if isinstance(size, tuple):
        return f"{size[0]}x{size[1]}"
    if size == "source" and source is not None:
        return f"{source.width_px}x{source.height_px} (source)"
    return str(size)
