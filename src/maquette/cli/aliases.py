"""The verbs of older scripts; each does what its newer command does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import mirror, project, secret
from maquette.cli.screen import print_json
from maquette.cli.session import with_studio
from maquette.core.errors import BadParameter

if TYPE_CHECKING:
    from maquette.services.exporting import ExportFacts
    from maquette.services.studio import Studio

ProjectSlug = Annotated[str, typer.Option("--project-slug", metavar="NAME", help="The project.")]
ProviderCode = Annotated[
    str, typer.Option("--provider-code", metavar="PROVIDER", help="Whose key it is.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs; `--help` does not list them."""
    for name, verb in (
        ("create-project", create_project),
        ("set-project-storage-local", set_storage_local),
        ("set-project-storage-s3", set_storage_s3),
        ("sync-project-s3", sync_s3),
        ("export-project", export_project),
        ("set-project-secret", set_secret),
        ("list-project-secrets", list_secrets),
    ):
        app.command(name, hidden=True)(verb)


def create_project(
    *,
    name: Annotated[str, typer.Option("--name", help="A longer name for people.")],
    slug: Annotated[str, typer.Option("--slug", metavar="NAME", help="The project's name.")],
) -> None:
    """As `maquette project create`."""
    project.create(slug, title=name, root=None, default_root=False, json=True)


def set_storage_local(
    *,
    project_slug: ProjectSlug,
    project_root: Annotated[
        Path, typer.Option("--project-root", metavar="DIR", help="Where the files are.")
    ],
) -> None:
    """As `maquette project storage set-local`."""
    project.set_local(project_slug, root=project_root, json=True)


def set_storage_s3(
    *,
    project_slug: ProjectSlug,
    enabled: Annotated[
        str, typer.Option("--enabled", metavar="true|false", help="Whether there is a mirror.")
    ] = "true",
    bucket: Annotated[str | None, typer.Option("--bucket", help="The bucket's name.")] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", help="Everything goes below PREFIX/NAME.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="The bucket's region.")] = None,
) -> None:
    """As `maquette project storage set-s3`."""
    if enabled.lower() not in ("true", "false"):
        raise BadParameter(f"--enabled is true or false, not {enabled!r}.")
    mirror.set_s3(
        project_slug,
        bucket=bucket,
        prefix=prefix,
        region=region,
        enabled=enabled.lower() == "true",
        json=True,
    )


def sync_s3(*, project_slug: ProjectSlug) -> None:
    """As `maquette project sync-s3`."""
    mirror.sync_s3(project_slug, json=True)


def export_project(
    *,
    project_slug: ProjectSlug,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The archive that is written.")
    ],
) -> None:
    """As `maquette project export`."""

    async def work(studio: Studio) -> ExportFacts:
        from maquette.services import exporting, projects  # noqa: PLC0415 - `--help` need not wait

        root = await projects.root_of(studio, project_slug, None)
        return await exporting.export(studio, project_slug, root=root, output=output)

    print_json(with_studio(work))


def set_secret(
    *,
    project_slug: ProjectSlug,
    provider_code: ProviderCode,
    secret_name: Annotated[
        str, typer.Option("--secret-name", metavar="NAME", help="The secret's name.")
    ],
    secret_value: Annotated[
        str | None,
        typer.Option(
            "--secret-value", metavar="TEXT", help="The value; better leave it out and be asked."
        ),
    ] = None,
) -> None:
    """As `maquette secret set`."""
    value = secret.asked(stdin=False) if secret_value is None else secret.given(secret_value)
    secret.put(project_slug, provider_code, secret_name, value, json=True)


def list_secrets(*, project_slug: ProjectSlug) -> None:
    """As `maquette secret list`."""
    secret.list_command(project_slug, json=True)
