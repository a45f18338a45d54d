"""A short walk through a running server, to see if it answers as the contract promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import httpx2
from pydantic import SecretStr

from maquette import net
from maquette.api.contracted import document
from maquette.core.errors import MaquetteError
from maquette.core.wire import WireRules


@dataclass(frozen=True)
class Check:
    """One thing that was asked."""

    what: str
    ok: bool
    detail: str


async def run(url: str, slug: str, key: SecretStr | None, rules: WireRules) -> list[Check]:
    """Ask a server; return what was asked and how it answered."""
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    async with net.client(rules, base_url=url, headers=headers, wait_s=30) as client:
        walk = _Walk(client, document())
        try:
            await walk.through(slug)
        except (MaquetteError, httpx2.HTTPError) as error:
            walk.checks.append(Check(url, ok=False, detail=f"{type(error).__name__}: {error}"))
    return walk.checks


class _Walk:
    def __init__(self, client: httpx2.AsyncClient, contract: Mapping[str, Any]) -> None:
        self._client = client
        self._contract = contract
        self.checks: list[Check] = []

    async def through(self, slug: str) -> None:
        theirs = await self._ask("GET", "/openapi.json", promised=False)
        missing = sorted(set(self._contract["paths"]) - set(theirs.get("paths", {})))
        detail = f"lacks {', '.join(missing[:5])}" if missing else "every path is there"
        self.checks.append(Check("the server's own contract", ok=not missing, detail=detail))
        await self._ask("GET", "/health")
        await self._ask("POST", "/api/projects", {"name": slug, "slug": slug}, also=(409,))
        at = "/api/projects/{slug}"
        named = {"slug": slug}
        for path in ("", "/storage", "/runs", "/jobs", "/assets", "/secrets", "/exports"):
            await self._ask("GET", f"{at}{path}", named=named)
        chat = f"{at}/chat/sessions"
        made = await self._ask("POST", chat, {"title": "contract"}, named=named)
        await self._ask("GET", chat, named=named)
        session = {**named, "session_id": str(made.get("id"))}
        await self._ask("GET", f"{chat}/{{session_id}}/messages", named=session)
        orders = f"{at}/agent/instructions"
        wanted = {
            "instruction_type": "pipeline_run",
            "dispatch_to_agent": False,
            "payload_json": {"candidates": 1},
        }
        made = await self._ask("POST", orders, wanted, named=named)
        one = {**named, "instruction_id": str(made.get("id"))}
        await self._ask("GET", f"{orders}/{{instruction_id}}", named=one)
        await self._ask("GET", f"{orders}/{{instruction_id}}/events", named=one)
        await self._ask("POST", f"{orders}/{{instruction_id}}/cancel", {}, named=one, also=(409,))

    async def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        named: Mapping[str, str] | None = None,
        also: Sequence[int] = (),
        promised: bool = True,
    ) -> dict[str, Any]:
        """Ask; note whether status and members are those of the contract."""
        address = path.format(**(named or {}))
        reply = await self._client.request(method, address, json=body)
        said: Any = reply.json() if "json" in reply.headers.get("content-type", "") else {}
        problem = self._problem(path, method, reply, said) if promised else None
        good = reply.is_success or reply.status_code in also
        self.checks.append(
            Check(
                f"{method} {address}",
                ok=good and problem is None,
                detail=problem or str(reply.status_code),
            )
        )
        return cast("dict[str, Any]", said) if isinstance(said, dict) else {}

    def _problem(self, path: str, method: str, reply: httpx2.Response, said: Any) -> str | None:
        operation = self._contract["paths"].get(path, {}).get(method.lower())
        if operation is None:
            return "the contract has no such operation"
        promised = operation["responses"].get(str(reply.status_code))
        if promised is None:
            return f"{reply.status_code} is not promised"
        content = promised.get("content", {})
        kind = reply.headers.get("content-type", "").partition(";")[0]
        if content and kind not in content:
            return f"the answer is {kind}, not {', '.join(content)}"
        lacking = self._lacking(content.get(kind, {}).get("schema", {}), said)
        return None if not lacking else f"the answer lacks {', '.join(lacking)}"

    def _lacking(self, schema: Mapping[str, Any], said: Any) -> list[str]:
        """Return the members that the schema requires and the answer has not."""
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        schema = self._contract["components"]["schemas"].get(name, schema)
        if schema.get("type") == "array" and isinstance(said, list):
            items = cast("list[Any]", said)
            return [one for item in items for one in self._lacking(schema.get("items", {}), item)]
        if not isinstance(said, dict):
            return []
        return [member for member in schema.get("required", ()) if member not in said]
