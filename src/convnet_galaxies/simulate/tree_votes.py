"""Simulate votes on the questions of any campaign whose truth the simulation has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from convnet_galaxies.decision_tree import DecisionTree
from convnet_galaxies.errors import InputError
from convnet_galaxies.simulate.morphology import Galaxy
from convnet_galaxies.simulate.surroundings import Surroundings
from convnet_galaxies.simulate.visibility import Visibility
from convnet_galaxies.simulate.votes import answer_probabilities

_Shares = Mapping[str, float]


def simulated_part(tree: DecisionTree) -> DecisionTree:
    """Return the tree with the questions alone that the simulation can answer, and to which such questions lead.

    Raises InputError where there is none.
    """
    kept: list[int] = []
    for question in tree.order:
        one, parents = tree.questions[question], {tree.question_of[column] for column in tree.parents[question]}
        if one.name in _QUESTIONS and parents <= set(kept) and set(_short(one)) <= _ANSWERS[one.name]:
            kept.append(question)
    if not kept:
        raise InputError(
            f"simulate: found the tree {tree}, expected one with questions of {', '.join(sorted(_QUESTIONS))}",
            "give the tree of a campaign such as desi",
        )
    return replace(tree, questions=tuple(tree.questions[question] for question in sorted(kept)))


def answer_tree(tree: DecisionTree, galaxy: Galaxy, seen: Visibility, around: Surroundings) -> list[np.ndarray]:
    """Return the probability of each answer to each question, for a volunteer who is asked it; tree: of
    simulated_part."""
    kaggle = answer_probabilities(galaxy, seen, around)
    found = []
    for question in tree.questions:
        shares = _QUESTIONS[question.name](kaggle, seen)
        chosen = np.array([shares[answer] for answer in _short(question)])
        found.append(chosen / chosen.sum())
    return found


def cast_counts(
    tree: DecisionTree, probabilities: Sequence[np.ndarray], volunteers: int, rng: np.random.Generator
) -> np.ndarray:
    """Return how many of so many volunteers give each answer, int64 [answers]; each walks down the tree alone."""
    given = np.zeros((len(tree.columns), volunteers), bool)
    for question in tree.order:
        parents = list(tree.parents[question])
        asked = given[parents].any(axis=0) if parents else np.ones(volunteers, bool)
        part, share = tree.slices[question], probabilities[question]
        answers = rng.choice(len(share), size=volunteers, p=share)
        given[part] = asked & (answers == np.arange(len(share))[:, None])
    return given.sum(axis=1)


def _short(question) -> list[str]:  # type: ignore[no-untyped-def]
    """Answers as their columns name them."""
    return [column.removeprefix(f"{question.name}_") for column in question.columns]


def _yes_no(share: float) -> _Shares:
    return {"yes": share, "no": 1 - share}


def _smooth(kaggle: list[np.ndarray], seen: Visibility) -> _Shares:
    smooth, features, artifact = map(float, kaggle[0])
    names = {"smooth": smooth, "featured-or-disk": features, "features": features}
    return names | dict.fromkeys(("artifact", "problem", "star-artifact-zoom"), artifact)


def _bar(kaggle: list[np.ndarray], seen: Visibility) -> _Shares:
    bar, strong = float(kaggle[2][0]), float(np.clip(seen.bar, 0.05, 0.95))
    return {"yes": bar, "no": 1 - bar, "strong": bar * strong, "weak": bar * (1 - strong)}


def _bulge(kaggle: list[np.ndarray], seen: Visibility) -> _Shares:
    none, noticeable, obvious, dominant = map(float, kaggle[4])
    return {
        "no": none,
        "none": none,
        "just-noticeable": noticeable,
        "obvious": obvious,
        "dominant": dominant,
        "small": 0.5 * noticeable,
        "moderate": 0.5 * noticeable + 0.4 * obvious,
        "large": 0.6 * obvious,
    }


def _rounded(kaggle: list[np.ndarray], seen: Visibility) -> _Shares:
    completely, between, cigar = map(float, kaggle[6])
    return {
        "round": completely,
        "completely": completely,
        "in-between": between,
        "cigar": cigar,
        "cigar-shaped": cigar,
    }


def _edge_on_bulge(kaggle: list[np.ndarray], seen: Visibility) -> _Shares:
    rounded, boxy, none = map(float, kaggle[8])
    names = {"round": rounded, "rounded": rounded, "boxy": boxy, "none": none, "no-bulge": none}
    return names | {"yes": rounded + boxy, "no": none}


def _arms(kaggle: list[np.ndarray], seen: Visibility) -> _Shares:
    one, two, three, four, more, unsure = map(float, kaggle[10])
    return {"1": one, "2": two, "3": three, "4": four, "more-than-4": more, "5-plus": more, "cant-tell": unsure}


def _merging(kaggle: list[np.ndarray], seen: Visibility) -> _Shares:
    merger, debris = 0.02 + 0.75 * seen.companion, 0.03 + 0.6 * seen.tails
    alone, both = (1 - merger) * (1 - debris), merger * debris
    return {
        "merger": merger * (1 - debris),
        "tidal-debris": (1 - merger) * debris,
        "both": both,
        "neither": alone,
        "none": alone,
        "minor-disturbance": (1 - merger) * debris,
        "major-disturbance": both,
    }


_QUESTIONS: dict[str, Callable[[list[np.ndarray], Visibility], _Shares]] = {
    "smooth-or-featured": _smooth,
    "disk-edge-on": lambda kaggle, seen: _yes_no(float(kaggle[1][0])),
    "bar": _bar,
    "has-spiral-arms": lambda kaggle, seen: _yes_no(float(kaggle[3][0])),
    "bulge-size": _bulge,
    "something-odd": lambda kaggle, seen: _yes_no(float(kaggle[5][0])),
    "how-rounded": _rounded,
    "bulge-shape": _edge_on_bulge,
    "edge-on-bulge": _edge_on_bulge,
    "spiral-winding": lambda kaggle, seen: dict(zip(("tight", "medium", "loose"), map(float, kaggle[9]), strict=True)),
    "spiral-arm-count": _arms,
    "merging": _merging,
    "clumps": lambda kaggle, seen: _yes_no(0.05 + 0.7 * seen.knots),
    "clumpy-appearance": lambda kaggle, seen: _yes_no(0.05 + 0.7 * seen.knots),
    "ring": lambda kaggle, seen: _yes_no(0.02 + 0.8 * seen.ring),
}

_NOTHING = [np.full(number, 1 / number) for number in (3, 2, 2, 2, 4, 2, 3, 7, 3, 3, 6)]
_UNSEEN = Visibility(**dict.fromkeys(Visibility.__dataclass_fields__, 0.0))
_ANSWERS = {name: set(shares(_NOTHING, _UNSEEN)) for name, shares in _QUESTIONS.items()}
"""Answers that each question may have."""
