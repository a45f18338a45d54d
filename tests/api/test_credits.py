"""WEB-10: buying credits at Stripe's stand-in, and every way in which it may tell of a payment."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import httpx2
import pytest
from tests.api.conftest import Serve
from tests.api.people import Client, make, signed_in

from maquette.core.money import parse_usd
from maquette.core.people import Role
from maquette.db.tables import CreditPurchase, IdempotencyKey
from maquette.services import people, wallets
from maquette.testing.serving import Served
from maquette.testing.standin_stripe import (
    KEY,
    SECRET,
    Does,
    Message,
    Page,
    StandInStripe,
    message,
    signature,
)

PACKS = [
    {"id": "small", "price_cents": 500},
    {"id": "large", "price_cents": 5000, "credits_usd": "60"},
]


@pytest.fixture
async def stripe(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[StandInStripe]:
    """Credits are on, and Stripe stands on this machine."""
    with StandInStripe() as running:
        for name, value in {
            "ENABLED": "true",
            "PACKS": json.dumps(PACKS),
            "SUCCESS_URL": "https://studio.example/paid",
            "STRIPE_URL": running.url,
            "EXEMPT_ADMINS": "false",
        }.items():
            monkeypatch.setenv(f"MAQUETTE_CREDITS__{name}", value)
        monkeypatch.setenv("STRIPE_API_KEY", KEY)
        monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)
        yield running


@dataclass(frozen=True)
class Shop:
    """A server that sells credits to the person whose studio it is."""

    served: Served
    stripe: StandInStripe

    @property
    def buyer(self) -> httpx2.AsyncClient:
        return self.served.client

    async def buys(self, pack: str = "small") -> Page:
        """Open a page for paying; nothing is paid yet."""
        reply = await self.buyer.post("/api/credits/checkout", json={"pack": pack})
        assert reply.status_code == 201, reply.text
        page = self.stripe.pages[-1]
        assert reply.json()["url"].endswith(page.id)
        return page

    async def told(self, one: Message) -> httpx2.Response:
        """Let Stripe post a message."""
        headers = {**one.headers, "Content-Type": "application/json"}
        client = self.served.client
        return await client.post("/api/credits/webhook", content=one.body, headers=headers)

    async def all_told(self, messages: Sequence[Message]) -> None:
        for one in messages:
            assert (await self.told(one)).status_code == 200

    async def balance(self) -> str:
        found = await wallets.verify(self.served.house.studio)
        assert found.wrong == ()
        return (await self.buyer.get("/api/credits")).json()["balance_usd"]

    async def kinds(self) -> list[str]:
        return [one["kind"] for one in (await self.buyer.get("/api/credits")).json()["entries"]]


@pytest.fixture
async def shop(stripe: StandInStripe, serve: Serve) -> AsyncGenerator[Shop]:
    async with serve(work=False, per_minute=100_000) as served:
        yield Shop(served, stripe)


# --- buying


async def test_a_pack_is_bought_paid_and_credited(shop: Shop) -> None:
    before = (await shop.buyer.get("/api/credits")).json()
    assert (before["enabled"], before["balance_usd"], before["entries"]) == (True, "0.00", [])
    assert before["packs"] == [
        {"id": "small", "price_cents": 500, "currency": "usd", "credits_usd": "5.00"},
        {"id": "large", "price_cents": 5000, "currency": "usd", "credits_usd": "60.00"},
    ]
    page = await shop.buys("large")
    assert (page.amount, page.currency) == (5000, "usd")
    assert await shop.balance() == "0.00"
    reply = await shop.told(shop.stripe.completed(page))
    assert (reply.status_code, reply.json()) == (200, {"received": True})
    assert await shop.balance() == "60.00"
    [line] = (await shop.buyer.get("/api/credits")).json()["entries"]
    assert (line["kind"], line["amount_usd"], line["why"]) == ("purchase", "60.00", "large")


async def test_what_is_sent_to_stripe_is_what_its_api_takes(shop: Shop) -> None:
    page = await shop.buys()
    [seen] = shop.stripe.seen
    assert seen.path == "/v1/checkout/sessions"
    assert seen.headers["idempotency-key"] == page.reference
    form = dict(seen.form)
    assert form.pop("success_url") == "https://studio.example/paid"
    assert form.pop("cancel_url") == "https://studio.example/paid"
    assert form == {
        "mode": "payment",
        "adaptive_pricing[enabled]": "false",
        "client_reference_id": page.reference,
        "metadata[purchase]": page.reference,
        "payment_intent_data[metadata][purchase]": page.reference,
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "500",
        "line_items[0][price_data][product_data][name]": "Credits: small",
    }


async def test_stripe_is_asked_once_and_its_failure_is_told(shop: Shop) -> None:
    acts: dict[Does, tuple[int, str]] = {
        "busy": (503, "provider-rate-limited"),
        "fail": (503, "provider-unavailable"),
        "cut-early": (503, "provider-unavailable"),
        "refuse": (422, "provider-refused"),
    }
    for number, (act, (status, code)) in enumerate(acts.items()):
        shop.stripe.script(act)
        reply = await shop.buyer.post("/api/credits/checkout", json={"pack": "small"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
        assert KEY not in reply.text
        assert len(shop.stripe.seen) <= number + 1
    assert shop.stripe.pages == []


async def test_a_wrong_key_is_not_repeated_in_the_answer(
    stripe: StandInStripe, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "sk_test_CANARY")
    async with serve(work=False) as served:
        reply = await served.client.post("/api/credits/checkout", json={"pack": "small"})
    assert reply.status_code == 422
    assert "STRIPE_API_KEY" in reply.text
    assert "CANARY" not in reply.text
    assert KEY not in reply.text
    assert stripe.pages == []


async def test_an_answer_that_was_lost_is_asked_for_again_under_the_same_key(shop: Shop) -> None:
    """The page was made; who asks again with the same key gets that one, not a second."""
    shop.stripe.script("cut-late")
    key = {"Idempotency-Key": "one-click"}
    lost = await shop.buyer.post("/api/credits/checkout", json={"pack": "small"}, headers=key)
    assert lost.status_code == 503
    again = await shop.buyer.post("/api/credits/checkout", json={"pack": "small"}, headers=key)
    assert again.status_code == 201, again.text
    [page] = shop.stripe.pages
    assert again.json()["url"].endswith(page.id)
    await shop.all_told([shop.stripe.completed(page)])
    assert await shop.balance() == "5.00"


async def test_a_page_of_a_process_that_died_can_be_paid(shop: Shop) -> None:
    """It died before it noted the page: the message names the purchase."""
    shop.stripe.script("cut-late")
    await shop.buyer.post("/api/credits/checkout", json={"pack": "small"})
    [page] = shop.stripe.pages
    async with shop.served.house.studio.shop.db.read() as session:
        row = await session.get_one(CreditPurchase, page.reference)
    assert row.session_id is None
    await shop.all_told([shop.stripe.completed(page)])
    assert await shop.balance() == "5.00"


async def test_without_stripes_library_it_is_said_how_to_get_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stripe", None)
    reply = await shop.buyer.post("/api/credits/checkout", json={"pack": "small"})
    assert reply.json()["error"]["code"] == "capability-missing"
    assert "pip install 'maquette[credits]'" in reply.json()["detail"]


async def test_an_unknown_pack_is_refused(shop: Shop) -> None:
    reply = await shop.buyer.post("/api/credits/checkout", json={"pack": "huge"})
    assert reply.status_code == 422
    assert "'small', 'large'" in reply.json()["detail"]
    assert shop.stripe.seen == []


async def test_a_price_of_that_moment_counts(
    shop: Shop, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packs were changed while somebody paid."""
    page = await shop.buys()
    told = shop.stripe.completed(page, metadata={"purchase": "x", "credits": "9999"})
    monkeypatch.setenv("MAQUETTE_CREDITS__PACKS", '[{"id": "small", "price_cents": 900}]')
    async with serve(work=False) as other:
        reply = await Shop(other, shop.stripe).told(told)
    assert reply.json() == {"received": True}
    assert await shop.balance() == "5.00"


async def test_nothing_is_sold_where_credits_are_off(served: Served) -> None:
    reply = await served.client.get("/api/credits")
    assert (reply.json()["enabled"], reply.json()["packs"]) == (False, [])
    refused = await served.client.post("/api/credits/checkout", json={"pack": "small"})
    assert refused.json()["error"]["code"] == "capability-missing"
    unset = await served.client.post("/api/credits/webhook", content=b"{}")
    assert unset.json()["error"]["code"] == "capability-missing"
    assert "STRIPE_WEBHOOK_SECRET" in unset.text


# --- messages


async def test_a_message_counts_once_however_often_it_comes(shop: Shop) -> None:
    page = await shop.buys()
    await shop.all_told([shop.stripe.completed(page), shop.stripe.completed(page)] * 3)
    assert await shop.balance() == "5.00"
    assert await shop.kinds() == ["purchase"]


async def test_many_messages_at_once_count_once(shop: Shop) -> None:
    """The payment, its duplicates and refunds of it cross each other."""
    page = await shop.buys("large")
    paid = [shop.stripe.completed(page) for _ in range(10)]
    back = [shop.stripe.refunded(page, 500) for _ in range(4)]
    mixed = [one for pair in itertools.zip_longest(paid, back) for one in pair if one]
    replies = await asyncio.gather(*(shop.told(one) for one in [*mixed, *reversed(mixed)]))
    assert {one.status_code for one in replies} == {200}
    assert await shop.balance() == "36.00"
    assert (await shop.kinds()).count("purchase") == 1


async def test_every_order_of_payment_and_refunds_comes_to_the_same(shop: Shop) -> None:
    for order in itertools.permutations(range(3)):
        page = await shop.buys()
        before = await shop.balance()
        first = shop.stripe.refunded(page, 100)
        second = shop.stripe.refunded(page, 250)
        told = (shop.stripe.completed(page), first, second)
        await shop.all_told([told[one] for one in order])
        assert float(await shop.balance()) - float(before) == pytest.approx(1.50)


async def test_a_forged_message_changes_nothing(shop: Shop) -> None:
    page = await shop.buys()
    right = shop.stripe.completed(page)
    other = shop.stripe.completed(page, client_reference_id="x")
    old = message("checkout.session.completed", page.document(), at=time.time() - 400)
    early = message("checkout.session.completed", page.document(), at=time.time() + 400)
    guessed = message("checkout.session.completed", page.document(), secret="whsec_")  # noqa: S106 - of nobody
    (moment, mark) = right.headers["Stripe-Signature"].split(",")
    headers = [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": mark},
        {"Stripe-Signature": moment},
        {"Stripe-Signature": f"{moment},v0={mark.removeprefix('v1=')}"},
        {"Stripe-Signature": f"{moment},v1={'0' * 64}"},
        {"Stripe-Signature": f"{moment},v1={mark}"},
        {"Stripe-Signature": f"t=99999999999999,{mark}"},
        {"Stripe-Signature": f"{moment},{moment},{mark}"},
    ]
    forged = [Message(right.body, one) for one in headers]
    forged += [Message(other.body, right.headers), Message(right.body + b" ", right.headers)]
    for one in [*forged, old, early, guessed]:
        reply = await shop.told(one)
        assert reply.status_code == 403, reply.text
        assert reply.json()["error"]["code"] == "signature-wrong"
        assert SECRET not in reply.text
    assert await shop.balance() == "0.00"


async def test_one_of_several_signatures_is_enough(shop: Shop) -> None:
    """As while the secret is replaced."""
    page = await shop.buys()
    right = shop.stripe.completed(page)
    moment, mark = right.headers["Stripe-Signature"].split(",")
    both = {"Stripe-Signature": f"{moment},v1={'0' * 64},{mark},v0=x"}
    await shop.all_told([Message(right.body, both)])
    assert await shop.balance() == "5.00"


async def test_other_money_than_was_asked_for_is_not_credited(shop: Shop) -> None:
    wrong: list[dict[str, object]] = [
        {"amount_total": 499},
        {"amount_total": "500"},
        {"amount_total": None},
        {"currency": "eur"},
        {"payment_status": "no_payment_required"},
    ]
    for number, more in enumerate(wrong):
        page = await shop.buys()
        await shop.all_told([shop.stripe.completed(page, **more)])
        found = await wallets.verify(shop.served.house.studio)
        assert len(found.to_look_at) == number + 1
    assert await shop.balance() == "0.00"
    await shop.all_told([shop.stripe.completed(shop.stripe.pages[0])])
    assert await shop.balance() == "5.00"


async def test_a_payment_of_something_else_is_ignored(shop: Shop) -> None:
    page = await shop.buys()
    for reference in (None, "", "nobody", {"id": 5}, 7):
        reply = await shop.told(shop.stripe.completed(page, client_reference_id=reference))
        assert (reply.status_code, reply.json()) == (200, {"received": False})
    other = message("charge.refunded", {**page.charge_document(), "metadata": {}})
    assert (await shop.told(other)).json() == {"received": False}
    unknown = message("customer.created", {"id": "cus_1"})
    assert (await shop.told(unknown)).json() == {"received": False}
    assert await shop.balance() == "0.00"


async def test_a_signed_message_that_is_no_event_is_refused(shop: Shop) -> None:
    for body in (b"", b"[]", b"{}", b'{"type": 1, "data": {"object": {}}}', b"\xff", b"[" * 5000):
        signed = {"Stripe-Signature": signature(body, SECRET, int(time.time()))}
        reply = await shop.told(Message(body, signed))
        assert reply.status_code == 422, reply.text


async def test_a_message_that_is_too_large_is_not_read(shop: Shop) -> None:
    reply = await shop.told(Message(b" " * 600_000, {"Stripe-Signature": "t=1,v1=x"}))
    assert reply.status_code == 413


async def test_a_payment_that_takes_days_is_credited_when_it_arrives(shop: Shop) -> None:
    page = await shop.buys()
    await shop.all_told([shop.stripe.completed(page, payment_status="unpaid")])
    assert await shop.balance() == "0.00"
    paid = page.document(payment_status="paid", payment_intent=page.payment_intent)
    await shop.all_told([message("checkout.session.async_payment_succeeded", paid)] * 2)
    assert await shop.balance() == "5.00"
    late = message("checkout.session.async_payment_failed", page.document())
    await shop.all_told([late, shop.stripe.completed(page, payment_status="unpaid")])
    assert await shop.balance() == "5.00"


async def test_a_page_that_was_not_paid_gives_nothing(shop: Shop) -> None:
    for ending in ("expired", "async_payment_failed"):
        page = await shop.buys()
        await shop.all_told([message(f"checkout.session.{ending}", page.document())])
    assert await shop.balance() == "0.00"
    await shop.all_told([shop.stripe.completed(page) for page in shop.stripe.pages])
    assert await shop.balance() == "10.00"  # told late: the money is there


# --- money that goes back


async def test_a_refund_takes_the_same_part_of_the_credits(shop: Shop) -> None:
    page = await shop.buys("large")
    await shop.all_told([shop.stripe.completed(page)])
    await shop.all_told([shop.stripe.refunded(page, 1250)])
    assert await shop.balance() == "45.00"
    whole = shop.stripe.refunded(page, 3750)
    await shop.all_told([whole, whole])
    assert await shop.balance() == "0.00"
    assert await shop.kinds() == ["refund", "refund", "purchase"]


async def test_an_older_refund_that_comes_late_changes_nothing(shop: Shop) -> None:
    page = await shop.buys("large")
    first, second = shop.stripe.refunded(page, 1000), shop.stripe.refunded(page, 1000)
    await shop.all_told([shop.stripe.completed(page), second, first])
    assert await shop.balance() == "36.00"


async def test_a_refund_in_another_currency_is_not_believed(shop: Shop) -> None:
    page = await shop.buys()
    page.refunded = 500
    odd = message("charge.refunded", page.charge_document(currency="eur"))
    await shop.all_told([shop.stripe.completed(page), odd])
    assert await shop.balance() == "5.00"
    assert (await wallets.verify(shop.served.house.studio)).to_look_at


async def test_a_dispute_takes_credits_and_winning_it_gives_them_back(shop: Shop) -> None:
    page = await shop.buys()
    await shop.all_told([shop.stripe.completed(page)])
    await shop.all_told([shop.stripe.disputed(page, "warning_needs_response")])
    assert await shop.balance() == "5.00"
    opened = shop.stripe.disputed(page, "needs_response", "updated")
    await shop.all_told([opened, opened])
    assert await shop.balance() == "0.00"
    won = shop.stripe.disputed(page, "won", "closed")
    await shop.all_told([won, opened, won])
    assert await shop.balance() == "5.00"
    assert await shop.kinds() == ["returned", "refund", "purchase"]


async def test_a_dispute_that_is_told_before_the_payment_counts(shop: Shop) -> None:
    """It names the payment alone, which nobody knows yet."""
    page = await shop.buys()
    early = await shop.told(shop.stripe.disputed(page, "needs_response"))
    assert early.json() == {"received": False}
    await shop.all_told([shop.stripe.completed(page)])
    assert await shop.balance() == "0.00"


async def test_a_charge_that_is_refunded_and_disputed_goes_back_once(shop: Shop) -> None:
    page = await shop.buys()
    await shop.all_told(
        [
            shop.stripe.completed(page),
            shop.stripe.refunded(page, 500),
            shop.stripe.disputed(page, "lost", "closed"),
        ]
    )
    assert await shop.balance() == "0.00"


# --- who may do what


async def test_grants_are_an_administrators(stripe: StandInStripe, serve: Serve) -> None:
    async with serve(auth="multi", work=False, logins_per_minute=1000) as served:
        for name, role in (("ann", Role.CREATOR), ("root", Role.ADMIN)):
            await make(served.house.studio, name, role)
        ann, root = await signed_in(served, "ann"), await signed_in(served, "root")
        path, body = "/api/credits/ann/grants", {"amount_usd": "2.50", "why": "a welcome"}
        assert (await Client(served).get("/api/credits")).status_code == 401
        assert (await ann.post(path, json=body)).status_code == 403
        assert (await root.post(path, json=body)).json()["balance_usd"] == "2.50"
        assert (await root.post("/api/credits/nobody/grants", json=body)).status_code == 404
        assert (await ann.get("/api/credits")).json()["balance_usd"] == "2.50"
        assert (await root.get("/api/credits")).json()["balance_usd"] == "0.00"
        page = await Shop(served, stripe).told(message("customer.created", {}))
        assert page.json() == {"received": False}  # Stripe signs in with its signature alone


async def test_a_grant_is_taken_back_as_far_as_it_is_there(shop: Shop) -> None:
    async def grants(amount: str) -> httpx2.Response:
        body = {"amount_usd": amount, "why": "a test"}
        return await shop.buyer.post("/api/credits/local/grants", json=body)

    assert (await grants("2.50")).status_code == 201
    assert (await grants("-1")).json()["balance_usd"] == "1.50"
    assert (await grants("-2")).json()["error"]["code"] == "wrong-state"
    assert (await grants("0")).status_code == 422
    assert await shop.balance() == "1.50"


async def test_a_grant_whose_answer_was_lost_is_not_made_twice(shop: Shop) -> None:
    body, key = {"amount_usd": "2.50", "why": "a welcome"}, {"Idempotency-Key": "k"}
    path, studio = "/api/credits/local/grants", shop.served.house.studio
    await shop.buyer.post(path, json=body, headers=key)
    who = (await people.local(studio)).key
    async with studio.shop.db.write() as session:
        row = await session.get_one(IdempotencyKey, (who, "k"))
        row.state, row.status, row.reply = "working", None, None
    again = await shop.buyer.post(path, json=body, headers=key)
    assert (again.status_code, again.json()["balance_usd"]) == (201, "2.50")
    assert await shop.kinds() == ["grant"]


async def test_the_books_are_read_in_pages(shop: Shop) -> None:
    assert await shop.balance() == "0.00"
    for number in range(5):
        await wallets.grant(shop.served.house.studio, "local", parse_usd("1"), f"{number}")
    seen: list[str] = []
    after: dict[str, int] = {}
    while True:
        reply = (await shop.buyer.get("/api/credits", params={"limit": 2, **after})).json()
        seen += [one["why"] for one in reply["entries"]]
        if reply["next"] is None:
            break
        after = {"before": reply["next"]}
    assert seen == ["4", "3", "2", "1", "0"]
