"""Heads: votes that obey the decision tree, lens or not, flavor, type."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from convnet_galaxies.decision_tree import KAGGLE, DecisionTree

MULTINOMIAL = 1e5
"""Concentration beyond that of any number of volunteers."""


class VoteHead(nn.Module):
    """Features [n, c] to the fractions of all volunteers who give each answer of a tree, [n, answers].

    The answers to each question are shares by 1.5-entmax, times the probability that the question is asked, down
    the tree; so all its sums hold for any weights. Unlike softmax, exact 0 and 1 are reachable (they are common
    in the votes), and unlike rectified outputs divided by their sum (Dieleman et al. 2015, arXiv:1503.07077), no
    question can be left without any answer and the gradient is continuous.
    """

    def __init__(self, features: int, tree: DecisionTree = KAGGLE) -> None:
        super().__init__()
        self.tree = tree
        self.linear = nn.Linear(features, len(tree.columns))
        longest = max(part.stop - part.start for part in tree.slices)
        slot = torch.full((len(tree.slices), longest), len(tree.columns))
        for question, part in enumerate(tree.slices):
            slot[question, : part.stop - part.start] = torch.arange(part.start, part.stop)
        self.slot: Tensor
        self.register_buffer("slot", slot, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.votes(self.linear(features))

    def votes(self, scores: Tensor) -> Tensor:
        """Convert any real scores [n, answers] to vote fractions of that shape, computed in float32."""
        scores = scores.float()
        padded = torch.cat([scores, scores.new_full((len(scores), 1), -torch.inf)], dim=1)
        shares = Entmax.apply(padded[:, self.slot])  # [n, questions, most answers]
        return torch.stack(self.tree.fill(lambda question, answer: shares[:, question, answer]), dim=1)


class CountHead(nn.Module):
    """Features [n, c] to the votes on each question: log shares of its answers, then log concentrations of the
    questions, [n, answers + questions].

    The shares are among the volunteers asked. With the concentration, how far the votes of a galaxy scatter beyond
    those of volunteers alike, they give the Dirichlet-multinomial (Walmsley et al. 2020, arXiv:1905.07424).
    is_multinomial: the concentration is fixed at a value so large that the votes are multinomial.
    """

    def __init__(self, features: int, tree: DecisionTree, *, is_multinomial: bool = False) -> None:
        super().__init__()
        self.tree, self.is_multinomial = tree, is_multinomial
        self.linear = nn.Linear(features, len(tree.columns) + (0 if is_multinomial else len(tree.questions)))

    def forward(self, features: Tensor) -> Tensor:
        scores = self.linear(features).float()
        shares = [scores[:, part].log_softmax(1) for part in self.tree.slices]
        if self.is_multinomial:
            concentration = scores.new_full((len(scores), len(self.tree.questions)), math.log(MULTINOMIAL))
        else:  # from a tenth to a thousand
            concentration = math.log(10) + math.log(100) * torch.tanh(
                scores[:, len(self.tree.columns) :] / math.log(100)
            )
        return torch.cat([*shares, concentration], dim=1)


class Entmax(torch.autograd.Function):
    """1.5-entmax over the last axis: shares that sum to 1, some exactly 0 (Peters et al. 2019, arXiv:1905.05702).

    p = [z / 2 - tau]_+ ^ 2 with tau such that the sum is 1; continuously differentiable in z.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        half = (scores - scores.amax(-1, keepdim=True)) / 2
        ranked = half.sort(-1, descending=True).values
        count = torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
        mean = ranked.cumsum(-1) / count
        spread = ranked.square().cumsum(-1) - count * mean.square()
        tau = mean - ((1 - spread) / count).clamp_min(0).sqrt()
        support = (tau <= ranked).sum(-1, keepdim=True)
        root = (half - tau.gather(-1, support - 1)).clamp_min(0)
        root = root / root.square().sum(-1, keepdim=True).sqrt()
        ctx.save_for_backward(root)
        return root.square()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        weighted = grads[0] * root
        return weighted - root * weighted.sum(-1, keepdim=True) / root.sum(-1, keepdim=True)


class LensHead(nn.Module):
    """Features [n, c] to the log odds of a lens [n]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features).squeeze(1)


class ClassHead(nn.Module):
    """Features [n, c] to the log odds of classes [n, k]: flavors of lenses, or morphology types."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)
