"""Small residual network whose shapes suit a processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from convnet_galaxies.model.backbone import Backbone


@dataclass(frozen=True)
class Layers:
    """Sizes and layers of a network.

    first: of (bands, patch_px, outputs), the convolution over squares of pixels. convolution: of (inputs, outputs,
    size, stride). norm: of channels. strided_size: of the kernels that halve the side.
    """

    first: Callable[[int, int, int], nn.Module]
    convolution: Callable[[int, int, int, int], nn.Module]
    norm: Callable[[int], nn.Module]
    strided_size: int


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, bias=False)


PLAIN_LAYERS = Layers(
    first=lambda bands, patch_px, outputs: _convolution(bands * patch_px**2, outputs, 3, 1),
    convolution=_convolution,
    norm=nn.BatchNorm2d,
    strided_size=3,
)


class PlainNet(Backbone):
    """A residual net of dense 3 x 3 convolutions.

    Nothing but large dense convolutions comes near the arithmetic peak of a processor (depthwise ones reach a
    twentieth of it, forward and backward), and the first layers of the usual nets, with 3 channels at full size,
    waste most of their time; so squares of patch_px x patch_px pixels enter as channels of one pixel.
    """

    def __init__(
        self,
        bands: int,
        patch_px: int,
        widths: Sequence[int],
        depths: Sequence[int],
        *,
        layers: Layers = PLAIN_LAYERS,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(patch_px),
            layers.first(bands, patch_px, widths[0]),
            layers.norm(widths[0]),
            nn.ReLU(inplace=True),
        )
        self.patch_px = patch_px
        stages: list[nn.Module] = []
        inputs = widths[0]
        for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = []
            for stride in [2 if number else 1, *[1] * (depth - 1)]:
                blocks.append(PlainBlock(inputs, width, stride, layers))
                inputs = width
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.features = inputs

    def list_stages(self) -> list[nn.Module]:
        return [self.stem, *self.blocks]

    def forward(self, images: Tensor) -> Tensor:
        return self.read(self.blocks(self.stem(images)))

    def read(self, x: Tensor) -> Tensor:
        """Convert the last channels [n, c, h, w] to features."""
        return x.float().mean((2, 3))


class PlainBlock(nn.Module):
    """Two 3 x 3 convolutions and a skip connection (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int, layers: Layers) -> None:
        super().__init__()
        self.conv1 = layers.convolution(inputs, outputs, layers.strided_size if stride > 1 else 3, stride)
        self.norm1 = layers.norm(outputs)
        self.conv2 = layers.convolution(outputs, outputs, 3, 1)
        self.norm2 = layers.norm(outputs)
        nn.init.zeros_(self.norm2.get_parameter("weight"))  # a block begins as the identity, so that depth does no harm
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            # Averaging before a 1 x 1 convolution uses all pixels where a strided one drops three of four.
            self.shortcut = nn.Sequential(
                # Odd sizes are rounded up, as the strided convolution beside it does.
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                layers.convolution(inputs, outputs, 1, 1),
                layers.norm(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        # In place where no backward pass needs what stood there.
        y = self.norm1(self.conv1(x)).relu_()
        return self.norm2(self.conv2(y)).add_(self.shortcut(x)).relu_()
