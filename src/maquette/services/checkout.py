"""Buying credits: our row first, then the page at Stripe where it is paid.

What is credited later is what the row says. Each row makes one page: asking again, after a crash or
a lost answer, goes with the same idempotency key and gets the same page.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from maquette.core.credits import CreditRules, Pack
from maquette.core.errors import (
    BadParameter,
    CapabilityMissing,
    MaquetteError,
    ProviderRefused,
    ProviderUnavailable,
    RateLimited,
    WrongState,
)
from maquette.core.people import Caller
from maquette.db import idempotency, purchases
from maquette.db.idempotency import Claim
from maquette.db.tables import CreditPurchase
from maquette.net.client import allowed_addresses
from maquette.services.studio import Studio

API_KEY = "STRIPE_API_KEY"
WEBHOOK_SECRET = "STRIPE_WEBHOOK_SECRET"  # noqa: S105 - its name
_LONGEST_S = (5.0, 30.0)
"""For a connection, and for an answer."""


async def begin(
    studio: Studio,
    caller: Caller,
    pack_name: str,
    claim: Claim | None = None,
    made_before: str | None = None,
) -> str:
    """Return the address of the page where the caller pays for a pack."""
    rules = studio.credits
    if not rules.enabled:
        raise CapabilityMissing("Credits are off. MAQUETTE_CREDITS__ENABLED=true turns them on.")
    if rules.success_url is None:
        raise CapabilityMissing(
            "It is not said where the browser goes after paying; set MAQUETTE_CREDITS__SUCCESS_URL."
        )
    pack = rules.pack(pack_name)
    if pack is None:
        known = ", ".join(repr(one.id) for one in rules.packs)
        raise BadParameter(f"There is no pack {pack_name!r}; there are {known or 'none'}.")
    client = await _client(studio)
    if made_before is not None:
        purchase = await _made(studio, made_before.partition(":")[2])
    else:
        purchase = await _add(studio, caller, pack, claim)
    page = await asyncio.to_thread(_create, client, rules, purchase)
    async with studio.shop.db.write() as session:
        row = await purchases.get(session, purchase.id)
        assert row is not None, "purchases are never deleted"
        row.session_id = page.id
    return page.url


async def _add(studio: Studio, caller: Caller, pack: Pack, claim: Claim | None) -> CreditPurchase:
    made = CreditPurchase(
        id=str(uuid4()),
        user_id=caller.user_id,
        pack=pack.id,
        price_minor=pack.price_cents,
        currency=studio.credits.currency,
        credits_nano=studio.credits.worth(pack),
        state="open",
        withdrawn_nano=0,
        created_at=studio.shop.clock.now(),
    )
    async with studio.shop.db.write() as session:
        if claim is not None:
            await idempotency.claim(session, claim, f"purchase:{made.id}")
        session.add(made)
    return made


async def _made(studio: Studio, purchase_id: str) -> CreditPurchase:
    async with studio.shop.db.read() as session:
        found = await purchases.get(session, purchase_id)
    if found is None or found.state != "open":
        raise WrongState("This purchase is over already; begin another one.")
    return found


async def _client(studio: Studio) -> Any:
    """Return Stripe's client; it never tries again by itself, and calls no other address."""
    key = studio.keys.get(API_KEY)
    try:
        stripe: Any = importlib.import_module("stripe")
    except ImportError:
        raise CapabilityMissing(
            "Payments need Stripe's library, which is not installed: "
            "`pip install 'maquette[credits]'`."
        ) from None
    base = studio.credits.stripe_url.rstrip("/")
    parts = urlsplit(base)
    await allowed_addresses(studio.wire, parts.hostname or "", parts.port)
    http = stripe.RequestsClient(timeout=_LONGEST_S)
    return stripe.StripeClient(
        key.get_secret_value(),
        base_addresses={"api": base},
        max_network_retries=0,
        http_client=http,
    )


def _create(client: Any, rules: CreditRules, purchase: CreditPurchase) -> Any:
    stripe: Any = importlib.import_module("stripe")
    known = {"purchase": purchase.id}
    wanted = {
        "mode": "payment",
        "client_reference_id": purchase.id,
        "metadata": known,
        # The charge gets these too: so a refund that is told first names its purchase.
        "payment_intent_data": {"metadata": known},
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": purchase.currency,
                    "unit_amount": purchase.price_minor,
                    "product_data": {"name": f"Credits: {purchase.pack}"},
                },
            }
        ],
        # Another currency, or another amount, would not be what was asked for.
        "adaptive_pricing": {"enabled": False},
        "success_url": rules.success_url,
        "cancel_url": rules.cancel_url or rules.success_url,
    }
    try:
        return client.v1.checkout.sessions.create(
            params=wanted, options={"idempotency_key": purchase.id}
        )
    except stripe.StripeError as error:
        raise _translated(stripe, error) from None


def _translated(stripe: Any, error: Any) -> MaquetteError:
    """Say what went wrong without what Stripe says: its words may quote the key."""
    code = error.code or type(error).__name__
    if isinstance(error, stripe.RateLimitError):
        return RateLimited("Stripe asks for patience; nothing was paid. Try again soon.")
    if isinstance(error, stripe.APIConnectionError) or (error.http_status or 500) >= 500:
        return ProviderUnavailable("Stripe does not answer; nothing was paid. Try again soon.")
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return ProviderRefused(
            f"Stripe does not accept {API_KEY}; nothing was paid. Check the key."
        )
    return ProviderRefused(
        f"Stripe refused to open a page for paying ({code}); nothing was paid. An administrator "
        "finds the reason among the requests at Stripe.",
        request=error.request_id,
    )
