from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from convnet_galaxies.model.symmetry import (
    DIVISION_TABLE,
    SYMMETRIES,
    as_matrix,
    expand,
    from_blocks,
    kernel_permutations,
    patch_permutations,
    to_blocks,
)
from convnet_galaxies.training.muon import NEWTON_STEPS, QUINTIC, ConvMuon, newton_schulz, orthogonalise

SHAPES = [(64, 675), (256, 2304), (48, 48), (8, 300)]


def badly_scaled(rows: int, columns: int) -> Tensor:
    torch.manual_seed(rows)
    matrix = torch.randn(rows, columns) * torch.logspace(0, -3, columns)
    return matrix / matrix.norm()


def published(x: Tensor) -> Tensor:
    """The iteration as Jordan et al. write it."""
    a, b, c = QUINTIC
    for _ in range(NEWTON_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", SHAPES)
def test_few_multiplications_give_what_the_published_iteration_gives(shape: tuple[int, int]) -> None:
    matrix = badly_scaled(*shape)
    # The Gram matrix squares the range of fp32: singular values near 1e-4 are moved a little less exactly.
    (found,) = newton_schulz([matrix], [None])
    torch.testing.assert_close(found.double(), published(matrix.double()), atol=5e-4, rtol=0)


@pytest.mark.parametrize(
    ("shape", "permutations"),
    [
        ((4, 32, 3, 3), kernel_permutations(3)),
        ((2, 32, 1, 1), kernel_permutations(1)),
        ((16, 32, 1, 1), kernel_permutations(1)),  # taller than wide with all copies
        ((4, 48, 3, 3), patch_permutations(3, 4, 3)),
        ((16, 4, 3, 3), patch_permutations(1, 2, 3)),  # tall, and of more than one pixel
    ],
)
def test_a_shared_kernel_is_moved_as_the_matrix_of_all_its_copies(shape, permutations) -> None:
    torch.manual_seed(3)
    matrix = as_matrix(torch.randn(shape))
    (found,) = orthogonalise([matrix], [permutations])
    (expected,) = orthogonalise([expand(matrix, permutations)], [None])
    torch.testing.assert_close(expand(found, permutations), expected, atol=5e-4, rtol=0)


def test_a_gradient_of_low_rank_stays_finite_and_small() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(64, 2) @ torch.randn(2, 500)
    (moved,) = orthogonalise([matrix], [None])
    assert torch.isfinite(moved).all()
    assert torch.linalg.matrix_norm(moved, 2) < 1.3


@pytest.mark.parametrize("shape", [(64, 675), (256, 64)])
def test_singular_values_come_near_one_and_singular_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    matrix = torch.randn(*shape)
    (moved,) = orthogonalise([matrix], [None])
    values = torch.linalg.svdvals(moved)
    assert values.min() > 0.6
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    off = left.T @ moved @ right.T
    assert (off - off.diagonal().diag()).abs().max() < 0.05


def test_a_step_is_that_of_muon_by_torch_within_its_precision() -> None:
    torch.manual_seed(2)
    kernel = nn.Parameter(torch.randn(96, 16, 3, 3).to(memory_format=torch.channels_last))
    matrix = nn.Parameter(kernel.detach().permute(0, 2, 3, 1).reshape(96, -1).clone())
    ours = ConvMuon([{"params": [kernel], "permutations": [None]}], lr=0.02, weight_decay=0.1)
    theirs = torch.optim.Muon([matrix], lr=0.02, weight_decay=0.1)
    for _ in range(3):
        kernel.grad = torch.randn_like(kernel)
        matrix.grad = kernel.grad.permute(0, 2, 3, 1).reshape(96, -1).clone()
        ours.step()
        theirs.step()
    moved = kernel.detach().permute(0, 2, 3, 1).reshape(96, -1)
    # An update has elements near 1 / sqrt(144); torch computes it in bf16, of which 8 bits count.
    assert (moved - matrix).norm() < 0.03 * 3 * 0.02 * math.sqrt(96)


def test_blocks_of_a_product_are_the_products_of_the_blocks() -> None:
    torch.manual_seed(5)
    first = [torch.randn(3, 3 * SYMMETRIES, dtype=torch.float64) for _ in range(2)]
    whole = [expand(one, DIVISION_TABLE) for one in first]
    product = from_blocks(*(a @ b for a, b in zip(*map(to_blocks, first), strict=True)))
    torch.testing.assert_close(product, (whole[0] @ whole[1])[:3])
    turned = from_blocks(*(block.mT for block in to_blocks(first[0])))
    torch.testing.assert_close(expand(turned, DIVISION_TABLE), whole[0].T)
