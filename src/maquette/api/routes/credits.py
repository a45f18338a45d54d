"""Credits: what one has, buying more, and what Stripe tells of payments."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, Field

from maquette.api.claims import ONCE, MadeBefore, TheClaim
from maquette.api.contract import raises
from maquette.api.door import Admin, Anybody, SignedIn, Spender
from maquette.api.house import TheStudio
from maquette.api.routes.users import PersonName
from maquette.core import errors as e
from maquette.core import money
from maquette.core.money import Usd
from maquette.core.wanted import Wanted
from maquette.services import checkout, payments, wallets
from maquette.services.studio import Studio
from maquette.services.wallets import Purse

router = APIRouter(prefix="/api/credits", tags=["credits"])

_MOST_BYTES = 512 * 1024
Amount = Annotated[str, Field(pattern=r"^-?[0-9]{1,7}(\.[0-9]{1,9})?$", examples=["25.00"])]


class PackDocument(BaseModel):
    """What can be bought."""

    id: str
    price_cents: int = Field(description="In the smallest unit of the currency.")
    currency: str
    credits_usd: str


class EntryDocument(BaseModel):
    """One line of the books."""

    id: int
    at: datetime
    kind: str = Field(description="purchase, refund, returned, grant, correction or usage.")
    amount_usd: str = Field(description="With a minus where credits went out.")
    why: str | None


class WalletDocument(BaseModel):
    """What a person has."""

    enabled: bool = Field(description="Whether this person's work is paid from credits.")
    balance_usd: str = Field(description="With a minus where more was refunded than was left.")
    held_usd: str = Field(description="The part that is promised to work under way.")
    available_usd: str


class OwnCredits(WalletDocument):
    """What the caller has, can buy, and what came of it before."""

    packs: list[PackDocument]
    entries: list[EntryDocument]
    next: int | None = None


class WantedPack(Wanted):
    """What to buy."""

    pack: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", examples=["small"])]


class PayingPage(BaseModel):
    """Where it is paid."""

    url: str


class NewGrant(Wanted):
    """Credits that an administrator gives, or takes back with a minus."""

    amount_usd: Amount
    why: Annotated[str, Field(min_length=1, max_length=500)]


class Received(BaseModel):
    """A message was taken in."""

    received: bool = Field(description="False where it tells of nothing that was bought here.")


@router.get("", summary="Show one's credits")
async def show_credits(
    caller: SignedIn,
    studio: TheStudio,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        int | None, Query(ge=1, lt=2**63, description="The `next` of the page before.")
    ] = None,
) -> OwnCredits:
    """Return what the caller has, what can be bought, and a page of the books, newest first."""
    found = await wallets.entries(studio, caller.name, limit, before)
    purse = await wallets.show(studio, caller.name)
    return OwnCredits(
        **_document(purse).model_dump(),
        packs=_packs(studio),
        entries=[
            EntryDocument(
                id=one.id, at=one.at, kind=one.kind, amount_usd=_dollars(one.amount), why=one.why
            )
            for one in found
        ],
        next=found[-1].id if len(found) == limit else None,
    )


@router.post(
    "/checkout",
    status_code=201,
    summary="Buy credits",
    responses={
        **ONCE,
        **raises(
            e.CapabilityMissing,
            e.ProviderRefused,
            e.RateLimited,
            e.ConnectionRefused,
            e.WrongState,
            e.IdempotencyMismatch,
        ),
    },
)
async def buy_credits(
    caller: Spender, studio: TheStudio, wanted: WantedPack, claim: TheClaim, before: MadeBefore
) -> PayingPage:
    """Open a page at Stripe; the credits are there when Stripe has told that it was paid."""
    return PayingPage(url=await checkout.begin(studio, caller, wanted.pack, claim, before))


@router.post(
    "/webhook",
    summary="Hear of payments",
    dependencies=[Anybody],
    responses=raises(e.SignatureWrong, e.RequestTooLarge, e.CapabilityMissing),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def hear_of_payment(
    request: Request,
    studio: TheStudio,
    signature: Annotated[
        str | None,
        Header(alias="Stripe-Signature", max_length=2048, description="`t=…,v1=…`, by Stripe."),
    ] = None,
) -> Received:
    """Take in a message of Stripe's; it is believed for its signature alone, and booked once."""
    body = await request.body()
    if len(body) > _MOST_BYTES:
        raise e.RequestTooLarge("No message of Stripe's is so large; it was not read.")
    return Received(received=await payments.receive(studio, signature, body))


@router.post(
    "/{name}/grants",
    status_code=201,
    summary="Grant credits",
    responses={**ONCE, **raises(e.UserNotFound, e.WrongState, e.IdempotencyMismatch)},
)
async def grant_credits(
    caller: Admin,
    studio: TheStudio,
    name: PersonName,
    wanted: NewGrant,
    claim: TheClaim,
    before: MadeBefore,
) -> WalletDocument:
    """Give a person credits, or take back what is neither spent nor held."""
    if before is not None:
        return _document(await wallets.show(studio, name))
    amount = Usd(Decimal(wanted.amount_usd))
    by = caller.user_id
    return _document(await wallets.grant(studio, name, amount, wanted.why, by=by, claim=claim))


def _packs(studio: Studio) -> list[PackDocument]:
    rules = studio.credits
    return [
        PackDocument(
            id=one.id,
            price_cents=one.price_cents,
            currency=rules.currency,
            credits_usd=_dollars(money.from_nano(rules.worth(one))),
        )
        for one in (rules.packs if rules.enabled else ())
    ]


def _document(purse: Purse) -> WalletDocument:
    return WalletDocument(
        enabled=purse.pays,
        balance_usd=_dollars(purse.balance),
        held_usd=_dollars(purse.held),
        available_usd=_dollars(purse.available),
    )


def _dollars(amount: Usd) -> str:
    return money.show(amount).removeprefix("$")
