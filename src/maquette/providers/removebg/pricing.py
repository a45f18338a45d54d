"""Credits, and what they cost in dollars."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from maquette.core.errors import PriceUnknown
from maquette.core.money import Usd
from maquette.providers.removebg.config import PRICE_SETTING

CHARGED = "x-credits-charged"
CREDITS_A_PICTURE = 1
"""At full size, as the service's help says; never more."""
_AMOUNT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?", re.ASCII)


def upper_bound(usd_per_credit: Decimal | None, pictures: int) -> Usd:
    """Return the worst case; raise `PriceUnknown` where nobody said what a credit costs."""
    if usd_per_credit is None:
        raise PriceUnknown(
            "The price of a remove.bg credit depends on the plan and is not set, so nothing was "
            f"sent. Write what yours costs, in dollars: {PRICE_SETTING}=0.20, for example."
        )
    return Usd(usd_per_credit * CREDITS_A_PICTURE * pictures)


def credits_charged(headers: Mapping[str, str]) -> Decimal | None:
    """Read what an answer says it cost; None where it does not say an amount."""
    text = headers.get(CHARGED, "").strip()
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def usage(headers: Mapping[str, str]) -> dict[str, int | str] | None:
    """Return what an answer says that it used; None where it does not say."""
    amount = credits_charged(headers)
    if amount is None:
        return None
    whole = amount == amount.to_integral_value()
    return {"credits_charged": int(amount) if whole else str(amount)}


def told(usd_per_credit: Decimal | None) -> dict[str, Any] | None:
    """Say what a credit costs, and that the settings say so."""
    if usd_per_credit is None:
        return None
    return {"as_of": None, "source": "settings", "per_credit": str(usd_per_credit)}


def charge(usd_per_credit: Decimal | None, headers: Mapping[str, str]) -> Usd | None:
    """Return what was charged; None: the estimate stands."""
    amount = credits_charged(headers)
    if amount is None:
        return None
    if amount == 0:
        return Usd(Decimal(0))
    return None if usd_per_credit is None else Usd(usd_per_credit * amount)
