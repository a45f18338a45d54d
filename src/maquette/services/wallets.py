"""People's credits: what they have, what administrators grant, and whether the books balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core import money
from maquette.core.errors import BadParameter, UserNotFound
from maquette.core.money import FREE, Usd
from maquette.core.people import Role
from maquette.db import idempotency, ledger, people, portable, purchases, wallets
from maquette.db.idempotency import Claim
from maquette.db.tables import CreditTransfer, User
from maquette.services.studio import Studio

_MOST = Usd(Decimal(1_000_000))
PAGE = 50


@dataclass(frozen=True)
class Entry:
    """One line of a wallet's books."""

    id: int
    at: datetime
    kind: str
    amount: Usd
    """Less than nothing where credits went out."""
    why: str | None


@dataclass(frozen=True)
class Purse:
    """What a person has."""

    name: str
    balance: Usd
    """Bought and granted, less what was spent and refunded."""
    held: Usd
    """The part that is promised to work under way."""
    pays: bool
    """Whether the person's credits are asked for at all."""

    @property
    def available(self) -> Usd:
        return max(FREE, Usd(self.balance - self.held))

    @property
    def debt(self) -> Usd:
        return max(FREE, Usd(-self.balance))


async def scope(
    studio: Studio, session: AsyncSession, project_id: str, run_id: str, user_id: str | None
) -> ledger.Scope:
    """Say which counters a run's money counts in: its person's wallet too, where credits are on."""
    plain = ledger.Scope(project_id, run_id, studio.shop.clock.today(), user_id)
    role = None if user_id is None else await _role(session, user_id)
    if role is None:
        return plain
    day = studio.roles.of(role).day_usd
    return ledger.Scope(
        project_id,
        run_id,
        plain.day,
        user_id,
        from_wallet=_pays(studio, role),
        role_day_nano=None if day is None else int(money.to_nano(Usd(day))),
    )


def _pays(studio: Studio, role: Role) -> bool:
    rules = studio.credits
    return rules.enabled and not (rules.exempt_admins and role is Role.ADMIN)


async def _role(session: AsyncSession, user_id: str) -> Role | None:
    found = await session.get(User, user_id)
    return None if found is None else Role(found.role)


async def show(studio: Studio, name: str) -> Purse:
    """Return what a person has."""
    async with studio.shop.db.read() as session:
        return await _purse(studio, session, await _person(session, name))


async def _purse(studio: Studio, session: AsyncSession, person: User) -> Purse:
    found = await wallets.look(session, person.id)
    return Purse(
        person.name,
        money.from_nano(found.balance_nano),
        money.from_nano(found.held_nano),
        _pays(studio, Role(person.role)),
    )


async def entries(
    studio: Studio, name: str, limit: int = PAGE, before: int | None = None
) -> Sequence[Entry]:
    """Return a page of a wallet's books, newest first."""
    async with studio.shop.db.read() as session:
        person = await _person(session, name)
        own = wallets.account(person.id)
        return [
            Entry(
                one.id,
                one.created_at,
                one.kind,
                money.from_nano(one.amount_nano if one.to_account == own else -one.amount_nano),
                one.why,
            )
            for one in await wallets.page(session, person.id, limit, before)
        ]


async def grant(
    studio: Studio,
    name: str,
    amount: Usd,
    why: str,
    *,
    by: str | None = None,
    claim: Claim | None = None,
) -> Purse:
    """Give a person credits; less than nothing takes back what is neither spent nor held."""
    if amount == 0 or abs(amount) > _MOST:
        raise BadParameter(f"{money.show(amount)} cannot be granted; the most is $1,000,000.")
    given = amount > 0
    nano = int(money.to_nano(Usd(abs(amount))))
    now = studio.shop.clock.now()
    async with studio.shop.db.write() as session:
        person = await _person(session, name)
        own = wallets.account(person.id)
        reference = f"grant:{uuid4()}"
        transfer = CreditTransfer(
            reference=reference,
            kind="grant" if given else "correction",
            from_account=wallets.ADJUSTMENTS if given else own,
            to_account=own if given else wallets.ADJUSTMENTS,
            amount_nano=nano,
            why=why,
            by_id=by,
            created_at=now,
        )
        if claim is not None:
            await idempotency.claim(session, claim, reference)
        if given:
            await wallets.put_in(session, person.id, transfer)
        else:
            await wallets.take_out(session, person.id, transfer, only_free=True)
        return await _purse(studio, session, person)


async def _person(session: AsyncSession, name: str) -> User:
    found = await people.by_name(session, name)
    if found is None:
        raise UserNotFound(f"There is no person {name!r}. `maquette user list` shows all.")
    return found


@dataclass(frozen=True)
class Audit:
    """Whether the books agree with the counters and the calls."""

    wallets: int
    in_circulation: Usd
    """What all people together have."""
    wrong: tuple[str, ...]
    """What does not agree; nothing, where all is right."""
    to_look_at: tuple[str, ...]
    """Payments that were not credited because Stripe told of other money than was asked for."""


async def verify(studio: Studio) -> Audit:
    """Add up all the books and compare them."""
    async with portable.one_view(studio.shop.db) as session:
        sums = await wallets.balances(session)
        counted = await wallets.counted(session)
        calls = await wallets.misbooked(session)
        bought = await purchases.misbooked(session)
        problems = await purchases.problems(session)
    wrong = [f"purchase {one} is not booked as it was paid" for one in bought]
    wrong += [
        f"attempt {name} was charged {_usd(charged)} and booked with {_usd(booked)}"
        for name, charged, booked in calls
    ]
    own = {name: amount for name, amount in sums.items() if name.startswith("user:")}
    for name in sorted(own.keys() | counted.keys()):
        there = counted[name].balance_nano if name in counted else 0
        if own.get(name, 0) != there:
            booked = _usd(own.get(name, 0))
            wrong.append(f"{name}: the books say {booked}, the wallet {_usd(there)}")
    looked = tuple(f"purchase {one.id}: {one.problem}" for one in problems)
    circulating = money.from_nano(sum(own.values()))
    return Audit(len(counted), circulating, tuple(wrong), looked)


def _usd(nano: int) -> str:
    return money.show(money.from_nano(nano))
