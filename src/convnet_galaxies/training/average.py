"""Exponential moving average (EMA) of the weights, better than the last weights (Polyak & Juditsky 1992)."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """Exponential average of all weights and of the batch-norm statistics.

    span: decay time as a fraction of all steps; None keeps the weights as they are.
    net: the averaged network, which is validated and saved.
    """

    def __init__(self, net: nn.Module, span: float | None, steps: int) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False)
        self.memory = 0.0 if span is None else span * steps

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Add the weights after a step, counted from 0; early on, the decay time is a tenth of the steps so far."""
        new, old = net.state_dict(), self.net.state_dict()
        floats = [name for name, tensor in new.items() if tensor.is_floating_point()]
        share = 1 / (1 + min(self.memory, 0.1 * step))
        torch._foreach_lerp_([old[name] for name in floats], [new[name] for name in floats], share)
        for name in new.keys() - set(floats):
            old[name].copy_(new[name])
