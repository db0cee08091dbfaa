"""Neighbours in the features of a network: which images look alike to it, and which stand alone.

Features are compared by the cosine of the angle between their signed square roots (for rectified features the
Bhattacharyya coefficient). The votes of a galaxy's neighbours agree best under it, and worst under Mahalanobis'
distance, which gives directions of little variance, noise for the most part, as much weight as the others
(docs/experiments.md).
"""

from __future__ import annotations

import numpy as np

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.familiarity import take_root

NEIGHBOURS = 10
"""Number of nearest images whose mean distance is the isolation of an image."""
AT_ONCE = 2048
"""Images whose distances to all others are in memory at a time."""
PRINCIPAL_COMPONENTS = 50
FEWEST_PROJECTED = 5


def find_directions(features: np.ndarray) -> np.ndarray:
    """Return the signed square roots of features, float [n, f], scaled to length 1: float32 [n, f]; zeros stay zero."""
    directions = np.empty(np.shape(features), np.float32)
    for start in range(0, len(features), AT_ONCE):  # roots are float64
        roots = take_root(features[start : start + AT_ONCE])
        length = np.linalg.norm(roots, axis=1, keepdims=True)
        directions[start : start + AT_ONCE] = roots / np.where(length > 0, length, 1)
    return directions


def find_similar(directions: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of all images, most similar to the query first (int [n]), and their similarity (float [n]).

    directions: float32 [n, f] of find_directions; query: float [f], such as one of them or the mean of several.
    The similarity is the cosine of the angle, 1 for the same direction; ties keep the order of the rows.
    """
    length = float(np.linalg.norm(query))
    similarity = directions @ (query / (length or 1.0)).astype(np.float32)
    order = np.argsort(-similarity, kind="stable")
    return order, similarity[order]


def measure_isolation(directions: np.ndarray, *, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """Return how far each image lies from the others, float64 [n]: the mean of 1 - cosine over its nearest images.

    directions: float32 [n, f]. The time grows with the square of n: 20,000 images take a few seconds. A single image
    has isolation 0.
    """
    n = len(directions)
    count = min(neighbours, n - 1)
    isolation = np.zeros(n)
    if count < 1:
        return isolation
    for start in range(0, n, AT_ONCE):
        cosine = directions[start : start + AT_ONCE] @ directions.T
        rows = np.arange(len(cosine))
        cosine[rows, start + rows] = -np.inf  # an image is no neighbour of itself
        nearest = np.partition(cosine, n - count, axis=1)[:, n - count :]
        isolation[start : start + AT_ONCE] = 1 - nearest.mean(axis=1, dtype=float)
    return isolation


def project_features(features: np.ndarray, *, seed: int) -> np.ndarray:
    """Return places in the plane, float64 [n, 2], in which images that look alike to the network lie together.

    t-SNE (van der Maaten & Hinton 2008, Journal of Machine Learning Research 9, 2579) of the first principal components
    of the directions of features, float [n, f]. Distances between far groups, and the sizes of groups, mean nothing.
    Raises InputError for fewer than 5 images.
    """
    if len(features) < FEWEST_PROJECTED:
        raise InputError(f"map: found {len(features)} images, expected at least {FEWEST_PROJECTED}", "give more images")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    directions = find_directions(features)
    if not np.ptp(directions, axis=0).any():  # equal images have no axes
        return np.zeros((len(directions), 2))
    rank = min(PRINCIPAL_COMPONENTS, len(directions), directions.shape[1])
    reduced = PCA(rank, svd_solver="full").fit_transform(directions)
    perplexity = min(30.0, (len(reduced) - 1) / 3)
    method = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    return method.fit_transform(reduced.astype(np.float32)).astype(float)
