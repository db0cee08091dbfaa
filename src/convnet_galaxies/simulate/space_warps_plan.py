"""How many cutouts of each sort a simulated Space Warps has, and which of those found are taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convnet_galaxies.errors import InputError
from convnet_galaxies.simulate.lens import FLAVORS

# Rows of the published catalogue by stage, sort and alpha; "sim" are the cutouts of fields with a painted lens.
PUBLISHED_ROWS = {
    (1, "dud", 0): 8362,
    (1, "sim", 0): 10656,
    (1, "sim", 1): 5159,
    (2, "dud", 0): 1129,
    (2, "sim", 0): 596,
    (2, "sim", 1): 151,
    (2, "test", 0): 9030,
}
PUBLISHED_FLAVORS = dict(zip(FLAVORS, (5983, 5271, 5308), strict=True))
# Below this, a sort of cutout would be missing.
FEWEST = 24

Cell = tuple[int, str, int]
"""Stage, flavor as in the catalogue, and whether the cutout shows a lens."""


def plan_rows(number: int, *, unknown_prevalence: float) -> dict[Cell, int]:
    """Rows of each cell, adding to ``number``, in the proportions of the published catalogue.

    unknown_prevalence: share of the test cutouts that show a lens.
    Raises InputError for fewer rows than FEWEST, or a prevalence outside 0..1.
    """
    if number < FEWEST:
        raise InputError(
            f"simulate space-warps: found number {number}, expected at least {FEWEST} cutouts",
            f"pass --number {FEWEST} or more",
        )
    if not 0 <= unknown_prevalence <= 1:
        raise InputError(
            f"simulate space-warps: found a share of lenses of {unknown_prevalence} among the test cutouts, "
            "expected 0 to 1",
            "pass e.g. 0.03",
        )
    sorts = dict(zip(PUBLISHED_ROWS, share_out(number, list(PUBLISHED_ROWS.values()), least=1), strict=True))
    sims = [cell for cell in sorts if cell[1] == "sim"]
    # Flavors are dealt cell by cell from what is left of their totals, so that both add up.
    left = share_out(sum(sorts[cell] for cell in sims), list(PUBLISHED_FLAVORS.values()))
    rows: dict[Cell, int] = {}
    for stage, sort, shows in sorts:
        if sort != "sim":
            rows[stage, sort, shows] = sorts[stage, sort, shows]
            continue
        dealt = share_out(sorts[stage, sort, shows], left)
        left = [have - given for have, given in zip(left, dealt, strict=True)]
        rows |= {(stage, flavor, shows): count for flavor, count in zip(PUBLISHED_FLAVORS, dealt, strict=True)}
    lenses = round(unknown_prevalence * rows[2, "test", 0])
    return rows | {(2, "test", 1): lenses, (2, "test", 0): rows[2, "test", 0] - lenses}


def share_out(total: int, weights: Sequence[float], *, least: int = 0) -> list[int]:
    """Whole numbers in proportion to the weights that add to total, by the largest remainders; each at least least."""
    shares = np.asarray(weights, float) * total / max(float(np.sum(weights)), 1e-300)
    counts = np.floor(shares).astype(int)
    order = np.argsort(-(shares - counts), kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    while (counts < least).any():
        counts[int(counts.argmax())] -= 1
        counts[int(counts.argmin())] += 1
    return counts.tolist()


def choose_rows(
    rng: np.random.Generator, cells: Sequence[Cell], padded: np.ndarray, wanted: Mapping[Cell, int]
) -> np.ndarray:
    """Which cutouts are taken, bool [n]: of each cell as many as wanted, the share of padded ones alike in all.

    cells: of each cutout. padded: bool [n], the stamp leaves its field; the zeros there must not tell the label, so
    every cell gets the share that all cutouts together have, as far as its own allow.
    """
    share = float(padded.mean()) if len(padded) else 0.0
    taken = np.zeros(len(padded), bool)
    members: dict[Cell, list[int]] = {}
    for row, cell in enumerate(cells):
        members.setdefault(cell, []).append(row)
    for cell, count in wanted.items():
        rows = rng.permutation(np.array(members.get(cell, []), int))
        at_edge, inside = rows[padded[rows]], rows[~padded[rows]]
        edge = min(max(round(count * share), count - len(inside)), len(at_edge))
        taken[at_edge[:edge]] = True
        taken[inside[: count - edge]] = True
    return taken
