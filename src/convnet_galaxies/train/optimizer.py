"""Who moves, how fast, and when: parameter groups, optimizers, the schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.model.symmetric_net import SharedConv
from convnet_galaxies.settings import TrainSettings
from convnet_galaxies.train.muon import ConvMuon

MUON_RATE = 10.0
"""Muon's rate as a multiple of Adam's: its updates have unit singular values, Adam's have unit elements."""


class Rates:
    """The learning rate of every parameter group at every step: warm-up, then a cosine down to zero."""

    def __init__(self, optimizers: Iterable[torch.optim.Optimizer], steps: int, warmup: float) -> None:
        # The groups are asked for at each step: restoring an optimizer's state gives it new ones.
        self.optimizers = tuple(optimizers)
        self.height = [group["lr"] for group in self._groups()]
        self.steps, self.rise = steps, max(1, round(warmup * steps))

    def set(self, step: int) -> None:
        """Set the rates for a step, counted from 0."""
        share = min(1.0, (step + 1) / self.rise) * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        for group, height in zip(self._groups(), self.height, strict=True):
            group["lr"] = height * share

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]


def make_optimizers(net: GalaxyNet, settings: TrainSettings, *, inherited: bool) -> list[torch.optim.Optimizer]:
    """Muon for the kernels of convolutions, AdamW for all else; what is inherited moves at backbone_rate."""
    slow = settings.backbone_rate if inherited else 1.0
    kernels, others, heads = [], [], list(net.heads.parameters())
    shared = {id(module.base): module.moves for module in net.modules() if isinstance(module, SharedConv)}
    frozen = {
        id(parameter) for stage in net.backbone.parts()[: settings.frozen_stages] for parameter in stage.parameters()
    }
    for name, parameter in net.backbone.named_parameters():
        if inherited and id(parameter) in frozen:
            parameter.requires_grad_(False)
        elif id(parameter) in shared or (parameter.ndim == 4 and parameter.shape[1] > 1 and name.endswith("weight")):
            kernels.append(parameter)
        else:
            others.append(parameter)
    rate = settings.learning_rate
    return [
        ConvMuon(
            [{"params": kernels, "moves": [shared.get(id(k)) for k in kernels], "lr": rate * MUON_RATE * slow}],
            lr=rate,
            weight_decay=settings.weight_decay,
        ),
        torch.optim.AdamW(
            [{"params": others, "lr": rate * slow}, {"params": heads, "lr": rate}],
            lr=rate,
            weight_decay=0.0,
            fused=True,
        ),
    ]


def freeze(net: GalaxyNet, settings: TrainSettings, epoch: int, *, inherited: bool) -> None:
    """Set a net to train for an epoch (from 0): an inherited backbone may stand still, its statistics too."""
    net.train()
    if not inherited:
        return
    stages = net.backbone.parts()
    still = len(stages) if epoch < settings.frozen_epochs else settings.frozen_stages
    for number, stage in enumerate(stages):
        stage.train(number >= still)
        for parameter in stage.parameters():
            parameter.requires_grad_(number >= still)
