"""The eight symmetries of a square, and kernels that are shared by them (Cohen & Welling 2016, arXiv:1602.07576).

Turned or mirrored, a galaxy is the same galaxy. A shared layer learns a kernel for each kind of feature and looks with
all its eight copies, one an orientation; where its input turns, its output turns and changes orientation, nothing else.
Channels stand orientation by orientation: channel = orientation * kinds + kind. Kernels [o, i, h, w] are handled as
matrices [o, h w i], whose memory they share when they are channels-last.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

SYMMETRIES = 8


def move(images: Tensor, symmetry: int) -> Tensor:
    """Return the last two axes (a square) mirrored for symmetries 4 to 7, then turned by symmetry % 4 quarters."""
    return torch.rot90(images.flip(-1) if symmetry >= 4 else images, symmetry % 4, (-2, -1))


def _make_division_table() -> Tensor:
    corners = torch.arange(4).reshape(2, 2)
    moved = [move(corners, symmetry) for symmetry in range(SYMMETRIES)]
    table = [[k for g in moved for k, x in enumerate(moved) if torch.equal(move(x, h), g)] for h in range(SYMMETRIES)]
    return torch.tensor(table)


DIVISION_TABLE = _make_division_table()
"""Division table of the group D4, long [8, 8]: element [g, h] is the symmetry x for which x followed by g equals h."""


def kernel_permutations(size: int) -> Tensor:
    """Return how the symmetries permute a kernel between oriented channels, [o, 8 i, size, size] with o and i kinds.

    long [8, 8 size size]: for each orientation's copy, where each block of i columns of its matrix comes from. A copy
    sees the orientations of its input relative to its own.
    """
    blocks = torch.arange(size * size * SYMMETRIES).reshape(size, size, SYMMETRIES).permute(2, 0, 1)
    copies = [move(blocks[before], symmetry) for symmetry, before in enumerate(DIVISION_TABLE)]
    return torch.stack([copy.permute(1, 2, 0).flatten() for copy in copies])


def patch_permutations(bands: int, patch_px: int, size: int) -> Tensor:
    """Return those of the first kernel, [o, bands patch_px patch_px, size, size] over squares of pixels.

    The squares are channels in the order of torch's pixel_unshuffle; their pixels are permuted.
    """
    side = size * patch_px
    columns = torch.arange(bands * side * side).reshape(size, size, bands, patch_px, patch_px)
    pixels = columns.permute(2, 0, 3, 1, 4).reshape(bands, side, side)
    copies = [move(pixels, s).reshape(bands, size, patch_px, size, patch_px) for s in range(SYMMETRIES)]
    return torch.stack([copy.permute(1, 3, 0, 2, 4).flatten() for copy in copies])


def as_matrix(kernel: Tensor) -> Tensor:
    """Return a kernel [o, i, h, w] as a matrix [o, h w i], without a copy where it is channels-last."""
    return kernel.permute(0, 2, 3, 1).reshape(len(kernel), -1)


def expand(matrix: Tensor, permutations: Tensor) -> Tensor:
    """Return all copies of a shared kernel: [o, columns] to [8 o, columns]. permutations: see kernel_permutations."""
    return _Expand.apply(matrix, permutations)


class _Expand(torch.autograd.Function):
    """Blocks of columns are copied whole, both ways, all in one call; element by element takes ten times as long."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, permutations: Tensor) -> Tensor:
        ctx.permutations = permutations
        blocks = matrix.reshape(len(matrix) * permutations.shape[1], -1)
        return blocks.index_select(0, _rows_of_copies(len(matrix), permutations)).view(-1, matrix.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (gradient,) = grads
        count, blocks = len(gradient) // SYMMETRIES, ctx.permutations.shape[1]
        moved = gradient.reshape(SYMMETRIES * count * blocks, -1).index_select(
            0, _rows_of_firsts(count, ctx.permutations)
        )
        # Eight bf16 numbers add up to few digits.
        total = moved.view(SYMMETRIES, count, -1).sum(0, dtype=torch.float32)
        return total.to(gradient.dtype), None


@lru_cache(maxsize=256)  # there are as many as kernels, and a step asks three times for each
def _rows_of_copies(count: int, permutations: Tensor) -> Tensor:
    """Return the source of each block of columns of all copies of count rows, long [8 count blocks], row by row."""
    rows = torch.arange(count, device=permutations.device) * permutations.shape[1]
    return (permutations[:, None, :] + rows[None, :, None]).flatten()


@lru_cache(maxsize=256)
def _rows_of_firsts(count: int, permutations: Tensor) -> Tensor:
    """Return the way back: where in all copies the blocks of the first one went, long [8 count blocks], copy by
    copy."""
    own = torch.arange(SYMMETRIES, device=permutations.device)[:, None] * (count * permutations.shape[1])
    return (own + _rows_of_copies(count, permutations.argsort(1)).view(SYMMETRIES, -1)).flatten()


def _find_irreps() -> Tensor:
    turn, mirror = torch.tensor([[0.0, -1.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    columns = []
    for symmetry in range(SYMMETRIES):
        turns, mirrors = symmetry % 4, symmetry // 4
        numbers = [a**turns * b**mirrors for a in (1.0, -1.0) for b in (1.0, -1.0)]
        matrix = torch.linalg.matrix_power(turn, turns) @ torch.linalg.matrix_power(mirror, mirrors)
        columns.append(torch.cat([torch.tensor(numbers), matrix.flatten()]))
    return torch.stack(columns, dim=1)


IRREPS = _find_irreps()
"""[8, 8]: each symmetry, a column, as a number in four ways and as a 2 x 2 matrix: products go with products."""


def to_blocks(first: Tensor) -> tuple[Tensor, Tensor]:
    """Return the diagonal blocks [4, o, o] and [1, 2 o, 2 o] of a matrix [8 o, 8 o] between orientations, from its
    first rows.

    first: [o, 8 o], the rest being its copies (expand with DIVISION_TABLE). The blocks of a product of two such
    matrices are the products of their blocks, those of a transpose the transposes: the Fourier transform of a
    finite group (Serre 1977, Linear Representations of Finite Groups, section 6.2), where a product takes 12 o^3 steps,
    not 64.
    """
    o = len(first)
    components = IRREPS.to(first) @ first.view(o, SYMMETRIES, o)
    return components[:, :4].transpose(0, 1), components[:, 4:].view(o, 2, 2, o).transpose(0, 1).reshape(
        1, 2 * o, 2 * o
    )


def from_blocks(ones: Tensor, two: Tensor) -> Tensor:
    """Return the first rows [o, 8 o] of the matrix whose blocks these are."""
    o = ones.shape[1]
    twice = 2 * two.view(2, o, 2, o).transpose(0, 1).reshape(o, 4, o)  # for its dimension
    components = torch.cat([ones.transpose(0, 1), twice], dim=1)
    return (IRREPS.to(ones).T @ components).reshape(o, SYMMETRIES * o) / SYMMETRIES
