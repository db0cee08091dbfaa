"""Maps of what an answer rests on, as a layer of colour to lay over an image."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

AGAINST, FOR = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe & Ito 2008, which the colour-blind tell apart."""
SMOOTHED_BY = 1 / 60
"""Scale of the Gaussian that smooths a drawn map, as a fraction of the side: gradients differ from pixel to pixel."""
LARGEST_QUANTILE = 0.995
"""Quantile of the size of a map that gets the full colour."""
OPACITY = 235


def tint_map(attributions: np.ndarray) -> np.ndarray:
    """Return a map, float [h, w], as a layer to lay over its image: uint8 [h, w, 4].

    Vermilion speaks for the answer, blue against it; the opacity grows with the size.
    """
    smooth = _smooth(attributions)
    level = np.clip(smooth / _largest(smooth), -1, 1)
    colours = np.array([[int(one[k : k + 2], 16) for k in (1, 3, 5)] for one in (AGAINST, FOR)], np.uint8)
    layer = np.zeros((*level.shape, 4), np.uint8)
    layer[..., :3] = colours[(level > 0).astype(int)]
    layer[..., 3] = (OPACITY * np.abs(level)).round().astype(np.uint8)
    return layer


def find_scale(attributions: np.ndarray) -> float:
    """Return the size that gets the full colour, in the unit of the map."""
    return _largest(_smooth(attributions))


def _smooth(attributions: np.ndarray) -> np.ndarray:
    return gaussian_filter(attributions.astype(float), SMOOTHED_BY * attributions.shape[0])


def _largest(smooth: np.ndarray) -> float:
    return max(float(np.quantile(np.abs(smooth), LARGEST_QUANTILE)), 1e-12)
