"""A request's body is taken at its word."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from maquette.core.wanted import Wanted, from_texts


class Order(Wanted):
    flag: bool = False
    count: Annotated[int, Field(ge=0)] | None = None
    price: Decimal | None = None
    either: str | int = ""


@pytest.mark.parametrize(
    "body",
    [{"flag": 0}, {"flag": "true"}, {"count": True}, {"count": "3"}, {"more": 1}, {"count": -1}],
)
def test_another_type_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate(body)


@pytest.mark.parametrize(
    "body",
    [{}, {"flag": True}, {"count": 3}, {"count": None}, {"price": "0.10"}, {"either": 3}],
)
def test_the_right_type_passes(body: dict[str, Any]) -> None:
    assert Order.model_validate(body).model_dump(exclude_unset=True).keys() == body.keys()


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (
            {"flag": "true", "count": "3", "price": "0.10"},
            Order(flag=True, count=3, price=Decimal("0.10")),
        ),
        ({"flag": "on"}, Order(flag=True)),
        ({"flag": "", "count": "", "price": ""}, Order()),
        ({"flag": "0", "either": "a b"}, Order(either="a b")),
    ],
)
def test_a_forms_texts_become_what_the_model_wants(texts: dict[str, Any], order: Order) -> None:
    assert Order.model_validate(from_texts(Order, texts)) == order


@pytest.mark.parametrize(
    "texts",
    [{"flag": "maybe"}, {"count": "many"}, {"count": "NaN"}, {"price": "much"}, {"more": "1"}],
)
def test_a_text_that_cannot_be_read_is_left_to_be_refused(texts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate(from_texts(Order, texts))
