"""A job is called with its project's key, which wins over the environment's and `.env`'s."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import pytest
from pydantic import SecretStr

from maquette.core.errors import CapabilityMissing
from maquette.core.pipeline import RunOrder
from maquette.core.provider import Run
from maquette.core.requests import Generated, ImageRequest
from maquette.core.states import JobState
from maquette.services import planning, projects, running, secrets, starting
from maquette.services.starting import Spending
from maquette.services.studio import Studio
from maquette.testing.scripted import Books, ScriptedProvider
from tests.conftest import Opener
from tests.jobs.conftest import see


class Keyed(ScriptedProvider):
    """Wants a key for every call, and remembers which it was given."""

    id = "keyed"

    def __init__(self, books: Books) -> None:
        super().__init__(books)
        self.key_name = "KEYED_TOKEN"
        self.used: list[str] = []

    def missing(self, keys: Collection[str] = ()) -> str | None:
        return None if "KEYED_TOKEN" in keys else "Set the key KEYED_TOKEN."

    async def generate(self, request: ImageRequest, run: Run) -> Generated:
        self.used.append(run.secret("KEYED_TOKEN").get_secret_value())
        return await super().generate(request, run)


async def _keep(studio: Studio, value: str, name: str = "api_key") -> str:
    project = await projects.find(studio, "demo")
    await secrets.put(studio, project.id, "keyed", name, SecretStr(value))
    return project.id


@pytest.fixture
def keyed(books: Books) -> Keyed:
    return Keyed(books)


Begin = Callable[..., Awaitable[str]]


@pytest.fixture
def begin(scenes: Path, root: Path) -> Begin:
    """Plan and start a run of the keyed provider."""

    async def begun(studio: Studio, *, model: str = "free", project: str = "demo") -> str:
        order = RunOrder(
            project=project, input=scenes, provider="keyed", model=model, prompt="a test"
        )
        plan = await planning.plan(studio, order, root.with_name(project))
        return await starting.start(studio, plan, Spending(confirmed=True))

    return begun


async def test_a_job_uses_its_projects_key(
    open_studio: Opener,
    begin: Begin,
    keyed: Keyed,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """LAB-21: a project's secret wins over the environment."""
    monkeypatch.setenv("KEYED_TOKEN", "of-the-environment")
    async with open_studio(more=[keyed]) as studio:
        with pytest.raises(CapabilityMissing, match="KEYED_TOKEN"):
            await begin(studio)
        await projects.create(
            studio, "demo", name=None, root=root.with_name("demo"), default_root=False
        )
        project_id = await _keep(studio, "of-the-project")
        seen = await see(studio, await begin(studio))
        assert seen.state is JobState.SUCCEEDED
        assert set(keyed.used) == {"of-the-project"}
        await secrets.remove(studio, project_id, "keyed", "api_key")
        assert (await studio.keys_of(project_id)).get("KEYED_TOKEN").get_secret_value() == (
            "of-the-environment"
        )


async def test_the_environment_wins_over_dotenv(
    open_studio: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("LAB_TOKEN=of-dotenv\nOTHER_TOKEN=of-dotenv\n")
    monkeypatch.setenv("LAB_TOKEN", "of-the-environment")
    async with open_studio() as studio:
        await projects.create(studio, "demo", name=None, root=None, default_root=False)
        keys = await studio.keys_of((await projects.find(studio, "demo")).id)
        assert keys.get("LAB_TOKEN").get_secret_value() == "of-the-environment"
        assert keys.get("OTHER_TOKEN").get_secret_value() == "of-dotenv"
        with pytest.raises(CapabilityMissing, match="maquette secret set"):
            keys.get("NO_TOKEN")


async def test_a_key_that_cannot_be_opened_is_not_replaced_by_anothers(
    open_studio: Opener,
    begin: Begin,
    keyed: Keyed,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The installation's key may be charged to another account."""
    monkeypatch.setenv("KEYED_TOKEN", "of-the-environment")
    async with open_studio(more=[keyed]) as studio:
        await projects.create(
            studio, "demo", name=None, root=root.with_name("demo"), default_root=False
        )
        await _keep(studio, "of-the-project")
        run = await begin(studio, model="paid")
        key_id = studio.vault.current().id
        aside = (studio.home / "master.key").rename(studio.home / "aside")
        with pytest.raises(CapabilityMissing, match=key_id):
            await begin(studio)
        seen = await see(studio, run)
        assert seen.state is JobState.FAILED
        assert {job.error_code for job in seen.jobs} == {"secrets-locked"}
        assert (keyed.used, seen.held, seen.settled) == ([], 0, 0)
        aside.replace(studio.home / "master.key")
        again = await running.resume(studio, run, Spending(confirmed=True))
        assert (await see(studio, again)).state is JobState.SUCCEEDED
        assert set(keyed.used) == {"of-the-project"}


async def test_another_projects_key_is_not_used(
    open_studio: Opener, begin: Begin, keyed: Keyed, root: Path
) -> None:
    async with open_studio(more=[keyed]) as studio:
        await projects.create(
            studio, "demo", name=None, root=root.with_name("demo"), default_root=False
        )
        await _keep(studio, "of-the-project")
        with pytest.raises(CapabilityMissing, match="KEYED_TOKEN"):
            await begin(studio, project="other")


async def test_the_name_in_the_environment_is_the_one_that_the_provider_declares(
    open_studio: Opener, keyed: Keyed
) -> None:
    async with open_studio(more=[keyed]) as studio:
        names = studio.shop.providers
        assert secrets.variable(names, "keyed", "api_key") == "KEYED_TOKEN"
        assert secrets.variable(names, "removebg", "api_key") == "REMOVE_BG_API_KEY"
        assert secrets.variable(names, "photoroom", "api_key") == "PHOTOROOM_API_KEY"
        assert secrets.variable(names, "openai", "api_key") == "OPENAI_API_KEY"
        assert secrets.variable(names, "aws", "secret-access_key") == "AWS_SECRET_ACCESS_KEY"
