"""Outbound calls: who may be called, how much may come back."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

from maquette import net
from maquette.core.errors import (
    BadProviderReply,
    ConnectionRefused,
    OutcomeUnknown,
    ProviderError,
    ProviderUnavailable,
)
from maquette.core.wire import WireRules
from maquette.net.client import trust

CLOSED = WireRules(paid_calls=False)


@asynccontextmanager
async def answering(reply: bytes) -> AsyncGenerator[str]:
    """Answer every request on loopback with the same bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


def response(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}connection: close\r\n\r\n"
    return head.encode() + body


async def test_loopback_is_always_reached() -> None:
    async with answering(response(b"hello")) as url, net.client(CLOSED) as client:
        assert (await client.get(url)).content == b"hello"


@pytest.mark.parametrize("host", ["1.1.1.1", "2606:4700:4700::1111"])
async def test_the_switch_keeps_everything_else_away(host: str) -> None:
    """LAB-14: tests can never pay."""
    with pytest.raises(ConnectionRefused, match="switched off"):
        await net.allowed_addresses(CLOSED, host)


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.7",
        "192.168.1.2",
        "169.254.169.254",
        "fd00::1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
        "fec0::1",
    ],
)
async def test_private_addresses_need_permission(host: str) -> None:
    with pytest.raises(ConnectionRefused, match="PRIVATE_HOSTS"):
        await net.allowed_addresses(WireRules(), host)
    await net.allowed_addresses(WireRules(private_hosts=frozenset({host})), host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost", "0.0.0.0"])  # noqa: S104 - none is listened on
async def test_loopback_may_need_permission_too(host: str) -> None:
    closed = WireRules(loopback=False)
    with pytest.raises(ConnectionRefused, match="PRIVATE_HOSTS"):
        await net.allowed_addresses(closed, host)
    await net.allowed_addresses(replace(closed, private_hosts=frozenset({host})), host)


@pytest.mark.parametrize("host", ["no-such-host.invalid", f"{'x' * 64}.example", "a..example"])
async def test_an_unknown_host_is_explained(host: str) -> None:
    with pytest.raises(ConnectionRefused, match="cannot be found"):
        await net.allowed_addresses(WireRules(), host)


async def test_redirects_are_not_followed() -> None:
    away = response(b"", "302 Found", "location: http://127.0.0.1:9/\r\n")
    async with answering(away) as url, net.client(CLOSED) as client:
        assert (await client.get(url)).status_code == 302


async def test_a_reply_over_the_limit_is_not_read() -> None:
    rules = WireRules(most_bytes=10)
    async with answering(response(b"x" * 11)) as url, net.client(rules) as client:
        with pytest.raises(BadProviderReply, match="larger than"):
            await client.get(url)


async def test_a_compressed_reply_is_not_unpacked() -> None:
    """A few bytes could become gigabytes after the limit was checked."""
    packed = response(gzip.compress(b"0" * 10_000), headers="content-encoding: gzip\r\n")
    async with answering(packed) as url, net.client(CLOSED) as client:
        with pytest.raises(BadProviderReply, match="compressed"):
            await client.get(url)


async def test_a_reply_that_does_not_say_its_size_is_stopped() -> None:
    endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 100_000
    rules = WireRules(most_bytes=1000)
    async with answering(endless) as url, net.client(rules) as client:
        with pytest.raises(BadProviderReply, match="larger than"):
            await client.get(url)


async def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that leads elsewhere the second time changes nothing."""
    asked: list[str] = []
    real = net.client.__globals__["addresses"]

    async def once(host: str, port: int | None) -> list[net.Address]:
        asked.append(host)
        return await real("127.0.0.1", port)

    monkeypatch.setitem(net.client.__globals__, "addresses", once)
    async with answering(response(b"hello")) as url, net.client(CLOSED) as client:
        reply = await client.get(url.replace("127.0.0.1", "pinned.example"))
    assert reply.content == b"hello"
    assert set(asked) == {"pinned.example"}


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` has two addresses, and a server often listens on one."""

    async def two(_host: str, _port: int | None) -> list[net.Address]:
        return [ip_address("::1"), ip_address("127.0.0.1")]

    monkeypatch.setitem(net.client.__globals__, "addresses", two)
    async with answering(response(b"hello")) as url, net.client(CLOSED) as client:
        assert (await client.get(url.replace("127.0.0.1", "localhost"))).content == b"hello"


@pytest.mark.parametrize(("paid", "error"), [(True, OutcomeUnknown), (False, ProviderUnavailable)])
async def test_a_cut_connection_is_doubtful_only_where_it_costs(
    *, paid: bool, error: type[ProviderError]
) -> None:
    broken = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\nhalf"
    async with answering(broken) as url, net.client(CLOSED) as client:
        with pytest.raises(error, match="cut off"), net.sending("the stand-in", paid=paid):
            await client.get(url)


async def test_a_connection_that_never_opened_cost_nothing() -> None:
    async with net.client(CLOSED) as client:
        refused = pytest.raises(ProviderUnavailable, match="nothing was sent")
        with refused, net.sending("the stand-in", paid=True):
            await client.get("http://127.0.0.1:1/")


def test_a_quoted_message_holds_no_key() -> None:
    assert net.cleaned("key sk-123\n  is  wrong", "sk-123") == "'key *** is wrong'."
    assert net.cleaned(None) == "without a reason."


def test_the_authorities_are_read_once_and_believed_alone() -> None:
    """Every client of the program shares them: reading them takes longer than a call."""
    known = trust()
    assert trust() is known
    assert (known.verify_mode, known.check_hostname) == (ssl.CERT_REQUIRED, True)
