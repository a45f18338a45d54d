"""The server starts, says how it is, and refuses what a page of another site sends."""

from __future__ import annotations

import pytest

from maquette.api.server import check_host
from maquette.core.errors import BadParameter
from maquette.settings import ServerSettings, load
from maquette.testing.serving import Served


async def test_health_names_what_every_surface_looks_for(served: Served) -> None:
    told = (await served.client.get("/health")).json()
    assert told["status"] == "ok"
    assert told["live"]
    assert told["ready"]
    assert told["queue"]["queued"] == 0


async def test_a_correlation_id_comes_back_and_a_wild_one_is_replaced(served: Served) -> None:
    kept = await served.client.get("/health", headers={"X-Correlation-ID": "job-7"})
    assert kept.headers["X-Correlation-ID"] == "job-7"
    wild = await served.client.get("/health", headers={"X-Correlation-ID": 'a"b c'})
    assert len(wild.headers["X-Correlation-ID"]) == 36


async def test_every_error_has_the_one_body(served: Served) -> None:
    reply = await served.client.get("/api/projects/nowhere")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert body["type"] == "/problems/project-not-found"
    assert body["error"]["code"] == "project-not-found"
    assert body["detail"] == body["error"]["message"]
    assert body["success"] is False
    assert body["correlation_id"] == reply.headers["X-Correlation-ID"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
async def test_only_our_own_pages_may_change_anything(
    served: Served, headers: dict[str, str], status: int
) -> None:
    body = {"name": "P", "slug": "p"}
    reply = await served.client.post("/api/projects", json=body, headers=headers)
    assert reply.status_code == status, reply.text


async def test_a_project_is_made_listed_and_shown(served: Served) -> None:
    body = {"name": "Eugenia Prod", "slug": "eugenia_prod"}
    made = await served.client.post("/api/projects", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["slug"] == "eugenia_prod"
    listed = (await served.client.get("/api/projects")).json()
    assert [one["slug"] for one in listed] == ["eugenia_prod"]
    again = await served.client.post("/api/projects", json=body)
    assert again.status_code == 409


async def test_what_is_not_there_and_wrong_methods_are_problems_too(served: Served) -> None:
    nowhere = await served.client.get("/nowhere")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "no-such-route")
    wrong = await served.client.delete("/health")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method-not-allowed")
    assert wrong.headers["Allow"]


def test_strangers_are_not_let_in_where_nobody_signs_in() -> None:
    with pytest.raises(BadParameter, match="MAQUETTE_SERVER__AUTH=multi"):
        check_host("0.0.0.0", load())  # noqa: S104 - that is what is refused
    check_host("0.0.0.0", load(server=ServerSettings(auth="multi")))  # noqa: S104 - as above
    check_host("::1", load())
