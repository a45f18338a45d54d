"""What a request's body is made of: the types that JSON has, taken at their word."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

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
                    _check(key, _kinds(field.annotation), given[key])
        return cast("Any", data)


def _kinds(annotation: Any) -> frozenset[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        inner = (_kinds(one) for one in get_args(annotation))
        return frozenset(kind for kinds in inner for kind in kinds)
    return frozenset({annotation})


def _check(name: str, kinds: frozenset[Any], value: Any) -> None:
    if bool in kinds and not kinds & {int, float, str} and not isinstance(value, bool | None):
        raise ValueError(f"{name} must be true or false")
    if int in kinds and bool not in kinds and isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number")
    if int in kinds and str not in kinds and isinstance(value, str):
        raise ValueError(f"{name} must be a whole number, without quotes")
