"""Pages that are written here: plain HTML, no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from maquette.api.advice import ADVICE
from maquette.api.problems import status_of, title_of
from maquette.core.errors import MaquetteError, NoSuchRoute

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --mark: #b5532a; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2.5rem auto;
  padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { margin: 2.4rem 0 .6rem; font-size: 1.15rem; }
a { color: var(--mark); } p { margin: .4rem 0; }
code, pre { font: .9em ui-monospace, monospace; }
pre { background: var(--soft); padding: .7rem .9rem; overflow-x: auto; border-radius: .4rem; }
details { border-top: 1px solid var(--line); padding: .45rem 0; }
summary { cursor: pointer; } summary b { display: inline-block; width: 4.6rem; }
summary span { opacity: .7; margin-left: .8rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
td, th { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
  border-bottom: 1px solid var(--line); }
td:first-child { white-space: nowrap; } .soft { opacity: .7; }
"""


def _html(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def kinds() -> dict[str, type[MaquetteError]]:
    """Return every error class by its code, the base first."""
    found: dict[str, type[MaquetteError]] = {}

    def walk(kind: type[MaquetteError]) -> None:
        found.setdefault(kind.code, kind)
        for child in kind.__subclasses__():
            walk(child)

    walk(MaquetteError)
    return found


def problems() -> str:
    """List all codes."""
    rows = "".join(
        f'<tr><td><a href="/problems/{code}"><code>{code}</code></a></td>'
        f"<td>{status_of(kind)}</td><td>{escape(title_of(kind))}</td></tr>"
        for code, kind in sorted(kinds().items())
    )
    return _html(
        "Errors of Maquette",
        "<h1>Errors</h1><p>Every error has the same body, <code>application/problem+json</code>. "
        "Its <code>type</code> leads to one of these pages.</p>"
        f"<table><tr><th>code</th><th>status</th><th>meaning</th></tr>{rows}</table>",
    )


def problem(code: str) -> str:
    """Explain one code."""
    kind = kinds().get(code)
    if kind is None:
        raise NoSuchRoute(f"There is no error code {code!r}; /problems lists them.")
    parent = kind.__bases__[0]
    more = "".join(f"<p>{escape(part)}</p>" for part in (kind.__doc__ or "").split("\n\n")[1:])
    family = (
        f'<p class="soft">A kind of <a href="/problems/{parent.code}">{parent.code}</a>.</p>'
        if issubclass(parent, MaquetteError)
        else ""
    )
    return _html(
        f"{code} · Maquette",
        f'<p><a href="/problems">Errors</a></p><h1><code>{code}</code></h1>'
        f"<p>{escape(title_of(kind))}.</p>{more}"
        f"<h2>What to do</h2><p>{_code(ADVICE[code])}</p>"
        f"<h2>For programs</h2><p>HTTP status {status_of(kind)}; retrying unasked: "
        f"{kind.retry.value}.</p>{family}",
    )


def _code(text: str) -> str:
    """Show what stands between back-ticks as code."""
    parts = escape(text).split("`")
    return "".join(
        f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts)
    )


def operations(contract: Mapping[str, Any]) -> str:
    """List every operation of the contract by its tag."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(path, method, operation, contract))
    index = " · ".join(f'<a href="#{tag}">{tag}</a>' for tag in by_tag)
    groups = "".join(f'<h2 id="{tag}">{tag}</h2>{"".join(ops)}' for tag, ops in by_tag.items())
    info = contract["info"]
    return _html(
        "The API of Maquette",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>"
        f"{_code(info['description'])}</p><p>For programs: <a href='/openapi.json'>OpenAPI</a>. "
        f"Errors: <a href='/problems'>all codes</a>.</p><p>{index}</p>{groups}",
    )


def _operation(
    path: str, method: str, operation: Mapping[str, Any], contract: Mapping[str, Any]
) -> str:
    parts = [f"<p>{_code(operation.get('description', ''))}</p>"]
    needs = operation.get("x-needs", "nothing")
    scope = operation.get("x-scope")
    parts.append(
        f'<p class="soft">Needs: {needs}{f", scope {scope}" if scope else ""}.</p>'
        if needs != "nothing"
        else '<p class="soft">Open to everybody.</p>'
    )
    parts.append(_table(_parameters(operation.get("parameters", []))))
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body: <code>{kind}</code></p>")
        parts.append(_table(_members(content.get("schema", {}), contract)))
    parts.append(
        _table(
            [(status, _code(said.get("description", ""))) for status, said in _answers(operation)]
        )
    )
    return (
        f"<details><summary><b>{method.upper()}</b><code>{escape(path)}</code>"
        f"<span>{escape(operation.get('summary', ''))}</span></summary>{''.join(parts)}</details>"
    )


def _answers(operation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from operation["responses"].items()


def _table(rows: Sequence[tuple[str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(f"<tr><td><code>{escape(a)}</code></td><td>{b}</td></tr>" for a, b in rows)
    return f"<table>{cells}</table>"


def _parameters(parameters: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [
        (
            one["name"],
            f"{one['in']}, {_type(one.get('schema', {}))}. {_code(one.get('description', ''))}",
        )
        for one in parameters
    ]


def _members(schema: Mapping[str, Any], contract: Mapping[str, Any]) -> list[tuple[str, str]]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found = contract["components"]["schemas"].get(name, schema)
    required = found.get("required", ())
    return [
        (
            member,
            _type(said)
            + ("" if member in required else ", optional")
            + f". {_code(said.get('description', ''))}",
        )
        for member, said in found.get("properties", {}).items()
    ]


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return escape(str(schema["$ref"]).rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(escape(str(one)) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("type", "any")))
