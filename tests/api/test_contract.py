"""The contract in the repository is that of the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maquette.api.contract import written
from maquette.api.contracted import document

KEPT = Path(__file__).parents[2] / "openapi" / "maquette.openapi.json"
CONTRACT = document()
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    (f"{method.upper()} {path}", operation)
    for path, methods in CONTRACT["paths"].items()
    for method, operation in methods.items()
]


def test_the_repository_keeps_the_contract_of_this_version() -> None:
    """If not: `maquette openapi --output openapi/maquette.openapi.json`; read the difference."""
    assert KEPT.read_text(encoding="utf-8") == written(CONTRACT)


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_an_operation_says_who_may_call_it_and_what_it_answers(
    name: str, operation: dict[str, Any]
) -> None:
    assert operation["x-needs"]
    assert operation["summary"]
    assert operation["description"]
    answers = operation["responses"]
    assert "default" not in answers
    assert "500" not in answers
    assert any(status.startswith("2") for status in answers)
    for status, said in answers.items():
        if int(status) >= 400 and not (status == "503" and "/health" in name):
            assert "application/problem+json" in said["content"], status


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(names) == len(set(names))
