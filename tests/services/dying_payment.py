"""Kill the taking in of Stripe's messages with SIGKILL at every line, tell them again, and look.

A script of its own, run by `test_credits.py`: it forks a child for each line. Prints how many were
killed, and after which the books or the balance were not what they are without a crash.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, cast

from pydantic import SecretStr

from maquette import bootstrap
from maquette.core.clock import Clock
from maquette.core.credits import CreditRules
from maquette.core.people import Role
from maquette.db import engine
from maquette.db.engine import Database
from maquette.db.tables import CreditPurchase
from maquette.jobs.keys import Keys
from maquette.services import payments, people, wallets
from maquette.services.people import Change
from maquette.services.studio import Studio
from maquette.settings import load
from maquette.testing.standin_stripe import SECRET, Message, Page, message

_WATCHED = {module.__file__ for module in (payments, engine)}
_EVERY = 10
"""Not each line: what matters lies around the commits, and every one is between two of these."""


class Killer:
    """Counts the lines of the watched files, and kills the process at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in _WATCHED:
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def paid_page() -> Page:
    form = {
        "client_reference_id": "purchase",
        "line_items[0][price_data][unit_amount]": "500",
        "line_items[0][price_data][currency]": "usd",
        "payment_intent_data[metadata][purchase]": "purchase",
    }
    return Page("cs_1", form, "pi_1", "ch_1", refunded=100)


def messages() -> Sequence[Message]:
    page = paid_page()
    paid = page.document(payment_status="paid", payment_intent=page.payment_intent)
    return (
        message("checkout.session.completed", paid),
        message("charge.refunded", page.charge_document()),
        message("charge.dispute.created", page.dispute_document("needs_response", amount=200)),
    )


async def prepare(home: Path) -> None:
    async with bootstrap.open_studio(load(home=home)) as studio:
        ann = await people.create(studio, "ann", Role.CREATOR, Change())
        async with studio.shop.db.write() as session:
            session.add(
                CreditPurchase(
                    id="purchase",
                    user_id=ann.id,
                    pack="small",
                    price_minor=500,
                    currency="usd",
                    credits_nano=5_000_000_000,
                    state="open",
                    withdrawn_nano=0,
                    created_at=studio.shop.clock.now(),
                )
            )


@dataclass(frozen=True)
class Shop:
    """The part of a workshop that payments touch."""

    db: Database
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True)
class Light:
    """The part of a studio that payments touch: the rest would take most of the time."""

    shop: Shop
    keys: Keys = field(default_factory=lambda: Keys(lambda _name: SecretStr(SECRET)))
    credits: CreditRules = field(default_factory=CreditRules)


@asynccontextmanager
async def opened(home: Path) -> AsyncGenerator[Studio]:
    db = Database(f"sqlite:///{home / 'app.db'}")
    try:
        yield cast("Studio", Light(Shop(db)))
    finally:
        await db.close()


async def tell(studio: Studio) -> None:
    for one in messages():
        await payments.receive(studio, one.headers["Stripe-Signature"], one.body)


async def die(home: Path, at: int) -> None:
    async with opened(home) as studio:
        killer = Killer(at)
        threading.settrace(killer)
        sys.settrace(killer)
        await tell(studio)
        sys.settrace(None)
        threading.settrace(None)


async def look(home: Path) -> bool:
    """Tell all of it again; then the balance must be that of being told once."""
    async with opened(home) as studio:
        await tell(studio)
        audit = await wallets.verify(studio)
        purse = await wallets.show(studio, "ann")
        kinds = [one.kind for one in await wallets.entries(studio, "ann")]
        return (
            audit.wrong == () and purse.balance == 2 and kinds == ["refund", "refund", "purchase"]
        )


def forked(work: Any) -> int:
    """Do it in a child; return the signal that ended it."""
    child = os.fork()
    if child == 0:
        asyncio.run(work)
        os._exit(0)
    work.close()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    return -os.WEXITSTATUS(status)


def main(folder: Path) -> None:
    template = folder / "template"
    asyncio.run(prepare(template))
    killed, wrong = 0, list[int]()
    for at in range(1, 5000, _EVERY):
        home = folder / str(at)
        shutil.copytree(template, home)
        ended = forked(die(home, at))
        if not asyncio.run(look(home)):
            wrong.append(at)
        shutil.rmtree(home)
        if ended != signal.SIGKILL:
            assert ended == 0, ended
            break
        killed += 1
    print(json.dumps({"killed": killed, "wrong": wrong}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
