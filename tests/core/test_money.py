"""Money is exact: Decimal in Python, whole nano-dollars in rows, never a float."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core import money
from maquette.core.errors import BadParameter
from maquette.core.money import Nano, Usd

nanos = st.integers(0, 10**15)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12.50", "12.5"), ("$0.04", "0.04"), (" 3 ", "3"), ("0", "0"), ("1e2", "100")],
)
def test_amounts_are_read(text: str, amount: str) -> None:
    """LAB-14: as `--max-spend` and the caps take them."""
    assert money.parse_usd(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "much", "-1", "nan", "inf", "-inf", "1,50", "1 2", "$$1"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match=r"12\.50"):
        money.parse_usd(text)


@given(nanos)
def test_nano_dollars_survive_the_way_there_and_back(amount: int) -> None:
    assert money.to_nano(money.from_nano(amount)) == amount


@given(st.decimals(0, 1000, places=12))
def test_a_reservation_is_never_too_small(amount: Decimal) -> None:
    """D5: rounded up, by less than one nano-dollar."""
    reserved = money.from_nano(money.to_nano(Usd(amount)))
    assert amount <= reserved < amount + Decimal("0.000000001")


@given(nanos, st.integers(1, 50))
def test_a_split_loses_nothing_and_is_even(amount: int, parts: int) -> None:
    """D4: a call's cost over its pictures, the remainder to the first."""
    shares = money.split(Nano(amount), parts)
    assert sum(shares) == amount
    assert len(shares) == parts
    assert len(set(shares[1:])) <= 1
    assert 0 <= shares[0] - shares[-1] < parts


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.04", "$0.04"),
        ("12.5", "$12.50"),
        ("0.0012", "$0.0012"),
        ("0.0000001", "$0.000001"),
        ("1000", "$1000.00"),
    ],
)
def test_amounts_are_shown_in_full(amount: str, text: str) -> None:
    """Something that costs is never shown as nothing."""
    assert money.show(Usd(Decimal(amount))) == text
