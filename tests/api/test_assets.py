"""The library over HTTP: lists, search, marks, families and the trash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.api.conftest import Serve
from tests.api.pictures import AT, begun_run, made_run, project, send, uploaded

from maquette.core.states import JobState
from maquette.db import assets, events
from maquette.db.tables import Asset, AssetParent, Blob, Candidate, Job
from maquette.services import trash
from maquette.testing.serving import Served


async def listed(served: Served, **query: Any) -> list[str]:
    """Return the names of a list, all pages together."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        given = query | ({} if cursor is None else {"cursor": cursor})
        reply = await served.client.get(AT, params=given)
        assert reply.status_code == 200, reply.text
        page = reply.json()
        found += [one["name"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return found


async def code(served: Served, method: str, path: str, **more: Any) -> tuple[int, str]:
    reply = await served.client.request(method, f"{AT}{path}", **more)
    return reply.status_code, "" if reply.is_success else reply.json()["error"]["code"]


async def test_pages_are_newest_first_without_gaps_or_repeats(served: Served) -> None:
    await uploaded(served, 7)
    names = [f"p{number}.png" for number in reversed(range(7))]
    assert await listed(served, limit=2) == names
    assert await listed(served) == names


async def test_an_item_says_what_a_gallery_shows(served: Served) -> None:
    (asset_id,) = await uploaded(served, 1)
    (item,) = (await served.client.get(AT)).json()["items"]
    assert item["id"] == asset_id
    assert (item["width"], item["height"], item["media_type"]) == (32, 32, "image/png")
    assert item["file_url"] == f"{AT}/{asset_id}/file"
    assert set(item["thumbnails"]) == {"256", "512", "1024"}
    assert (item["tags"], item["favourite"], item["cost_usd"]) == ([], False, "0")
    for url in (item["file_url"], *item["thumbnails"].values()):
        assert (await served.client.get(url)).status_code == 200


@pytest.mark.parametrize("cursor", ["x", "dQ", "AAAA", "dAAAAAAAAAAA" * 5, "é", "w"])
async def test_a_cursor_that_is_none_is_refused(served: Served, cursor: str) -> None:
    await project(served)
    assert await code(served, "GET", "", params={"cursor": cursor}) == (422, "bad-parameter")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_time_that_utc_has_not_is_refused(served: Served, moment: str) -> None:
    await uploaded(served, 1)
    for name in ("created_after", "created_before"):
        reply = await served.client.get(AT, params={name: moment})
        assert (reply.status_code, reply.json()["error"]["code"]) == (422, "bad-parameter")


async def test_the_cursor_of_a_list_is_none_of_a_search(served: Served) -> None:
    await uploaded(served, 3)
    cursor = (await served.client.get(AT, params={"limit": 1})).json()["next"]
    assert len(cursor) <= 36
    wrong = {"cursor": cursor, "q": "p1"}
    assert await code(served, "GET", "", params=wrong) == (422, "bad-parameter")


async def test_words_and_filters_find_what_a_run_made(served: Served) -> None:
    await project(served)
    run = await made_run(served, prompt="a quiet harbour at dusk")
    found = await served.client.get(AT, params={"q": "quiet harb", "kind": "edited"})
    (item,) = found.json()["items"]
    assert item["prompt"] == "a quiet harbour at dusk"
    assert (item["provider"], item["model"]) == ("scripted", "paid")
    assert (item["run"], item["job"]) == (run, f"{run}-001")
    assert item["creator"]
    upscaled = await served.client.get(AT, params={"run": run, "kind": "upscale"})
    (after,) = upscaled.json()["items"]
    assert (after["prompt"], after["provider"]) == (item["prompt"], "scripted")
    assert await listed(served, q="quiet sunrise") == []
    assert await listed(served, run="nowhere") == []
    assert len(await listed(served, creator=item["creator"], model="paid")) == 2


async def test_one_asset_tells_what_made_it_and_its_family(served: Served) -> None:
    await project(served)
    await made_run(served, prompt="dusk")
    (item,) = (await served.client.get(AT, params={"kind": "edited"})).json()["items"]
    shown = (await served.client.get(f"{AT}/{item['id']}")).json()
    assert shown["made_by"]["request"]["prompt"] == "dusk"
    assert shown["files"] == ["outputs/coast.png"]
    assert [(one["kind"], one["role"]) for one in shown["parents"]] == [("source", "init")]
    assert [one["kind"] for one in shown["children"]] == ["upscale"]
    tree = (await served.client.get(f"{AT}/{item['id']}/lineage")).json()
    assert [one["kind"] for one in tree["nodes"]] == ["edited", "source", "upscale"]
    assert {(one["parent"], one["child"]) for one in tree["edges"]} == {
        (shown["parents"][0]["id"], item["id"]),
        (item["id"], shown["children"][0]["id"]),
    }
    assert tree["truncated"] is False
    up = await served.client.get(f"{AT}/{item['id']}/lineage", params={"direction": "up"})
    assert [one["kind"] for one in up.json()["nodes"]] == ["edited", "source"]
    short = await served.client.get(f"{AT}/{item['id']}/lineage", params={"limit": 2})
    assert (len(short.json()["nodes"]), short.json()["truncated"]) == (2, True)


async def test_consent_is_told(served: Served) -> None:
    await project(served)
    made = (await send(served, consent="It is mine.")).json()
    shown = (await served.client.get(f"{AT}/{made[0]['id']}")).json()
    assert [one["words"] for one in shown["consents"]] == ["It is mine."]


async def test_tags_are_set_as_a_whole_and_filter_all_together(served: Served) -> None:
    first, second, _ = await uploaded(served, 3)
    put = await served.client.put(f"{AT}/{first}/tags", json={"tags": ["Cover", " final  cut "]})
    assert put.json() == {"tags": ["cover", "final cut"]}
    await served.client.put(f"{AT}/{second}/tags", json={"tags": ["cover"]})
    assert await listed(served, tag="COVER", limit=1) == ["p1.png", "p0.png"]
    assert await listed(served, tag=["cover", "final cut"]) == ["p0.png"]
    await served.client.put(f"{AT}/{first}/tags", json={"tags": []})
    assert await listed(served, tag="cover") == ["p1.png"]


@pytest.mark.parametrize("tags", [["a"] * 33, ["x" * 65], [""], [" "], ["a\u0007b"], "cover", [1]])
async def test_what_is_no_tag_is_refused(served: Served, tags: object) -> None:
    (asset_id,) = await uploaded(served, 1)
    assert await code(served, "PUT", f"/{asset_id}/tags", json={"tags": tags}) == (
        422,
        "bad-parameter",
    )


async def test_a_favourite_is_one_persons(served: Served) -> None:
    first, _ = await uploaded(served, 2)
    for _ in range(2):
        assert await code(served, "PUT", f"/{first}/favourite") == (204, "")
    assert await listed(served, favourite=True) == ["p0.png"]
    items = (await served.client.get(AT)).json()["items"]
    assert [one["favourite"] for one in items] == [False, True]
    assert await code(served, "DELETE", f"/{first}/favourite") == (204, "")
    assert await listed(served, favourite=True) == []


async def test_the_trash_hides_and_gives_back(served: Served) -> None:
    first, second, third = await uploaded(served, 3)
    await served.client.put(f"{AT}/{first}/tags", json={"tags": ["x"]})
    await served.client.put(f"{AT}/{first}/favourite")
    for one in (second, first):
        put = await served.client.post(f"{AT}/{one}/trash")
        assert put.json()["trashed_at"] is not None
    for query in ({}, {"tag": "x"}, {"favourite": True}, {"q": "p0"}, {"kind": "source"}):
        assert "p0.png" not in await listed(served, **query)
    assert await listed(served, trashed=True, limit=1) == ["p0.png", "p1.png"]
    assert await listed(served, trashed=True, q="p0") == ["p0.png"]
    assert (await served.client.get(f"{AT}/{first}/file")).status_code == 200
    back = await served.client.post(f"{AT}/{first}/restore")
    assert back.json()["trashed_at"] is None
    assert await listed(served) == ["p2.png", "p0.png"]
    assert third


async def test_purging_takes_rows_and_leaves_the_bytes_to_gc(served: Served) -> None:
    first, second = await uploaded(served, 2)
    assert await code(served, "DELETE", f"/{first}") == (409, "wrong-state")
    await served.client.put(f"{AT}/{first}/tags", json={"tags": ["x"]})
    await served.client.post(f"{AT}/{first}/trash")
    digest = (await served.client.get(f"{AT}/{first}")).json()["sha256"]
    assert await code(served, "DELETE", f"/{first}") == (204, "")
    assert await code(served, "GET", f"/{first}") == (404, "asset-not-found")
    assert await code(served, "DELETE", f"/{first}") == (404, "asset-not-found")
    async with served.house.studio.shop.db.read() as session:
        digests = (await session.execute(select(Blob.digest))).scalars().all()
        assert len(digests) == 1
        assert digest not in digests
    assert (await served.client.get(f"{AT}/{second}/file")).status_code == 200


async def test_what_something_was_made_from_is_not_purged(served: Served) -> None:
    await project(served)
    run = await made_run(served, prompt="dusk")
    items = (await served.client.get(AT)).json()["items"]
    by_kind = {one["kind"]: one["id"] for one in items}
    for one in by_kind.values():
        await served.client.post(f"{AT}/{one}/trash")
    assert await code(served, "DELETE", f"/{by_kind['source']}") == (409, "wrong-state")
    for kind in ("upscale", "edited", "source"):
        assert await code(served, "DELETE", f"/{by_kind[kind]}") == (204, "")
    async with served.house.studio.shop.db.read() as session:
        assert (await session.execute(select(Candidate))).first() is None
        job = await session.get_one(Job, f"{run}-001")
        assert job.final_asset_id is None
    assert (await served.client.get(f"/api/projects/p/jobs/{job.id}")).status_code == 200


async def test_what_a_run_still_needs_is_not_purged(serve: Serve) -> None:
    async with serve(work=False) as served:
        await project(served)
        await begun_run(served, prompt="dusk")
        (source,) = (await served.client.get(AT, params={"kind": "source"})).json()["items"]
        await served.client.post(f"{AT}/{source['id']}/trash")
        assert await code(served, "DELETE", f"/{source['id']}") == (409, "wrong-state")


@pytest.mark.parametrize(
    ("state", "purged"), [(JobState.FAILED, "purged"), (JobState.SUCCEEDED, None)]
)
async def test_a_job_whose_picture_is_gone_is_not_resumed(
    served: Served, state: JobState, purged: str | None
) -> None:
    await project(served)
    run = await made_run(served, prompt="dusk")
    db = served.house.studio.shop.db
    async with db.write() as session:
        await session.execute(update(Job).values(state=state.value))
    (last,) = (await served.client.get(AT, params={"kind": "upscale"})).json()["items"]
    await served.client.post(f"{AT}/{last['id']}/trash")
    assert await code(served, "DELETE", f"/{last['id']}") == (204, "")
    async with db.read() as session:
        assert (await session.get_one(Job, f"{run}-001")).error_code == purged


async def test_the_sweep_purges_what_is_old_enough_leaves_first(served: Served) -> None:
    first, second, third, fresh = await uploaded(served, 4)
    studio = served.house.studio
    long_ago = datetime.now(UTC) - timedelta(days=31)
    async with studio.shop.db.write() as session:
        await assets.link(session, second, first, "init")
        await assets.link(session, fresh, third, "init")
        wanted = Asset.id.in_([first, second, third])
        await session.execute(update(Asset).where(wanted).values(deleted_at=long_ago))
    assert await trash.sweep(studio, 32) == 0
    assert await trash.sweep(studio, 30) == 2
    assert await listed(served, trashed=True) == ["p2.png"]
    async with studio.shop.db.read() as session:
        links = (await session.execute(select(AssetParent.asset_id))).scalars().all()
    assert links == [fresh]


async def test_a_picture_that_is_used_again_leaves_the_trash(served: Served) -> None:
    await project(served)
    await made_run(served, prompt="dusk")
    (source,) = (await served.client.get(AT, params={"kind": "source"})).json()["items"]
    await served.client.post(f"{AT}/{source['id']}/trash")
    await made_run(served, prompt="dawn")
    shown = (await served.client.get(f"{AT}/{source['id']}")).json()
    assert shown["trashed_at"] is None
    assert len(shown["children"]) == 2


async def test_an_asset_of_another_project_is_none_of_this_one(served: Served) -> None:
    (asset_id,) = await uploaded(served, 1)
    await project(served, "other")
    for path in ("", "/file", "/thumbnail", "/lineage"):
        reply = await served.client.get(f"/api/projects/other/assets/{asset_id}{path}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "asset-not-found")
    for method, path in (("POST", "/trash"), ("PUT", "/favourite"), ("DELETE", "")):
        reply = await served.client.request(method, f"/api/projects/other/assets/{asset_id}{path}")
        assert reply.status_code == 404


async def test_changes_are_told_to_who_follows(served: Served) -> None:
    (asset_id,) = await uploaded(served, 1)
    async with served.house.studio.shop.db.read() as session:
        before = await events.last_id(session)
    await served.client.post(f"{AT}/{asset_id}/trash")
    await served.client.post(f"{AT}/{asset_id}/trash")
    await served.client.post(f"{AT}/{asset_id}/restore")
    async with served.house.studio.shop.db.read() as session:
        told = [one.kind for one in await events.after_id(session, before, 10)]
    assert told == ["asset_trashed", "asset_restored"]
