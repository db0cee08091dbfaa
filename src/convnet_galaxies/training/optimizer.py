"""Parameter groups, optimizers and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch.optim.lr_scheduler import LambdaLR

from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.model.symmetric_net import SharedConv
from convnet_galaxies.settings import TrainSettings
from convnet_galaxies.training.muon import ConvMuon

MUON_RATE = 10.0
"""Muon's rate as a multiple of Adam's: its updates have unit singular values, Adam's have unit elements."""


def make_schedules(
    optimizers: Iterable[torch.optim.Optimizer], steps: int, warmup: float, *, done: int = 0
) -> list[LambdaLR]:
    """Return the learning-rate schedule of each optimizer: warm-up, then a cosine down to zero.

    steps: of the whole training. warmup: fraction of them in which the rate rises. done: steps of an earlier process,
    whose optimizers were restored.
    """
    warmup_steps = max(1, round(warmup * steps))

    def fraction(step: int) -> float:
        return min(1.0, (step + 1) / warmup_steps) * 0.5 * (1 + math.cos(math.pi * step / steps))

    return [LambdaLR(optimizer, fraction, last_epoch=done - 1) for optimizer in optimizers]


def make_optimizers(net: GalaxyNet, settings: TrainSettings, *, inherited: bool) -> list[torch.optim.Optimizer]:
    """Return Muon for the kernels of convolutions and AdamW for all else; inherited weights learn at backbone_rate."""
    slow = settings.backbone_rate if inherited else 1.0
    kernels, others, heads = [], [], list(net.heads.parameters())
    shared = {id(module.base): module.permutations for module in net.modules() if isinstance(module, SharedConv)}
    frozen = {
        id(parameter)
        for stage in net.backbone.list_stages()[: settings.frozen_stages]
        for parameter in stage.parameters()
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
            [{"params": kernels, "permutations": [shared.get(id(k)) for k in kernels], "lr": rate * MUON_RATE * slow}],
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
    """Set a network to train for an epoch (from 0); an inherited backbone may be frozen, including its statistics."""
    net.train()
    if not inherited:
        return
    stages = net.backbone.list_stages()
    still = len(stages) if epoch < settings.frozen_epochs else settings.frozen_stages
    for number, stage in enumerate(stages):
        stage.train(number >= still)
        for parameter in stage.parameters():
            parameter.requires_grad_(number >= still)
