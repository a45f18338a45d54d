"""Every way a file may store its samples, brought down to 8-bit colour and an alpha."""

from __future__ import annotations

import numpy as np
from PIL import Image

from maquette.core.errors import UnsupportedImage


def split_alpha(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """Separate the colours of a loaded picture from its alpha.

    Parameters
    ----------
    image : Image
        Loaded, of any mode that the supported formats produce.
    name : str
        What messages call the file.

    Returns
    -------
    colours : Image of mode 'L', 'RGB', 'CMYK' or 'LAB'
        16-bit samples keep their high byte.
    alpha : Image of mode 'L' or None
        Straight, 255 is opaque; None when the file has no transparency.

    Raises
    ------
    UnsupportedImage
        The samples are 32-bit integers or floating point, whose white is not known.
    """
    if image.mode.startswith("I;16"):
        return _from_sixteen_bit(image)
    if image.mode in ("I", "F"):
        raise UnsupportedImage(
            f"{name!r} has 32-bit or floating-point samples; save it with 8 or 16 bits a channel."
        )
    if image.mode in ("LA", "La"):
        straight = image.convert("LA")
        return straight.getchannel("L"), straight.getchannel("A")
    if image.has_transparency_data:
        straight = image.convert("RGBA")
        return straight.convert("RGB"), straight.getchannel("A")
    if image.mode in ("CMYK", "LAB", "L", "RGB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _from_sixteen_bit(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    samples = np.asarray(image)
    colours = Image.fromarray((samples >> 8).astype(np.uint8))
    clear_value = image.info.get("transparency")
    if not isinstance(clear_value, int):
        return colours, None
    opaque = np.where(samples == clear_value, 0, 255).astype(np.uint8)
    return colours, Image.fromarray(opaque)
