"""Intervals for the votes that a number of volunteers would give, from a predicted share and its concentration."""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, gammaln

_CHUNK = 1 << 21


def fraction_interval(
    share: np.ndarray, concentration: np.ndarray, volunteers: int, level: float = 0.9
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper end of the fraction of so many volunteers, all asked, who give an answer.

    share, concentration: float arrays of one shape. The number of answers is beta-binomial, as it is of one answer
    under the Dirichlet-multinomial (Walmsley et al. 2020, arXiv:1905.07424). The ends are where the cumulative
    probability, with half of that of the end itself (mid-p), leaves (1 - level) / 2 on each side, since whole
    volunteers would otherwise make the interval too wide.
    """
    shape = share.shape
    share, concentration = np.broadcast_arrays(share, concentration)
    share, concentration = share.reshape(-1).astype(float), concentration.reshape(-1).astype(float)
    low, high = np.empty(len(share)), np.empty(len(share))
    tail, rows = (1 - level) / 2, max(1, _CHUNK // (volunteers + 1))
    number = np.arange(volunteers + 1)
    ways = gammaln(volunteers + 1) - gammaln(number + 1) - gammaln(volunteers - number + 1)
    for start in range(0, len(share), rows):
        chosen = slice(start, start + rows)
        a = np.maximum(share[chosen] * concentration[chosen], 1e-9)[:, None]
        b = np.maximum((1 - share[chosen]) * concentration[chosen], 1e-9)[:, None]
        probability = np.exp(ways + betaln(number + a, volunteers - number + b) - betaln(a, b))
        middle = probability.cumsum(axis=1) - probability / 2
        low[chosen] = (middle < tail).sum(axis=1)
        high[chosen] = volunteers - (middle > 1 - tail).sum(axis=1)
    ends = np.clip(low, 0, volunteers) / volunteers, np.clip(np.maximum(high, low), 0, volunteers) / volunteers
    return ends[0].reshape(shape), ends[1].reshape(shape)
