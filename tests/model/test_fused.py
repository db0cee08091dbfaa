"""The fused net answers as the plain one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from convnet_galaxies.model.augment import fixed_view, fixed_warps
from convnet_galaxies.model.fold import fold_norms
from convnet_galaxies.model.fused import FusedPlainNet, can_fuse, gather_patches, in_patch_order
from convnet_galaxies.model.plain_net import PlainNet
from convnet_galaxies.model.symmetric_net import SharedNorm, SymmetricNet

CPU = torch.device("cpu")


def trained_net(kind: type[PlainNet], depths: tuple[int, ...]) -> PlainNet:
    """A net whose batch norms are not the identity, in evaluation mode, channels last."""
    torch.manual_seed(0)
    net = kind(3, 2, (8, 16), depths)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d | SharedNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
    return net.eval().to(memory_format=torch.channels_last)


@pytest.mark.skipif(not can_fuse(CPU), reason="this torch has no fused convolutions on the processor")
@pytest.mark.parametrize("depths", [(1, 1), (2, 3)])
@pytest.mark.parametrize("kind", [PlainNet, SymmetricNet])
@torch.inference_mode()
def test_fused_net_gives_the_features_of_the_net(kind, depths) -> None:
    net = trained_net(kind, depths)
    images = torch.randn(5, 3, 24, 24).to(memory_format=torch.channels_last)
    expected = net(images)
    kept = images.clone()
    found = FusedPlainNet(fold_norms(net))(images)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(images, kept), "the images themselves are not overwritten"


def test_gathered_patches_are_those_of_pixel_unshuffle() -> None:
    images = torch.randn(2, 3, 10, 20).to(memory_format=torch.channels_last)
    by_band = F.pixel_unshuffle(images, 5).view(2, 3, 25, 2, 4)
    assert torch.equal(gather_patches(images, 5), by_band.transpose(1, 2).reshape(2, 75, 2, 4))


def test_kernels_in_patch_order_convolve_the_same() -> None:
    images, kernels = torch.randn(2, 3, 10, 20).to(memory_format=torch.channels_last), torch.randn(4, 75, 2, 1)
    found = F.conv2d(gather_patches(images, 5), in_patch_order(kernels, 5))
    torch.testing.assert_close(found, F.conv2d(F.pixel_unshuffle(images, 5), kernels), atol=1e-4, rtol=1e-4)


def test_pixels_are_as_exact_in_bf16_as_their_normalised_values() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    (upright,) = fixed_warps(1)
    exact = fixed_view(pixels, upright, view_px=16, output_px=16)
    coarse = fixed_view(pixels, upright, view_px=16, output_px=16, dtype=torch.bfloat16)
    torch.testing.assert_close(coarse.float(), exact, rtol=1e-2, atol=1e-2)
