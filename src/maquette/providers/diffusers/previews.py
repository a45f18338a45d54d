"""Unfinished pictures from latents, without decoding them.

What a latent pixel looks like is nearly a linear function of its channels. The function is not
copied from a table for one model but fitted to the model that is there: its own VAE encodes a
chart of plain patches once, and least squares give the colours back from the latents. Early
previews are noise, as the picture is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.imaging import codec

_PATCHES = 16
"""On each side of the chart."""
_PATCH_LATENTS = 2
"""Latent pixels on each side of a patch."""


def chart(scale: int) -> NDArray[np.uint8]:
    """Make a chart of random plain patches, the same each time.

    Parameters
    ----------
    scale : int
        Picture pixels to a latent pixel.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    colours = np.random.default_rng(0).integers(0, 256, (_PATCHES, _PATCHES, 3), np.uint8)
    side = _PATCH_LATENTS * scale
    return colours.repeat(side, axis=0).repeat(side, axis=1)


def fit(latents: NDArray[np.float32], shown: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Find the linear function from latents to colours.

    Parameters
    ----------
    latents : ndarray of float32, shape (C, h, w)
        What the VAE makes of `shown`.
    shown : ndarray of uint8, shape (H, W, 3)
        A `chart`.

    Returns
    -------
    ndarray of float32, shape (C + 1, 3), or None
        The last row is constant. None where the latents are no use: another shape, not finite.
    """
    channels, height, width = latents.shape
    if height != width or height != _PATCHES * _PATCH_LATENTS or not np.isfinite(latents).all():
        return None
    step = shown.shape[0] // height
    colours = shown[::step, ::step].reshape(-1, 3).astype(np.float32)
    columns = np.ones((height * width, channels + 1), np.float32)
    columns[:, :channels] = latents.reshape(channels, -1).T
    return np.linalg.lstsq(columns, colours, rcond=None)[0].astype(np.float32)


def picture(latents: NDArray[np.float32], colours: NDArray[np.float32]) -> bytes | None:
    """Show latents of shape (C, h, w) as a small JPEG; None where they do not fit or are broken."""
    channels, height, width = latents.shape
    if channels + 1 != colours.shape[0] or not np.isfinite(latents).all():
        return None
    flat = latents.reshape(channels, -1).T @ colours[:channels] + colours[channels]
    pixels = np.clip(np.rint(flat), 0, 255).astype(np.uint8).reshape(height, width, 3)
    return codec.encode(pixels, format="jpeg", quality=85)


class Previewer:
    """Shows the latents of one loaded pipeline; fits its colours when first asked."""

    def __init__(self, pipeline: Any, torch: Any) -> None:
        self._pipeline = pipeline
        self._torch = torch
        self._fitted = False
        self._colours: NDArray[np.float32] | None = None

    def show(self, latents: Any, width_px: int, height_px: int) -> bytes | None:
        """Return a JPEG of the first picture of a batch; None: this model cannot be previewed."""
        if not self._fitted:
            self._fitted = True
            self._colours = self._fit()
        if self._colours is None or latents is None:
            return None
        unpack = getattr(self._pipeline, "_unpack_latents", None)
        if unpack is not None and latents.ndim == 3:
            # Flux lays four latent pixels into one long row.
            scale = self._pipeline.vae_scale_factor
            latents = unpack(latents, height_px, width_px, scale)
        if latents.ndim != 4:
            return None
        config = self._pipeline.vae.config
        shift = getattr(config, "shift_factor", None) or 0.0
        plain = latents[0].detach().to("cpu", self._torch.float32).numpy()
        return picture(plain / float(config.scaling_factor) + float(shift), self._colours)

    def _fit(self) -> NDArray[np.float32] | None:
        vae = getattr(self._pipeline, "vae", None)
        scale = getattr(self._pipeline, "vae_scale_factor", None)
        if vae is None or not isinstance(scale, int) or not hasattr(vae.config, "scaling_factor"):
            return None
        torch, shown = self._torch, chart(scale)
        pixels = torch.from_numpy(shown).permute(2, 0, 1)[None].to(torch.float32) / 127.5 - 1
        before = vae.dtype
        # Some VAEs overflow in half precision; to float32 and back changes no weight.
        vae.to(dtype=torch.float32)
        try:
            with torch.no_grad():
                encoded = vae.encode(pixels.to(vae.device))
            # The mean, not a sample: nothing is drawn from the generators that make pictures.
            latents = encoded.latent_dist.mode()[0].to("cpu", torch.float32).numpy()
        finally:
            vae.to(dtype=before)
        return fit(latents, shown)
