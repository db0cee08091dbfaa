"""How many cutouts of each sort a simulated Space Warps has, and which of those found are taken."""

from __future__ import annotations

import math
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
# Share of the cutouts whose stamp leaves the field; about what clicks anywhere in a field give.
PADDED_SHARE = 0.25
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


def padded_bounds(count: int) -> tuple[int, int]:
    """Fewest and most padded stamps that ``count`` cutouts of one cell may have.

    The zeros where a stamp leaves its field must not tell the label, so all cells get PADDED_SHARE of them, to within
    half of the chance scatter of so many draws (a binomial's), which no net can make use of.
    """
    wanted = round(PADDED_SHARE * count)
    slack = math.ceil(0.5 * math.sqrt(PADDED_SHARE * (1 - PADDED_SHARE) * count))
    return max(wanted - slack, 0), min(wanted + slack, count)


def count_lacking(count: int, padded: np.ndarray) -> tuple[int, int, int]:
    """How many cutouts a cell of ``count`` still lacks: of any sort, padded ones, and others.

    padded: bool [n], whether the stamp leaves its field, of those found.
    """
    fewest, most = padded_bounds(count)
    at_edge = int(padded.sum())
    return max(count - len(padded), 0), max(fewest - at_edge, 0), max(count - most - (len(padded) - at_edge), 0)


def choose_rows(
    rng: np.random.Generator, cells: Sequence[Cell], padded: np.ndarray, wanted: Mapping[Cell, int]
) -> np.ndarray:
    """Which cutouts are taken, bool [n]: of each cell as many as wanted, and PADDED_SHARE of them padded where enough
    are found, else as near as those found allow.

    cells: of each cutout. padded: bool [n], the stamp leaves its field.
    """
    taken = np.zeros(len(padded), bool)
    members: dict[Cell, list[int]] = {}
    for row, cell in enumerate(cells):
        members.setdefault(cell, []).append(row)
    for cell, count in wanted.items():
        rows = rng.permutation(np.array(members.get(cell, []), int))
        at_edge, inside = rows[padded[rows]], rows[~padded[rows]]
        edge = min(max(round(PADDED_SHARE * count), count - len(inside)), len(at_edge))
        taken[at_edge[:edge]] = True
        taken[inside[: count - edge]] = True
    return taken
