"""Options that many commands share, and the forms of them that older scripts write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

ON_OFF = (
    "--output-guard-enabled",
    "--enforce-grayscale",
    "--fail-on-chroma-exceed",
    "--post-bg-remove",
    "--bg-refine",
    "--bg-refine-openai",
    "--bg-refine-required",
    "--bg-refine-openai-required",
    "--post-upscale",
    "--post-color",
    "--allow-many-candidates",
    "--archive-replaced",
    "--confirm-spend",
    "--backend-db-ingest",
    "--backend-db-required",
    "--backend-storage-resolve",
    "--backend-storage-required",
    "--storage-sync-s3",
    "--storage-sync-dry-run",
    "--storage-sync-delete",
    "--storage-sync-required",
)
"""Options that exist as `--x` and `--no-x`, and are also understood as `--x true|false`."""

_TRUE, _FALSE = {"true", "yes", "1", "on"}, {"false", "no", "0", "off"}


def plain_booleans(arguments: Sequence[str]) -> list[str]:
    """Turn `--x true`, `--x=false` into `--x`, `--no-x`."""
    result: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name not in ON_OFF:
            result.append(word)
            continue
        if not equals and rest and rest[0].lower() in _TRUE | _FALSE:
            value = rest.pop(0)
        if value.lower() in _FALSE:
            result.append(f"--no-{name.removeprefix('--')}")
        elif not value or value.lower() in _TRUE:
            result.append(name)
        else:
            result.append(word)
    return result


def listed(text: str | None) -> tuple[str, ...]:
    """Split `a,b,c`; None and empty give nothing."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def listed_paths(text: str | None) -> tuple[Path, ...]:
    return tuple(Path(part) for part in listed(text))


Project = Annotated[
    str, typer.Option("--project", metavar="NAME", help="The project. There is no default.")
]
ProjectRoot = Annotated[
    Path | None,
    typer.Option(
        "--project-root", metavar="DIR", help="Where its files are; wins over the setting."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON document, for programs.")]
Input = Annotated[
    Path | None, typer.Option("--input", metavar="FILE_OR_DIR", help="A picture or a folder.")
]
ArchiveReplaced = Annotated[
    bool,
    typer.Option(
        "--archive-replaced/--no-archive-replaced",
        help="Move a file that would be overwritten to archive/replaced/ first.",
    ),
]
ConfirmSpend = Annotated[
    bool,
    typer.Option("--confirm-spend/--no-confirm-spend", help="Allow this run to spend money."),
]
MaxSpend = Annotated[
    str | None,
    typer.Option("--max-spend", metavar="USD", help="The most this run may cost, e.g. 2.50."),
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a part of it, or `latest`.")]
