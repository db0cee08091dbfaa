"""One loss for each head; images whose label is missing count for nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from convnet_galaxies.decision_tree import DecisionTree


def vote_loss(predicted: Tensor, votes: Tensor) -> Tensor:
    """Return the mean squared error over the rows that have votes: the square of the challenge's score.

    predicted, votes: float [n, answers]; a row of NaN has no votes.
    """
    known = ~votes.isnan().any(1)
    squares = (predicted - votes.nan_to_num()).square().mean(1)
    return (squares * known).sum() / known.sum().clamp_min(1)


def make_count_loss(tree: DecisionTree) -> Callable[[Tensor, Tensor], Tensor]:
    """Return minus the log likelihood of the votes in nats, summed over questions, its mean over images with votes.

    The loss takes the output of a CountHead and counts, float [n, answers] (NaN or 0 where there are none): the
    Dirichlet-multinomial of votes in their order (see measure/count_scores.py).
    """
    from convnet_galaxies.measure.count_scores import SMALLEST_ALPHA  # loads scipy, which prediction does without

    def count_loss(predicted: Tensor, counts: Tensor) -> Tensor:
        counts = counts.nan_to_num()
        shares, concentration = predicted[:, : len(tree.columns)], predicted[:, len(tree.columns) :]
        total = predicted.new_zeros(len(predicted))
        for question, part in enumerate(tree.slices):
            alpha = (shares[:, part] + concentration[:, question, None]).exp().clamp_min(SMALLEST_ALPHA)
            whole, votes = alpha.sum(1), counts[:, part].sum(1)
            each = torch.lgamma(alpha + counts[:, part]) - torch.lgamma(alpha)
            total = total + torch.lgamma(whole + votes) - torch.lgamma(whole) - each.sum(1)
        known = counts.sum(1) > 0
        return (total * known).sum() / known.sum().clamp_min(1)

    return count_loss


def lens_loss(log_odds: Tensor, lens: Tensor) -> Tensor:
    """Return binary cross-entropy in nats. log_odds: float [n]; lens: float [n], 1 lens, 0 none, NaN unknown."""
    known = ~lens.isnan()
    losses = F.binary_cross_entropy_with_logits(log_odds.float(), lens.nan_to_num(), reduction="none")
    return (losses * known).sum() / known.sum().clamp_min(1)


def class_loss(log_odds: Tensor, classes: Tensor) -> Tensor:
    """Return cross-entropy in nats. log_odds: float [n, k]; classes: int64 [n], -1 unknown."""
    known = classes >= 0
    losses = F.cross_entropy(log_odds.float(), classes.clamp_min(0), reduction="none")
    return (losses * known).sum() / known.sum().clamp_min(1)
