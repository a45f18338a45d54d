from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
from pydantic import SecretStr

from maquette.core.wire import WireRules
from maquette.language.chat import CompatibleChat
from maquette.language.config import LanguageConfig, TokenPrice
from maquette.testing.standin_chat import ChatStandIn

KEY = "sk-language-3d20"
PRICE = TokenPrice(
    input=Decimal("2.50"), output=Decimal(10), date=date(2026, 11, 20), source="the stand-in"
)


@pytest.fixture
def server() -> Iterator[ChatStandIn]:
    """The strictest of the dialects, and one that charges."""
    with ChatStandIn("openai", key=KEY) as running:
        yield running


@pytest.fixture
def model(server: ChatStandIn) -> CompatibleChat:
    config = LanguageConfig(
        base_url=server.url,
        model="stand-in-vision",
        key_name="CHAT_KEY",
        has_key=True,
        vision=True,
        price=PRICE,
        output_limit_name="max_completion_tokens",
    )
    return CompatibleChat(config, WireRules(paid_calls=False), lambda _name: SecretStr(KEY))
