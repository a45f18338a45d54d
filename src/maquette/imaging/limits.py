"""What a picture may weigh before anything is allocated for it."""

from __future__ import annotations

from dataclasses import dataclass

from maquette.core.errors import ImageTooLarge


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """The most that one file may ask for; checked on its header, before its pixels exist.

    Attributes
    ----------
    max_bytes : int
        Length of the encoded file.
    max_pixels : int
        Width times height. Decoding takes about eight bytes for each.
    max_side_px : int
        The longer side; a strip of 1 by 10 million pixels is refused here.
    max_frames : int
        Frames of an animation or pages of a TIFF. Only the first is ever decoded; the limit bounds
        the work of counting them.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_side_px: int = 20_000
    max_frames: int = 1_000

    def check_bytes(self, size_bytes: int, name: str) -> None:
        """Raise `ImageTooLarge` when the encoded file is too long."""
        if size_bytes > self.max_bytes:
            raise ImageTooLarge(
                f"{name!r} has {size_bytes} bytes and the limit is {self.max_bytes}; "
                "save it smaller or raise the limit.",
                size_bytes=size_bytes,
                max_bytes=self.max_bytes,
            )

    def check_size(self, width_px: int, height_px: int, name: str) -> None:
        """Raise `ImageTooLarge` when the declared size is over a limit."""
        over_side = max(width_px, height_px) > self.max_side_px
        if over_side or width_px * height_px > self.max_pixels:
            limit = f"{self.max_side_px} px a side" if over_side else f"{self.max_pixels} pixels"
            raise ImageTooLarge(
                f"{name!r} declares {width_px} x {height_px} px and the limit is {limit}; "
                "scale it down first or raise the limit.",
                width_px=width_px,
                height_px=height_px,
            )

    def check_frames(self, frames: int, name: str) -> None:
        """Raise `ImageTooLarge` when there are too many frames, however many more there are."""
        if frames > self.max_frames:
            raise ImageTooLarge(
                f"{name!r} has more than {self.max_frames} frames; "
                "export one frame as a still picture or raise the limit.",
                max_frames=self.max_frames,
            )


DEFAULT_LIMITS = DecodeLimits()
