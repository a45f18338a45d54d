"""A project with a few files, and a mirror of it in a bucket of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from maquette.core.bucket import Bucket, Mirror
from maquette.db.tables import Project
from maquette.net.bucket import BucketClient
from maquette.services import places, projects
from maquette.services.studio import Studio
from maquette.testing.s3_server import KEYS, S3Server
from tests.jobs.conftest import Begin, begin, see

__all__ = ["Begin", "begin", "mirrored", "see"]


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A new bucket, a prefix in it, and the installation's keys to it."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return s3_server.bucket("art/prod")


async def mirrored(studio: Studio, bucket: Bucket, root: Path, slug: str = "demo") -> Project:
    """Make a project that is mirrored to the bucket."""
    await projects.create(studio, slug, name=None, root=root, default_root=False)
    project = await projects.find(studio, slug)
    await places.set_mirror(studio, project, Mirror.model_validate(bucket.model_dump()))
    return await projects.find(studio, slug)


async def keys_in(client: BucketClient) -> list[str]:
    return [one.key async for one in client.walk()]


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(uuid4().hex)
    fresh.write_bytes(data)
    fresh.replace(path)


async def contents(client: BucketClient) -> dict[str, bytes]:
    keys = await keys_in(client)
    return dict(zip(keys, await asyncio.gather(*(client.get(one) for one in keys)), strict=True))
