"""Fractions of classes among unlabelled images, by a Bayesian mixture of binned scores.

The model of Ziegler & Czyz 2023 (arXiv:2302.09159): scores fall into cells; the images of class c fall into cell j
with probability theta[c, j], known from labelled images and, since nothing else is assumed to have changed, from the
unknown ones too; the unknown images are a mixture with fractions pi. Dirichlet priors on theta and pi, Gibbs draws:
how many of the unknown images of each cell belong to each class, then pi, then theta. Each draw gives both the
fractions of the population and the number of each class among the very images at hand. Both sides' uncertainty is in
the draws, also where counts are zero, which is where a bootstrap claims certainty.

Images of one field are not independent: counts are divided by the design effect (Rao & Scott 1981, JASA 76, 221).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.measure.intervals import encode_groups

PRIOR_FRACTION = 0.5
"""Dirichlet parameter of class 0 and of all others together: Jeffreys' prior of lens against non-lens."""
PRIOR_CELLS = 2.0
"""Prior images a class, shared by its cells. With 6 bins and 2 images the intervals held rare lenses best; with more
bins they lie too high, since a bin in which no labelled non-lens fell makes every unknown image in it a lens."""

SETTLED = 1.05
KEPT_STEPS = 200
"""Steps of each chain that are kept, evenly spaced: neighbouring steps are nearly equal."""


@dataclass(frozen=True)
class MixtureDraws:
    """Draws from the posterior.

    fractions: float [draws, k], of the population; counts: int [draws, k], among the unknown images at hand;
    weights: float [draws, k, cells], theta; rhat: Gelman & Rubin's R-hat of the fractions, the largest (1 is best).
    """

    fractions: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    rhat: float


@dataclass(frozen=True)
class ScoreCells:
    """Into which scores are sorted. edges: float [bins - 1], rising; n_classes: k of the posteriors [n, k]."""

    edges: np.ndarray
    n_classes: int

    @property
    def number(self) -> int:
        """Number of cells."""
        return (len(self.edges) + 1) * max(1, self.n_classes - 1)

    def assign(self, posteriors: np.ndarray) -> np.ndarray:
        """Return the cell of each image, int [n]."""
        bins = np.searchsorted(self.edges, _score(posteriors), side="left")
        if self.n_classes == 2:
            return bins
        return bins * (self.n_classes - 1) + np.argmax(posteriors[:, 1:], axis=1)


def make_cells(posteriors: np.ndarray, truth: np.ndarray, *, n_bins: int = 6) -> ScoreCells:
    """Return cells that cut the score 1 - P(class 0) into bins of equal mass, every class counting alike.

    With more than two classes each bin is cut again by the most likely class among 1..k-1.
    posteriors: float [n, k]; truth: int [n] in 0..k-1.
    """
    score = _score(posteriors)
    mass = (1 / np.bincount(truth, minlength=posteriors.shape[1]))[truth]
    order = np.argsort(score, kind="stable")
    below = np.cumsum(mass[order]) / mass.sum()
    cuts = score[order][np.minimum(np.searchsorted(below, np.arange(1, n_bins) / n_bins), len(order) - 1)]
    return ScoreCells(np.unique(cuts), posteriors.shape[1])


def measure_design_effect(values: np.ndarray, groups: np.ndarray) -> float:
    """Return the factor by which grouping raises the variance of the mean of values, float [n, k]; at least 1."""
    codes, n_groups = encode_groups(groups)
    centred = values - values.mean(axis=0)
    alone = float((centred**2).sum())
    if n_groups < 2 or alone == 0:
        return 1.0
    together = np.stack([np.bincount(codes, column, n_groups) for column in centred.T])
    return max(1.0, n_groups / (n_groups - 1) * float((together**2).sum()) / alone)


def sample_mixture(
    labelled_cells: np.ndarray,
    unknown_cells: np.ndarray,
    *,
    rng: np.random.Generator,
    unknown_effect: float = 1.0,
    n_chains: int = 32,
    most_steps: int = 6400,
    start: np.ndarray | None = None,
) -> MixtureDraws:
    """Return Gibbs draws from many chains that start at fractions drawn at random.

    The second half of the steps is kept; the steps are doubled until the chains agree (R-hat below SETTLED), since
    they move slowly when many images of unclear class face few labelled ones.

    labelled_cells: float [k, cells], labelled images of each class in each cell, divided by their design effect, or
    [chains, k, cells], others for each chain; unknown_cells: int [cells]; unknown_effect: design effect of the unknown
    images; start: float [chains, k], fractions at which the chains start instead. Chain c has the draws c, c + chains,
    c + 2 chains, ...
    """
    n_classes, n_cells = labelled_cells.shape[-2:]
    if start is not None:
        n_chains = len(start)
    known = labelled_cells + PRIOR_CELLS / n_cells
    prior = np.full(n_classes, PRIOR_FRACTION / max(1, n_classes - 1))
    prior[0] = PRIOR_FRACTION
    theta = _draw_dirichlet(np.broadcast_to(known, (n_chains, n_classes, n_cells)), rng)
    pi = _draw_dirichlet(np.ones((n_chains, n_classes)), rng) if start is None else start
    images = np.broadcast_to(unknown_cells, (n_chains, n_cells)).astype(np.int64)
    steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    wanted, rhat = 200, np.inf
    while rhat > SETTLED and wanted <= most_steps:
        while len(steps) < wanted:
            joint = pi[:, :, None] * theta
            members = _allocate(images, joint / joint.sum(axis=1, keepdims=True), rng)
            by_class = members.sum(axis=2)
            pi = _draw_dirichlet(by_class / unknown_effect + prior, rng)
            theta = _draw_dirichlet(known + members / unknown_effect, rng)
            steps.append((pi, by_class, theta))
        rhat = _measure_rhat(np.log([step[0] for step in steps[wanted // 2 :]]))
        wanted *= 2
    kept = steps[len(steps) // 2 :: max(1, len(steps) // (2 * KEPT_STEPS))]
    fractions, counts, weights = (np.concatenate([step[part] for step in kept]) for part in range(3))
    return MixtureDraws(fractions, counts.astype(int), weights, rhat)


def _score(posteriors: np.ndarray) -> np.ndarray:
    return 1 - np.asarray(posteriors, float)[:, 0]


def _draw_dirichlet(parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    drawn = np.maximum(rng.standard_gamma(parameters), 1e-200)  # a parameter of 0.05 often gives an exact 0
    return drawn / drawn.sum(axis=-1, keepdims=True)


def _allocate(cells: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Multinomial split of each cell's images, int [chains, cells], over classes: [chains, k, cells], one binomial a
    class."""
    members = np.empty(shares.shape)
    left, part, remaining = cells, shares[:, -1], np.array(1.0)
    for k in range(shares.shape[1] - 1, 0, -1):
        drawn = rng.binomial(left, part)
        members[:, k], left = drawn, left - drawn
        remaining = remaining - shares[:, k]
        part = np.clip(shares[:, k - 1] / np.maximum(remaining, 1e-300), 0, 1) if k > 1 else part
    members[:, 0] = left
    return members


def _measure_rhat(chains: np.ndarray) -> float:
    """R-hat of [steps, chains, k] (Gelman & Rubin 1992, Statistical Science 7, 457), the largest over k."""
    steps = len(chains)
    within = chains.var(axis=0, ddof=1).mean(axis=0)
    between = chains.mean(axis=0).var(axis=0, ddof=1)
    return float(np.sqrt((steps - 1) / steps + between / np.maximum(within, 1e-300)).max())
