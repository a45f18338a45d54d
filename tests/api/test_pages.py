"""Pages that need no network: the documentation, and one for every error code."""

from __future__ import annotations

import pytest

from maquette.api import pages
from maquette.api.advice import ADVICE
from maquette.api.problems import status_of
from maquette.testing.serving import Served


def test_every_error_has_a_page_and_no_page_is_left_over() -> None:
    assert set(ADVICE) == set(pages.kinds())


@pytest.mark.parametrize("code", sorted(ADVICE))
def test_a_page_says_what_to_do(code: str) -> None:
    page = pages.problem(code)
    assert "What to do" in page
    assert str(status_of(pages.kinds()[code])) in page


async def test_the_documentation_lists_every_operation_and_loads_nothing(served: Served) -> None:
    page = await served.client.get("/docs")
    assert page.status_code == 200
    contract = (await served.client.get("/openapi.json")).json()
    for path in contract["paths"]:
        assert f"<code>{path}</code>" in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_the_type_of_an_error_leads_to_its_page(served: Served) -> None:
    problem = (await served.client.get("/api/projects/nowhere")).json()
    assert (await served.client.get(problem["type"])).status_code == 200
    assert (await served.client.get("/problems/nonsense")).status_code == 404


async def test_figures_are_told_for_prometheus(served: Served) -> None:
    await served.client.get("/api/projects/nowhere")
    text = (await served.client.get("/metrics")).text
    route = 'route="/api/projects/{slug}"'
    assert f'maquette_requests_total{{method="GET",{route},status="404"}} 1.0' in text
    assert 'maquette_jobs{state="queued"} 0.0' in text
    assert "maquette_ready 1.0" in text
