"""Payloads are tolerant of what is left out and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from maquette.core.errors import BadParameter
from maquette.core.instructions import PAYLOADS, InstructionKind, dumped, read


def test_every_type_has_a_payload() -> None:
    assert set(PAYLOADS) == set(InstructionKind)


@pytest.mark.parametrize("kind", [one for one in InstructionKind if one != "layers"])
def test_only_layers_has_to_be_told_anything(kind: InstructionKind) -> None:
    assert dumped(read(kind, {})) == {}


def test_what_was_said_is_kept_and_read_again() -> None:
    said = {"stage": "style", "candidates": 3, "size": [64, 48], "max_spend_usd": "0.5"}
    kept = dumped(read(InstructionKind.PIPELINE_RUN, said))
    assert kept == said
    assert dumped(read(InstructionKind.PIPELINE_RUN, kept)) == said


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"colour": 1}, "'colour'"),
        ({"guard": {"colour": 1}}, "'guard.colour'"),
        ({"priority": 101}, "'priority'"),
        ({"stage": "a\0b"}, "NUL"),
        ({"options": {"a\0": 1}}, "NUL"),
        ({"prompt": "\ud800"}, "'prompt'"),
        ({"guard": {"max_chroma_delta": float("inf")}}, "finite"),
        ({"options": {"x": float("nan")}}, "finite"),
    ],
)
def test_what_cannot_be_kept_or_is_unknown_is_refused(payload: dict[str, Any], words: str) -> None:
    with pytest.raises(BadParameter, match=words):
        read(InstructionKind.PIPELINE_RUN, payload)
