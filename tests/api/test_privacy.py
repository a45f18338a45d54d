"""One person's data: all of it in their archive, and nothing of it left after erasing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import pytest
from sqlalchemy import select
from tests.api.test_uploads import noise
from tests.conftest import Opener
from tests.jobs.test_postgres import fresh_database

from maquette.core.errors import UnsafePath, UserNotFound, WrongState
from maquette.core.people import Caller, ProjectRole, Role
from maquette.core.requests import Digest
from maquette.core.storage import object_key
from maquette.db import assets, people, uploads
from maquette.db.tables import (
    ApiKey,
    Asset,
    Base,
    ChatMessage,
    ChatSession,
    Consent,
    Favourite,
    Instruction,
    InstructionEvent,
    LoginSession,
    Upload,
    User,
    VoiceRequest,
)
from maquette.services import people as accounts
from maquette.services import privacy, projects, resuming, uploading
from maquette.services.inputs import given_path
from maquette.services.people import Change
from maquette.services.resuming import Desk
from maquette.services.studio import Studio
from maquette.services.uploading import Uploaded, Wishes
from maquette.testing.serving import Served

__all__ = ["fresh_database"]

NAME = "ada-lovelace"
WORDS = "My name is ada-lovelace and I agree."


class Scene:
    """A person with something of everything, and a second one beside them."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.free = noise(1)
        self.used = noise(2)
        self.half = noise(3)
        self.voice = b"RIFF the voice of ada"

    async def make(self) -> Scene:
        self.ada = await self._caller(NAME)
        other = await self._caller("grace")
        await accounts.create(self.studio, "root", Role.ADMIN, Change())
        await projects.create(
            self.studio, "p", name=None, root=None, default_root=True, owner=self.ada
        )
        self.project = await projects.find(self.studio, "p")
        self.place = await uploading.place_of(self.studio, self.project)
        self.free_asset = await self.sent(self.ada, self.free, "ada-lovelace.png")
        self.used_asset = await self.sent(self.ada, self.used, "portrait of ada-lovelace.png")
        made_by_other = await self.sent(other, noise(4), "other.png")
        desk = Desk(self.studio, self.project, self.ada)
        begun = await resuming.begin(desk, len(self.half), f"{NAME}.png", Wishes(), 10**6)
        async with resuming.writing(desk, begun.id, 0, None) as writing:
            await writing.write(self.half[:100])
        digest = await self._stored(self.voice)
        async with self.studio.shop.db.write() as session:
            await assets.link(session, made_by_other.id, self.used_asset.id, "init")
            await people.join(session, self.project.id, other.user_id, ProjectRole.OWNER, self._now)
            for row in self._rows(digest):
                session.add(row)
                await session.flush()
        return self

    @property
    def _now(self) -> Any:
        return self.studio.shop.clock.now()

    async def _caller(self, name: str) -> Caller:
        made = await accounts.create(self.studio, name, Role.CREATOR, Change())
        return Caller(made.id, made.name, made.role)

    async def sent(self, who: Caller, data: bytes, name: str) -> Uploaded:
        words = WORDS if who is self.ada else "I agree."
        async with uploading.intake(self.studio, self.project, who, 10**7) as intake:
            await intake.begin(name)
            await intake.write(data)
            return (await intake.finish(Wishes(consent=words, tags=("sea",))))[0]

    async def _stored(self, data: bytes) -> Digest:
        from maquette.core.requests import digest_of  # noqa: PLC0415 - only here

        await self.place.storage.put(object_key(digest_of(data)), data)
        return digest_of(data)

    def _rows(self, digest: Digest) -> list[Base]:
        now, user, project = self._now, self.ada.user_id, self.project.id
        chat, told = str(uuid4()), str(uuid4())
        key = {"name": f"{NAME}'s key", "prefix": "mq_abc", "hash": "h" * 64, "scopes": ["read"]}
        free = self.free_asset.id
        return [
            ChatSession(id=chat, project_id=project, user_id=user, title=WORDS, created_at=now),
            ChatMessage(session_id=chat, role="user", content=WORDS, data={}, created_at=now),
            Instruction(
                id=told,
                project_id=project,
                user_id=user,
                session_id=chat,
                kind="qa",
                state="succeeded",
                payload={"words": WORDS},
                dispatch=False,
                created_at=now,
            ),
            InstructionEvent(
                instruction_id=told, kind="made", state="draft", data={"by": NAME}, at=now
            ),
            VoiceRequest(
                id=str(uuid4()),
                project_id=project,
                user_id=user,
                kind="stt",
                state="succeeded",
                text=WORDS,
                audio_digest=digest,
                data={},
                created_at=now,
            ),
            ApiKey(id=str(uuid4()), user_id=user, created_at=now, **key),
            LoginSession(
                id="s" * 64, user_id=user, created_at=now, last_used_at=now, expires_at=now
            ),
            Favourite(
                user_id=user, asset_id=free, project_id=project, asset_at=now, created_at=now
            ),
        ]

    async def rows(self) -> str:
        """Return every row of every table as text."""
        found: list[str] = []
        async with self.studio.shop.db.read() as session:
            for table in Base.metadata.sorted_tables:
                found += [str(tuple(row)) for row in await session.execute(select(table))]
        return "\n".join(found)

    def files(self) -> dict[Path, bytes]:
        root = self.place.folders.root
        return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    found: str = request.getfixturevalue("fresh_database")
    return found


async def test_the_archive_has_everything_and_nothing_secret(open_studio: Opener) -> None:
    async with open_studio() as studio:
        scene = await Scene(studio).make()
        pieces = [piece async for piece in privacy.archive(studio, NAME)]
    with ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        lists = {
            name: json.loads(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".json")
        }
        held = {archive.read(name) for name in archive.namelist() if "/" in name}
    assert lists.pop("account.json")["name"] == NAME
    counts = {name.removesuffix(".json"): len(rows) for name, rows in lists.items()}
    assert counts == {
        **dict.fromkeys(("memberships", "sign_ins", "api_keys", "favourites", "chats"), 1),
        **dict.fromkeys(("chat_messages", "instructions", "voice_requests"), 1),
        "consents": 2,
        "uploads": 2,
        "runs": 0,
        "unfinished_uploads": 1,
        "credits": 0,
        "purchases": 0,
    }
    assert held == {scene.free, scene.used, scene.voice}
    assert "h" * 64 not in json.dumps(lists)
    assert "s" * 64 not in json.dumps(lists)
    assert lists["consents.json"][0]["words"] == WORDS


async def test_nothing_with_the_name_or_the_bytes_is_left(
    open_studio: Opener, url: str | None
) -> None:
    async with open_studio(url=url) as studio:
        scene = await Scene(studio).make()
        before = await scene.rows()
        assert before.count("lovelace") > 10
        held = set(scene.files().values())
        assert {scene.free, scene.used, scene.half[:100], scene.voice} <= held
        foreseen = await privacy.foresee(studio, NAME)
        done = await privacy.erase(studio, NAME)
        assert (done.uploads_purged, done.uploads_kept, done.recordings_deleted) == (1, 1, 1)
        assert foreseen.uploads_purged == 1 == foreseen.uploads_kept
        after = await scene.rows()
        assert "lovelace" not in after
        held = set(scene.files().values())
        assert not {scene.free, scene.half[:100], scene.voice} & held
        assert scene.used in held
        async with studio.shop.db.read() as session:
            kept, _ = await assets.get(session, scene.used_asset.id)
            assert kept.creator_id is None
            consents = (await session.execute(select(Consent))).scalars().all()
            assert {(one.user_id, one.words) for one in consents if one.asset_id == kept.id} == {
                (None, "(erased)")
            }
            person = await session.get_one(User, scene.ada.user_id)
            assert person.name == done.name == f"erased-{person.id}"
            assert person.disabled_at is not None
            assert (await session.execute(select(Upload))).first() is None
            assert len((await session.execute(select(Asset))).all()) == 2
        with pytest.raises(UserNotFound):
            await privacy.erase(studio, NAME)


async def test_bytes_that_somebody_else_sent_too_stay(open_studio: Opener) -> None:
    async with open_studio() as studio:
        scene = await Scene(studio).make()
        grace = await privacy.person(studio, "grace")
        caller = Caller(grace.id, grace.name, Role.CREATOR)
        theirs = await scene.sent(caller, scene.free, "mine.png")
        await privacy.erase(studio, NAME)
        assert scene.free in scene.files().values()
        async with studio.shop.db.read() as session:
            asset, _ = await assets.get(session, theirs.id)
            assert asset.creator_id == grace.id


async def test_an_erasure_that_was_interrupted_goes_on(
    open_studio: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes were gone, their rows were not: doing it again finds them by their rows."""
    async with open_studio() as studio:
        scene = await Scene(studio).make()
        with monkeypatch.context() as broken:

            async def fall(*_: object) -> None:
                raise KeyboardInterrupt

            broken.setattr("maquette.db.trash.purge", fall)
            with pytest.raises(KeyboardInterrupt):
                await privacy.erase(studio, NAME)
        assert scene.free not in scene.files().values()
        assert (await privacy.erase(studio, NAME)).uploads_purged == 1
        assert "lovelace" not in await scene.rows()


async def test_no_id_of_an_asset_leads_an_erasure_out_of_the_root(
    open_studio: Opener, tmp_path: Path
) -> None:
    async with open_studio() as studio:
        folders = (await Scene(studio).make()).place.folders
        given = folders.private / "given"
        assert given_path(folders, str(tmp_path), "-").is_relative_to(given)
        for climbing in ("..", "../../../x", "\\..\\.."):
            with pytest.raises(UnsafePath):
                given_path(folders, climbing, "-")


async def test_the_last_administrator_and_the_owner_of_a_laptop_stay(open_studio: Opener) -> None:
    async with open_studio() as studio:
        await accounts.local(studio)
        await accounts.create(studio, "boss", Role.ADMIN, Change(disabled=False))
        with pytest.raises(WrongState, match="MAQUETTE_HOME"):
            await privacy.erase(studio, "local")
        async with studio.shop.db.write() as session:
            found = await people.by_name(session, "local")
            assert found is not None
            found.disabled_at = studio.shop.clock.now()
        with pytest.raises(WrongState, match="only administrator"):
            await privacy.erase(studio, "boss")


async def test_the_routes_do_it(served: Served) -> None:
    studio = served.house.studio
    scene = await Scene(studio).make()
    own = await served.client.get("/api/users/me/data")
    assert own.status_code == 200
    assert own.headers["content-type"] == "application/zip"
    with ZipFile(io.BytesIO(own.content)) as archive:
        assert json.loads(archive.read("account.json"))["name"] == "local"
        assert json.loads(archive.read("uploads.json")) == []
    gone = await served.client.delete(f"/api/users/{NAME}/data")
    assert gone.status_code == 200, gone.text
    assert gone.json()["uploads_purged"] == 1
    assert "lovelace" not in await scene.rows()
    assert (await served.client.delete(f"/api/users/{NAME}/data")).status_code == 404
    refused = await served.client.delete("/api/users/local/data")
    assert refused.json()["error"]["code"] == "wrong-state"


async def test_what_a_person_may_hold_counts_only_what_they_sent(open_studio: Opener) -> None:
    async with open_studio() as studio:
        scene = await Scene(studio).make()
        async with studio.shop.db.write() as session:
            (await session.get_one(User, scene.ada.user_id)).quota_bytes = 10**6
        async with studio.shop.db.read() as session:
            room = await uploads.room(session, scene.project.id, scene.ada.user_id)
        assert room.person == 10**6 - len(scene.free) - len(scene.used)
        assert room.project is None
