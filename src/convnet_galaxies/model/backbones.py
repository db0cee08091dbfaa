"""Images to features: the small net whose shapes suit a processor, and the door to the well-known ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from convnet_galaxies.settings import NetSettings


class Backbone(nn.Module, ABC):
    """Images float [n, bands, h, w] to features float32 [n, features]."""

    features: int

    @abstractmethod
    def parts(self) -> list[nn.Module]:
        """Its parts from the input on, for freezing; together they hold all its parameters."""


class PlainNet(Backbone):
    """A residual net of dense 3 x 3 convolutions.

    Nothing but large dense convolutions comes near the arithmetic peak of a processor (depthwise ones reach a
    twentieth of it, forward and backward), and the first layers of the usual nets, with 3 channels at full size,
    waste most of their time; so squares of patch_px x patch_px pixels enter as channels of one pixel.
    """

    def __init__(self, bands: int, patch_px: int, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(patch_px),
            nn.Conv2d(bands * patch_px**2, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.patch_px = patch_px
        blocks: list[nn.Module] = []
        inputs = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            strides = [2 if stage else 1, *[1] * (depth - 1)]
            blocks.append(
                nn.Sequential(*(PlainBlock(inputs if k == 0 else width, width, s) for k, s in enumerate(strides)))
            )
            inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.features = inputs

    def parts(self) -> list[nn.Module]:
        return [self.stem, *self.blocks]

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(self.stem(images)).float().mean((2, 3))


class PlainBlock(nn.Module):
    """Two 3 x 3 convolutions and what went in (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.norm2.weight)  # a block begins as the identity, so that depth does no harm
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            # Averaging before a 1 x 1 convolution uses all pixels where a strided one drops three of four.
            self.shortcut = nn.Sequential(
                # Odd sizes are rounded up, as the strided convolution beside it does.
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def build_backbone(settings: NetSettings, bands: int) -> Backbone:
    """An untrained backbone, or one with the encoder weights that the settings name."""
    # Nets with timm's names live in files of their own and are loaded only when asked for.
    if settings.backbone == "plain":
        return PlainNet(bands, settings.patch_px, settings.widths, settings.depths)
    if settings.backbone.startswith("resnet"):
        from convnet_galaxies.model.resnet import build_resnet

        net: Backbone = build_resnet(settings.backbone, bands)
    else:
        from convnet_galaxies.model.convnext import build_convnext

        net = build_convnext(settings.backbone, bands)
    if settings.encoder_weights is not None:
        from convnet_galaxies.model.encoder_file import load_encoder

        load_encoder(net, settings.encoder_weights)
    return net
