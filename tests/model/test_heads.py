from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convnet_galaxies.data.vote_table import check_tree
from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS
from convnet_galaxies.model.galaxy_net import answers
from convnet_galaxies.model.heads import ClassHead, Entmax, LensHead, VoteHead
from convnet_galaxies.model.tasks import TASKS

FEATURES = 5


def entmax(scores: torch.Tensor) -> torch.Tensor:
    return Entmax.apply(scores)


def bisect_entmax(scores: np.ndarray) -> np.ndarray:
    """1.5-entmax of one row by its definition: the threshold at which the shares sum to 1, by halving."""
    half = scores / 2
    low, high = half.max() - 1, half.max()
    for _ in range(200):
        middle = (low + high) / 2
        total = (np.clip(half - middle, 0, None) ** 2).sum()
        low, high = (middle, high) if total > 1 else (low, middle)
    return np.clip(half - low, 0, None) ** 2


@settings(deadline=None, max_examples=40)
@given(
    weights=hnp.arrays(np.float32, (len(VOTE_COLUMNS), FEATURES), elements=st.floats(-1e4, 1e4, width=32)),
    bias=hnp.arrays(np.float32, len(VOTE_COLUMNS), elements=st.floats(-1e6, 1e6, width=32)),
    features=hnp.arrays(np.float32, (4, FEATURES), elements=st.floats(-100, 100, width=32)),
)
def test_vote_head_obeys_the_tree_for_any_weights(weights, bias, features) -> None:
    head = VoteHead(FEATURES)
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(weights))
        head.linear.bias.copy_(torch.from_numpy(bias))
        votes = head(torch.from_numpy(features)).double().numpy()
    assert check_tree(votes, tolerance=2e-6).is_sound
    assert (votes >= 0).all()
    assert (votes <= 1 + 1e-6).all()


def test_vote_head_reaches_exact_zero_and_one_along_a_whole_path() -> None:
    scores = torch.zeros(1, len(VOTE_COLUMNS))
    path = ("Class1.2", "Class2.2", "Class4.1", "Class10.3", "Class11.2", "Class6.2")
    for column in path:
        scores[0, VOTE_COLUMNS.index(column)] = 2.5  # beyond 2 the other answers are out
    votes = dict(zip(VOTE_COLUMNS, VoteHead(FEATURES).votes(scores)[0].tolist(), strict=True))
    assert all(votes[column] == 1.0 for column in path)
    never = [c for c in VOTE_COLUMNS if c.split(".")[0] in ("Class7", "Class8", "Class9")]
    assert all(votes[column] == 0.0 for column in (*never, "Class1.1", "Class2.1", "Class4.2"))


def test_votes_are_the_shares_of_each_question_times_the_vote_of_its_parent() -> None:
    scores = torch.randn(5, len(VOTE_COLUMNS), generator=torch.Generator().manual_seed(4)) * 1.5
    votes = VoteHead(FEATURES).votes(scores).numpy()
    for row, found in zip(scores.double().numpy(), votes, strict=True):
        for answers_of, parents in zip(KAGGLE.slices, KAGGLE.parents, strict=True):
            asked = found[parents[0]] if parents else 1.0
            np.testing.assert_allclose(found[answers_of], bisect_entmax(row[answers_of]) * asked, atol=1e-6)


def test_weights_of_heads_are_those_of_one_linear_map_alone() -> None:
    for head, outputs in ((VoteHead(FEATURES), 37), (LensHead(FEATURES), 1), (ClassHead(FEATURES, 4), 4)):
        shapes = {name: tuple(values.shape) for name, values in head.state_dict().items()}
        assert shapes == {"linear.weight": (outputs, FEATURES), "linear.bias": (outputs,)}


def test_no_vote_leaks_into_the_padding_when_all_scores_are_far_below_it() -> None:
    votes = VoteHead(FEATURES).votes(torch.full((1, len(VOTE_COLUMNS)), -1e9))
    assert check_tree(votes.double().numpy(), tolerance=2e-6).is_sound
    assert votes[0, 0].item() == pytest.approx(1 / 3, abs=1e-6)


def test_gradients_of_votes_are_those_of_questions_without_padding() -> None:
    scores = (torch.randn(8, len(VOTE_COLUMNS), generator=torch.Generator().manual_seed(0)) * 3).requires_grad_()
    VoteHead(FEATURES).votes(scores).square().sum().backward()
    alone = scores.detach().double().requires_grad_()
    votes: dict[int, torch.Tensor] = {}
    for question in KAGGLE.order:
        columns, parents = KAGGLE.slices[question], KAGGLE.parents[question]
        shares = entmax(alone[:, columns]) * (votes[parents[0]][:, None] if parents else 1)
        votes |= {columns.start + k: share for k, share in enumerate(shares.unbind(1))}
    torch.stack([votes[k] for k in range(len(VOTE_COLUMNS))], dim=1).square().sum().backward()
    torch.testing.assert_close(scores.grad.double(), alone.grad, atol=1e-5, rtol=0)
    assert alone.grad.abs().max() > 0.1


def test_gradient_reaches_a_parent_through_its_childrens_votes() -> None:
    scores = torch.zeros(1, len(VOTE_COLUMNS), requires_grad=True)
    question = 9  # asked after Class4.1
    VoteHead(FEATURES).votes(scores)[0, KAGGLE.slices[question].start].backward()
    (parent,) = KAGGLE.parents[question]
    assert scores.grad[0, parent] > 0


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 7)), elements=st.floats(-30, 30)))
def test_entmax_agrees_with_bisection_of_its_definition(scores) -> None:
    found = entmax(torch.from_numpy(scores)).numpy()
    expected = np.stack([bisect_entmax(row) for row in scores])
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_entmax_gradient_agrees_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)
    for width in (2, 3, 7):
        scores = torch.randn(6, width, generator=generator, dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(entmax, (scores,))


def test_entmax_gradient_is_continuous_where_an_answer_leaves() -> None:
    # Two answers: the second one leaves at a difference of 2.
    gradients = []
    for difference in (2 - 1e-6, 2 + 1e-6):
        scores = torch.tensor([[difference, 0.0]], dtype=torch.float64, requires_grad=True)
        entmax(scores)[0, 0].backward()
        gradients.append(scores.grad[0, 0].item())
    assert gradients[0] == pytest.approx(gradients[1], abs=1e-5)


def test_entmax_shares_do_not_change_when_all_scores_rise_together() -> None:
    scores = torch.tensor([[0.3, -1.0, 0.1, 5.0], [2.0, 2.0, 2.0, -9.0]], dtype=torch.float64)
    torch.testing.assert_close(entmax(scores), entmax(scores + 1234.5), atol=1e-12, rtol=0)


def test_answers_are_probabilities() -> None:
    features = torch.randn(7, FEATURES, generator=torch.Generator().manual_seed(1)) * 5
    outputs = {
        "lens": TASKS["lens"].parts.head(FEATURES, ())(features),
        "flavor": TASKS["flavor"].parts.head(FEATURES, ("a", "b", "c"))(features),
    }
    found = answers(outputs)
    np.testing.assert_allclose(found["lens"].detach(), 1 / (1 + np.exp(-outputs["lens"].detach().numpy())), rtol=1e-5)
    torch.testing.assert_close(found["flavor"].sum(1), torch.ones(7))
    assert found["flavor"].shape == (7, 3)
