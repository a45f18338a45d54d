"""The contract: what every operation may answer, derived from its door and its parts.

No `default` response and no 500: a reply that is not listed is a bug, and the tests treat it so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute

from maquette import __version__
from maquette.api.door import HouseDoor, ProjectDoor, door_of
from maquette.api.problems import MEDIA_TYPE, Problem, status_of, title_of
from maquette.core import errors as e

Responses = dict[int | str, dict[str, Any]]

DESCRIPTION = (
    "Image production: plan for free, pay on confirmation, lose nothing. Every error has the same "
    "body; its `type` is a page that explains it."
)


def raises(*kinds: type[e.MaquetteError], path: str = "") -> Responses:
    """Declare what a route may raise besides what its door and its body imply.

    `path` is where it answers, if errors have other statuses there.
    """
    found: Responses = {}
    for kind in kinds:
        status = status_of(kind, path)
        words = found.setdefault(status, {"description": ""})
        told = f"`{kind.code}`: {title_of(kind)}."
        words["description"] = f"{words['description']} {told}".strip()
    return found


def install(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Let the app describe itself with our additions."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(routes, plain())
        return app.openapi_schema

    app.openapi = described


def written(document: Mapping[str, Any]) -> str:
    """Write the contract as the repository keeps it."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _completed(routes: Sequence[APIRoute], schema: dict[str, Any]) -> dict[str, Any]:
    schema["info"]["version"] = __version__
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for gone in ("HTTPValidationError", "ValidationError"):
        schemas.pop(gone, None)
    components["securitySchemes"] = _SECURITY
    for route in routes:
        operations = schema["paths"].get(_path(route), {})
        for method in route.methods or ():
            if method.lower() in operations:
                _complete(route, operations[method.lower()])
    return schema


def _path(route: APIRoute) -> str:
    """Return the path as the document has it: without converters."""
    return re.sub(r":[a-z]+}", "}", route.path)


def _complete(route: APIRoute, operation: dict[str, Any]) -> None:
    responses = cast("dict[str, dict[str, Any]]", operation["responses"])
    if _is_frameworks(responses.get("422")):
        del responses["422"]
    for status, words in raises(*_implied(route, operation), path=route.path).items():
        known = responses.get(str(status))
        if known is None:
            responses[str(status)] = words
        else:
            known["description"] = _joined(known.get("description", ""), words["description"])
    for status, words in responses.items():
        if int(status) >= 400 and "content" not in words:
            words["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = dict(sorted(responses.items()))


def _implied(route: APIRoute, operation: dict[str, Any]) -> list[type[e.MaquetteError]]:
    """Say what the door may answer, and the reading of the request."""
    door = door_of(route.dependant)
    assert door is not None, f"{route.path} has no door"
    implied: list[type[e.MaquetteError]] = [e.CrossSite, e.BadParameter]
    operation["x-needs"] = door.needs.value
    if door.counts:
        implied.append(e.TooManyRequests)
    if isinstance(door, HouseDoor | ProjectDoor):
        implied += [e.Unauthenticated, e.Forbidden]
        operation["security"] = [{"bearer": []}]
        operation["x-scope"] = door.scope.value
    if isinstance(door, ProjectDoor):
        implied.append(e.ProjectNotFound)
    if "requestBody" in operation:
        implied.append(e.RequestTooLarge)
    return implied


def _joined(known: str, more: str) -> str:
    return known if more in known else f"{known} {more}".strip()


def _is_frameworks(words: Mapping[str, Any] | None) -> bool:
    return words is not None and words.get("description") == "Validation Error"


_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`mq_…`), or an access token of `/api/auth/token`. Browsers "
        "sign in at `/api/auth/login` instead: a cookie, and `X-CSRF-Token` with every change. "
        "In single-user mode nobody has to show anything.",
    },
}
