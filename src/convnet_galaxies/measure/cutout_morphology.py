"""Measure the morphology of a cutout: the central galaxy, and the brightest feature beside it.

They explain what a net, a crowd or an expert sees or overlooks; none of them decides whether there is a lens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

INNER_ARCSEC, OUTER_ARCSEC = 0.8, 5.0
"""A feature is looked for between these distances from the centre: seeing hides nearer ones, few arcs lie beyond."""
APERTURE_ARCSEC = 0.6
FAINTEST_SIGMA = 5.0
CLOSE_ARCSEC = 1.5
BLUER_DEX = 0.08
LONG = 1.6
GLARE_SHARE = 0.004
WHITE = 250

GLARE, NOTHING, CLOSE, RED, ARC, PATCH = (
    "glare of a star or bright neighbour",
    "nothing clear beside the galaxy",
    "blue feature close to the centre",
    "feature as red as the galaxy",
    "blue arc",
    "blue patch",
)
MORPHOLOGY_KINDS = (ARC, PATCH, CLOSE, RED, NOTHING, GLARE)


@dataclass(frozen=True)
class Morphology:
    """Numbers of one cutout.

    distance_arcsec: of the feature from the centre. bluer_dex: log10 of how much bluer it is than the central galaxy,
    by the ratio of the bluest to the reddest band. elongation: of the feature along the circle round the centre, over
    that along the radius. sigma: its peak over the noise of the sky. glare: share of white pixels beyond the search.
    """

    distance_arcsec: float
    bluer_dex: float
    elongation: float
    sigma: float
    glare: float

    @property
    def kind(self) -> str:
        """One of MORPHOLOGY_KINDS: what is striking comes first."""
        if self.glare > GLARE_SHARE:
            return GLARE
        if self.sigma < FAINTEST_SIGMA:
            return NOTHING
        if self.bluer_dex < BLUER_DEX:
            return RED
        if self.distance_arcsec < CLOSE_ARCSEC:
            return CLOSE
        return ARC if self.elongation > LONG else PATCH


def measure_morphology(pixels: np.ndarray, pixel_scale_arcsec: float) -> Morphology:
    """Measure the morphology of a composite, uint8 [h, w, bands], bands from red to blue, its object in the middle.

    The median of each ring round the centre is taken off, band by band, which leaves what is not round; the feature is
    the highest peak of what is left, added over the bands.
    """
    image = pixels.astype(float)
    height, width, bands = image.shape
    y, x = np.mgrid[:height, :width]
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    radius = np.hypot(x, y)
    ring = np.minimum(np.rint(radius).astype(int), min(height, width) // 2)
    left = image - np.stack(
        [ndimage.median(image[..., band], ring, np.arange(ring.max() + 1))[ring] for band in range(bands)], axis=-1
    )
    light = ndimage.gaussian_filter(left.sum(axis=2), 1.0)
    sky = light[radius > 0.8 * min(height, width) / 2]
    noise = max(1.4826 * float(np.median(np.abs(sky - np.median(sky)))), 1e-3)
    inner, outer = INNER_ARCSEC / pixel_scale_arcsec, OUTER_ARCSEC / pixel_scale_arcsec
    searched = (radius >= inner) & (radius <= outer)
    row, column = np.unravel_index(np.argmax(np.where(searched, light, -np.inf)), light.shape)
    aperture = np.hypot(x - x[row, column], y - y[row, column]) <= max(APERTURE_ARCSEC / pixel_scale_arcsec, 1.5)
    centre = radius <= max(APERTURE_ARCSEC / pixel_scale_arcsec, 1.5)
    white = (image >= WHITE).all(axis=2) & (radius > outer)
    return Morphology(
        distance_arcsec=float(radius[row, column] * pixel_scale_arcsec),
        bluer_dex=_blueness(left[aperture]) - _blueness(image[centre]),
        elongation=_elongation(light, x, y, (int(row), int(column)), searched),
        sigma=float(light[row, column] / noise),
        glare=float(white.mean()),
    )


def _blueness(pixels: np.ndarray) -> float:
    """Log10 of the last band over the first, of summed light [n, bands]; 0 for one band."""
    sums = np.maximum(pixels.sum(axis=0), 1.0)
    return float(np.log10(sums[-1] / sums[0]))


def _elongation(light: np.ndarray, x: np.ndarray, y: np.ndarray, peak: tuple[int, int], searched: np.ndarray) -> float:
    """Extent along the circle over that along the radius of the light above half of the peak that hangs together."""
    if light[peak] <= 0:
        return 1.0
    labels, _ = ndimage.label((light > light[peak] / 2) & searched)
    part = labels == labels[peak]
    weight = light[part] / light[part].sum()
    radius, angle = np.hypot(x[part], y[part]), np.arctan2(y[part], x[part]) - np.arctan2(y[peak], x[peak])
    along = radius * ((angle + np.pi) % (2 * np.pi) - np.pi)
    # A pixel has an extent of its own: 1/12 px^2.
    across_var, along_var = (float((weight * (v - (weight * v).sum()) ** 2).sum()) + 1 / 12 for v in (radius, along))
    return float(np.sqrt(along_var / across_var))
