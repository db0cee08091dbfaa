"""Which flavor of lens is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import confusion_matrix

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import Figure, bootstrap_groups, encode_groups


@dataclass(frozen=True)
class FlavorScores:
    """Confusion of flavors.

    names: the k flavors; counts: [k][k], rows true, columns predicted; accuracy: over all images;
    completeness: by flavor, the part of its images that is predicted as such.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    accuracy: Figure
    completeness: dict[str, Figure]


def confuse_flavors(
    truth: np.ndarray,
    predicted: np.ndarray,
    groups: np.ndarray,
    *,
    names: Sequence[str],
    seed: int,
    level: float = 0.95,
) -> FlavorScores:
    """Confusion matrix of flavors, both int [n], indices into names; a flavor without images has no completeness."""
    truth, predicted = np.asarray(truth, int), np.asarray(predicted, int)
    if not len(truth) == len(predicted) == len(groups):
        raise InputError(
            f"flavors: found {len(truth)} true flavors, {len(predicted)} predicted ones and {len(groups)} groups, "
            "expected one of each an image",
            "predict the same images that the truth is given for",
        )
    counts = confusion_matrix(truth, predicted, labels=np.arange(len(names)))
    codes, n_groups = encode_groups(groups)
    hits = np.zeros((n_groups, len(names)))
    sizes = np.zeros((n_groups, len(names)))
    np.add.at(hits, (codes, truth), truth == predicted)
    np.add.at(sizes, (codes, truth), 1)
    present = np.flatnonzero(sizes.sum(axis=0))

    def rates(draws: np.ndarray) -> np.ndarray:
        found, all_of_it = draws @ hits, draws @ sizes
        by_flavor = np.divide(found, all_of_it, out=np.full_like(found, np.nan), where=all_of_it > 0)
        return np.column_stack([found.sum(axis=1) / all_of_it.sum(axis=1), by_flavor[:, present]])

    figures = bootstrap_groups(
        rates,
        groups,
        ["accuracy", *(names[int(k)] for k in present)],
        seed=seed,
        level=level,
        n_effective=[n_groups, *(int((sizes[:, k] > 0).sum()) for k in present)],
        proportion=True,
    )
    accuracy = figures.pop("accuracy")
    return FlavorScores(tuple(names), tuple(tuple(int(n) for n in row) for row in counts), accuracy, figures)
