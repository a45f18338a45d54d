"""What a request's body is made of: the types that JSON has, taken at their word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, model_validator


class Wanted(BaseModel, extra="forbid"):
    """A request's body: unknown members are refused, and `0` is not taken for `false`.

    Pydantic's own strict mode would refuse a decimal or a date that is written as JSON has to.
    """

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            given = cast("Mapping[str, Any]", data)
            for name, field in cls.model_fields.items():
                key = field.alias or name
                if key in given:
                    _check(key, kinds(field.annotation), given[key])
        return cast("Any", data)


def from_texts(model: type[BaseModel], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of a form, which are all text, the types that the model has for them.

    An empty field that is no text was not filled in. What cannot be read stays as it is: the model
    refuses it.
    """
    found: dict[str, Any] = {}
    for name, value in fields.items():
        field = model.model_fields.get(name)
        wants = frozenset[Any]() if field is None else kinds(field.annotation)
        if isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            found[name] = {one: _read(text) for one, text in inner.items()}
        elif not wants - {str, type(None)} or any(get_origin(one) is Literal for one in wants):
            found[name] = value
        elif value != "":
            found[name] = _switch(value) if bool in wants else value if Decimal in wants else None
            if found[name] is None:
                found[name] = _read(value)
    return found


def _switch(text: str) -> bool | None:
    return {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}.get(text)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def kinds(annotation: Any) -> frozenset[Any]:
    """Return the types that a field may have, without what is said of them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        inner = (kinds(one) for one in get_args(annotation))
        return frozenset(kind for some in inner for kind in some)
    return frozenset({annotation})


def _check(name: str, wants: frozenset[Any], value: Any) -> None:
    if bool in wants and not wants & {int, float, str} and not isinstance(value, bool | None):
        raise ValueError(f"{name} must be true or false")
    if int in wants and bool not in wants and isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number")
    if int in wants and str not in wants and isinstance(value, str):
        raise ValueError(f"{name} must be a whole number, without quotes")
