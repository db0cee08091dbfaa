"""Laws of any graph of questions: order, and how many volunteers get to each question."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from convnet_galaxies.decision_tree import DecisionTree, Question, builtin_trees, read_tree


def draw_tree(rng: np.random.Generator, questions: int, *, parents: int = 3) -> DecisionTree:
    """A random graph: each question is asked of everyone or after up to so many answers of earlier ones, shuffled."""
    made: list[Question] = []
    for number in range(questions):
        columns = tuple(f"q{number}_{answer}" for answer in range(rng.integers(2, 5)))
        earlier = [column for question in made for column in question.columns]
        after = None
        if earlier and rng.random() < 0.85:
            after = tuple(
                rng.choice(earlier[-15:], size=min(rng.integers(1, parents + 1), len(earlier)), replace=False)
            )
        made.append(Question(f"q{number}", "?", columns, columns, after))
    return DecisionTree("random", tuple(made[k] for k in rng.permutation(questions)))


def draw_shares(rng: np.random.Generator, tree: DecisionTree) -> list[np.ndarray]:
    return [rng.dirichlet(np.ones(len(question.columns))) for question in tree.questions]


def fill(tree: DecisionTree, shares: list[np.ndarray]) -> np.ndarray:
    return np.array(tree.fill(lambda question, answer: shares[question][answer]))


def count_exactly(tree: DecisionTree, shares: list[np.ndarray]) -> np.ndarray:
    """The fraction of all volunteers who give each answer, over all ways to answer all questions."""
    total = np.zeros(len(tree.columns))
    for answers in product(*(range(len(share)) for share in shares)):
        weight = np.prod([share[answer] for share, answer in zip(shares, answers, strict=True)])
        total += weight * answer_all(tree, np.array(answers)[:, None])[:, 0]
    return total


def answer_all(tree: DecisionTree, answers: np.ndarray) -> np.ndarray:
    """Which answers volunteers give, bool [columns, volunteers], who would give these [questions, volunteers]."""
    given = np.zeros((len(tree.columns), answers.shape[1]), bool)
    place = {column: k for k, column in enumerate(tree.columns)}
    open_questions = list(range(len(tree.questions)))
    while open_questions:
        for question in list(open_questions):
            after = tree.questions[question].after
            waits = {tree.question_of[place[column]] for column in after or ()} & set(open_questions)
            if waits:
                continue
            asked = np.ones(answers.shape[1], bool) if after is None else given[[place[c] for c in after]].any(axis=0)
            for answer, column in enumerate(tree.questions[question].columns):
                given[place[column]] = asked & (answers[question] == answer)
            open_questions.remove(question)
    return given


@pytest.mark.parametrize("seed", range(40))
def test_fractions_of_small_graphs_are_those_of_all_ways_to_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = draw_tree(rng, int(rng.integers(2, 7)))
    shares = draw_shares(rng, tree)
    np.testing.assert_allclose(fill(tree, shares), count_exactly(tree, shares), atol=1e-12)


def test_fractions_of_1000_graphs_are_those_of_simulated_volunteers() -> None:
    """Each count of an answer is binomial, whatever the graph, since volunteers are independent."""
    volunteers, chance = 10_000, 1e-3
    answers: list[tuple[np.ndarray, np.ndarray]] = []
    several: list[tuple[float, float, float]] = []
    for seed in range(1000):
        rng = np.random.default_rng([1, seed])
        tree = draw_tree(rng, int(rng.integers(2, 31)))
        shares = draw_shares(rng, tree)
        fractions, given = fill(tree, shares), answer_all(tree, draw_answers(rng, shares, volunteers))
        answers.append((fractions, given.sum(axis=1)))
        several += pick_question(tree, fractions, given)
    expected, counted = (np.concatenate(side) for side in zip(*answers, strict=True))
    assert len(expected) > 40_000
    # Both tails of each answer, all at once (Bonferroni).
    tails = np.minimum(*(tail(counted, volunteers, expected) for tail in (stats.binom.cdf, at_least)))
    assert tails.min() > chance / 2 / len(expected)
    # One question per graph, so that their deviations are independent: a small one of all shows in their sums.
    true, naive, seen = np.array(several).T
    assert len(true) > 800
    deviations = deviate(seen, true, volunteers)
    assert abs(deviations.sum()) < stats.norm.isf(chance / 2) * np.sqrt(len(true))
    assert stats.chi2.sf((deviations**2).sum(), len(true)) > chance
    # The sum over all answers that lead to a question counts who gave two of them twice, which would be noticed.
    assert stats.chi2.sf((deviate(seen, naive, volunteers) ** 2).sum(), len(true)) < 1e-100


def draw_answers(rng: np.random.Generator, shares: list[np.ndarray], volunteers: int) -> np.ndarray:
    """The answer that each volunteer would give to each question, int [questions, volunteers]."""
    drawn = rng.random((len(shares), volunteers))
    answers = np.zeros(drawn.shape, np.int8)
    for row, one, share in zip(answers, drawn, shares, strict=True):
        for limit in share.cumsum()[:-1]:
            row += one > limit
    return answers


def pick_question(tree: DecisionTree, fractions: np.ndarray, given: np.ndarray) -> list[tuple[float, float, float]]:
    """The fraction that is asked the question to which most answers of several questions lead: as the tree has it, as a
    plain sum would, and among volunteers. None where there is no such question that 1 to 99 % are asked."""
    asked = [fractions[part].sum() for part in tree.slices]
    found = [
        question
        for question, parents in enumerate(tree.parents)
        if len({tree.question_of[column] for column in parents}) > 1 and 0.01 < asked[question] < 0.99
    ]
    if not found:
        return []
    question = max(found, key=lambda one: len(tree.parents[one]))
    naive = min(0.999, fractions[list(tree.parents[question])].sum())
    return [(asked[question], naive, given[tree.slices[question]].any(axis=0).mean())]


def deviate(seen: np.ndarray, expected: np.ndarray, volunteers: int) -> np.ndarray:
    """Deviations in units of the standard deviation of a binomial fraction."""
    return (seen - expected) / np.sqrt(expected * (1 - expected) / volunteers)


def at_least(counted: np.ndarray, volunteers: int, expected: np.ndarray) -> np.ndarray:
    return stats.binom.sf(counted - 1, volunteers, expected)


@pytest.mark.parametrize("name", builtin_trees())
def test_a_walk_asks_every_question_once_and_none_before_its_parents(name: str) -> None:
    tree = read_tree(name)
    assert sorted(tree.order) == list(range(len(tree.questions)))
    for place, question in enumerate(tree.order):
        assert {tree.question_of[column] for column in tree.parents[question]} <= set(tree.order[:place])
