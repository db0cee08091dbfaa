"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545) with the parameter names and outputs of timm, without its head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnet_galaxies.model.backbone import Backbone


@dataclass(frozen=True)
class Layout:
    """Blocks and channels of each stage; convolutional: the inner layers are 1 x 1 convolutions, timm's conv_mlp."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    convolutional: bool


CONVNEXT_LAYOUTS: dict[str, Layout] = {
    "convnext_atto": Layout((2, 2, 6, 2), (40, 80, 160, 320), True),
    "convnext_nano": Layout((2, 2, 8, 2), (80, 160, 320, 640), True),
    "convnext_tiny": Layout((3, 3, 9, 3), (96, 192, 384, 768), False),
}


class ConvNeXt(Backbone):
    """Images float [n, bands, h, w] to normalised mean features [n, features]."""

    def __init__(self, bands: int, layout: Layout) -> None:
        super().__init__()
        widths = layout.widths
        self.stem = nn.Sequential(nn.Conv2d(bands, widths[0], 4, 4), ChannelNorm(widths[0]))
        self.stages = nn.Sequential(
            *(
                ConvNeXtStage(widths[max(number - 1, 0)], width, depth, layout.convolutional)
                for number, (depth, width) in enumerate(zip(layout.depths, widths, strict=True))
            )
        )
        self.head = nn.Sequential()
        self.head.add_module("norm", FeatureNorm(widths[-1], eps=1e-6))
        self.features = widths[-1]

    def list_stages(self) -> list[nn.Module]:
        # The last norm belongs to the last stage: it is frozen and freed with it.
        *first, last = self.stages
        return [self.stem, *first, nn.ModuleList([last, self.head])]

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(images)).float().mean((2, 3)))


class ConvNeXtStage(nn.Module):
    """A halving of the size, but not in the first stage, then blocks."""

    def __init__(self, inputs: int, outputs: int, depth: int, convolutional: bool) -> None:
        super().__init__()
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs:
            self.downsample = nn.Sequential(ChannelNorm(inputs), nn.Conv2d(inputs, outputs, 2, 2))
        self.blocks = nn.Sequential(*(ConvNeXtBlock(outputs, convolutional) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class ConvNeXtBlock(nn.Module):
    """A 7 x 7 depthwise convolution and two dense layers, scaled and added to the input."""

    def __init__(self, width: int, convolutional: bool) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = ChannelNorm(width)
        self.mlp = Mlp(width, convolutional)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm(self.conv_dw(x))) * self.gamma[:, None, None]


class Mlp(nn.Module):
    """Two dense layers over the channels of [n, c, h, w], GELU between."""

    def __init__(self, width: int, convolutional: bool) -> None:
        super().__init__()
        self.convolutional = convolutional
        self.fc1: nn.Module = nn.Conv2d(width, 4 * width, 1) if convolutional else nn.Linear(width, 4 * width)
        self.fc2: nn.Module = nn.Conv2d(4 * width, width, 1) if convolutional else nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        if self.convolutional:
            return self.fc2(F.gelu(self.fc1(x)))
        return self.fc2(F.gelu(self.fc1(x.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)


class FeatureNorm(nn.LayerNorm):
    """Layer norm of float32 features, in whatever precision its weights are kept."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [n, c, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def build_convnext(name: str, bands: int) -> ConvNeXt:
    """Return an untrained ConvNeXt by timm's name."""
    net = ConvNeXt(bands, CONVNEXT_LAYOUTS[name])
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net
