"""The one HTTP client factory: timeouts, size limits, address rules, the paid-call switch.

Every outbound call of Maquette goes through a client made here. Redirects are never followed:
a paid request must not wander to a host that nobody configured. Proxies are taken from the
environment, as the platform's own tools do.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from functools import cache, partial
from typing import Any
from urllib.request import getproxies

import anyio.to_thread
import httpx2

from maquette.core import correlation
from maquette.core.errors import BadProviderReply, ConnectionRefused, ProviderUnavailable
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
        following = correlation.current.get()
        if following is not None:
            request.headers.setdefault(correlation.HEADER, following)
        await allowed_addresses(rules, request.url.host, request.url.port)

    async def may_come(response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise BadProviderReply(
                "The reply is compressed, which nobody asked for: it could be of any size, so it "
                "was not read."
            )
        declared = response.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > rules.most_bytes:
            raise _too_large(rules)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Limited(response.stream, rules)

    if transport is None and not proxied():
        transport = _Pinned(rules)
    return httpx2.AsyncClient(
        base_url=base_url,
        headers={"Accept-Encoding": "identity", **(headers or {})},
        timeout=httpx2.Timeout(wait_s, connect=min(rules.connect_timeout_s, wait_s)),
        follow_redirects=False,
        transport=transport,
        event_hooks={"request": [may_go], "response": [may_come]},
    )


@cache
def trust() -> ssl.SSLContext:
    """Return what every client believes of certificates.

    Reading the machine's authorities takes 30 ms, so it is done once for the whole program.
    """
    return httpx2.create_ssl_context()


def proxied() -> bool:
    """Tell whether the environment names a proxy, which then looks names up itself."""
    return any(scheme in getproxies() for scheme in ("http", "https", "all"))


class _Pinned(httpx2.AsyncHTTPTransport):
    """Connects to the very addresses that were allowed.

    A name that is looked up a second time may lead elsewhere: here the connection is made to the
    address that was checked, while the certificate and the `Host` header keep the name.
    """

    def __init__(self, rules: WireRules) -> None:
        super().__init__(verify=trust())
        self._rules = rules

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        found = await allowed_addresses(self._rules, url.host, url.port)
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        try:
            for address in found[:-1]:
                request.url = url.copy_with(host=str(address))
                try:
                    return await super().handle_async_request(request)
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    continue
            request.url = url.copy_with(host=str(found[-1]))
            return await super().handle_async_request(request)
        finally:
            request.url = url  # what the reply refers to goes by the name


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


async def allowed_addresses(
    rules: WireRules, host: str, port: int | None = None
) -> Sequence[Address]:
    """Return a host's addresses; raise `ConnectionRefused` for one that the rules do not allow."""
    found = await addresses(host, port)
    for address in found:
        if (rules.loopback and address.is_loopback) or _allowed(rules, host, address):
            continue
        if not rules.paid_calls:
            raise ConnectionRefused(
                f"Outbound calls are switched off (MAQUETTE_NET__PAID_CALLS), so {host!r} was "
                "not called; nothing was sent."
            )
        if not _reachable_by_all(address):
            raise ConnectionRefused(
                f"{host!r} is the private address {address}, so it was not called. An "
                f"administrator can allow it: MAQUETTE_NET__PRIVATE_HOSTS='[\"{host}\"]'."
            )
    return found


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SITE_LOCAL = ipaddress.ip_network("fec0::/10")


def _reachable_by_all(address: Address) -> bool:
    """Tell whether an address is public, and so is the one that may be wrapped in it."""
    inner: ipaddress.IPv4Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _SITE_LOCAL:
            return False
    return address.is_global and (inner is None or inner.is_global)


def _allowed(rules: WireRules, host: str, address: Address) -> bool:
    names = {name.casefold() for name in rules.private_hosts}
    return host.casefold() in names or str(address) in names


async def addresses(host: str, port: int | None) -> list[Address]:
    """Resolve a host; raise `ConnectionRefused` where it has no address."""
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    look_up = partial(socket.getaddrinfo, host, port or 443, type=socket.SOCK_STREAM)
    try:
        found: list[Any] = await anyio.to_thread.run_sync(look_up)
    except (socket.gaierror, UnicodeError) as error:  # the latter: no name can be so long
        if isinstance(error, OSError) and error.errno == socket.EAI_AGAIN:
            raise ProviderUnavailable(
                f"The address of {host!r} could not be looked up just now; nothing was sent. Check "
                "the network."
            ) from None
        raise ConnectionRefused(
            f"The host {host!r} cannot be found; nothing was sent. Check the address and the "
            "network."
        ) from None
    given = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    return list(dict.fromkeys(given))
