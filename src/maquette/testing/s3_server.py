"""A real S3 server for tests: moto, in a process of its own, on loopback only.

As a fixture, one for the whole session and a bucket of its own for each test::

    @pytest.fixture(scope="session")
    def s3_server(tmp_path_factory):
        with serving_s3(tmp_path_factory.mktemp("s3")) as server:
            yield server
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener
from uuid import uuid4

from pydantic import SecretStr

from maquette.core.bucket import KEY, KEY_ID, Bucket
from maquette.core.errors import CapabilityMissing
from maquette.core.wire import WireRules
from maquette.net.bucket import BucketClient

KEYS = {KEY_ID: "test-key", KEY: "test-secret"}
"""What the server is called with; it takes any."""

_BEGIN_S = 60
_open = build_opener(ProxyHandler({})).open


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    url: str
    log: Path
    """Every request that it answered, one a line."""

    def bucket(self, prefix: str = "") -> Bucket:
        """Make a new bucket."""
        name = f"test-{uuid4().hex}"
        self.call("PUT", name)
        return Bucket(bucket=name, prefix=prefix, endpoint=self.url)

    def client(self, where: Bucket, keys: Mapping[str, str] = KEYS) -> BucketClient:
        """Return a client that may call nothing but this machine."""
        return BucketClient(where, WireRules(paid_calls=False), keys_of(keys))

    def call(self, method: str, path: str) -> bytes:
        """Make an unsigned request by hand."""
        body = b"" if method == "PUT" else None
        request = Request(f"{self.url}/{path}", data=body, method=method)  # noqa: S310 - loopback
        with _open(request, timeout=_BEGIN_S) as reply:
            return bytes(reply.read())


def keys_of(keys: Mapping[str, str]) -> Callable[[str], SecretStr]:
    """Return a look-up that has these keys and no other, as `bootstrap` hands one down."""

    def key(name: str) -> SecretStr:
        if name not in keys:
            raise CapabilityMissing(f"The key {name} is not set, so nothing was sent.")
        return SecretStr(keys[name])

    return key


@contextmanager
def serving_s3(folder: Path) -> Generator[S3Server]:
    """Start a server, wait until it answers, end it with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = S3Server(f"http://127.0.0.1:{port}", folder / "requests.log")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with server.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own words
            command, stdout=subprocess.DEVNULL, stderr=log, cwd=folder
        )
    try:
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=_BEGIN_S)


def _wait(server: S3Server, process: subprocess.Popen[bytes]) -> None:
    until = monotonic() + _BEGIN_S
    while monotonic() < until:
        if process.poll() is not None:
            break
        try:
            server.call("GET", "moto-api/")
        except (URLError, OSError):
            sleep(0.05)
        else:
            return
    raise RuntimeError(f"the S3 server did not begin; see {server.log}")
