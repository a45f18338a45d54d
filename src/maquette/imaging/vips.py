"""The one place that talks to libvips: shrinking a file while it streams."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyvips
from numpy.typing import NDArray

# Loaders that their authors do not call safe for hostile input stay shut.
pyvips.block_untrusted_set(True)
# Results are remembered by file name: a file replaced under its name would show its old picture.
pyvips.cache_set_max(0)

# It logs each damaged row as a warning; the error raised afterwards says all that is needed.
logging.getLogger("pyvips").setLevel(logging.ERROR)

Error = pyvips.Error


def shrink_file(path: Path, side_px: int) -> NDArray[np.uint8]:
    """Shrink a PNG, JPEG, WebP, TIFF or GIF file to fit a square, without holding it whole.

    Parameters
    ----------
    path : Path
    side_px : int
        The longer side of the result; a smaller picture keeps its size.

    Returns
    -------
    ndarray of uint8, shape (H, W), (H, W, 3) or (H, W, 4)
        Upright, alpha straight, 8-bit. An embedded profile is not applied: converting the few
        pixels of the result is left to the caller, for it costs libvips as much as the shrinking.

    Raises
    ------
    Error
        libvips cannot read the file to its end.
    """
    # A source, because a path given to libvips may carry loader options in its brackets.
    source = pyvips.Source.new_from_file(str(path))
    shrunk = pyvips.Image.thumbnail_source(
        source,
        side_px,
        height=side_px,
        size="down",
        # As the `fail_on` of a thumbnail from a source it would be ignored.
        option_string="[fail_on=error]",
    )
    samples = shrunk.colourspace("srgb").cast("uchar")
    # The stubs leave out the element type that the cast above fixed.
    pixels = cast("NDArray[np.uint8]", np.asarray(cast("Any", samples).numpy()))
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
