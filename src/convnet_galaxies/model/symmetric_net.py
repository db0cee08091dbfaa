"""Equivariant network: the plain one with kernels shared by the symmetries of a square (group D4, p4m)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convnet_galaxies.model.plain_net import Layers, PlainNet
from convnet_galaxies.model.symmetry import SYMMETRIES, as_matrix, expand, kernel_permutations, patch_permutations


class SharedConv(nn.Module):
    """A convolution without bias whose kernels are the eight copies of ``base`` [o, inputs, size, size].

    permutations: how they are made of it (see symmetry.kernel_permutations).
    """

    def __init__(self, outputs: int, inputs: int, size: int, stride: int, permutations: Tensor) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.empty(outputs // SYMMETRIES, inputs, size, size))
        nn.init.kaiming_uniform_(self.base, a=math.sqrt(5))  # as torch's own convolutions begin
        self.stride, self.padding = stride, (size - 1) // 2
        self.permutations: Tensor
        self.register_buffer("permutations", permutations, persistent=False)

    def kernels(self, dtype: torch.dtype) -> Tensor:
        """Return all kernels, [8 o, inputs, size, size], channels last."""
        _, inputs, size, _ = self.base.shape
        return (
            expand(as_matrix(self.base).to(dtype), self.permutations).view(-1, size, size, inputs).permute(0, 3, 1, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.base.dtype
        return F.conv2d(x, self.kernels(dtype), None, self.stride, self.padding)

    def expanded(self) -> nn.Conv2d:
        """Return the same convolution as one of torch's."""
        kernels = self.kernels(self.base.dtype).detach()
        outputs, inputs, size, _ = kernels.shape
        plain = nn.Conv2d(inputs, outputs, size, self.stride, self.padding, bias=False)
        plain.weight = nn.Parameter(kernels)
        return plain


class SharedNorm(nn.Module):
    """Batch norm with the same scale and shift for the copies of a kernel, and when it predicts the same statistics.

    In training the copies keep statistics of their own: those of random views differ by chance only.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels // SYMMETRIES))
        self.bias = nn.Parameter(torch.zeros(channels // SYMMETRIES))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = (self.running_mean, self.running_var) if self.training else self._statistics()
        weight, bias = self.weight.repeat(SYMMETRIES), self.bias.repeat(SYMMETRIES)
        return F.batch_norm(x, mean, var, weight, bias, self.training)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        mean, var = (x.view(SYMMETRIES, -1).mean(0) for x in (self.running_mean, self.running_var))
        return mean.repeat(SYMMETRIES), var.repeat(SYMMETRIES)

    def expanded(self) -> nn.BatchNorm2d:
        """Return the same norm as one of torch's, for prediction."""
        plain = nn.BatchNorm2d(len(self.running_mean))
        plain.weight, plain.bias = (nn.Parameter(x.detach().repeat(SYMMETRIES)) for x in (self.weight, self.bias))
        plain.running_mean, plain.running_var = self._statistics()
        return plain


class SymmetricNet(PlainNet):
    """A PlainNet invariant under quarter turns and mirroring, with an eighth of its parameters.

    widths count all orientations, so they are multiples of 8, and the arithmetic is a PlainNet's. Sides must halve
    evenly at each stage after the first: 4 x 4 kernels then lie evenly on them, which 3 x 3 ones would not.
    At the end a layer makes widths[-1] / 2 kinds of features of the pooled channels, averaged over orientations after
    their rectifier, since the average of the channels themselves would be an eighth as many.
    """

    symmetric = True

    def __init__(self, bands: int, patch_px: int, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__(bands, patch_px, widths, depths, layers=SHARED_LAYERS)
        self.features = widths[-1] // 2
        outputs = SYMMETRIES * self.features
        self.readout = nn.Sequential(_convolution(widths[-1], outputs, 1, 1), SharedNorm(outputs), nn.ReLU())

    def list_stages(self) -> list[nn.Module]:
        return [*super().list_stages(), self.readout]

    def read(self, x: Tensor) -> Tensor:
        oriented = self.readout(x.mean((2, 3), keepdim=True))
        return oriented.float().view(len(x), SYMMETRIES, self.features).mean(1)


def expand_kernels(net: nn.Module) -> None:
    """Replace shared layers by torch's own; the same predictions, for prediction only."""
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, SharedConv | SharedNorm):
                setattr(module, name, child.expanded())


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> SharedConv:
    return SharedConv(outputs, inputs, size, stride, kernel_permutations(size))


def _first(bands: int, patch_px: int, outputs: int) -> SharedConv:
    return SharedConv(outputs, bands * patch_px**2, 3, 1, patch_permutations(bands, patch_px, 3))


SHARED_LAYERS = Layers(first=_first, convolution=_convolution, norm=SharedNorm, strided_size=4)
