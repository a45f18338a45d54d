"""Pillow's warnings and exceptions, turned into ours at one place."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from PIL import Image

from maquette.core.errors import ImageTooLarge, MaquetteError, UnsupportedImage


class _PillowHush:
    """Ignore Pillow's warnings while at least one thread is decoding.

    `warnings.catch_warnings` swaps process-wide state, so overlapping uses in two threads could
    leave it swapped; the first thread in saves it and the last one out restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.__exit__(None, None, None)


_HUSH = _PillowHush()


@contextmanager
def pillow_reading(name: str) -> Generator[None]:
    """Let Pillow read the file called `name`; whatever it raises leaves as a `MaquetteError`."""
    with _HUSH:
        try:
            yield
        except MaquetteError:
            raise
        except (Image.DecompressionBombError, MemoryError) as error:
            raise ImageTooLarge(
                f"{name!r} needs more memory than a picture may take; scale it down first."
            ) from error
        except Exception as error:
            # Codecs raise a dozen unrelated classes on damaged data, AttributeError among them.
            raise UnsupportedImage(
                f"{name!r} is damaged or cut short ({error}); "
                "fetch it again, or open it in an editor and save a fresh copy."
            ) from error
