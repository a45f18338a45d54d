"""Reading a manifest: every complaint names the place in the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from maquette.core.errors import BadParameter, FileMissing
from maquette.core.pipeline import Manifest


def read(path: Path) -> Manifest:
    """Read and check a manifest; its relative paths are relative to the file."""
    if not path.is_file():
        raise FileMissing(f"The manifest {str(path)!r} does not exist; check --manifest.")
    try:
        manifest = Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise BadParameter(
            f"{path}: line {error.lineno}, column {error.colno}: not JSON ({error.msg})."
        ) from None
    except UnicodeDecodeError:
        raise BadParameter(f"{path} is not a text file in UTF-8.") from None
    except ValidationError as error:
        raise BadParameter(explain(path, error, Manifest)) from None
    return _absolute(manifest, path.parent)


def explain(path: Path, error: ValidationError, model: type[BaseModel]) -> str:
    """Write the first complaints with their paths in the file."""
    lines = [_complaint(one, model) for one in error.errors()[:5]]
    more = len(error.errors()) - len(lines)
    tail = [f"… and {more} more."] if more > 0 else []
    return "\n".join([f"{path} cannot be used:", *(f"  {line}" for line in lines), *tail])


def _complaint(error: Any, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg']} (found {error['input']!r})."
    known = _model_at(model, error["loc"][:-1])
    key = str(error["loc"][-1])
    near = get_close_matches(key, known.model_fields, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known.model_fields)}."
    return f"{where}: unknown key, {hint}"


def _model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """Follow a path in the file to the model of the object it leads to."""
    kind: Any = model
    for part in path:
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif isinstance(part, str):
            kind = kind.model_fields[part].annotation
        if get_origin(kind) is not dict:
            kind = next((one for one in get_args(kind) if one is not type(None)), kind)
    return kind


def _absolute(manifest: Manifest, folder: Path) -> Manifest:
    def fix(paths: tuple[Path, ...] | None) -> tuple[Path, ...] | None:
        return None if paths is None else tuple(folder / path for path in paths)

    scenes = {
        name: scene.model_copy(
            update={
                "input": None if scene.input is None else folder / scene.input,
                "refs": fix(scene.refs),
            }
        )
        for name, scene in manifest.scenes.items()
    }
    return manifest.model_copy(update={"refs": fix(manifest.refs), "scenes": scenes})
