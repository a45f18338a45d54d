"""The one HTTP client factory: timeouts, size limits, address rules, the paid-call switch.

Every outbound call of Maquette goes through a client made here. Redirects are never followed:
a paid request must not wander to a host that nobody configured. Proxies are taken from the
environment, as the platform's own tools do.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import anyio.to_thread
import httpx2

from maquette.core.errors import BadProviderReply, ConnectionRefused
from maquette.core.wire import WireRules

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client(
    rules: WireRules,
    *,
    base_url: str = "",
    headers: dict[str, str] | None = None,
    wait_s: float = 60.0,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> httpx2.AsyncClient:
    """Open a client that obeys the rules; close it with `aclose()`.

    `wait_s` is how long an answer may take; `rules.longest_wait_s` caps it.
    """
    wait_s = min(wait_s, rules.longest_wait_s)

    async def may_go(request: httpx2.Request) -> None:
        await check_host(rules, request.url.host, request.url.port)

    async def may_come(response: httpx2.Response) -> None:
        declared = response.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > rules.most_bytes:
            raise _too_large(rules)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Limited(response.stream, rules)

    return httpx2.AsyncClient(
        base_url=base_url,
        headers=headers,
        timeout=httpx2.Timeout(wait_s, connect=min(rules.connect_timeout_s, wait_s)),
        follow_redirects=False,
        transport=transport,
        event_hooks={"request": [may_go], "response": [may_come]},
    )


class _Limited(httpx2.AsyncByteStream):
    """Stops a reply that grows over the limit."""

    def __init__(self, inner: httpx2.AsyncByteStream, rules: WireRules) -> None:
        self._inner = inner
        self._rules = rules

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._inner:
            seen += len(chunk)
            if seen > self._rules.most_bytes:
                raise _too_large(self._rules)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _too_large(rules: WireRules) -> BadProviderReply:
    return BadProviderReply(
        f"The reply is larger than {rules.most_bytes // 1024**2} MiB, so it was not read further."
    )


async def check_host(rules: WireRules, host: str, port: int | None = None) -> None:
    """Raise `ConnectionRefused` for an address that the rules do not allow."""
    for address in await addresses(host, port):
        if address.is_loopback or _allowed(rules, host, address):
            continue
        if not rules.paid_calls:
            raise ConnectionRefused(
                f"Outbound calls are switched off (MAQUETTE_NET__PAID_CALLS), so {host!r} was "
                "not called; nothing was sent."
            )
        if not address.is_global:
            raise ConnectionRefused(
                f"{host!r} is the private address {address}, so it was not called. An "
                f"administrator can allow it: MAQUETTE_NET__PRIVATE_HOSTS='[\"{host}\"]'."
            )


def _allowed(rules: WireRules, host: str, address: Address) -> bool:
    return host in rules.private_hosts or str(address) in rules.private_hosts


async def addresses(host: str, port: int | None) -> list[Address]:
    """Resolve a host; raise `ConnectionRefused` where it has no address."""
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    look_up = partial(socket.getaddrinfo, host, port or 443, type=socket.SOCK_STREAM)
    try:
        found: list[Any] = await anyio.to_thread.run_sync(look_up)
    except socket.gaierror:
        raise ConnectionRefused(
            f"The host {host!r} cannot be found; nothing was sent. Check the address and the "
            "network."
        ) from None
    return [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
