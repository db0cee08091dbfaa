"""Linear pixel values (FITS, 16-bit PNG) to the uint8 of pictures; which way a net needs travels with its weights."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

ZEROPOINT_MAG = 30.0
"""AB magnitude of one count in the linear images of the CFHT Legacy Survey, which the composite's numbers suit."""

PREFERRED_BANDS = ("i", "r", "g")
"""The bands that the composite was made of, red to blue; of images of more bands these are taken."""

_STEPS = 1 << 16
LARGEST = np.float32(1e17)
"""Beyond it values are cut: the square of a sum of them is still a number."""

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

    def apply(self, excess: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Convert float32 [bands, h, w] above the sky, and its noise, float [bands], to uint8 [h, w, bands].

        The bands of the result lie one after the other in memory.
        """
        scale = float(noise.mean())
        if scale == 0:  # more than half of the pixels alike: a cutout with a masked border, or a noiseless model
            scale = float(excess.std()) or 1.0
        per_step = (_STEPS - 1) / (self.white_sigma - self.black_sigma)
        factor = np.float32(per_step / max(scale, 1 / float(LARGEST)))
        first = np.float32(0.5 - self.black_sigma * per_step)
        table = _stretch_table(self.black_sigma, self.white_sigma, self.soft_sigma)
        out = np.empty(excess.shape, np.uint8)
        steps = np.empty(excess.shape[1:], np.float32)
        for band, values in enumerate(excess):  # one at a time: a band stays in the processor's cache
            with np.errstate(over="ignore"):
                np.multiply(values, factor, out=steps)
            steps += first
            np.clip(steps, 0, _STEPS - 1, out=steps)
            table.take(steps.astype(np.uint16), mode="clip", out=out[band])  # other modes buffer the output
        return np.moveaxis(out, 0, -1)


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

    def apply(self, excess: np.ndarray, noise: np.ndarray, counts: np.ndarray | None, band: int = 1) -> np.ndarray:
        """Convert float32 [3 (red to blue) or 1, h, w] above the sky, and its noise, float [bands], to uint8 [h, w, 3].

        counts: what one unit of each band is worth in counts of ZEROPOINT_MAG, float [bands]; None: so much that the
        noise is sky_sigma (the geometric mean over the bands, so that colours survive).
        band: of a single band the one of 0, 1, 2 (red to blue) that it is nearest to; it becomes grey, as bright as an
        ordinary galaxy is in the composite.
        """
        single = len(excess) == 1
        sigma = np.array(self.sky_sigma)[[band] if single else slice(None)]
        if counts is None:
            known = noise > 0
            logs = np.log(sigma[known] / noise[known])
            counts = np.full(len(excess), np.exp(logs.mean()) if known.any() else 1.0)
        bands = _times(excess, np.minimum(counts, LARGEST)[:, None, None])
        if single:
            return self._stretch(np.repeat(bands * np.float32(self.scales[band]), 3, axis=0))
        bands *= np.array(self.scales, np.float32)[:, None, None]
        return self._stretch(bands)

    def compose(self, bands: np.ndarray) -> np.ndarray:
        """Convert counts, sky subtracted, float [3 (red to blue), h, w], to uint8 [h, w, 3]."""
        return self._stretch(bands.astype(np.float32, copy=False) * np.array(self.scales, np.float32)[:, None, None])

    def _stretch(self, scaled: np.ndarray) -> np.ndarray:
        """Stretch float32 [3, h, w], which is overwritten, to uint8 [h, w, 3]."""
        scaled *= self._slope(scaled[0] + scaled[1] + scaled[2])
        if self.mask_level > 0:  # else what is black by it is below 0 as well
            scaled[scaled < self.mask_level] = 0
        scaled *= np.float32(255)
        np.clip(scaled, 0, 255, out=scaled)
        out = np.empty((*scaled.shape[1:], 3), np.uint8)
        for band, values in enumerate(scaled):
            out[..., band] = values
        return out

    def _slope(self, total: np.ndarray) -> np.ndarray:
        """Return asinh(alpha Q I) / (Q I) of float32 [h, w], which is overwritten."""
        faint = np.abs(total) < 1e-6
        has_faint = bool(faint.any())
        if has_faint:
            total[faint] = 1
        slope = arcsinh(np.float32(self.alpha * self.softening) * total)
        total *= np.float32(self.softening)
        slope /= total
        if has_faint:
            slope[faint] = self.alpha
        return slope


@lru_cache(maxsize=8)
def _stretch_table(black_sigma: float, white_sigma: float, soft_sigma: float) -> np.ndarray:
    """Return the stretch at _STEPS values from black to white, uint8: steps of a twentieth of a grey level or less."""
    low, high = np.arcsinh(black_sigma / soft_sigma), np.arcsinh(white_sigma / soft_sigma)
    scaled = (np.arcsinh(np.linspace(black_sigma, white_sigma, _STEPS) / soft_sigma) - low) / (high - low)
    table = (255 * scaled + 0.5).astype(np.uint8)
    table.flags.writeable = False
    return table


def arcsinh(values: np.ndarray) -> np.ndarray:
    """Return the inverse hyperbolic sine of float32 to an error of 4e-7, by the logarithm, which is vectorised
    everywhere.

    numpy's own takes five times as long on processors without AVX-512.
    """
    root = values * values
    root += 1
    np.sqrt(root, out=root)
    root += np.abs(values)
    np.log(root, out=root)
    return np.copysign(root, values, out=root)


def _times(values: np.ndarray, factors: np.ndarray | float) -> np.ndarray:
    """Float32, cut where its square is beyond float32: far brighter than anything, as of damaged or foreign files."""
    with np.errstate(over="ignore"):
        product = values * np.asarray(factors, np.float32)
    return np.clip(product, -LARGEST, LARGEST, out=product)
