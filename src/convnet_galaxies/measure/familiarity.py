"""Familiarity of images: an out-of-distribution score from the features of a network.

A net answers for any image, noise and photographs as well. The features of known images are described by a Gaussian of
few directions and equal scatter in all others (probabilistic principal components: Tipping & Bishop 1999, Journal of
the Royal Statistical Society B 61, 611), the distance from it is Mahalanobis' (as Lee et al. 2018, arXiv:1807.03888,
find images of another kind), and its meaning is read off other known images: the share of them that lie at least as
far out. Beyond the farthest tenth of them that share follows a power law in the distance (Hill 1975, Annals of
Statistics 3, 1163).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.errors import InputError

LARGEST_RANK = 64
LEAST_VARIANCE = 1e-3
"""Smallest scale of a standardised feature; smaller ones would make any rounding look unfamiliar."""
FEWEST_IMAGES = 50
TAIL = 0.1
"""Share of the known images by which the power law is fitted."""
LEVELS = np.linspace(0, 1 - TAIL, 46)


@dataclass(frozen=True)
class FeatureDistribution:
    """Feature statistics of known images.

    mean, scale: float32 [f]; a feature counts as (root - mean) / scale, with root its signed square root, which tames
        the long tails of rectified features.
    axes: float32 [f, k], orthonormal; variances: float32 [k] along them.
    residual_variance: the variance in every other direction.
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    residual_variance: float

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Convert features float [n, f] to Mahalanobis distances, float64 [n]."""
        z = (take_root(features) - self.mean) / self.scale
        along = z @ self.axes.astype(float)
        beside = np.maximum((z**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return np.sqrt((along**2 / self.variances).sum(axis=1) + beside / self.residual_variance)


@dataclass(frozen=True)
class DistanceQuantiles:
    """Quantiles of the distances of known images that the distribution was not fitted on.

    quantiles: float [46], at LEVELS. exponent: of the power law beyond the last of them.
    """

    quantiles: np.ndarray
    exponent: float

    def familiarity(self, distance: np.ndarray) -> np.ndarray:
        """Return the share (0 to 1) of known images that lie at least as far out, float64 [n]."""
        edge = float(self.quantiles[-1])
        inside = 1 - np.interp(distance, self.quantiles, LEVELS)
        beyond = TAIL * (np.maximum(distance, edge) / edge) ** -self.exponent
        return np.where(distance > edge, beyond, inside)


def fit_distribution(features: np.ndarray) -> FeatureDistribution:
    """Return the distribution of known images; features: float [n, f]. Raises InputError for too few images."""
    features = take_root(features)
    if len(features) < FEWEST_IMAGES:
        raise InputError(
            f"familiarity: found {len(features)} images, expected at least {FEWEST_IMAGES}", "give more images"
        )
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.maximum(scale, 0.01 * max(float(np.sqrt((scale**2).mean())), 1e-6))
    z = (features - mean) / scale
    rank = min(LARGEST_RANK, z.shape[1] - 1, len(z) // 10)
    powers, directions = np.linalg.eigh(z.T @ z / len(z))  # ascending
    residual_variance = max(float(powers[: z.shape[1] - rank].mean()), LEAST_VARIANCE)
    return FeatureDistribution(
        mean.astype(np.float32),
        scale.astype(np.float32),
        directions[:, ::-1][:, :rank].astype(np.float16).astype(np.float32),  # as they are stored
        np.maximum(powers[::-1][:rank], residual_variance).astype(np.float32),
        residual_variance,
    )


def fit_distances(distance: np.ndarray) -> DistanceQuantiles:
    """Return the quantiles of distances, float [n], of known images that were not fitted. Raises InputError."""
    distance = np.asarray(distance, float)
    if len(distance) < FEWEST_IMAGES:
        raise InputError(
            f"familiarity: found {len(distance)} images besides those that were fitted, expected at least "
            f"{FEWEST_IMAGES}",
            "give more images",
        )
    quantiles = np.maximum(np.quantile(distance, LEVELS), 1e-9)  # equal images have no distance
    far = distance[distance > quantiles[-1]]
    spread = float(np.log(far / quantiles[-1]).mean()) if len(far) else 0.0
    return DistanceQuantiles(quantiles, 1 / max(spread, 1e-3))


def take_root(features: np.ndarray) -> np.ndarray:
    """Return signed square roots, float64."""
    features = np.asarray(features, float)
    return np.sign(features) * np.sqrt(np.abs(features))
