from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import gammaln
from scipy.stats import dirichlet_multinomial
from sklearn.metrics import log_loss

from convnet_galaxies.decision_tree import dump_tree, read_tree
from convnet_galaxies.measure.count_scores import log_likelihood
from convnet_galaxies.model.losses import class_loss, lens_loss, make_count_loss, vote_loss
from convnet_galaxies.model.tasks import TASKS

RINGS = read_tree("rings")


def outputs_and_labels(task: str, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    if task == "votes":
        return torch.rand(n, 37, generator=generator), torch.rand(n, 37, generator=generator)
    if task.startswith("counts"):
        shares = [torch.randn(n, part.stop - part.start, generator=generator).log_softmax(1) for part in RINGS.slices]
        counts = torch.randint(1, 9, (n, len(RINGS.columns)), generator=generator)
        return torch.cat([*shares, torch.full((n, len(RINGS.questions)), 1.5)], dim=1), counts.float()
    if task == "lens":
        return torch.randn(n, generator=generator), torch.tensor([0.0, 1.0] * (n // 2))
    return torch.randn(n, 4, generator=generator), torch.arange(n) % 4


def loss_of(task: str):
    return TASKS[task].parts.make_loss(dump_tree(RINGS) if task.startswith("counts") else ())


def hide(task: str, labels: torch.Tensor, rows: list[int]) -> torch.Tensor:
    hidden = labels.clone()
    if task == "votes":
        hidden[rows, 5] = math.nan  # one missing vote makes the row unknown
    else:
        hidden[rows] = -1 if hidden.dtype == torch.int64 else math.nan
    return hidden


@pytest.mark.parametrize("task", sorted(TASKS))
def test_images_without_a_label_have_no_gradient_and_no_share(task) -> None:
    outputs, labels = outputs_and_labels(task)
    outputs.requires_grad_()
    hidden = [1, 4]
    loss = loss_of(task)(outputs, hide(task, labels, hidden))
    loss.backward()
    assert (outputs.grad[hidden] == 0).all()
    kept = [0, 2, 3, 5]
    assert (outputs.grad[kept].abs().reshape(4, -1).sum(1) > 0).all()
    assert loss.item() == pytest.approx(loss_of(task)(outputs[kept], labels[kept]).item(), rel=1e-6)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_batch_without_any_label_has_zero_loss_and_zero_gradient(task) -> None:
    outputs, labels = outputs_and_labels(task)
    outputs.requires_grad_()
    loss = loss_of(task)(outputs, hide(task, labels, list(range(6))))
    loss.backward()
    assert loss.item() == 0
    assert (outputs.grad == 0).all()


def test_vote_loss_is_the_square_of_the_challenges_rmse() -> None:
    predicted, votes = outputs_and_labels("votes")
    rmse = np.sqrt(np.mean((predicted.numpy() - votes.numpy()) ** 2))
    assert vote_loss(predicted, votes).item() == pytest.approx(rmse**2, rel=1e-6)


def test_lens_and_class_losses_are_scikit_learns_log_loss() -> None:
    log_odds, lens = outputs_and_labels("lens")
    assert lens_loss(log_odds, lens).item() == pytest.approx(log_loss(lens, torch.sigmoid(log_odds)), rel=1e-6)
    scores, classes = outputs_and_labels("flavor")
    expected = log_loss(classes, scores.double().softmax(1), labels=[0, 1, 2, 3])
    assert class_loss(scores, classes).item() == pytest.approx(expected, rel=1e-6)


def test_losses_of_certain_wrong_answers_are_large_but_finite() -> None:
    assert lens_loss(torch.tensor([1e4, -1e4]), torch.tensor([0.0, 1.0])).item() == pytest.approx(1e4)


def test_count_loss_is_minus_the_log_likelihood_of_the_scores_and_of_scipys_dirichlet_multinomial() -> None:
    tree = read_tree("candels")
    generator = torch.Generator().manual_seed(3)
    shares = torch.cat(
        [torch.randn(5, part.stop - part.start, generator=generator).log_softmax(1) for part in tree.slices], dim=1
    )
    concentration = torch.randn(5, len(tree.questions), generator=generator) + 2
    counts = torch.randint(0, 6, shares.shape, generator=generator).float()
    counts[2, tree.slices[3]] = math.nan  # nobody was asked
    loss = make_count_loss(tree)(torch.cat([shares, concentration], dim=1), counts).item()
    likelihood = log_likelihood(counts.numpy(), shares.exp().numpy(), concentration.exp().numpy(), tree)
    assert loss == pytest.approx(-likelihood.sum(axis=1).mean(), rel=1e-4)
    whole = counts.nan_to_num().numpy().astype(int)
    for row in range(5):
        for question, part in enumerate(tree.slices):
            votes = whole[row, part]
            alpha = (shares.exp().numpy() * concentration.exp().numpy()[:, [question]])[row, part].astype(float)
            orders = gammaln(votes.sum() + 1) - gammaln(votes + 1).sum()
            if not votes.sum():
                assert likelihood[row, question] == 0
                continue
            expected = dirichlet_multinomial.logpmf(votes, alpha, votes.sum()) - orders
            assert likelihood[row, question] == pytest.approx(expected, rel=1e-5, abs=1e-9)
