from __future__ import annotations

import pytest
import torch
from torch import nn

from convnet_galaxies.model.fold import fold_norms
from convnet_galaxies.model.galaxy_net import GalaxyNet
from convnet_galaxies.model.symmetric_net import SharedNorm
from convnet_galaxies.settings import NetSettings


def make_net(backbone: str, seed: int) -> GalaxyNet:
    """A net whose norms have statistics and weights as after a training."""
    torch.manual_seed(seed)
    settings = NetSettings(backbone=backbone, widths=(8, 16), depths=(1, 2), patch_px=2, input_px=32)
    net = GalaxyNet(settings, bands=3, classes={"votes": (), "lens": ()})
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | SharedNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return net.eval()


@pytest.mark.parametrize("backbone", ["symmetric", "plain", "resnet18", "resnet50"])
def test_folded_net_gives_equal_answers_and_has_no_norm_left(backbone) -> None:
    net = make_net(backbone, 1)
    net.backbone.double()  # what is folded; its features are float32 again
    folded = fold_norms(net)
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        before, after = net(images), folded(images)
    assert not any(isinstance(module, nn.BatchNorm2d | SharedNorm) for module in folded.modules())
    for task in before:
        scale = before[task].abs().max().clamp_min(1)
        assert (before[task] - after[task]).abs().max() < 1e-4 * scale


def test_folding_leaves_the_given_net_as_it_is() -> None:
    net = make_net("symmetric", 2)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    fold_norms(net)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_a_net_without_batch_norms_is_copied_untouched() -> None:
    net = make_net("convnext_atto", 3)
    folded = fold_norms(net)
    assert folded is not net
    for (name, one), (other_name, other) in zip(net.state_dict().items(), folded.state_dict().items(), strict=True):
        assert name == other_name
        assert torch.equal(one, other)
