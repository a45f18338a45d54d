"""What Stripe tells of payments: booked once, in whichever order and however often it comes.

An event says only that something happened to a purchase of ours; what it is worth stands in our
row. Each is one commit, and the credits taken back always follow from all that was told so far.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncSession

from maquette.core.errors import BadParameter
from maquette.db import purchases, wallets
from maquette.db.purchases import Kind
from maquette.db.tables import CreditPurchase, CreditReversal, CreditTransfer
from maquette.services import signatures
from maquette.services.checkout import WEBHOOK_SECRET
from maquette.services.studio import Studio

_STILL_THEIRS = ("won", "prevented", "warning_closed")
_DECIDED = (*_STILL_THEIRS, "lost")
_NOT_REFUNDED = ("failed", "canceled")
"""The states of a refund that none comes after, and in which no money went back."""
Told = Mapping[str, Any]
log = logging.getLogger(__name__)


async def receive(studio: Studio, header: str | None, body: bytes) -> bool:
    """Take in one message; False where it tells of nothing of ours. Raise where it is forged."""
    now = studio.shop.clock.now()
    signatures.check(header, body, studio.keys.get(WEBHOOK_SECRET), now)
    kind, told = _read(body)
    handle = _HANDLERS.get(kind)
    if handle is None:
        return False
    async with studio.shop.db.write() as session:
        await purchases.one_after_another(session)
        known = await handle(session, kind, told, now)
    if not known:
        log.info("a message of the kind %s is about no purchase of ours", kind)
    return known


def _read(body: bytes) -> tuple[str, Told]:
    try:
        event = json.loads(body)
        kind, told = event["type"], event["data"]["object"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadParameter("This message is no event of Stripe's.") from None
    if not (isinstance(kind, str) and isinstance(told, dict)):
        raise BadParameter("This message is no event of Stripe's.")
    return kind, cast("Told", told)


def _text(told: Told, name: str) -> str | None:
    """Return a name; Stripe may put the whole thing in the place of its id."""
    value = told.get(name)
    if isinstance(value, dict):
        value = cast("Told", value).get("id")
    return value if isinstance(value, str) and 0 < len(value) <= 255 else None


def _minor(told: Told, name: str) -> int:
    value = told.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise BadParameter(f"The message's {name} is no amount of money.")
    return value


async def _session(session: AsyncSession, kind: str, told: Told, now: datetime) -> bool:
    """Book what became of a page for paying."""
    purchase = await purchases.get(session, _text(told, "client_reference_id") or "")
    page, ending = _text(told, "id"), kind.rpartition(".")[2]
    if purchase is None:
        return False
    same = purchase.session_id in (None, page)
    if ending in ("completed", "async_payment_succeeded"):
        if told.get("payment_status") == "unpaid":
            purchase.state = "pending" if purchase.state == "open" else purchase.state
        elif purchase.state != "paid":
            purchase.session_id = page
            await _paid(session, purchase, told, now)
        elif not same:
            purchase.problem = f"It was paid a second time, by the page {page!r}."
    elif same and purchase.state in ("open", "pending"):
        purchase.state = "expired" if ending == "expired" else "failed"
    return True


async def _paid(session: AsyncSession, purchase: CreditPurchase, told: Told, now: datetime) -> None:
    """Credit what the purchase promised, less what went back already, if its price was paid."""
    amount, currency = told.get("amount_total"), told.get("currency")
    due = (purchase.price_minor, purchase.currency, "paid")
    if (amount, currency, told.get("payment_status")) != due:
        purchase.problem = (
            f"Stripe tells of {amount!r} {currency!r} ({told.get('payment_status')!r}) instead of "
            f"{purchase.price_minor} {purchase.currency!r}; nothing was credited."
        )
        log.warning("the purchase %s was paid otherwise than asked for", purchase.id)
        return
    purchases.paid(purchase, _text(told, "payment_intent"), now)
    transfer = _transfer(purchase, f"purchase:{purchase.id}", "purchase", now)
    transfer.amount_nano = purchase.credits_nano
    await session.flush()
    await wallets.put_in(session, purchase.user_id, transfer)
    await _even_out(session, purchase, now)


async def _charge(session: AsyncSession, _kind: str, told: Told, now: datetime) -> bool:
    """Note how much of a charge was refunded at most; which of it failed, the refunds tell."""
    named: Any = told.get("metadata")
    metadata: Told = cast("Told", named) if isinstance(named, dict) else {}
    reversal = _reversal("charge", told, now)
    purchase_id = _text(metadata, "purchase")
    reversal.purchase_id = None if purchase_id is None else purchase_id[:36]
    reversal.minor = _minor(told, "amount_refunded")
    reversal.final = False
    return await _gone_back(session, reversal, now, is_sum=True)


async def _refund(session: AsyncSession, _kind: str, told: Told, now: datetime) -> bool:
    """Note one refund; where it fails, the money comes back to us and the credits to them."""
    reversal = _reversal("refund", told, now)
    reversal.minor = _minor(told, "amount")
    reversal.final = _text(told, "status") in _NOT_REFUNDED
    return await _gone_back(session, reversal, now)


async def _dispute(session: AsyncSession, _kind: str, told: Told, now: datetime) -> bool:
    """Note how much of a charge is disputed; what is won again is theirs again."""
    status = _text(told, "status") or ""
    reversal = _reversal("dispute", told, now)
    theirs = status in _STILL_THEIRS or status.startswith("warning_")
    reversal.minor = 0 if theirs else _minor(told, "amount")
    reversal.final = status in _DECIDED
    return await _gone_back(session, reversal, now)


def _reversal(kind: Kind, told: Told, now: datetime) -> CreditReversal:
    name = _text(told, "id")
    if name is None:
        raise BadParameter("The message names nothing.")
    return CreditReversal(
        id=purchases.key(kind, name),
        payment_intent=_text(told, "payment_intent"),
        currency=(_text(told, "currency") or "")[:3],
        told_at=now,
    )


async def _gone_back(
    session: AsyncSession, reversal: CreditReversal, now: datetime, *, is_sum: bool = False
) -> bool:
    known = await purchases.remember(session, reversal, is_sum=is_sum)
    purchase = None
    if known.payment_intent is not None:
        purchase = await purchases.paid_by(session, known.payment_intent)
    if purchase is None and known.purchase_id is not None:
        purchase = await purchases.get(session, known.purchase_id)
    if purchase is None:
        return False
    if known.currency != purchase.currency:
        purchase.problem = f"Stripe tells of money in {known.currency!r} that went back."
    if purchase.state == "paid":
        await _even_out(session, purchase, now)
    return True


async def _even_out(session: AsyncSession, purchase: CreditPurchase, now: datetime) -> None:
    """Let the credits taken back be those of the money that went back; the rest is owed."""
    minor = await purchases.reversed_minor(session, purchase)
    due = purchase.credits_nano * minor // purchase.price_minor
    before = purchase.withdrawn_nano
    if due == before:
        return
    back = due < before
    number = await purchases.movements(session, purchase.id)
    reference = f"reversal:{purchase.id}:{number + 1}"
    transfer = _transfer(purchase, reference, "returned" if back else "refund", now)
    transfer.amount_nano = abs(due - before)
    purchase.withdrawn_nano = due
    await session.flush()
    move = wallets.put_in if back else wallets.take_out
    await move(session, purchase.user_id, transfer)


def _transfer(purchase: CreditPurchase, reference: str, kind: str, now: datetime) -> CreditTransfer:
    own = wallets.account(purchase.user_id)
    out = kind == "refund"
    return CreditTransfer(
        reference=reference,
        kind=kind,
        from_account=own if out else wallets.STRIPE,
        to_account=wallets.STRIPE if out else own,
        why=purchase.pack,
        created_at=now,
    )


_HANDLERS = {
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "checkout.session.async_payment_failed": _session,
    "checkout.session.expired": _session,
    "charge.refunded": _charge,
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.failed": _refund,
    "refund.updated": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
}
