"""What runs inside a worker process to hand a mask out as others want it."""

from __future__ import annotations


def as_transparent(data: bytes) -> bytes:
    """Write a kept mask as RGBA: black, and transparent where it is to be edited."""
    import numpy as np  # noqa: PLC0415 - pixels load only in workers

    from maquette.imaging import codec, png  # noqa: PLC0415 - as above

    marks = codec.decode(data, name="the mask").pixels[..., 0]
    pixels = np.zeros((*marks.shape, 4), np.uint8)
    pixels[..., 3] = np.uint8(255) - marks
    return png.write(pixels)
