"""Projects."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from maquette.api.contract import raises
from maquette.api.door import Creator, Owning, SignedIn, Viewing
from maquette.api.house import TheStudio
from maquette.core import notice
from maquette.core.errors import AlreadyExists, BadParameter, StorageReadOnly
from maquette.core.wanted import Wanted
from maquette.services import projects
from maquette.services.projects import Changes, ProjectFacts

router = APIRouter(prefix="/api/projects", tags=["projects"])

SlugText = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["eugenia_prod"])]


class NewProject(Wanted):
    """A project to be made; its files lie in the installation's home until it is told where."""

    name: Annotated[str, Field(min_length=1, max_length=200, examples=["Eugenia Prod"])]
    slug: SlugText


class ProjectChanges(Wanted):
    """What is to be different; what is left out stays as it is."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = ""
    notify_url: Annotated[str, Field(max_length=notice.LONGEST)] | None = None
    """Told by a POST when a run ends; null: nobody."""
    quota_bytes: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """The most that its stored pictures may hold; null: no ceiling."""


class ProjectDocument(BaseModel):
    """A project."""

    slug: str
    name: str
    project_root: str | None
    runs: int
    assets: int
    created_at: datetime | None = None
    notifies: str | None = None
    """Who is told when a run ends, without the address's path."""
    quota_bytes: int | None = None


def _document(facts: ProjectFacts) -> ProjectDocument:
    return ProjectDocument(
        slug=facts.slug,
        name=facts.name,
        project_root=facts.root,
        runs=facts.runs,
        assets=facts.assets,
        created_at=facts.created_at,
        notifies=facts.notifies,
        quota_bytes=facts.quota_bytes,
    )


@router.get("", summary="List the projects that the caller is a member of")
async def list_projects(caller: SignedIn, studio: TheStudio) -> list[ProjectDocument]:
    """Return them by slug."""
    return [_document(one) for one in await projects.listing(studio, caller)]


@router.post(
    "", status_code=201, summary="Make a project", responses=raises(AlreadyExists, StorageReadOnly)
)
async def create_project(caller: Creator, studio: TheStudio, wanted: NewProject) -> ProjectDocument:
    """Make a project; its maker is its owner."""
    made = await projects.create(
        studio, wanted.slug, name=wanted.name, root=None, default_root=True, owner=caller
    )
    return _document(made)


@router.get("/{slug}", summary="Show a project")
async def show_project(entry: Viewing, studio: TheStudio) -> ProjectDocument:
    """Return one project with its counts."""
    return _document(await projects.show(studio, entry.slug))


@router.patch("/{slug}", summary="Change a project", responses=raises(BadParameter))
async def change_project(
    entry: Owning, studio: TheStudio, wanted: ProjectChanges
) -> ProjectDocument:
    """Change its name, whom it notifies, and, for administrators, how much it may hold."""
    said = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    return _document(await projects.change(studio, entry.slug, Changes(**said), entry.caller))
