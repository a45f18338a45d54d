"""What a person sees: tables, prices, complaints. Programs get JSON instead."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def console(*, error: bool = False) -> Console:
    from rich.console import Console  # noqa: PLC0415 - `--help` need not wait for it

    # A pipe has no width: give its tables room, so that no path is folded.
    width = None if (sys.stderr if error else sys.stdout).isatty() else 160
    return Console(stderr=error, highlight=False, width=width)


def complain(message: str, code: str, *, as_json: bool) -> None:
    """Say what went wrong and what to do, on standard error."""
    if as_json:
        sys.stderr.write(json.dumps({"error": {"code": code, "message": message}}) + "\n")
        return
    from rich.text import Text  # noqa: PLC0415 - as above

    console(error=True).print(Text("error: ", style="bold red") + Text(message))


def note(message: str) -> None:
    """Tell a person something beside the result."""
    from rich.text import Text  # noqa: PLC0415 - as above

    console(error=True).print(Text("note: ", style="yellow") + Text(message))


def print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, default=_plain, indent=2, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (Decimal, Path)):
        return str(value)
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    raise TypeError(f"{type(value).__name__} is no JSON")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; nothing but a short line where it would be empty."""
    from rich import box  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        grid.add_column(
            column.lstrip(">"), justify="right" if right else "left", overflow="fold", max_width=80
        )
    count = 0
    for row in rows:
        grid.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
        count += 1
    console().print(grid if count else f"{title}: none.")


def print_exactly(text: str) -> None:
    """Print text that has its line ends already."""
    sys.stdout.write(text)


def say(message: str = "") -> None:
    sys.stdout.write(message + "\n")
