"""Muon for convolutions: updates of unit singular values, for kernels that symmetries share as well."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from convnet_galaxies.model.symmetry import DIFFERENCES, SYMMETRIES, as_matrix, expand

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz step a x + b x^3 + c x^5, steep at zero (Jordan et al. 2024)."""

NEWTON_STEPS = 5


class ConvMuon(torch.optim.Optimizer):
    """Momentum whose updates have singular values near 1 (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    A kernel [o, i, h, w] is taken as a matrix [o, h w i], whose memory it shares. torch's own Muon multiplies large
    matrices ten times an update, and in bf16 everywhere, which some processors emulate.
    kernels: groups with ``params``, and in ``moves`` for each of these how symmetries move it, or None.
    """

    def __init__(
        self, kernels: Iterable[dict[str, Any]], *, lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        self.kernels: list[list[nn.Parameter]] = []
        self.moves: list[list[Tensor | None]] = []
        groups = []
        for group in kernels:
            self.kernels.append(list(group["params"]))
            self.moves.append(list(group["moves"]))
            matrices = [nn.Parameter(as_matrix(kernel.data)) for kernel in group["params"]]
            groups.append({**{k: v for k, v in group.items() if k != "moves"}, "params": matrices})
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group, kernels, moves in zip(self.param_groups, self.kernels, self.moves, strict=True):
            for matrix, kernel, of_kernel in zip(group["params"], kernels, moves, strict=True):
                if kernel.grad is not None:
                    self._move(matrix, as_matrix(kernel.grad), of_kernel, group)

    def _move(self, matrix: Tensor, gradient: Tensor, moves: Tensor | None, group: dict[str, Any]) -> None:
        state, momentum = self.state[matrix], group["momentum"]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        update = orthogonalise(gradient.lerp(buffer, momentum), moves)  # Nesterov's look ahead
        rows, columns = matrix.shape
        whole_rows = rows if moves is None else rows * SYMMETRIES
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(update, alpha=-group["lr"] * math.sqrt(max(1, whole_rows / columns)))

    def zero_grad(self, set_to_none: bool = True) -> None:
        for kernels in self.kernels:
            for kernel in kernels:
                kernel.grad = None


def orthogonalise(matrix: Tensor, moves: Tensor | None = None) -> Tensor:
    """A matrix [m, n] with its singular vectors kept and its singular values moved near 1 (0.7 to 1.2).

    moves: for a shared kernel (see symmetry.kernel_moves); singular values are those of the matrix of all its copies.
    """
    rows, columns = matrix.shape
    copies = 1 if moves is None else SYMMETRIES
    # Only kernels of one pixel have a transpose that is a shared kernel again; others are hardly ever tall.
    is_tall = rows * copies > columns and (moves is None or moves.shape[1] == SYMMETRIES)
    wide = _transpose(matrix, moves) if is_tall else matrix
    wide = wide / (wide.norm() * math.sqrt(copies)).clamp_min(1e-7)
    moved = newton_schulz(wide, moves)
    return _transpose(moved, moves) if is_tall else moved


def newton_schulz(x: Tensor, moves: Tensor | None = None) -> Tensor:
    """The iteration X <- (a + b G + c G^2) X with G = X X^T, on [m, n] of spectral norm 1 at most.

    The large matrix is multiplied twice instead of ten times: all factors P = a + b G + c G^2 are polynomials of the
    first Gram matrix, so they commute; their product Q is gathered, the Gram matrix of each step is P G P, and X is
    multiplied by Q once. Needs fp32: G squares the range.

    Of a shared kernel x is the first copy, an eighth of the rows of X. All products of X, X^T and P are known from
    their first rows as well, so that only these are computed.
    """
    a, b, c = QUINTIC
    between = DIFFERENCES.to(x.device)

    def whole(first: Tensor) -> Tensor:
        return first if moves is None else expand(first, between)

    whole_x = x if moves is None else expand(x, moves)
    gram = x @ whole_x.T
    product = None
    for step in range(NEWTON_STEPS):
        whole_gram = whole(gram)
        factor = torch.addmm(gram, gram, whole_gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        whole_factor = whole(factor)
        product = factor if product is None else product @ whole_factor
        if step + 1 < NEWTON_STEPS:
            gram = factor @ whole_gram @ whole_factor
    return x if product is None else product @ whole_x


def _transpose(matrix: Tensor, moves: Tensor | None) -> Tensor:
    """Of a shared kernel of one pixel too: its first copy to the first copy of the transposed one."""
    return matrix.T if moves is None else expand(matrix, moves)[:, : matrix.shape[1] // SYMMETRIES].T
