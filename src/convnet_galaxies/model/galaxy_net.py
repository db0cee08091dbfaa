"""A backbone and named heads: one network predicts several tasks of the same image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from convnet_galaxies.model.backbones import build_backbone
from convnet_galaxies.model.tasks import find_task
from convnet_galaxies.settings import NetSettings

NetType = TypeVar("NetType", bound=nn.Module)


class GalaxyNet(nn.Module):
    """Images float [n, bands, h, w] to predictions by task.

    classes: for each task (see model/tasks.py) the names of its classes; empty for a task without classes.
    """

    def __init__(self, settings: NetSettings, *, bands: int, classes: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.settings = settings
        self.bands = bands
        self.classes = {task: tuple(names) for task, names in classes.items()}
        self.backbone = build_backbone(settings, bands)
        self.dropout = nn.Dropout(settings.dropout)
        self.heads = nn.ModuleDict(
            {task: find_task(task).parts.head(self.backbone.features, names) for task, names in self.classes.items()}
        )

    def features(self, images: Tensor) -> Tensor:
        """Return the input of the heads: float32 [n, features]."""
        return self.backbone(images).float()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return votes as fractions [n, 37], lens as log odds [n], classes as log odds [n, k]."""
        return self.read(self.dropout(self.features(images)))

    def read(self, features: Tensor) -> dict[str, Tensor]:
        """Apply the heads to features, float32 [n, features]; see forward."""
        with torch.autocast(features.device.type, enabled=False):  # heads are small; their outputs deserve float32
            return {task: head(features) for task, head in self.heads.items()}


def to_channels_last(net: NetType) -> NetType:
    """Return the net with its kernels laid out channels last, in which processors convolve fastest."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def answers(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what is predicted for the raw outputs of each task, such as probabilities: float32, same shapes."""
    return {task: find_task(task).parts.finish(output.float()) for task, output in outputs.items()}
