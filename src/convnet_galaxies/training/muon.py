"""Muon for convolutions: updates of unit singular values, for kernels that symmetries share as well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convnet_galaxies.model.symmetry import SYMMETRIES, as_matrix, expand, from_blocks, to_blocks

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz step a x + b x^3 + c x^5, steep at zero (Jordan et al. 2024)."""

NEWTON_STEPS = 5


class ConvMuon(torch.optim.Optimizer):
    """Momentum whose updates have singular values near 1 (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    A kernel [o, i, h, w] is taken as a matrix [o, h w i], whose memory it shares. torch's own Muon multiplies large
    matrices ten times an update, and in bf16 everywhere, which some processors emulate.
    kernels: groups with ``params``, and in ``permutations`` how symmetries permute each of these, or None.
    """

    def __init__(
        self, kernels: Iterable[dict[str, Any]], *, lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        self.kernels: list[list[nn.Parameter]] = []
        self.permutations: list[list[Tensor | None]] = []
        groups = []
        for group in kernels:
            self.kernels.append(list(group["params"]))
            self.permutations.append(list(group["permutations"]))
            matrices = [nn.Parameter(as_matrix(kernel.data)) for kernel in group["params"]]
            groups.append({**{k: v for k, v in group.items() if k != "permutations"}, "params": matrices})
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group, kernels, permutations in zip(self.param_groups, self.kernels, self.permutations, strict=True):
            gradients = {row: as_matrix(kernel.grad) for row, kernel in enumerate(kernels) if kernel.grad is not None}
            matrices, permutations = (
                [group["params"][row] for row in gradients],
                [permutations[row] for row in gradients],
            )
            ahead = [
                self._look_ahead(*pair, group["momentum"]) for pair in zip(matrices, gradients.values(), strict=True)
            ]
            for matrix, update, of_kernel in zip(
                matrices, orthogonalise(ahead, permutations), permutations, strict=True
            ):
                rows, columns = matrix.shape
                whole_rows = rows if of_kernel is None else rows * SYMMETRIES
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * math.sqrt(max(1, whole_rows / columns)))

    def _look_ahead(self, matrix: Tensor, gradient: Tensor, momentum: float) -> Tensor:  # Nesterov's
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        return gradient.lerp(state["momentum_buffer"].lerp_(gradient, 1 - momentum), momentum)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for kernels in self.kernels:
            for kernel in kernels:
                kernel.grad = None


def orthogonalise(matrices: Sequence[Tensor], permutations: Sequence[Tensor | None]) -> list[Tensor]:
    """Return matrices [m, n] with their singular vectors kept and their singular values moved near 1 (0.7 to 1.2).

    permutations: of each, for a shared kernel (see symmetry.kernel_permutations), whose singular values are those of
    the matrix of all its copies; None for any other.
    """
    is_tall, wide = [], []
    for matrix, of_kernel in zip(matrices, permutations, strict=True):
        rows, columns = matrix.shape
        copies = 1 if of_kernel is None else SYMMETRIES
        # Only kernels of one pixel have a transpose that is a shared kernel again; others are hardly ever tall.
        is_tall.append(rows * copies > columns and (of_kernel is None or of_kernel.shape[1] == SYMMETRIES))
        lying = _transpose(matrix, of_kernel) if is_tall[-1] else matrix
        wide.append(lying / (lying.norm() * math.sqrt(copies)).clamp_min(1e-7))
    moved = newton_schulz(wide, permutations)
    return [_transpose(one, m) if tall else one for one, m, tall in zip(moved, permutations, is_tall, strict=True)]


def newton_schulz(matrices: Sequence[Tensor], permutations: Sequence[Tensor | None]) -> list[Tensor]:
    """Return the iteration X <- (a + b G + c G^2) X with G = X X^T, on each X [m, n] of spectral norm 1 at most.

    X is multiplied twice instead of ten times: all factors a + b G + c G^2 are polynomials of the first Gram matrix,
    whose product Q is gathered, and X is multiplied by Q once. Needs fp32: G squares the range.

    Of a shared kernel x is the first copy, an eighth of the rows of X; G and Q are known from their first rows as well,
    and fall into small blocks (symmetry.to_blocks).
    """
    wholes = [x if m is None else expand(x, m) for x, m in zip(matrices, permutations, strict=True)]
    grams = [x @ whole.T for x, whole in zip(matrices, wholes, strict=True)]
    blocks = [(g[None],) if m is None else to_blocks(g) for g, m in zip(grams, permutations, strict=True)]
    gathered = iter(_gather_factors([block for of_kernel in blocks for block in of_kernel]))
    return [
        (next(gathered)[0] if m is None else from_blocks(next(gathered), next(gathered))) @ whole
        for whole, m in zip(wholes, permutations, strict=True)
    ]


def _gather_factors(grams: Sequence[Tensor]) -> list[Tensor]:
    """Q of newton_schulz for Gram matrices, each [k, m, m] for some k and m; the Gram matrix after P is P G P.

    Those of one size go together: with many small ones it is the number of calls that takes time.
    """
    by_size: dict[int, list[int]] = {}
    for number, gram in enumerate(grams):
        by_size.setdefault(gram.shape[1], []).append(number)
    found = list(grams)
    for numbers in by_size.values():
        together = _gather_of_one_size(torch.cat([grams[number] for number in numbers]))
        parts = together.split([len(grams[number]) for number in numbers])
        for number, part in zip(numbers, parts, strict=True):
            found[number] = part
    return found


def _gather_of_one_size(gram: Tensor) -> Tensor:
    a, b, c = QUINTIC
    product = None
    for step in range(NEWTON_STEPS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else product @ factor
        if step + 1 < NEWTON_STEPS:
            gram = factor @ gram @ factor
    return gram if product is None else product


def _transpose(matrix: Tensor, permutations: Tensor | None) -> Tensor:
    """Transpose a kernel; of a shared one, map its first copy to the first copy of the transposed kernel."""
    return matrix.T if permutations is None else expand(matrix, permutations)[:, : matrix.shape[1] // SYMMETRIES].T
