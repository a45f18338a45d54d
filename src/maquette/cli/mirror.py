"""The S3 mirror of a project: `project storage set-s3`, `project sync-s3`, `project pull`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maquette.cli import arguments as a
from maquette.cli.exits import Exit
from maquette.cli.screen import note, print_json, say, table
from maquette.cli.session import with_studio

if TYPE_CHECKING:
    from maquette.cli.flags import RunFlags
    from maquette.services.mirror import Synced
    from maquette.services.places import PlaceFacts
    from maquette.services.restoring import Pulled
    from maquette.services.studio import Studio

Slug = Annotated[str, typer.Argument(metavar="NAME", help="The project's name.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def register(project: typer.Typer, storage: typer.Typer) -> None:
    """Add the commands to `project` and `project storage`."""
    storage.command("show")(show)
    storage.command("set-s3")(set_s3)
    project.command("sync-s3")(sync_s3)
    project.command("pull")(pull)


def show(slug: Slug, *, json: a.Json = False) -> None:
    """Show where the project's files are, and their mirror."""

    async def work(studio: Studio) -> PlaceFacts:
        from maquette.services import places, projects  # noqa: PLC0415 - `--help` need not wait

        return await places.show(studio, await projects.find(studio, slug))

    _print(with_studio(work), json=json)


def set_s3(
    slug: Slug,
    *,
    bucket: Annotated[str | None, typer.Option("--bucket", help="The bucket's name.")] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", help="Everything goes below PREFIX/NAME.")
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", help="The bucket's region; us-east-1 unless set.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="URL", help="A server other than Amazon's.")
    ] = None,
    path_style: Annotated[
        bool | None,
        typer.Option("--path-style/--host-style", help="Where requests name the bucket."),
    ] = None,
    enabled: Annotated[
        bool, typer.Option("--enabled/--disabled", help="Whether there is a mirror.")
    ] = True,
    json: a.Json = False,
) -> None:
    """Write where the project is mirrored to; what is not given stays as it was."""
    given = {
        "bucket": bucket,
        "prefix": prefix,
        "region": region,
        "endpoint": endpoint,
        "path_style": path_style,
    }
    changed = {name: value or None for name, value in given.items() if value is not None}
    if path_style is not None:
        changed["path_style"] = path_style
    if prefix is not None:
        changed["prefix"] = prefix

    async def work(studio: Studio) -> PlaceFacts:
        from maquette.services import places, projects  # noqa: PLC0415 - as above

        project = await projects.find(studio, slug)
        known = places.mirror_of(project)
        before = {} if known is None else known.model_dump()
        mirror = places.checked_mirror(**{**before, **changed, "enabled": enabled})
        return await places.set_mirror(studio, project, mirror)

    _print(with_studio(work), json=json)


def sync_s3(
    slug: Slug,
    *,
    dry_run: DryRun = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete from the mirror what is gone here.")
    ] = False,
    project_root: a.ProjectRoot = None,
    json: a.Json = False,
) -> None:
    """Send the project's files to its S3 mirror; only what differs."""

    async def work(studio: Studio) -> Synced:
        from maquette.services import mirror, projects  # noqa: PLC0415 - as above

        root = await projects.root_of(studio, slug, project_root)
        return await mirror.sync(studio, slug, root, dry_run=dry_run, delete=delete)

    told = with_studio(work)
    if json:
        print_json(told.document())
    else:
        table(
            "Would be synced" if dry_run else "Synced",
            ("file", "", ">bytes", "problem"),
            [(one.path, one.act, one.size_bytes, one.error) for one in told.items],
        )
        say(told.sentence())
    if not told.complete:
        sys.exit(Exit.FAILED)


def pull(
    slug: Slug,
    *,
    from_s3: Annotated[
        bool, typer.Option("--from-s3", help="First bring back what the mirror has.")
    ] = False,
    dry_run: DryRun = False,
    project_root: a.ProjectRoot = None,
    json: a.Json = False,
) -> None:
    """Write out the files that are missing: from the store, or from the mirror."""

    async def work(studio: Studio) -> list[Pulled]:
        from maquette.services import projects, restoring  # noqa: PLC0415 - as above

        root = await projects.root_of(studio, slug, project_root)
        return await restoring.pull(studio, slug, root, from_s3=from_s3, dry_run=dry_run)

    pulled = with_studio(work)
    if json:
        print_json(pulled)
    else:
        table(
            "Would be written" if dry_run else "Written",
            ("file", "", ">bytes", "problem"),
            [(one.path, one.act, one.size_bytes, one.error) for one in pulled],
        )
    if any(one.act == "failed" for one in pulled):
        sys.exit(Exit.FAILED)


async def checked_before(studio: Studio, slug: str, flags: RunFlags) -> None:
    """Say before any work where a run cannot be mirrored; where it must be, refuse it."""
    from maquette.core.errors import BadParameter, MaquetteError  # noqa: PLC0415 - as above
    from maquette.services import mirror  # noqa: PLC0415 - as above

    if not _wanted(flags):
        if flags.storage_sync_dry_run or flags.storage_sync_delete:
            note("nothing will be synced: that needs --storage-sync-s3 as well.")
        return
    try:
        await mirror.check(studio, slug)
    except MaquetteError as error:
        if flags.storage_sync_required:
            raise BadParameter(
                f"--storage-sync-required is set, but {error} Nothing was started."
            ) from None
        note(f"the run will not be synced, it seems: {error}")


async def synced_after(studio: Studio, slug: str, root: Path, flags: RunFlags) -> Exit:
    """Mirror what a run has made; the run is done already, however this ends."""
    from maquette.core.errors import MaquetteError  # noqa: PLC0415 - as above
    from maquette.services import mirror  # noqa: PLC0415 - as above

    if not _wanted(flags):
        return Exit.DONE
    try:
        told = await mirror.sync(
            studio,
            slug,
            root,
            dry_run=flags.storage_sync_dry_run,
            delete=flags.storage_sync_delete,
        )
    except MaquetteError as error:
        note(f"the run is done, but it was not synced: {error}")
        complete = False
    else:
        note(told.sentence())
        complete = told.complete
    return Exit.DONE if complete or not flags.storage_sync_required else Exit.FAILED


def _wanted(flags: RunFlags) -> bool:
    return flags.storage_sync_s3 or flags.storage_sync_required


def _print(facts: PlaceFacts, *, json: bool) -> None:
    if json:
        print_json(facts)
        return
    mirror = facts.mirror
    say(f"  root    {facts.root or 'not set'}{'' if facts.exists else '  (not made yet)'}")
    if mirror is None or mirror.bucket is None:
        say("  mirror  none")
        return
    where = f"s3://{mirror.bucket}/{mirror.prefix}".rstrip("/")
    say(f"  mirror  {where}  {mirror.endpoint or mirror.region}{'' if mirror.enabled else '  off'}")
    say(f"  keys    {'set' if facts.has_keys else 'not set: `maquette secret set`'}")
