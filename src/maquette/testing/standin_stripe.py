"""A stand-in for Stripe on loopback: it opens pages for paying, and signs what it tells of them.

Built from the types of Stripe's own library (16.1, API 2026-10-28) and its documents: bearer keys,
forms as bodies, `Idempotency-Key` answers as before, `t=…,v1=…` signatures.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import parse_qsl
from uuid import uuid4

from maquette.testing.http_server import Exchange, LoopbackServer

Does = Literal["answer", "busy", "fail", "refuse", "cut-early", "cut-late"]
"""`cut-late`: after the page was made; `fail`: a 500; `refuse`: a 400."""
KEY = "sk_test_of_the_stand_in"
SECRET = "whsec_of_the_stand_in"  # noqa: S105 - of nobody
API_VERSION = "2026-10-28.endive"


@dataclass
class Page:
    """A Checkout Session, and the payment behind it."""

    id: str
    form: Mapping[str, str]
    payment_intent: str
    charge: str
    refunded: int = 0

    @property
    def amount(self) -> int:
        return int(self.form["line_items[0][price_data][unit_amount]"])

    @property
    def currency(self) -> str:
        return self.form["line_items[0][price_data][currency]"]

    @property
    def reference(self) -> str:
        return self.form["client_reference_id"]

    def document(self, **more: Any) -> dict[str, Any]:
        """Describe the session as the API does."""
        return {
            "id": self.id,
            "object": "checkout.session",
            "amount_subtotal": self.amount,
            "amount_total": self.amount,
            "client_reference_id": self.reference,
            "currency": self.currency,
            "livemode": False,
            "metadata": _metadata(self.form, "metadata"),
            "mode": "payment",
            "payment_intent": None,
            "payment_status": "unpaid",
            "status": "open",
            "url": f"https://checkout.stripe.com/c/pay/{self.id}",
            **more,
        }

    def charge_document(self, **more: Any) -> dict[str, Any]:
        """Describe the charge, which has the payment's metadata."""
        return {
            "id": self.charge,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount,
            "amount_refunded": self.refunded,
            "captured": True,
            "currency": self.currency,
            "disputed": False,
            "metadata": _metadata(self.form, "payment_intent_data[metadata]"),
            "paid": True,
            "payment_intent": self.payment_intent,
            "refunded": self.refunded == self.amount,
            "status": "succeeded",
            **more,
        }

    def refund_document(self, name: str, cents: int, status: str, **more: Any) -> dict[str, Any]:
        """Describe one refund, which has no metadata of the payment's."""
        return {
            "id": f"re_{name}_{self.id}",
            "object": "refund",
            "amount": cents,
            "charge": self.charge,
            "currency": self.currency,
            "metadata": {},
            "payment_intent": self.payment_intent,
            "reason": None,
            "status": status,
            **more,
        }

    def dispute_document(self, status: str, **more: Any) -> dict[str, Any]:
        """Describe a dispute of all of it."""
        return {
            "id": f"dp_{self.id}",
            "object": "dispute",
            "amount": self.amount,
            "charge": self.charge,
            "currency": self.currency,
            "is_charge_refundable": False,
            "metadata": {},
            "payment_intent": self.payment_intent,
            "reason": "fraudulent",
            "status": status,
            **more,
        }


def _metadata(form: Mapping[str, str], prefix: str) -> dict[str, str]:
    begins = f"{prefix}["
    found = {name: value for name, value in form.items() if name.startswith(begins)}
    return {name[len(begins) : -1]: value for name, value in found.items()}


@dataclass(frozen=True)
class Message:
    """What Stripe posts to a webhook."""

    body: bytes
    headers: Mapping[str, str]


def message(
    kind: str,
    told: Mapping[str, Any],
    *,
    secret: str = SECRET,
    at: float | None = None,
    event_id: str | None = None,
) -> Message:
    """Write and sign an event."""
    moment = int(time.time() if at is None else at)
    event = {
        "id": event_id or f"evt_{uuid4().hex}",
        "object": "event",
        "api_version": API_VERSION,
        "created": moment,
        "data": {"object": told},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
    body = json.dumps(event, indent=2).encode()
    return Message(body, {"Stripe-Signature": signature(body, secret, moment)})


def signature(body: bytes, secret: str, at: int) -> str:
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict[str, str])


class StandInStripe:
    """Opens pages for holders of the key; acts are used up one a request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._script: list[Does] = []
        self._made: dict[str, Page] = {}
        self.seen: list[Seen] = []
        self.pages: list[Page] = []
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        return self._server.url

    def script(self, *acts: Does) -> None:
        with self._lock:
            self._script.extend(acts)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.__exit__(*exc)

    def completed(self, page: Page, **more: Any) -> Message:
        """Tell that a page was paid."""
        told = page.document(
            **{
                "payment_intent": page.payment_intent,
                "payment_status": "paid",
                "status": "complete",
                **more,
            }
        )
        return message("checkout.session.completed", told)

    def refunded(self, page: Page, cents: int) -> Message:
        """Refund some more, and tell of it."""
        page.refunded += cents
        return message("charge.refunded", page.charge_document())

    def disputed(self, page: Page, status: str, event: str = "created") -> Message:
        """Tell of a dispute."""
        return message(f"charge.dispute.{event}", page.dispute_document(status))

    def _handle(self, exchange: Exchange) -> None:
        with self._lock:
            act = self._script.pop(0) if self._script else "answer"
        if act == "cut-early":
            exchange.cut()
            return
        form = dict(parse_qsl(exchange.body().decode(), keep_blank_values=True))
        with self._lock:
            self.seen.append(Seen(exchange.path, exchange.headers, form))
        if exchange.headers.get("authorization") != f"Bearer {KEY}":
            _refuse(exchange, 401, "invalid_request_error", None, f"Invalid API Key: {KEY}")
        elif act == "busy":
            _refuse(exchange, 429, "invalid_request_error", "rate_limit", "Too many requests")
        elif act == "fail":
            _refuse(exchange, 500, "api_error", None, "Something went wrong")
        elif act == "refuse":
            _refuse(exchange, 400, "invalid_request_error", "url_invalid", "Not a valid URL")
        elif exchange.path != "/v1/checkout/sessions":
            _refuse(exchange, 404, "invalid_request_error", None, f"Unknown: {exchange.path}")
        else:
            self._open(exchange, form, cut=act == "cut-late")

    def _open(self, exchange: Exchange, form: Mapping[str, str], *, cut: bool) -> None:
        key = exchange.headers.get("idempotency-key", uuid4().hex)
        with self._lock:
            page = self._made.get(key)
            if page is None:
                name = uuid4().hex
                page = Page(f"cs_test_{name}", form, f"pi_{name}", f"ch_{name}")
                self._made[key] = page
                self.pages.append(page)
        if page.form != form:
            _refuse(exchange, 400, "idempotency_error", None, "Keys for idempotent requests …")
        elif cut:
            exchange.cut()
        else:
            exchange.answer(200, json.dumps(page.document()).encode())


def _refuse(exchange: Exchange, status: int, kind: str, code: str | None, words: str) -> None:
    error = {"type": kind, "code": code, "message": words}
    headers = {"Request-Id": "req_of_the_stand_in"}
    exchange.answer(status, json.dumps({"error": error}).encode(), headers=headers)
