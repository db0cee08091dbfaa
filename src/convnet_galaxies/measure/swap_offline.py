"""SWAP with all answers at once: skills and probabilities by expectation maximization, and how well each is known.

The offline analysis of Marshall et al. (2016, MNRAS 455, 1171; arXiv:1504.06148), that is the model of Dawid & Skene
(1979, Applied Statistics 28, 20) with two classes, with three changes:

- Skills have beta distributions over the crowd, fitted with them (empirical Bayes), so that who has answered little is
  near the crowd's mean, and an interval of a skill is one of its posterior beta distribution.
- Answers about one subject are not independent: a faint lens is overlooked by all, and a ring fools many. The evidence
  of n answers is divided by their design effect, ``1 + r (n - 1)`` (Kish 1965, Survey Sampling, section 5.4); r is
  measured on the training subjects. Without it the probabilities are far too near 0 and 1 (docs/experiments.md).
- The prior can be given, or is estimated from the subjects without a known truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import minimize
from scipy.special import betaln, expit, logit, psi

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import check_level
from convnet_galaxies.measure.swap import LENS, NOT, SMALLEST, UNKNOWN, crowd_average, expected_information_bits

MOST_ROUNDS = 100
TOLERANCE = 1e-4
_PRIOR_RANGE = (1e-6, 0.5)
_CONCENTRATION_RANGE = (0.05, 1e4)


@dataclass(frozen=True)
class Skills:
    """What is known of the volunteers, each array float64 [volunteers].

    pl, pd: chance to call a lens one, and another subject none (posterior means). *_low, *_high: ends of intervals.
    lenses, others: effective numbers of answers about either. bits: information expected from an answer (see swap).
    """

    pl: np.ndarray
    pl_low: np.ndarray
    pl_high: np.ndarray
    pd: np.ndarray
    pd_low: np.ndarray
    pd_high: np.ndarray
    lenses: np.ndarray
    others: np.ndarray
    bits: np.ndarray


@dataclass(frozen=True)
class Offline:
    """Result of offline SWAP.

    probability: float64 [subjects], that a subject is a lens, after all answers; for training subjects as if their
    truth were not known. answers: int [subjects]. skills: of the volunteers. prior: of the subjects without truth.
    dependence: r of the design effect. rounds: of the iteration.
    """

    probability: np.ndarray
    answers: np.ndarray
    skills: Skills
    prior: float
    dependence: float
    rounds: int


def solve_offline(
    volunteer: np.ndarray,
    subject: np.ndarray,
    said_lens: np.ndarray,
    truth: np.ndarray,
    *,
    prior: float | None = None,
    level: float = 0.9,
) -> Offline:
    """Estimate skills and probabilities from all answers.

    volunteer, subject: int [answers], numbered from 0, each pair at most once; said_lens: bool [answers]. truth: int
    [subjects], LENS or NOT for training subjects, UNKNOWN for others. prior: None estimates it. level: of intervals.
    Raises InputError unless there are answers about training subjects of both kinds.
    """
    check_level(level)
    _require_training(subject, truth)
    volunteers, subjects = int(volunteer.max()) + 1, len(truth)
    known, answers = truth != UNKNOWN, np.bincount(subject, minlength=subjects)
    own_prior = 0.02 if prior is None else prior
    start = crowd_average(subject, said_lens, truth)
    pl, pd_ = np.full(volunteers, start[0]), np.full(volunteers, start[1])
    beta_pl, beta_pd = (np.array([2 * one, 2 * (1 - one)]) for one in start)
    is_lens = np.where(known, truth, own_prior).astype(float)
    rounds, moved = 0, np.inf
    while moved > TOLERANCE and rounds < MOST_ROUNDS:
        if_lens, if_not = _log_ratios(pl, pd_)
        ratios = np.where(said_lens, if_lens[volunteer], if_not[volunteer])
        evidence = np.bincount(subject, ratios, minlength=subjects)
        dependence = measure_dependence(volunteer, subject, said_lens, truth, pl, pd_)
        weighed = evidence / (1 + dependence * np.maximum(answers - 1, 0))
        probability = expit(logit(own_prior) + weighed)
        previous, is_lens = is_lens, np.where(known, truth, probability)
        if prior is None and not known.all():
            seen = ~known & (answers > 0)
            own_prior = float(np.clip(is_lens[seen].mean(), *_PRIOR_RANGE)) if seen.any() else own_prior
        lenses, right_lenses = _count(volunteer, is_lens[subject], said_lens, volunteers)
        others, right_others = _count(volunteer, 1 - is_lens[subject], ~said_lens, volunteers)
        beta_pl, beta_pd = fit_beta(right_lenses, lenses, beta_pl), fit_beta(right_others, others, beta_pd)
        pl = (right_lenses + beta_pl[0]) / (lenses + beta_pl.sum())
        pd_ = (right_others + beta_pd[0]) / (others + beta_pd.sum())
        rounds, moved = rounds + 1, float(np.abs(is_lens - previous).max())
    skills = Skills(
        pl,
        *_bound(right_lenses, lenses, beta_pl, level),
        pd_,
        *_bound(right_others, others, beta_pd, level),
        lenses,
        others,
        expected_information_bits(pl, pd_),
    )
    return Offline(np.clip(probability, SMALLEST, 1 - SMALLEST), answers, skills, own_prior, dependence, rounds)


def measure_dependence(
    volunteer: np.ndarray,
    subject: np.ndarray,
    said_lens: np.ndarray,
    truth: np.ndarray,
    pl: np.ndarray,
    pd_: np.ndarray,
) -> float:
    """Measure how alike the answers about one subject are: the intraclass correlation of their evidence, 0 to 1.

    The evidence of a training subject scatters about what its volunteers' skills let expect. Were they independent,
    its variance would be the sum v of theirs; it is ``v (1 + r (n - 1))``. The larger r of lenses and others is taken,
    since it costs more to be too sure. A fit of r to the truth instead finds 0 where the training subjects are few and
    all on their side.
    """
    if_lens, if_not = _log_ratios(pl, pd_)
    evidence = np.where(said_lens, if_lens[volunteer], if_not[volunteer])
    number = np.bincount(subject, minlength=len(truth))
    found = [0.0]
    for kind, says in ((LENS, pl), (NOT, 1 - pd_)):
        mean, variance = says * if_lens + (1 - says) * if_not, says * (1 - says) * (if_lens - if_not) ** 2
        beyond = np.bincount(subject, evidence - mean[volunteer], minlength=len(truth))
        expected = np.bincount(subject, variance[volunteer], minlength=len(truth))
        rows = (truth == kind) & (number > 1)
        if rows.any():
            excess = (beyond[rows] ** 2 - expected[rows]).sum()
            found.append(float(excess / (expected[rows] * (number[rows] - 1)).sum()))
    return min(max(found), 1.0)


def fit_beta(right: np.ndarray, seen: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Fit the two parameters (float64 [2]) of the beta distribution of skills over the crowd, by the likelihood of the
    beta-binomial distribution.

    right, seen: float [volunteers], effective numbers of right answers and of all; start: where to begin.
    """
    right, seen = right[seen > 0], seen[seen > 0]
    wrong = seen - right

    def miss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = np.exp(logs)
        value = (betaln(a + right, b + wrong) - betaln(a, b)).sum()
        both = psi(a + b + seen).sum() - len(seen) * psi(a + b)
        slope_a = psi(a + right).sum() - len(seen) * psi(a) - both
        slope_b = psi(b + wrong).sum() - len(seen) * psi(b) - both
        return -float(value), -np.array([a * slope_a, b * slope_b])

    limits = [tuple(np.log(_CONCENTRATION_RANGE))] * 2
    found = minimize(miss, np.log(np.clip(start, *_CONCENTRATION_RANGE)), jac=True, method="L-BFGS-B", bounds=limits)
    return np.exp(found.x)


def _require_training(subject: np.ndarray, truth: np.ndarray) -> None:
    seen = truth[subject] if len(subject) else np.empty(0, int)
    lacking = [name for name, kind in (("lenses", LENS), ("others", NOT)) if not (seen == kind).any()]
    if lacking:
        raise InputError(
            f"SWAP: found no answers about training subjects that are {' or '.join(lacking)}, expected both kinds",
            "give the truth of subjects that are in the export, under the same ids",
        )


def _log_ratios(pl: np.ndarray, pd_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the likelihood ratios of "lens" and of "not", float64 [volunteers]."""
    return np.log(pl) - np.log1p(-pd_), np.log1p(-pl) - np.log(pd_)


def _count(
    volunteer: np.ndarray, weight: np.ndarray, is_right: np.ndarray, volunteers: int
) -> tuple[np.ndarray, np.ndarray]:
    seen = np.bincount(volunteer, weight, minlength=volunteers)
    return seen, np.bincount(volunteer, weight * is_right, minlength=volunteers)


def _bound(right: np.ndarray, seen: np.ndarray, beta: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    tail = (1 - level) / 2
    a, b = beta[0] + right, beta[1] + seen - right
    return stats.beta.ppf(tail, a, b), stats.beta.ppf(1 - tail, a, b)
