"""The probability that a field holds a lens, from what volunteers of differing skill said: SWAP.

Marshall et al. (2016, MNRAS 455, 1171; arXiv:1504.06148, section 4). An agent stands for each volunteer and learns
its confusion matrix from the training fields: PL, the chance to say "lens" of a lens, and PD, to say "not" of a dud.
Each answer then moves the probability of the field by Bayes' theorem.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import entr

# About 100 lenses in 430,000 fields.
PRIOR = 2e-4
DETECTED_ABOVE = 0.95
REJECTED_BELOW = 1e-7
# Probabilities are kept this far from 0 and 1, so that logarithms stay finite.
SMALLEST = 1e-15

LENS, NOT, UNKNOWN = 1, 0, -1


@dataclass(frozen=True)
class Verdicts:
    """Result of SWAP for a sequence of classifications.

    probability: float64 [fields], that the field holds a lens, after all answers.
    pl, pd: float64 [answers], the agent's estimates when the answer came.
    """

    probability: np.ndarray
    pl: np.ndarray
    pd: np.ndarray


def update(probability: float, pl: float, pd: float, *, said_lens: bool) -> float:
    """Update by Bayes' theorem for one answer: return the new probability that the field holds a lens."""
    if_lens, if_not = (pl, 1 - pd) if said_lens else (1 - pl, pd)
    return if_lens * probability / (if_lens * probability + if_not * (1 - probability))


def update_beliefs(
    volunteer: np.ndarray,
    field: np.ndarray,
    said_lens: np.ndarray,
    truth: np.ndarray,
    *,
    prior: float = PRIOR,
    start: tuple[float, float] = (0.5, 0.5),
) -> Verdicts:
    """Go through the answers in their order; agents learn from training fields, all fields are updated.

    volunteer, field: int [answers], numbered from 0; said_lens: bool [answers].
    truth: int [fields], LENS or NOT for training fields, UNKNOWN for others.
    start: PL and PD of a new agent, which weigh as two answers, so that estimates never reach 0 or 1.
    """
    volunteers = int(volunteer.max()) + 1 if len(volunteer) else 0
    seen = {LENS: [2.0] * volunteers, NOT: [2.0] * volunteers}
    right = {LENS: [2 * start[0]] * volunteers, NOT: [2 * start[1]] * volunteers}
    odds = [math.log(prior / (1 - prior))] * len(truth)
    pl, pd = np.empty(len(volunteer)), np.empty(len(volunteer))
    known = truth.tolist()
    answers = zip(volunteer.tolist(), field.tolist(), said_lens.tolist(), strict=True)
    for number, (who, which, lens) in enumerate(answers):
        its_pl, its_pd = right[LENS][who] / seen[LENS][who], right[NOT][who] / seen[NOT][who]
        pl[number], pd[number] = its_pl, its_pd
        odds[which] += math.log(its_pl / (1 - its_pd)) if lens else math.log((1 - its_pl) / its_pd)
        kind = known[which]
        if kind != UNKNOWN:
            seen[kind][who] += 1
            right[kind][who] += lens == (kind == LENS)
    probability = 1 / (1 + np.exp(-np.clip(odds, -40, 40)))
    return Verdicts(np.clip(probability, SMALLEST, 1 - SMALLEST), pl, pd)


def crowd_average(field: np.ndarray, said_lens: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return PL and PD of the whole crowd on the training fields, each with two guesses added (Laplace's rule).

    A start for agents where a volunteer sees too few training fields to be known alone.
    """
    kind = truth[field]
    pl = (said_lens[kind == LENS].sum() + 1) / ((kind == LENS).sum() + 2)
    pd = ((~said_lens[kind == NOT]).sum() + 1) / ((kind == NOT).sum() + 2)
    return float(pl), float(pd)


def expected_information_bits(pl: np.ndarray, pd_: np.ndarray) -> np.ndarray:
    """Return the skill of volunteers: information (bits, float of the inputs' shape) expected from one of their
    answers.

    pl: probability of "lens" for a lens; pd_: of "not" for a dud; both for a subject of prior 1/2. Zero for guessing,
    one for perfection (Marshall et al. 2016, arXiv:1504.06148, section 4).
    """
    pl, pd_ = np.asarray(pl, float), np.asarray(pd_, float)
    said_lens = (pl + 1 - pd_) / 2
    answers = entr(said_lens) + entr(1 - said_lens)
    given_truth = (entr(pl) + entr(1 - pl) + entr(pd_) + entr(1 - pd_)) / 2
    return (answers - given_truth) / np.log(2)


def status_of(probability: float) -> str:
    """Return ``detected`` above 0.95, ``rejected`` below 1e-7, else ``undecided``."""
    if probability > DETECTED_ABOVE:
        return "detected"
    return "rejected" if probability < REJECTED_BELOW else "undecided"


def state_of(probability: float, kind: str) -> str:
    """Return ``inactive`` once a test field is rejected, which retires it; training fields are always ``active``."""
    return "inactive" if kind == "test" and probability < REJECTED_BELOW else "active"
