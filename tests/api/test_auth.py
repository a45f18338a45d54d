"""WEB-5: people sign in, and leave; nothing tells who has an account."""

from __future__ import annotations

import asyncio
import base64
import statistics
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from tests.api.conftest import Serve
from tests.api.people import PASSWORD, access_token, bearer, make, signed_in

from maquette import bootstrap
from maquette.core.errors import BadParameter, StorageDamaged
from maquette.core.people import Role, Scope
from maquette.services import people, sessions
from maquette.services.people import Change
from maquette.settings import load
from maquette.testing.serving import Served


@pytest.fixture
async def many(serve: Serve) -> AsyncGenerator[Served]:
    """A multi-user server with an administrator `root`, a creator `ann` and a viewer `vic`."""
    async with serve(auth="multi", work=False, logins_per_minute=1000) as served:
        for name, role in (("root", Role.ADMIN), ("ann", Role.CREATOR), ("vic", Role.VIEWER)):
            await make(served.house.studio, name, role)
        yield served


async def test_a_session_begins_with_a_cookie_that_scripts_cannot_read(many: Served) -> None:
    body = {"name": " Ann", "password": PASSWORD}
    reply = await many.client.post("/api/auth/login", json=body)
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert (told["name"], told["role"], told["via"], told["mode"]) == (
        "ann",
        "creator",
        "session",
        "multi",
    )
    cookie = reply.headers["set-cookie"]
    assert cookie.startswith("maquette_session=")
    for part in ("HttpOnly", "Path=/", "SameSite=lax", f"Max-Age={30 * 24 * 3600}"):
        assert part in cookie
    assert "Secure" not in cookie
    again = await many.client.get("/api/auth/session")
    assert again.json() == told
    assert told["csrf_token"] not in cookie


@pytest.mark.parametrize(
    ("chosen", "https", "secure"), [(None, True, True), (True, False, True), (False, True, False)]
)
async def test_the_cookie_is_secure_where_it_should_be(
    serve: Serve, *, chosen: bool | None, https: bool, secure: bool
) -> None:
    async with serve(auth="multi", secure_cookies=chosen, work=False) as served:
        await make(served.house.studio, "ann", Role.CREATOR)
        reply = await served.client.post(
            "/api/auth/login",
            json={"name": "ann", "password": PASSWORD},
            headers={"X-Forwarded-Proto": "https" if https else "http"},
        )
        assert ("Secure" in reply.headers["set-cookie"]) is secure


async def test_a_change_by_cookie_needs_the_csrf_token_and_by_bearer_none(many: Served) -> None:
    client = await signed_in(many, "ann")
    body = {"name": "P", "slug": "p"}
    bare = await client.raw.post("/api/projects", json=body)
    assert (bare.status_code, bare.json()["error"]["code"]) == (403, "cross-site")
    others = await signed_in(many, "vic")
    foreign = await client.raw.post(
        "/api/projects", json=body, headers={"X-CSRF-Token": others.csrf}
    )
    assert foreign.status_code == 403
    made = await client.post("/api/projects", json=body)
    assert made.status_code == 201, made.text
    token = await access_token(many, "ann")
    by_bearer = await bearer(many, token).post("/api/projects", json={"name": "Q", "slug": "q"})
    assert by_bearer.status_code == 201
    assert (await client.raw.get("/api/projects")).status_code == 200


async def test_no_answer_tells_which_names_exist(many: Served) -> None:
    await people.change(many.house.studio, "vic", Change(disabled=True))
    await people.create(many.house.studio, "mute", Role.CREATOR, Change())
    answers: set[tuple[int, str, str]] = set()
    for name, password in (
        ("nobody", PASSWORD),
        ("ann", "not the password"),
        ("vic", PASSWORD),
        ("mute", PASSWORD),
        ("mute", "A"),
        ("no name at all ☃", PASSWORD),
    ):
        for route in ("login", "token"):
            body = {"name": name, "password": password}
            reply = await many.client.post(f"/api/auth/{route}", json=body)
            answers.add((reply.status_code, reply.json()["error"]["code"], reply.json()["detail"]))
    assert len(answers) == 1
    assert next(iter(answers))[:2] == (401, "unauthenticated")


@pytest.mark.usefixtures("dear_passwords")
async def test_an_unknown_name_takes_as_long_as_a_wrong_password(many: Served) -> None:
    """Constant time: the same hash is computed where there is none to compare with."""

    async def seconds(name: str) -> float:
        began = time.perf_counter()
        body = {"name": name, "password": "not the password"}
        await many.client.post("/api/auth/login", json=body)
        return time.perf_counter() - began

    times = {"ann": [0.0], "nobody": [0.0]}
    for _ in range(5):
        for name, found in times.items():
            found.append(await seconds(name))
    known, unknown = (statistics.median(found[1:]) for found in times.values())
    assert unknown > known / 2


async def test_tries_are_counted_by_address_and_refused_before_the_password_is_looked_at(
    serve: Serve,
) -> None:
    async with serve(auth="multi", work=False, logins_per_minute=3) as served:
        await make(served.house.studio, "ann", Role.CREATOR)
        wrong = {"name": "ann", "password": "not the password"}
        for route in ("login", "token", "login"):
            reply = await served.client.post(f"/api/auth/{route}", json=wrong)
            assert reply.status_code == 401
        right = {"name": "ann", "password": PASSWORD}
        refused = await served.client.post("/api/auth/login", json=right)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too-many-requests")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60


async def test_signing_out_ends_this_session_alone(many: Served) -> None:
    here, there = await signed_in(many, "ann"), await signed_in(many, "ann")
    left = await here.post("/api/auth/logout")
    assert left.status_code == 204, left.text
    assert 'maquette_session=""' in left.headers["set-cookie"]
    stale = {"Cookie": f"maquette_session={here.session}"}
    after = await many.client.get("/api/auth/session", headers=stale)
    assert after.status_code == 401
    assert after.json()["detail"] == "The session is over; sign in again."
    assert (await there.raw.get("/api/auth/session")).status_code == 200


async def test_signing_out_everywhere_ends_sessions_and_tokens(many: Served) -> None:
    here, there = await signed_in(many, "ann"), await signed_in(many, "ann")
    token = bearer(many, await access_token(many, "ann"))
    others = await signed_in(many, "root")
    assert (await token.get("/api/auth/session")).json()["via"] == "token"
    assert (await here.post("/api/auth/logout?everywhere=true")).status_code == 204
    for client in (here.raw, there.raw, token):
        assert (await client.get("/api/auth/session")).status_code == 401
    assert (await others.raw.get("/api/auth/session")).status_code == 200


async def test_a_new_password_ends_other_sessions_and_tokens_but_not_this_one(many: Served) -> None:
    here, there = await signed_in(many, "ann"), await signed_in(many, "ann")
    token = bearer(many, await access_token(many, "ann"))
    change = {"present": "not the password", "new": "another long one"}
    wrong = await here.post("/api/auth/password", json=change)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "forbidden")
    short = await here.post("/api/auth/password", json={"present": PASSWORD, "new": "123456789"})
    assert short.status_code == 422
    assert (await there.raw.get("/api/auth/session")).status_code == 200
    change["present"] = PASSWORD
    assert (await here.post("/api/auth/password", json=change)).status_code == 204
    assert (await here.raw.get("/api/auth/session")).status_code == 200
    for client in (there.raw, token):
        assert (await client.get("/api/auth/session")).status_code == 401
    old = await many.client.post("/api/auth/login", json={"name": "ann", "password": PASSWORD})
    assert old.status_code == 401
    await signed_in(many, "ann", "another long one")


async def test_disabling_ends_everything_and_enabling_brings_none_of_it_back(many: Served) -> None:
    session = await signed_in(many, "ann")
    token = bearer(many, await access_token(many, "ann"))
    root = await signed_in(many, "root")
    assert (await root.patch("/api/users/ann", json={"disabled": True})).status_code == 200
    for client in (session.raw, token):
        assert (await client.get("/api/auth/session")).status_code == 401
    assert (await root.patch("/api/users/ann", json={"disabled": False})).status_code == 200
    for client in (session.raw, token):
        assert (await client.get("/api/auth/session")).status_code == 401
    await signed_in(many, "ann")


async def test_a_session_ends_after_its_days(many: Served) -> None:
    begun = await sessions.sign_in(many.house.studio, "ann", PASSWORD, days=0)
    headers = {"Cookie": f"maquette_session={begun.token}"}
    assert (await many.client.get("/api/auth/session", headers=headers)).status_code == 401


async def test_a_demotion_holds_for_what_was_handed_out_before(many: Served) -> None:
    token = bearer(many, await access_token(many, "ann"))
    root = await signed_in(many, "root")
    assert (await token.post("/api/projects", json={"name": "P", "slug": "p"})).status_code == 201
    await root.patch("/api/users/ann", json={"role": "viewer"})
    refused = await token.post("/api/projects", json={"name": "Q", "slug": "q"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


async def test_an_access_token_is_good_for_its_minutes_and_its_scopes(many: Served) -> None:
    body = {"name": "ann", "password": PASSWORD, "scopes": ["read"]}
    reply = await many.client.post("/api/auth/token", json=body)
    told = reply.json()
    assert (told["token_type"], told["expires_in"], told["scopes"]) == ("bearer", 900, ["read"])
    reader = bearer(many, told["access_token"])
    assert (await reader.get("/api/projects")).status_code == 200
    refused = await reader.post("/api/projects", json={"name": "P", "slug": "p"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    ann = await people.show(many.house.studio, "ann")
    now = datetime.now(UTC)
    over = many.house.tokens.access(ann.id, 0, list(Scope), now, now - timedelta(minutes=15))
    assert (await bearer(many, over).get("/api/projects")).status_code == 401


async def test_forged_tokens_are_nobodys(many: Served) -> None:
    ann = await people.show(many.house.studio, "ann")
    until = datetime.now(UTC) + timedelta(minutes=5)
    claims = {"iss": "maquette", "sub": ann.id, "epoch": 0, "scopes": ["admin"], "exp": until}
    claims |= {"iat": datetime.now(UTC)}
    other_key = jwt.encode(claims, "x" * 32, algorithm="HS256")
    unsigned = jwt.encode(claims, "", algorithm="none")
    own = many.house.tokens.access(ann.id, 0, list(Scope), until, datetime.now(UTC))
    head, body, signature = own.split(".")
    spoilt = f"{head}.{body}.{signature[:-2]}"
    for forged in (other_key, unsigned, spoilt, own[:20], "mq_", "mq_nobody", "a.b.c", "x" * 5000):
        reply = await bearer(many, forged).get("/api/projects")
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "unauthenticated")
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
        assert forged not in reply.text
    assert (await bearer(many, own).get("/api/projects")).status_code == 200


async def test_what_is_shown_as_bearer_is_not_helped_by_a_cookie(many: Served) -> None:
    client = await signed_in(many, "ann")
    reply = await client.raw.get("/api/projects", headers={"Authorization": "Bearer mq_wrong"})
    assert reply.status_code == 401


async def test_in_single_user_mode_a_bearer_is_ignored_and_never_logged(
    served: Served, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for ours in ("maquette", "uvicorn"):
        caplog.set_level("DEBUG", ours)
    secret = "mq_" + "this-is-somebodys"
    reply = await bearer(served, secret).get("/api/auth/session")
    assert reply.status_code == 200
    told = reply.json()
    assert (told["name"], told["role"], told["mode"], told["csrf_token"]) == (
        "local",
        "admin",
        "single",
        None,
    )
    for route in ("login", "token"):
        body = {"name": "local", "password": PASSWORD}
        tried = await served.client.post(f"/api/auth/{route}", json=body)
        assert (tried.status_code, tried.json()["error"]["code"]) == (409, "wrong-state")
    assert (await served.client.post("/api/auth/logout")).status_code == 204
    printed = capfd.readouterr()
    assert secret not in caplog.text + printed.out + printed.err + reply.text
    assert not (served.house.studio.home / "tokens.key").exists()


async def test_no_secret_is_logged_in_multi_user_mode(
    many: Served, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for ours in ("maquette", "uvicorn"):
        caplog.set_level("DEBUG", ours)
    client, token = await signed_in(many, "ann"), await access_token(many, "ann")
    await bearer(many, token).get("/api/projects")
    await many.client.post("/api/auth/login", json={"name": "hunter2", "password": "hunter2pw"})
    printed = capfd.readouterr()
    said = caplog.text + printed.out + printed.err
    assert "signing in was refused to 127.0.0.1" in said
    for secret in (client.session, client.csrf, token, PASSWORD, "hunter2"):
        assert secret not in said


async def test_answers_with_secrets_are_never_kept_for_an_idempotency_key(many: Served) -> None:
    client = await signed_in(many, "ann")
    body = {"name": "k", "scopes": ["read"]}
    headers = {"Idempotency-Key": "one"}
    first = await client.post("/api/keys", json=body, headers=headers)
    second = await client.post("/api/keys", json=body, headers=headers)
    assert first.json()["key"] != second.json()["key"]


async def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    settings = load(home=home)
    many = [asyncio.to_thread(bootstrap.open_tokens, settings) for _ in range(8)]
    found = {one.key for one in await asyncio.gather(*many)}
    assert len(found) == 1
    assert [path.name for path in home.iterdir()] == ["tokens.key"]
    assert (home / "tokens.key").stat().st_mode & 0o777 == 0o600
    assert (home / "tokens.key").read_bytes() in found
    assert repr(bootstrap.open_tokens(settings)) == "Tokens()"
    (home / "tokens.key").write_bytes(b"short")
    with pytest.raises(StorageDamaged, match="Delete it"):
        bootstrap.open_tokens(settings)


def test_a_key_in_the_environment_wins_so_that_servers_can_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    monkeypatch.setenv("MAQUETTE_TOKEN_KEY", key)
    assert bootstrap.open_tokens(load(home=tmp_path)).key == b"k" * 32
    assert list(tmp_path.iterdir()) == []
    for wrong in ("c2hvcnQ=", "not base64!", "é"):
        monkeypatch.setenv("MAQUETTE_TOKEN_KEY", wrong)
        with pytest.raises(BadParameter, match="MAQUETTE_TOKEN_KEY") as caught:
            bootstrap.open_tokens(load(home=tmp_path))
        assert wrong not in str(caught.value)
