"""Exporting a large project and importing it again: memory that does not grow with its size.

Two projects of random bytes, which nothing can compress, one four times the other; each is exported
and imported in a process of its own, whose largest resident size is taken. The sizes in MB may be
given; the second is the one that the bounds are for.

Run: python -m benchmarks.export [SMALL LARGE]
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.timing import Bound, report

_OBJECT_BYTES = 4 * 1024 * 1024
_DEFAULTS = (128, 512)
# A process of its own, so that its largest resident size is that of this work alone.
_PROGRAM = """
import asyncio, json, resource, sys, time
from pathlib import Path
from maquette import bootstrap
from maquette.settings import load
from maquette.services import exporting, importing

async def main(verb, home, archive, root):
    async with bootstrap.open_studio(load(home=Path(home))) as studio:
        begin = time.perf_counter()
        if verb == "export":
            await exporting.export(studio, "big", root=Path(root), output=Path(archive))
        elif verb == "import":
            await importing.import_archive(studio, Path(archive), root=Path(root))
        return time.perf_counter() - begin

seconds = asyncio.run(main(*sys.argv[1:]))
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def main() -> None:
    given = [int(one) for one in sys.argv[1:3]]
    small, large = given if len(given) == 2 else _DEFAULTS
    with tempfile.TemporaryDirectory() as folder:
        idle = _measure("nothing", Path(folder), Path(folder), Path(folder))[1]
        measured = {size: _round_trip(Path(folder) / str(size), size) for size in (small, large)}
    times = {f"{verb}, {size} MB": measured[size][verb][0] for size in measured for verb in _VERBS}
    for size, found in measured.items():
        for verb, (_, megabytes) in found.items():
            print(f"   {verb}, {size} MB: largest resident size {megabytes:.0f} MB")
    print(f"   an idle studio: {idle:.0f} MB")
    bounds: list[Bound] = []
    for verb in _VERBS:
        grown = measured[large][verb][1] - measured[small][verb][1]
        bounds += [
            Bound(f"{verb}, MB more for {large // small} times the size", grown, at_most=24),
            Bound(f"{verb}, MB above idle", measured[large][verb][1] - idle, at_most=64),
            Bound(f"{verb}, MB/s", large / measured[large][verb][0], at_least=5),
        ]
    report("A project out and in", times, bounds)


_VERBS = ("export", "import")


def _round_trip(folder: Path, size_mb: int) -> dict[str, tuple[float, float]]:
    folder.mkdir()
    archive, root = folder / "big.tar.gz", folder / "root"
    asyncio.run(_build(folder / "home", root, size_mb * 1024 * 1024 // _OBJECT_BYTES))
    return {
        "export": _measure("export", folder / "home", archive, root),
        "import": _measure("import", folder / "other", archive, folder / "new"),
    }


async def _build(home: Path, root: Path, count: int) -> None:
    """Make a project of so many objects, each with an asset and a name."""
    from maquette import bootstrap  # noqa: PLC0415 - the parts above need none of it
    from maquette.core.requests import digest_of  # noqa: PLC0415 - as above
    from maquette.core.storage import object_key  # noqa: PLC0415 - as above
    from maquette.db import assets  # noqa: PLC0415 - as above
    from maquette.db.assets import NewAsset, NewBlob  # noqa: PLC0415 - as above
    from maquette.services import projects  # noqa: PLC0415 - as above
    from maquette.settings import load  # noqa: PLC0415 - as above

    now = datetime.now(UTC)
    async with bootstrap.open_studio(load(home=home)) as studio:
        await projects.create(studio, "big", name=None, root=root, default_root=False)
        project, place = await projects.find(studio, "big"), studio.shop.place(root)
        for number in range(count):
            data = os.urandom(_OBJECT_BYTES)
            digest, path = digest_of(data), f"outputs/{number:05d}.png"
            await place.storage.put(object_key(digest), data)
            source = place.storage.local_path(object_key(digest)) or data
            place.folders.place(source, path, archive_replaced=False, at=now)
            blob = NewBlob(digest, "image/png", len(data), 1024, 1024, has_alpha=False)
            new = NewAsset(blob=blob, kind="candidate", name=path, made_by={})
            async with studio.shop.db.write() as session:
                asset = await assets.add(session, project.id, new, now)
                await assets.show_at(session, project.id, path, asset, now)


def _measure(verb: str, home: Path, archive: Path, root: Path) -> tuple[float, float]:
    command = [sys.executable, "-c", _PROGRAM, verb, str(home), str(archive), str(root)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own program
    seconds, megabytes = json.loads(told.stdout.splitlines()[-1])
    return float(seconds), float(megabytes)


if __name__ == "__main__":
    main()
