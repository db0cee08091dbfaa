"""Turned or mirrored, an image has the same answers; and the shared kernels are what torch's own layers would have.

The laws are checked in float64, where no order of summation matters, whatever the processor: only the mean over
orientations at the end is one of float32 numbers.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from convnet_galaxies.model.fold import fold_norms
from convnet_galaxies.model.galaxy_net import to_channels_last
from convnet_galaxies.model.symmetric_net import SharedConv, SharedNorm, SymmetricNet, expand_kernels
from convnet_galaxies.model.symmetry import (
    DIVISION_TABLE,
    SYMMETRIES,
    as_matrix,
    expand,
    kernel_permutations,
    move,
    patch_permutations,
)


def trained_net(*, patch_px: int = 4, bands: int = 3) -> SymmetricNet:
    """A net whose norms are not the identity, and whose orientations have seen different images."""
    torch.manual_seed(patch_px)
    net = to_channels_last(SymmetricNet(bands, patch_px, (16, 32), (1, 2)))
    for module in net.modules():
        if isinstance(module, SharedNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    for _ in range(3):
        net(torch.randn(8, bands, 8 * patch_px, 8 * patch_px))
    return net.eval()


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def assert_same_features(found: Tensor, expected: Tensor) -> None:
    """Equal but for the order in which eight numbers were added in float32."""
    torch.testing.assert_close(found, expected, atol=SYMMETRIES * 2**-24 * expected.abs().max().item(), rtol=0)


def all_moved(images: Tensor) -> Tensor:
    """float [8, ...]: the images in all symmetries."""
    return torch.stack([move(images, symmetry) for symmetry in range(SYMMETRIES)])


def test_the_symmetries_are_eight_and_form_a_group() -> None:
    image = torch.arange(9.0).reshape(3, 3)
    assert len({tuple(moved.flatten().tolist()) for moved in all_moved(image)}) == SYMMETRIES
    for g in range(SYMMETRIES):
        assert sorted(DIVISION_TABLE[g].tolist()) == list(range(SYMMETRIES))
        for h in range(SYMMETRIES):
            between = int(DIVISION_TABLE[g, h])
            assert torch.equal(move(move(image, between), g), move(image, h))


@pytest.mark.parametrize(("patch_px", "bands"), [(1, 1), (2, 5), (4, 3), (5, 3)])
@torch.inference_mode()
def test_turned_and_mirrored_images_have_equal_features(patch_px, bands) -> None:
    net = trained_net(patch_px=patch_px, bands=bands).double()
    images = draw(3, bands, 8 * patch_px, 8 * patch_px)
    expected = net(images)
    assert expected.shape == (3, net.features) == (3, 16)
    assert expected.std(0).max() > 1e-3, "the features tell images apart"
    for moved in all_moved(images):
        assert_same_features(net(moved), expected)


@torch.inference_mode()
def test_an_image_that_is_only_transposed_in_its_colours_has_other_features() -> None:
    net = trained_net()
    images = torch.randn(3, 3, 32, 32)
    assert (net(images) - net(images.flip(1))).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("permutations", "shape"),
    [
        (kernel_permutations(1), (2, 16, 1, 1)),
        (kernel_permutations(3), (3, 8, 3, 3)),
        (kernel_permutations(4), (1, 24, 4, 4)),
    ],
)
def test_a_turned_input_gives_turned_outputs_in_turned_orientations(permutations, shape) -> None:
    kinds, inputs, size, _ = shape
    layer = SharedConv(kinds * SYMMETRIES, inputs, size, 2 if size == 4 else 1, permutations).double().eval()
    x = draw(2, inputs, 8, 8)
    plain = layer(x).unflatten(1, (SYMMETRIES, kinds))
    for g in range(SYMMETRIES):
        turned = move(x.unflatten(1, (SYMMETRIES, -1))[:, DIVISION_TABLE[g]], g).flatten(1, 2)
        torch.testing.assert_close(
            layer(turned).unflatten(1, (SYMMETRIES, kinds)), move(plain[:, DIVISION_TABLE[g]], g), atol=1e-12, rtol=0
        )


@pytest.mark.parametrize(
    ("permutations", "columns"), [(kernel_permutations(3), 9 * 16), (patch_permutations(3, 2, 3), 9 * 12)]
)
def test_gradients_of_shared_kernels_are_the_sum_over_their_copies(permutations, columns) -> None:
    matrix = torch.randn(2, columns, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(16, columns, dtype=torch.float64)
    (expand(matrix, permutations) * weights).sum().backward()
    run = columns // permutations.shape[1]
    index = (permutations[:, :, None] * run + torch.arange(run)).flatten(1)
    again = matrix.detach().clone().requires_grad_()
    (again[:, index].transpose(0, 1).reshape(16, columns) * weights).sum().backward()
    assert matrix.grad is not None
    torch.testing.assert_close(matrix.grad, again.grad, atol=1e-5, rtol=1e-5)  # summed in float32


@torch.inference_mode()
def test_expanded_and_folded_the_net_answers_the_same_with_layers_of_torch_alone() -> None:
    net = trained_net().double()
    images = draw(5, 3, 32, 32)
    expected = net(images)
    plain, folded = trained_net().double(), fold_norms(net)
    expand_kernels(plain)
    for other in (plain.eval(), folded):
        assert not any(isinstance(module, SharedConv | SharedNorm) for module in other.modules())
        assert_same_features(other(images), expected)


def test_it_has_about_an_eighth_of_the_parameters_of_its_expanded_form() -> None:
    net = SymmetricNet(3, 5, (64, 128, 256), (1, 1, 2))
    small = sum(parameter.numel() for parameter in net.parameters())
    expand_kernels(net)
    assert sum(parameter.numel() for parameter in net.parameters()) == pytest.approx(8 * small, rel=0.01)


def test_channels_last_kernels_share_memory_with_their_matrix() -> None:
    net = trained_net()
    for module in net.modules():
        if isinstance(module, SharedConv):
            assert as_matrix(module.base.data).data_ptr() == module.base.data_ptr()
            assert module.kernels(torch.float32).is_contiguous(memory_format=torch.channels_last)
