"""The running average of the weights, which predicts better than the last of them (Polyak & Juditsky 1992)."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """Exponential average of all weights and of the batch-norm statistics.

    span: its memory as a share of all steps; None keeps the weights as they are.
    net: the averaged net, to validate and to keep.
    """

    def __init__(self, net: nn.Module, span: float | None, steps: int) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False)
        self.memory = 0.0 if span is None else span * steps

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Take in the weights after a step, counted from 0; early on the memory is a tenth of what has been."""
        new, old = net.state_dict(), self.net.state_dict()
        floats = [name for name, tensor in new.items() if tensor.is_floating_point()]
        share = 1 / (1 + min(self.memory, 0.1 * step))
        torch._foreach_lerp_([old[name] for name in floats], [new[name] for name in floats], share)
        for name in new.keys() - set(floats):
            old[name].copy_(new[name])
