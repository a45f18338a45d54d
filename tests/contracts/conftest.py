"""Failures inside the shipped contract suites tell their values."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "maquette.testing.contracts",
    "maquette.testing.operation_contract",
    "maquette.testing.provider_contract",
)
