"""The master key is found, kept safe and replaced; what it seals opens nowhere else."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from maquette.core.errors import BadParameter, ProjectBusy, SecretsLocked
from maquette.db import secrets as rows
from maquette.services import projects, rotating, secrets
from maquette.services.studio import Studio
from maquette.services.vault import MasterKey, Place, Sealed, Vault, sealed
from tests.conftest import Opener

KEY = SecretStr("sk-CANARY-0123456789")
PLACE = Place("p1", "openai", "api_key")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


def test_what_was_sealed_opens_in_its_own_row_only(vault: Vault) -> None:
    kept = sealed(vault.current(), PLACE, KEY)
    assert vault.open(PLACE, kept) == KEY
    others = [replace(PLACE, **{name: "other"}) for name in ("project_id", "provider", "name")]
    for other in [*others, Place("p1", "openai_api", "key")]:
        with pytest.raises(SecretsLocked, match="Set it again"):
            vault.open(other, kept)


@pytest.mark.parametrize("position", [0, 11, 12, 20, -1])
def test_a_changed_row_is_refused(vault: Vault, position: int) -> None:
    kept = sealed(vault.current(), PLACE, KEY)
    data = bytearray(kept.data)
    data[position] ^= 1
    with pytest.raises(SecretsLocked, match="row was changed"):
        vault.open(PLACE, Sealed(bytes(data), kept.key_id))
    with pytest.raises(SecretsLocked, match="row was changed"):
        vault.open(PLACE, Sealed(kept.data[:8], kept.key_id))


def test_the_same_secret_never_looks_the_same(vault: Vault) -> None:
    made = {sealed(vault.current(), PLACE, KEY).data for _ in range(50)}
    assert len({data[:12] for data in made}) == 50
    assert {len(data) for data in made} == {12 + len(KEY.get_secret_value()) + 16}


def test_the_homes_key_is_made_once_and_for_its_owner_alone(vault: Vault) -> None:
    first = vault.current()
    assert Vault(vault.home).current() == first
    assert vault.file == vault.home / "master.key"
    assert len(first.data) == 32
    if os.name == "posix":
        assert vault.file.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(vault: Vault, mode: int) -> None:
    vault.current()
    vault.file.chmod(mode)
    with pytest.raises(SecretsLocked, match="chmod 600"):
        vault.current()


@pytest.mark.parametrize("form", ["base64", "no padding", "urlsafe", "hex", "HEX", "wrapped"])
def test_a_key_is_understood_in_every_usual_form(tmp_path: Path, form: str) -> None:
    data = bytes(range(224, 256))
    text = {
        "base64": base64.b64encode(data).decode(),
        "no padding": base64.b64encode(data).decode().rstrip("="),
        "urlsafe": base64.urlsafe_b64encode(data).decode(),
        "hex": data.hex(),
        "HEX": data.hex().upper(),
        "wrapped": f" {data.hex()[:32]}\n{data.hex()[32:]}\n",
    }[form]
    assert Vault(tmp_path, given=SecretStr(text)).current().data == data


@pytest.mark.parametrize(
    "text", ["hunter2", "x" * 32, "g" * 64, "A" * 44, "ключ", "=" * 43, "a" * 65]
)
def test_any_other_text_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(SecretsLocked, match="openssl rand -base64 32") as caught:
        Vault(tmp_path, given=SecretStr(text)).current()
    assert text not in str(caught.value)
    assert caught.value.__cause__ is None
    assert list(tmp_path.iterdir()) == []


def test_a_text_wins_over_a_named_file_which_wins_over_the_homes(tmp_path: Path) -> None:
    home, named, text = (MasterKey.fresh() for _ in range(3))
    for path, key in ((tmp_path / "master.key", home), (tmp_path / "own", named)):
        path.write_text(key.text)
        path.chmod(0o600)
    assert Vault(tmp_path).current() == home
    assert Vault(tmp_path, tmp_path / "own").current() == named
    given = Vault(tmp_path, tmp_path / "own", SecretStr(text.text))
    assert given.current() == text
    for key in (home, named, text):  # all open what they have sealed
        assert given.open(PLACE, sealed(key, PLACE, KEY)) == KEY


def test_a_named_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SecretsLocked, match="does not exist"):
        Vault(tmp_path, tmp_path / "gone").current()
    assert not (tmp_path / "gone").exists()


def test_an_unknown_key_is_named_by_its_id(vault: Vault) -> None:
    stranger = MasterKey.fresh()
    with pytest.raises(SecretsLocked, match=f"sealed with the master key {stranger.id}"):
        vault.open(PLACE, sealed(stranger, PLACE, KEY))


def test_nothing_shows_the_key(vault: Vault) -> None:
    key = vault.current()
    given = Vault(vault.home, given=SecretStr(key.text))
    for shown in (repr(key), repr(vault), repr(given), repr(sealed(key, PLACE, KEY))):
        assert key.text not in shown
        assert key.data.hex() not in shown
        assert KEY.get_secret_value() not in shown


# --- rotation


async def _with_secrets(studio: Studio, count: int = 3) -> list[str]:
    """Keep a secret in each of some projects."""
    ids: list[str] = []
    for number in range(count):
        slug = f"p{number}"
        await projects.create(studio, slug, name=None, root=None, default_root=False)
        project = await projects.find(studio, slug)
        ids.append(project.id)
        await secrets.put(studio, project.id, "openai", "api_key", SecretStr(f"sk-{slug}"))
    return ids


async def _values(studio: Studio, ids: list[str]) -> list[str]:
    found = [(await studio.keys_of(one)).get("OPENAI_API_KEY") for one in ids]
    return [one.get_secret_value() for one in found]


VALUES = ["sk-p0", "sk-p1", "sk-p2"]


async def _used(studio: Studio) -> frozenset[str]:
    async with studio.shop.db.read() as session:
        return await rows.key_ids(session)


async def test_a_rotation_seals_everything_anew_and_keeps_the_old_key(open_studio: Opener) -> None:
    async with open_studio() as studio:
        ids = await _with_secrets(studio)
        before = studio.vault.current()
        done = await rotating.rotate(studio)
        assert (done.secrets, done.key_id) == (3, studio.vault.current().id)
        assert await _used(studio) == {done.key_id} != {before.id}
        assert await _values(studio, ids) == VALUES
        assert done.kept is not None
        assert done.kept.read_text().strip() == before.text
        if os.name == "posix":
            assert {one.stat().st_mode & 0o777 for one in (done.kept, studio.vault.file)} == {0o600}


async def test_a_rotation_on_postgres(open_studio: Opener, fresh_database: str) -> None:
    async with open_studio(url=fresh_database) as studio:
        ids = await _with_secrets(studio)
        done = await rotating.rotate(studio)
        assert await _used(studio) == {done.key_id}
        assert await _values(studio, ids) == VALUES
        assert len(await secrets.listing(studio, ids[0], 5, ("anthropic", "z"))) == 1
        assert await secrets.listing(studio, ids[0], 5, ("openai", "api_key")) == []


async def test_a_rotation_that_cannot_open_one_changes_none(open_studio: Opener) -> None:
    async with open_studio() as studio:
        ids = await _with_secrets(studio)
        stranger = MasterKey.fresh()
        lost = sealed(stranger, Place(ids[1], "openai", "api_key"), KEY)
        async with studio.shop.db.write() as session:
            place = (ids[1], "openai", "api_key")
            await rows.put(session, place, lost.data, lost.key_id, studio.shop.clock.now())
        present = studio.vault.current()
        with pytest.raises(SecretsLocked, match=stranger.id):
            await rotating.rotate(studio)
        assert studio.vault.current() == present
        assert await _used(studio) == {present.id, stranger.id}
        assert studio.vault.successor() is None


async def test_a_key_from_the_environment_is_replaced_by_one_that_is_given(
    open_studio: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = MasterKey.fresh(), MasterKey.fresh()
    monkeypatch.setenv("IAT_MASTER_KEY", first.text)
    async with open_studio() as studio:
        ids = await _with_secrets(studio)
        with pytest.raises(BadParameter, match="--new-key-stdin"):
            await rotating.rotate(studio)
        with pytest.raises(BadParameter, match="the present one"):
            await rotating.rotate(studio, SecretStr(first.text))
        done = await rotating.rotate(studio, SecretStr(second.text))
        assert (done.key_id, done.kept) == (second.id, None)
        with pytest.raises(SecretsLocked, match=second.id):
            await _values(studio, ids)
        assert not (studio.home / "master.key").exists()
    monkeypatch.setenv("MAQUETTE_MASTER_KEY", second.text)  # wins over the older name
    async with open_studio() as studio:
        assert await _values(studio, ids) == VALUES


async def test_two_rotations_at_once_are_refused(open_studio: Opener) -> None:
    async with open_studio() as studio:
        await _with_secrets(studio)
        with studio.vault.lock(), pytest.raises(ProjectBusy):
            await rotating.rotate(studio)


async def test_a_process_that_knew_the_old_key_goes_on(open_studio: Opener) -> None:
    async with open_studio() as server, open_studio() as other:
        ids = await _with_secrets(server)
        assert await _values(server, ids) == VALUES
        done = await rotating.rotate(other)
        assert await _values(server, ids) == VALUES
        await secrets.put(server, ids[0], "openai", "api_key", KEY)
        assert await _used(server) == {done.key_id}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="crashes are made by forking")
def test_killed_at_every_line_of_a_rotation_nothing_is_lost(tmp_path: Path) -> None:
    """D2: the rows and the key files agree, whichever was written last."""
    script = Path(__file__).with_name("dying_rotation.py")
    ended = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False, timeout=500
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    seen = json.loads(ended.stdout)
    assert seen["killed"] > 60
    assert seen["lost"] == []
    assert seen["states"] == ["before", "committed", "done"]


@pytest.fixture
def fresh_database(postgres_url: str, request: pytest.FixtureRequest) -> str:
    """Create an empty database on the server, named after the test."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())[:40].lower()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    head, _, tail = postgres_url.partition("/postgres?")
    return f"{head}/{name}?{tail}"
