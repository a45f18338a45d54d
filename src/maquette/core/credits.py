"""Credits: what may be bought, what it costs, and who needs none."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, model_validator

from maquette.core.money import Nano, Usd, to_nano

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CENTS = 100


def _is_safe(address: str) -> str:
    parts = urlsplit(address)
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (parts.hostname and (parts.scheme == "https" or plain)) or "@" in parts.netloc:
        raise ValueError("write an https:// address without a user or password in it")
    return address


Address = Annotated[str, AfterValidator(_is_safe)]
PackId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class Pack(BaseModel, frozen=True, extra="forbid"):
    """Credits that can be bought at once."""

    id: PackId
    price_cents: int = Field(ge=1, le=99_999_999)
    """In the smallest unit of the currency."""
    credits_usd: Decimal | None = Field(default=None, gt=0, le=1_000_000, decimal_places=9)
    """None: the price, divided by the markup."""


class CreditRules(BaseModel, frozen=True, extra="forbid"):
    """Whether people pay for what they spend, and how.

    A credit is a dollar of what the providers charge: the markup lies in the price of a pack, so
    that what is held and settled is the same number in every counter.
    """

    enabled: bool = False
    currency: str = Field(default="usd", pattern=r"^[a-z]{3}$")
    packs: tuple[Pack, ...] = (
        Pack(id="small", price_cents=500),
        Pack(id="medium", price_cents=2000),
        Pack(id="large", price_cents=5000),
    )
    markup: Decimal = Field(default=Decimal(1), ge=1, le=100)
    """What a dollar of credits costs, for packs that do not say it."""
    success_url: Address | None = None
    """Where Stripe sends the browser after paying."""
    cancel_url: Address | None = None
    """Where it sends those who changed their mind; unset: to the same."""
    exempt_admins: bool = True
    """Administrators need no credits."""
    stripe_url: Address = "https://api.stripe.com"

    @model_validator(mode="after")
    def _packs_are_clear(self) -> CreditRules:
        ids = [one.id for one in self.packs]
        if len(ids) != len(set(ids)):
            raise ValueError("two packs have the same id")
        if self.currency != "usd" and any(one.credits_usd is None for one in self.packs):
            raise ValueError("packs in another currency than usd have to say their credits_usd")
        if any(self.worth(one) <= 0 for one in self.packs):
            raise ValueError("a pack is worth nothing")
        return self

    def pack(self, name: str) -> Pack | None:
        return next((one for one in self.packs if one.id == name), None)

    def worth(self, pack: Pack) -> Nano:
        """Return the credits that a pack gives."""
        if pack.credits_usd is not None:
            return to_nano(Usd(pack.credits_usd))
        return Nano(int(Decimal(pack.price_cents) / _CENTS / self.markup * 10**9))
