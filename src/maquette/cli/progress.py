"""Progress on screen: what is done, how long it still takes, what was spent so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from maquette.cli.screen import console
from maquette.core import money

if TYPE_CHECKING:
    from maquette.db.tables import Event

_WORDS = {
    "generate": "making pictures",
    "guard": "judging",
    "post.background": "removing the background",
    "post.upscale": "upscaling",
    "post.colour": "grading",
    "final_guard": "judging the result",
    "publish": "putting in place",
}


class Progress:
    """One bar for a run, fed by its events."""

    def __init__(self, steps: int, *, silent: bool) -> None:
        self._steps = steps
        self._spent_nano = 0
        self._doing: dict[str, str] = {}
        self._silent = silent
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if not self._silent:
            from rich import progress as p  # noqa: PLC0415 - only where there is a screen

            self._bar = p.Progress(
                p.SpinnerColumn(),
                p.TextColumn("{task.description}"),
                p.BarColumn(bar_width=24),
                p.MofNCompleteColumn(),
                p.TextColumn("{task.fields[spent]} spent"),
                p.TimeElapsedColumn(),
                p.TextColumn("eta"),
                p.TimeRemainingColumn(),
                console=console(error=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("waiting", total=self._steps, spent="$0.00")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    async def tell(self, event: Event) -> None:
        """Take in one event."""
        if self._bar is None:
            return
        scene = str(event.data.get("scene", ""))
        step = str(event.data.get("step", ""))
        if event.kind == "step_started":
            self._doing[scene] = _WORDS.get(step, _WORDS["generate"])
        elif event.kind == "step_done":
            self._bar.advance(self._task)
        elif event.kind == "settled":
            self._spent_nano += int(event.data.get("cost_nano", 0))
        elif event.kind == "waiting":
            seconds = float(event.data.get("seconds", 0))
            self._doing[scene] = f"waiting {seconds:.0f} s ({event.data.get('why', '')})"
        elif event.kind == "job_ended":
            self._doing.pop(scene, None)
        what = next(iter(self._doing.items()), None)
        self._bar.update(
            self._task,
            description="waiting" if what is None else f"{what[0]}: {what[1]}",
            spent=money.show(money.from_nano(self._spent_nano)),
        )
