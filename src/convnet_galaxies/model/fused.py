"""The plain network for prediction on a processor: each convolution is fused with the operations after it.

Bias, rectifier and the addition of the shortcut happen inside of the convolution (oneDNN's post-operations). torch
has them as the operators that its compiler emits; called directly, they need no compiler on the user's machine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convnet_galaxies.model.backbone import Backbone
from convnet_galaxies.model.plain_net import PlainBlock, PlainNet


def can_fuse(device: torch.device, dtype: torch.dtype = torch.float32) -> bool:
    """Return whether a device has the operators in a precision: a processor, with a torch that was built with
    oneDNN."""
    has_operators = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    if not (device.type == "cpu" and has_operators and torch.backends.mkldnn.is_available()):
        return False
    # Where bf16 is only emulated, torch's own convolutions take it and these operators do not.
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class FusedPlainNet(Backbone):
    """A PlainNet (or SymmetricNet) folded by fold_norms; the same predictions, for prediction only."""

    def __init__(self, net: PlainNet) -> None:
        super().__init__()
        self.features, self.symmetric = net.features, net.symmetric
        self.patch_px = net.patch_px
        convolutions = [module for module in net.stem if isinstance(module, nn.Conv2d)]
        self.stem = FusedConvolution(convolutions[0])
        self.stem.weight = nn.Parameter(in_patch_order(self.stem.weight.detach(), net.patch_px), requires_grad=False)
        self.read = net.read
        self.blocks = nn.ModuleList(FusedBlock(block) for block in net.modules() if isinstance(block, PlainBlock))

    def list_stages(self) -> list[nn.Module]:
        return [self.stem, *self.blocks]

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(gather_patches(images, self.patch_px))
        for block in self.blocks:
            x = block(x)
        return self.read(x)


def gather_patches(images: Tensor, patch_px: int) -> Tensor:
    """Convert [n, c, h, w], channels last, to [n, p p c, h / p, w / p], channels last, in one copy of runs of p c
    numbers.

    The channels of a square are (row, column, band), where torch's pixel_unshuffle has (band, row, column) and copies
    number by number, which takes three times as long; see in_patch_order.
    """
    n, c, h, w = images.shape
    runs = images.permute(0, 2, 3, 1).reshape(n, h // patch_px, patch_px, w // patch_px, patch_px * c)
    patches = runs.transpose(2, 3).reshape(n, h // patch_px, w // patch_px, c * patch_px**2)
    return patches.permute(0, 3, 1, 2)


def in_patch_order(kernels: Tensor, patch_px: int) -> Tensor:
    """Convert kernels [o, c p p, h, w] over squares by pixel_unshuffle to those over squares by gather_patches."""
    outputs, _, height, width = kernels.shape
    by_pixel = kernels.reshape(outputs, -1, patch_px, patch_px, height, width).permute(0, 2, 3, 1, 4, 5)
    return by_pixel.reshape(kernels.shape).contiguous(memory_format=torch.channels_last)


class FusedBlock(nn.Module):
    """A PlainBlock in three or four passes; overwrites what it is given."""

    def __init__(self, block: PlainBlock) -> None:
        super().__init__()
        self.first = FusedConvolution(block.conv1)
        self.second = FusedConvolution(block.conv2)
        self.shortcut = block.shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.second.add_to(self.shortcut(x), y)


class FusedConvolution(nn.Module):
    """A convolution with bias, then a rectifier."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        assert isinstance(convolution, nn.Conv2d), "expected a net that fold_norms made"
        self.weight, self.bias = convolution.weight, convolution.bias
        self.shape = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.shape, "relu", [], "")

    def add_to(self, other: Tensor, x: Tensor) -> Tensor:
        """Return other + convolution(x), rectified, written over other."""
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            other, x, self.weight, self.bias, *self.shape, "add", 1.0, "relu", [], ""
        )
