"""Fit the lens head of builtin:lens to features of images of several surveys, so that it holds on others too.

The head is a ridge regression of soft labels. So that it does not learn the look of a survey, its answer for a copy
with a random look (model/looks.py) should be that for the image: the squares of the differences are added to those of
the errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from convnet_galaxies.training.ridge_head import solve_ridge

FOLDS, LOOKS, VIEW_PX = 5, 20, 46.0
HOME = "CFHTLS"
"""The survey whose candidates calibrate the head, and are the unit of its weights."""
CFHTLS = {HOME: 1.0, f"beside {HOME}": 2.0}
LEARNED = {**CFHTLS, "painted": 0.2, "DR10": 0.5, "PS1 quasars": 0.25, "PS1 galaxies": 0.125}
PENALTY = 100.0
"""Of the weights of standardised features."""
SLOPE = 4.0
"""Log odds per unit of the regression: the slope of the logistic curve at one half."""


@dataclass(frozen=True)
class Source:
    """Images that a head can learn from.

    features: float [n, c]. looked: the same of copies with random looks. single: in one view. grey: of the mean of the
        bands. labels: soft ones, float [n]. known: known lenses among graded candidates, bool [n]. groups: str [n].
        fold: int [n], -1 for images that are in all.
    """

    features: np.ndarray
    looked: tuple[np.ndarray, ...]
    single: np.ndarray
    grey: np.ndarray
    labels: np.ndarray
    known: np.ndarray
    groups: np.ndarray
    fold: np.ndarray


@dataclass(frozen=True)
class Rung:
    """What a head learns from.

    shares: what the images of each set count together, in units of the candidates. known: what a known lens counts,
        next to a candidate. looks, looked: the number of copies of each image with random looks, and what they count
        together, next to the image itself. single: what the image in one view counts: a head of means over 8 views
        alone ranks single views worse. steady: what the differences between copies and image count.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: LEARNED)
    known: float = 1.5
    looks: int = LOOKS
    looked: float = 1.0
    single: float = 0.5
    steady: float = 0.25

    def without(self, *names: str) -> Rung:
        """The same without some sets."""
        return replace(self, shares={name: share for name, share in self.shares.items() if name not in names})


SHIPS = Rung()


@dataclass(frozen=True)
class Head:
    """Log odds = features @ weight + bias, float64 [c, 1] and [1]."""

    weight: np.ndarray
    bias: np.ndarray

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        """Of images, float64 [n], from their features, float [n, c]."""
        odds: np.ndarray = (features @ self.weight + self.bias)[:, 0]
        return odds


def fit_head(sources: Mapping[str, Source], rung: Rung, *, without: int | None = None) -> Head:
    """The head of a rung. without: the fold that is held out; None for none."""
    shown, labels, weights, changes, strengths = [], [], [], [], []
    for name, share in rung.shares.items():
        one = sources[name]
        rows = np.ones(len(one.labels), bool) if without is None else one.fold != without
        each = share * len(sources[HOME].labels) / len(one.labels) * np.where(one.known, rung.known, 1.0)[rows]
        copies = one.looked[: rung.looks]
        parts = [(one.features, 1.0), (one.single, rung.single)]
        parts += [(copy, rung.looked / len(copies)) for copy in copies]
        for values, weight in parts:
            shown.append(values[rows])
            labels.append(one.labels[rows])
            weights.append(each * weight)
        if copies:
            changes.append(np.stack([copy - one.features for copy in copies], axis=1)[rows])
            strengths.append(each)
    ((weight, bias),) = solve_ridge(
        np.concatenate(shown).astype(float),
        np.concatenate(labels)[:, None],
        np.concatenate(weights),
        [(PENALTY, rung.steady)],
        changes=np.concatenate(changes) if changes else None,
        strengths=np.concatenate(strengths) if changes else None,
    )
    return Head(SLOPE * weight, SLOPE * (bias - 0.5))


def fit_folds(sources: Mapping[str, Source], rung: Rung) -> list[Head]:
    """The heads of a rung, each without one fold."""
    return [fit_head(sources, rung, without=number) for number in range(FOLDS)]


def score_held_out(heads: Sequence[Head], features: np.ndarray, fold: np.ndarray | None = None) -> np.ndarray:
    """Log odds of images, float [n]: each by the head of its fold (int [n]), or by the mean of all."""
    each = np.stack([head.log_odds(features) for head in heads])
    odds: np.ndarray = each.mean(axis=0) if fold is None else each[fold, np.arange(len(fold))]
    return odds
