"""Confusion matrix of lens flavors, with completeness and purity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import confusion_matrix

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.intervals import FEW_GROUPS, Estimate, bootstrap_groups, bound_proportion, encode_groups

NO_LENS = "dud"


@dataclass(frozen=True)
class FlavorScores:
    """Confusion of flavors.

    names: the k flavors; counts: [k][k], rows true, columns predicted; accuracy: over all images;
    completeness: by flavor, the part of its images that is predicted as such. purity: by flavor, the part of the images
    predicted as such that are, in the mix of these images; neither is there for a flavor that has none.
    groups: that hold images of each true flavor.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    accuracy: Estimate
    completeness: dict[str, Estimate]
    purity: dict[str, Estimate] = field(default_factory=dict)
    groups: tuple[int, ...] = ()


def confuse_flavors(
    truth: np.ndarray,
    predicted: np.ndarray,
    groups: np.ndarray,
    *,
    names: Sequence[str],
    seed: int,
    level: float = 0.95,
) -> FlavorScores:
    """Return the confusion matrix of flavors, both int [n], indices into names; a flavor without images has no
    completeness."""
    truth, predicted = np.asarray(truth, int), np.asarray(predicted, int)
    if not len(truth) == len(predicted) == len(groups):
        raise InputError(
            f"flavors: found {len(truth)} true flavors, {len(predicted)} predicted ones and {len(groups)} groups, "
            "expected one of each per image",
            "predict the same images that the truth is given for",
        )
    counts = confusion_matrix(truth, predicted, labels=np.arange(len(names)))
    codes, n_groups = encode_groups(groups)
    hits, sizes, calls = (np.zeros((n_groups, len(names))) for _ in range(3))
    np.add.at(hits, (codes, truth), truth == predicted)
    np.add.at(sizes, (codes, truth), 1)
    np.add.at(calls, (codes, predicted), 1)
    present, called = (np.flatnonzero(table.sum(axis=0)).tolist() for table in (sizes, calls))

    def rates(draws: np.ndarray) -> np.ndarray:
        found, all_of_it, all_called = draws @ hits, draws @ sizes, draws @ calls
        completeness, purity = (
            np.divide(found, whole, out=np.full_like(found, np.nan), where=whole > 0)
            for whole in (all_of_it, all_called)
        )
        accuracy = found.sum(axis=1) / all_of_it.sum(axis=1)
        return np.column_stack([accuracy, completeness[:, present], purity[:, called]])

    figures = bootstrap_groups(
        rates,
        groups,
        ["accuracy", *(f"completeness {names[k]}" for k in present), *(f"purity {names[k]}" for k in called)],
        seed=seed,
        level=level,
        n_effective=[
            n_groups,
            *((sizes[:, present] > 0).sum(axis=0).tolist()),
            *((calls[:, called] > 0).sum(axis=0).tolist()),
        ],
        proportion=True,
    )
    return FlavorScores(
        tuple(names),
        tuple(tuple(int(n) for n in row) for row in counts),
        figures["accuracy"],
        {names[k]: figures[f"completeness {names[k]}"] for k in present},
        {names[k]: figures[f"purity {names[k]}"] for k in called},
        tuple(int(n) for n in (sizes > 0).sum(axis=0)),
    )


def expect_flavors(
    scores: FlavorScores, *, n_lenses: float, n_images: float, level: float = 0.95
) -> dict[str, tuple[Estimate, Estimate]]:
    """Return false positives and purity by flavor of lens, in a survey of n_images with n_lenses lenses.

    ``false positives of f = sum over t other than f of N_t R_tf`` and ``purity = N_f R_ff / (N_f R_ff + these)``, with
    R_tf the part of the images of flavor t that are predicted as f, N of NO_LENS the images without a lens, and the
    lenses shared among the flavors as they are here. Intervals are exact binomial ones over groups of R_ff and of the
    rate of NO_LENS (Clopper & Pearson 1934), which outweighs all others; both at their worst give the lower purity.
    Empty where a class is missing or NO_LENS is no class. Raises UsageError for a prevalence outside (0, 1).
    """
    if not 0 < n_lenses < n_images:
        raise UsageError(
            f"survey: found {n_lenses:g} lenses in {n_images:g} images, expected a prevalence between 0 and 1",
            "give more images than lenses, and at least some lenses",
        )
    counts = np.array(scores.counts, float)
    sizes = counts.sum(axis=1)
    if NO_LENS not in scores.names or not scores.groups or (sizes == 0).any():
        return {}
    rates = counts / sizes[:, None]
    dud = scores.names.index(NO_LENS)
    lenses = np.flatnonzero(np.arange(len(sizes)) != dud)
    share = n_lenses * sizes / sizes[lenses].sum()
    expected = {}
    for flavor in lenses:
        name, others = scores.names[flavor], [k for k in lenses if k != flavor]
        own = (rates[flavor, flavor], *_bound(rates[flavor, flavor], scores.groups[flavor], level))
        of_dud = (rates[dud, flavor], *_bound(rates[dud, flavor], scores.groups[dud], level))
        among_lenses = float(share[others] @ rates[others, flavor])
        false = [float((n_images - n_lenses) * one + among_lenses) for one in of_dud]
        value, low, high = (share[flavor] * one for one in own)
        few = min(scores.groups[flavor], scores.groups[dud]) < FEW_GROUPS
        warning = f"only {scores.groups[flavor]} groups with this flavor: the interval is rough" if few else None
        expected[name] = (
            Estimate(f"false positives {name}", false[0], false[1], false[2], level, warning),
            Estimate(
                f"purity {name}",
                _purity(value, false[0]),
                _purity(low, false[2]),
                _purity(high, false[1]),
                level,
                warning,
            ),
        )
    return expected


def _purity(found: float, false: float) -> float:
    return float(found / (found + false)) if found else 0.0


def _bound(rate: float, groups: int, level: float) -> tuple[float, float]:
    return bound_proportion(rate * groups, groups, level=level)
