"""Linear pixel values (FITS, 16-bit PNG) to the uint8 of pictures; which way a net needs travels with its weights."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

ZEROPOINT_MAG = 30.0
"""AB magnitude of one count in the linear images of the CFHT Legacy Survey, which the composite's numbers suit."""

Three = tuple[float, float, float]


class Stretch(BaseModel):
    """An asinh stretch that suits images of any unit, since it counts in their own noise.

    Each band loses its own sky (the median); all bands share one noise level (1.4826 times the median absolute
    deviation, averaged over the bands), so that colours survive. With v = (value - sky) / noise,
    ``out = 255 * (asinh(v / soft_sigma) - asinh(black_sigma / soft_sigma)) / (asinh(white_sigma / soft_sigma) -
    asinh(black_sigma / soft_sigma))``, cut at 0 and 255 (the asinh stretch of Lupton et al. 2004, PASP 116, 133).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    black_sigma: float = -2.0
    white_sigma: Annotated[float, Field(gt=0)] = 200.0
    soft_sigma: Annotated[float, Field(gt=0)] = 3.0

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Float [h, w, bands] to uint8 [h, w, bands]."""
        excess, noise = _above_sky(values)
        scale = float(noise.mean())
        if scale == 0:  # more than half of the pixels alike: a cutout with a masked border, or a noiseless model
            scale = float(values.std()) or 1.0
        low, high = np.arcsinh(self.black_sigma / self.soft_sigma), np.arcsinh(self.white_sigma / self.soft_sigma)
        scaled = (np.arcsinh(excess / (scale * self.soft_sigma)) - low) / (high - low)
        return (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)


class Composite(BaseModel):
    """The colour composite that the volunteers of Space Warps saw (Lupton et al. 2004, PASP 116, 133).

    Bands go from red to blue (i, r, g), in counts with AB zero point ZEROPOINT_MAG, sky subtracted. With I the sum of
    the three scaled bands, each becomes ``band * asinh(alpha Q I) / (Q I)``; below mask_level it is black, and
    0 to 1 become 0 to 255. The defaults are those that Space Warps used for its fields.

    scales: what the bands are multiplied by. softening: Q. alpha: slope of faint light.
    sky_sigma: noise of the blank sky, in counts, of the images that this suits; it settles the unit of images that do
        not say theirs, which is rough where they are deeper or shallower.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scales: Three = (0.4 / 0.9, 0.6 / 0.9, 1.7 / 0.9)
    softening: Annotated[float, Field(gt=0)] = 1.0
    alpha: Annotated[float, Field(gt=0)] = 0.09
    mask_level: float = -1.0
    sky_sigma: Three = (1.62, 1.12, 0.66)

    def apply(self, values: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
        """Float [h, w, 3], red to blue and with any sky level, to uint8 [h, w, 3].

        counts: what one unit of each band is worth in counts of ZEROPOINT_MAG, float [3]; None: so much that the
        noise is sky_sigma (the geometric mean over the bands, so that colours survive).
        """
        excess, noise = _above_sky(values)
        if counts is None:
            known = noise > 0
            logs = np.log(np.array(self.sky_sigma)[known] / noise[known])
            counts = np.full(3, np.exp(logs.mean()) if known.any() else 1.0)
        return self.compose(np.moveaxis(excess * counts, -1, 0))

    def compose(self, bands: np.ndarray) -> np.ndarray:
        """Counts, sky subtracted, float [3 (red to blue), h, w], to uint8 [h, w, 3]."""
        scaled = bands.astype(np.float32, copy=False) * np.array(self.scales, np.float32)[:, None, None]
        stretched = np.moveaxis(scaled * self._slope(scaled.sum(axis=0)), 0, -1)
        stretched[stretched < self.mask_level] = 0
        return (np.clip(stretched, 0, 1) * 255).astype(np.uint8)

    def _slope(self, total: np.ndarray) -> np.ndarray:
        faint = np.abs(total) < 1e-6
        safe = np.where(faint, np.float32(1), total)
        slope = np.arcsinh(self.alpha * self.softening * safe) / (self.softening * safe)
        return np.where(faint, np.float32(self.alpha), slope)


def _above_sky(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Float [h, w, bands] without the sky (the median), and the noise of each band, float [bands]."""
    pixels = values.reshape(-1, values.shape[2])
    excess = pixels - np.median(pixels, axis=0)
    return excess.reshape(values.shape), 1.4826 * np.median(np.abs(excess), axis=0)
