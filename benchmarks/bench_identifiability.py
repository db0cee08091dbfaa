"""How well the best possible test of scores tells lenses that score lower from fewer lenses like the known ones.

Any warning about lower scores is a test of two hypotheses: lenses whose log odds are lower by a shift, and lenses like
the known ones of the fraction whose scores are nearest (least Kullback-Leibler divergence). The densities of both are
taken as known, as if labelled images had no end, so that no rule, on these scores, can do better (Neyman & Pearson).
Columns of the result: family, shift (natural log odds), prevalence; nearest, the other fraction over this one;
total_variation, the largest difference between the chance of a warning with the shift and that without;
false_alarms, the chance of a warning without a shift where the chance with it is 95 %; power_5_percent, the chance of a
warning with the shift where that without is 5 %. N_UNKNOWN images; families normal and separated of score_families.py.

    python benchmarks/bench_identifiability.py [--sets 1000] [--quick] [--out benchmarks/results/identifiability.csv]
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from score_families import CENTRES, N_UNKNOWN, USUAL, WIDTH

FAMILIES = ("normal", "separated")
SHIFTS = (0.5, 0.75, 1.5, 3.0)
PREVALENCES = (0.002, 0.02, 0.2)


def measure(family: str, shift: float, prevalence: float, n_sets: int) -> dict[str, float | str]:
    """One row of the result."""
    low, high = CENTRES.get(family, USUAL)

    def density(odds: np.ndarray, fraction: float, lower: float) -> np.ndarray:
        return (1 - fraction) * norm.pdf(odds, low, WIDTH) + fraction * norm.pdf(odds, high - lower, WIDTH)

    grid = np.linspace(-14, 14, 6001)
    shifted = density(grid, prevalence, shift)
    found = minimize_scalar(
        lambda other: float(np.sum(shifted * np.log(shifted / density(grid, other, 0.0)))),
        bounds=(1e-7, 0.9),
        method="bounded",
    )
    rng = np.random.default_rng(0)

    def draw(fraction: float, lower: float) -> np.ndarray:
        """Log likelihood ratios of sets drawn with these lenses, [sets]."""
        ratios = np.empty(n_sets)
        for one in range(n_sets):
            is_lens = rng.random(N_UNKNOWN) < fraction
            odds = rng.normal(np.where(is_lens, high - lower, low), WIDTH)
            ratios[one] = np.log(density(odds, prevalence, shift) / density(odds, found.x, 0.0)).sum()
        return ratios

    with_shift, without = draw(prevalence, shift), draw(found.x, 0.0)
    return {
        "family": family,
        "shift": shift,
        "prevalence": prevalence,
        "nearest": found.x / prevalence,
        "total_variation": float(np.maximum(0, 1 - np.exp(-with_shift)).mean()),
        "false_alarms": float((without > np.quantile(with_shift, 0.05)).mean()),
        "power_5_percent": float((with_shift > np.quantile(without, 0.95)).mean()),
    }


def main() -> None:
    """Measure all rows and write them."""
    parser = argparse.ArgumentParser(description="How well shifted lenses can be told from fewer lenses.")
    parser.add_argument("--sets", type=int, default=1000, help="drawn per row and hypothesis")
    parser.add_argument("--quick", action="store_true", help="20 sets; keeps nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "identifiability.csv")
    given = parser.parse_args()
    n_sets = 20 if given.quick else given.sets
    table = pd.DataFrame([measure(*cell, n_sets) for cell in product(FAMILIES, SHIFTS, PREVALENCES)])
    if not given.quick:
        given.out.write_text(
            f"# {N_UNKNOWN} images, {n_sets} sets\n{table.to_csv(index=False, float_format='%.3g')}", "utf-8"
        )
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
