"""The eight symmetries of a square, and kernels that are shared by them (Cohen & Welling 2016, arXiv:1602.07576).

Turned or mirrored, a galaxy is the same galaxy. A shared layer learns a kernel for each kind of feature and looks with
all its eight copies, one an orientation; where its input turns, its output turns and changes orientation, nothing else.
Channels stand orientation by orientation: channel = orientation * kinds + kind. Kernels [o, i, h, w] are handled as
matrices [o, h w i], whose memory they share when they are channels-last.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SYMMETRIES = 8


def move(images: Tensor, symmetry: int) -> Tensor:
    """The last two axes (a square) mirrored for symmetries 4 to 7, then turned by symmetry % 4 quarters."""
    return torch.rot90(images.flip(-1) if symmetry >= 4 else images, symmetry % 4, (-2, -1))


def _find_differences() -> Tensor:
    corners = torch.arange(4).reshape(2, 2)
    moved = [move(corners, symmetry) for symmetry in range(SYMMETRIES)]
    table = [[k for g in moved for k, x in enumerate(moved) if torch.equal(move(x, h), g)] for h in range(SYMMETRIES)]
    return torch.tensor(table)


DIFFERENCES = _find_differences()
"""long [8, 8]: the symmetry that must come before the row's to be the column's."""


def kernel_moves(size: int) -> Tensor:
    """How a kernel between oriented channels moves, [o, 8 i, size, size] with o and i kinds.

    long [8, 8 size size]: for each orientation's copy, where each block of i columns of its matrix comes from. A copy
    sees the orientations of its input relative to its own.
    """
    blocks = torch.arange(size * size * SYMMETRIES).reshape(size, size, SYMMETRIES).permute(2, 0, 1)
    copies = [move(blocks[before], symmetry) for symmetry, before in enumerate(DIFFERENCES)]
    return torch.stack([copy.permute(1, 2, 0).flatten() for copy in copies])


def patch_moves(bands: int, patch_px: int, size: int) -> Tensor:
    """As kernel_moves for the first kernel, [o, bands patch_px patch_px, size, size] over squares of pixels.

    The squares are channels in the order of torch's pixel_unshuffle; what moves are their pixels.
    """
    side = size * patch_px
    columns = torch.arange(bands * side * side).reshape(size, size, bands, patch_px, patch_px)
    pixels = columns.permute(2, 0, 3, 1, 4).reshape(bands, side, side)
    copies = [move(pixels, s).reshape(bands, size, patch_px, size, patch_px) for s in range(SYMMETRIES)]
    return torch.stack([copy.permute(1, 3, 0, 2, 4).flatten() for copy in copies])


def as_matrix(kernel: Tensor) -> Tensor:
    """A kernel [o, i, h, w] as a matrix [o, h w i], without a copy where it is channels-last."""
    return kernel.permute(0, 2, 3, 1).reshape(len(kernel), -1)


def expand(matrix: Tensor, moves: Tensor) -> Tensor:
    """All copies of a shared kernel: [o, columns] to [8 o, columns]. moves: see kernel_moves."""
    return _Expand.apply(matrix, moves)


class _Expand(torch.autograd.Function):
    """Blocks of columns are copied whole, both ways: a tenth of the time of indexing element by element."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, moves: Tensor) -> Tensor:
        ctx.moves = moves
        blocks = matrix.reshape(len(matrix), moves.shape[1], -1)
        copies = blocks.new_empty(SYMMETRIES, *blocks.shape)
        for copy, order in zip(copies, moves, strict=True):
            torch.index_select(blocks, 1, order, out=copy)
        return copies.view(-1, matrix.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (gradient,) = grads
        copies = gradient.reshape(SYMMETRIES, len(gradient) // SYMMETRIES, ctx.moves.shape[1], -1)
        total = torch.zeros_like(copies[0], dtype=torch.float32)  # eight bf16 numbers add up to few digits
        for copy, order in zip(copies, ctx.moves.argsort(1), strict=True):
            total += copy.index_select(1, order)
        return total.flatten(1).to(gradient.dtype), None
