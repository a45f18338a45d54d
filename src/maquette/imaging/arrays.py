"""The one check of pixel arrays at the file's edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import BadParameter


def checked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `pixels` C-contiguous, or raise `BadParameter` when it is not a picture.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W), (H, W, 3) or (H, W, 4)
        Grey, RGB, or RGB with straight alpha; at least one pixel. Never modified.
    """
    channels_ok = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or not channels_ok or pixels.size == 0:
        raise BadParameter(
            f"A picture is a non-empty uint8 array of shape (H, W), (H, W, 3) or (H, W, 4), "
            f"not {str(pixels.dtype)!r} of shape {pixels.shape!r}; convert it first."
        )
    return np.ascontiguousarray(pixels)
