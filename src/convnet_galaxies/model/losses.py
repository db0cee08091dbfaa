"""One loss for each head; images whose label is missing count for nothing."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def vote_loss(predicted: Tensor, votes: Tensor) -> Tensor:
    """Return the mean squared error over the rows that have votes: the square of the challenge's score.

    predicted, votes: float [n, answers]; a row of NaN has no votes.
    """
    known = ~votes.isnan().any(1)
    squares = (predicted - votes.nan_to_num()).square().mean(1)
    return (squares * known).sum() / known.sum().clamp_min(1)


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
