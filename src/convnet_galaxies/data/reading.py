"""Options that override the headers of images, and the properties found in each image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from convnet_galaxies.data.missing import LARGEST_SHARE
from convnet_galaxies.errors import UsageError

Unit = Literal["picture", "known", "guessed", "any"]


@dataclass(frozen=True)
class ReadOptions:
    """Properties given by the user, which override the headers of the files.

    pixel_scale_arcsec: arcsec per pixel, before what a header tells.
    blue_first: planes of unknown band go from blue to red (g, r, i), those of a picture from red to blue.
    zeropoint_mag: AB magnitude of one unit of a linear image, before what a header tells.
    bands: names of bands or extensions, or numbers of planes from 1, that are shown; None for all.
    hdus: names or numbers (from 0) of the HDUs that hold the image; None for what the headers tell.
    missing_share: the largest share of the pixels of a band that may be missing; they are filled with its sky.
    """

    pixel_scale_arcsec: float | None = None
    blue_first: bool = False
    zeropoint_mag: float | None = None
    bands: tuple[str, ...] | None = None
    hdus: tuple[str, ...] | None = None
    missing_share: float = LARGEST_SHARE

    def __post_init__(self) -> None:
        if self.zeropoint_mag is not None and not math.isfinite(self.zeropoint_mag):
            raise UsageError(f"--zero-point: found {self.zeropoint_mag}, expected AB magnitudes", "give e.g. 22.5")
        if not 0 <= self.missing_share < 1:
            raise UsageError(
                f"--missing: found {self.missing_share:g}, expected a fraction from 0 to below 1", "give 0.1"
            )
        scale = self.pixel_scale_arcsec
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            raise UsageError(f"--pixel-scale: found {scale:g}, expected arcsec per pixel above 0", "give e.g. 0.263")


@dataclass(frozen=True)
class ImageInfo:
    """Properties of an image before decoding.

    side_px: its shorter side, in source pixels.
    unit: ``picture`` for 8 bits per pixel, taken as they are. Of linear values ``known`` or ``guessed`` from the noise
        where the stretch asks for it (see Composite), else ``any``.
    pixel_scale_arcsec: the scale by which it was cropped; None where none was needed or known.
    masked_fraction: share of its pixels that were missing and filled.
    rows_from_bottom: whether the rows of its file run from the bottom, as those of FITS do; decoded ones do not.
    remarks: what else is to be told of it: a kind (see InputNotes) and a text that completes "n images are ...".
    """

    side_px: int
    unit: Unit = "picture"
    pixel_scale_arcsec: float | None = None
    masked_fraction: float = 0.0
    rows_from_bottom: bool = False
    remarks: tuple[tuple[str, str], ...] = ()


def split_option(text: str | None) -> tuple[str, ...] | None:
    """Return the parts of an option such as ``--bands i,r,g``; None for none."""
    if text is None:
        return None
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    return parts or None


def read_bands_option(text: str | None, number: int) -> tuple[str, ...] | None:
    """Read the planes that ``--bands`` names for a net of so many bands, or one, which is shown grey.

    Raises UsageError for another number of them.
    """
    parts = split_option(text)
    if parts is None or len(parts) in (1, number):
        return parts
    raise UsageError(
        f"--bands: found {text}, expected {number} names of bands or numbers of planes for the network input, or one",
        f"give e.g. --bands {','.join(_example(number))}",
    )


def _example(number: int) -> Sequence[str]:
    return ("z", "i", "r", "g", "u")[max(0, 4 - number) : 4] if number <= 4 else [str(k) for k in range(1, number + 1)]
