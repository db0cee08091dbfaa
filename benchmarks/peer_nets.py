"""Train the networks of the peers in fp32: a peer process for bench_peers.py.

    python peer_nets.py first|convnext BATCH

``first``: a small CNN like the reference net of Caffe (2012), on crops of 86 px. ``convnext``: ConvNeXt-Nano at 224 px,
the encoder that Zoobot recommends, by timm if it can be imported, else by this project's model/convnext.py, whose
layers have the same names, shapes and outputs (tests/oracles compares them).
"""

from __future__ import annotations

import sys
import time

import torch
from peers import answer, tolerate_torchvision, wait_for_turn
from torch import Tensor, nn


class FirstNet(nn.Module):
    """Caffe's way of 2012 on crops of 86 px: 3 convolutions with response normalisation and pooling, 3 dense layers.

    Images float [n, 3, 86, 86] to log odds [n, classes]. Layers as in the reference net of Caffe (Krizhevsky et al.
    2012), with the stride and the size of the first kernel reduced to fit the smaller image.
    """

    crop_px = 86

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, 96, 7, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75),
            nn.Conv2d(96, 256, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        )
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(384 * 5 * 5, 4096),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Log odds."""
        return self.dense(self.convolutions(images))


def first_optimizer(net: nn.Module) -> torch.optim.Optimizer:
    """SGD with Caffe's usual momentum and weight decay."""
    return torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


def build_convnext() -> tuple[nn.Module, str]:
    """ConvNeXt-Nano with a head of 37 outputs, and whose it is."""
    try:
        tolerate_torchvision()
        import timm

        return timm.create_model("convnext_nano", pretrained=False, num_classes=37), f"timm {timm.__version__}"
    except ImportError:
        from convnet_galaxies.model.convnext import build_convnext as build_ours

        backbone = build_ours("convnext_nano", 3)
        return nn.Sequential(backbone, nn.Linear(backbone.features, 37)), "our own layers, timm cannot be imported"


def main() -> None:
    """A training step each turn."""
    kind, batch = sys.argv[1], int(sys.argv[2])
    torch.manual_seed(0)
    if kind == "first":
        net: nn.Module = FirstNet()
        images, targets = torch.randn(batch, 3, 86, 86), torch.randint(0, 2, (batch,))
        remark, loss, optimizer = "fp32, SGD", nn.functional.cross_entropy, first_optimizer(net)
    else:
        net, whose = build_convnext()
        images, targets = torch.randn(batch, 3, 224, 224), torch.rand(batch, 37)
        remark, loss = f"{whose}, fp32, AdamW", nn.functional.mse_loss
        optimizer = torch.optim.AdamW(net.parameters())
    net.train()
    print(f"REMARK {remark}, batch {batch}", flush=True)
    while wait_for_turn():
        started = time.perf_counter()
        optimizer.zero_grad()
        loss(net(images), targets).backward()
        optimizer.step()
        answer(time.perf_counter() - started)


if __name__ == "__main__":
    main()
