"""US dollars: `Decimal` in Python, whole nano-dollars in the database, never a float."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import NewType

from maquette.core.errors import BadParameter

Usd = NewType("Usd", Decimal)
"""An amount in US dollars."""

Nano = NewType("Nano", int)
"""An amount in billionths of a US dollar."""

FREE = Usd(Decimal(0))
_NANO_PER_USD = 1_000_000_000


def parse_usd(text: str) -> Usd:
    """Read an amount such as `12.50` or `$0.04`; raise `BadParameter` otherwise."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise BadParameter(f"{text!r} is not an amount of money; write dollars such as 12.50.")
    return Usd(amount)


def to_nano(amount: Usd) -> Nano:
    """Round up to the next nano-dollar: a reservation is never too small."""
    return Nano(int((amount * _NANO_PER_USD).to_integral_value(ROUND_CEILING)))


def from_nano(amount: int) -> Usd:
    return Usd(Decimal(amount) / _NANO_PER_USD)


def split(amount: Nano, parts: int) -> tuple[Nano, ...]:
    """Share an amount over `parts` pictures; the remainder goes to the first."""
    share, rest = divmod(amount, parts)
    return (Nano(share + rest), *(Nano(share) for _ in range(parts - 1)))


def show(amount: Usd) -> str:
    """Write an amount with at least two and at most six decimals."""
    text = f"{amount.quantize(Decimal('0.000001'), ROUND_CEILING):f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    return f"${whole}.{decimals.ljust(2, '0')}"
