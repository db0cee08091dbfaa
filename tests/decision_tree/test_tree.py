"""Laws of any graph of questions: order, and how many volunteers get to each question."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

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


def test_fractions_of_large_graphs_are_those_of_simulated_volunteers() -> None:
    several = 0
    for seed in range(60):
        rng = np.random.default_rng([1, seed])
        tree = draw_tree(rng, int(rng.integers(10, 31)))
        shares = draw_shares(rng, tree)
        fractions = fill(tree, shares)
        answers = np.stack([rng.choice(len(share), size=4000, p=share) for share in shares])
        seen = answer_all(tree, answers).mean(axis=1)
        error = np.sqrt(np.maximum(fractions * (1 - fractions), 1e-4) / 4000)
        assert (np.abs(seen - fractions) < 6 * error).all()
        several += sum(len({tree.question_of[c] for c in parents}) > 1 for parents in tree.parents)
    assert several > 100


@pytest.mark.parametrize("name", builtin_trees())
def test_a_walk_asks_every_question_once_and_none_before_its_parents(name: str) -> None:
    tree = read_tree(name)
    assert sorted(tree.order) == list(range(len(tree.questions)))
    for place, question in enumerate(tree.order):
        assert {tree.question_of[column] for column in tree.parents[question]} <= set(tree.order[:place])
