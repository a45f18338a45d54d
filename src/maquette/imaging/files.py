"""Opening a picture file that a person named."""

from __future__ import annotations

import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from maquette.core.errors import FileMissing, StorageUnavailable, UnsupportedImage
from maquette.imaging.limits import DEFAULT_LIMITS, DecodeLimits

SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "image/tiff": ".tif",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
}
"""What a file of that media type is called."""


@contextmanager
def opened(path: Path, limits: DecodeLimits) -> Generator[IO[bytes]]:
    """Open `path` for reading once it is known to be a regular file within the limit of bytes."""
    name = path.name or str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnsupportedImage(f"{name!r} is a folder; name one picture inside it.")
        if not stat.S_ISREG(status.st_mode):
            raise UnsupportedImage(f"{name!r} is not a regular file; copy the picture to one.")
        limits.check_bytes(status.st_size, name)
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileMissing(f"There is no file {str(path)!r}; check the path.") from error
    except OSError as error:
        raise StorageUnavailable(
            f"{name!r} cannot be read ({error.strerror}); check its permissions."
        ) from error


def read_file(path: Path, limits: DecodeLimits = DEFAULT_LIMITS) -> bytes:
    """Return a file's bytes, refusing on its size before reading.

    Raises
    ------
    FileMissing
        Nothing is at `path`.
    UnsupportedImage
        `path` is a folder or a device.
    ImageTooLarge
        The file is longer than `limits.max_bytes`.
    StorageUnavailable
        The system refused to read it.
    """
    with opened(path, limits) as file:
        data = file.read(limits.max_bytes + 1)
    limits.check_bytes(len(data), path.name)  # it may have grown since it was opened
    return data
