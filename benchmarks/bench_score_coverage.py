"""How often the intervals of the scores of `evaluate` and `study` hold the truth with few lenses.

Two networks score the same images in fields with and without lenses (draw_pair of score_families.py): both are
evaluated as `evaluate` does, and compared as `study` does. The truth of each score is its mean over many other sets.
Columns of the result: family; positives, others (fields); trials; level, nominal; for each score the share of trials
in which the interval of the first network holds the truth, ``difference_`` that of the difference of both; ``high_``:
the interval of the first network lies above the truth; warned: share of trials with a warning at the AUROC.

    python benchmarks/bench_score_coverage.py [--trials 300] [--quick] [--out benchmarks/results/score_coverage.csv]

A run that was interrupted is continued: the cells of the file are kept if they have as many trials.
"""

from __future__ import annotations

import argparse
import platform
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from score_families import FAMILIES, draw_pair

from convnet_galaxies.measure.comparisons import compare_lenses
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.measure.scores import make_lens_statistic, score_lenses

FIRST_SEED = 10_000
"""The corrections were chosen by trials of the seeds 0 to 199."""
TRUTH_SEED, TRUTH_IMAGES, MOST_SETS = 1 << 20, 2_000_000, 3000
LEVELS = (0.9,)
RESAMPLES = 300
TINY = 1e-9

Cell = tuple[str, int, int]
"""Family, positives, others."""


def list_cells() -> list[Cell]:
    """All cells, the most important first."""
    sizes = ((12, 108), (30, 270), (6, 54), (64, 436), (12, 888), (30, 1470), (150, 1350), (6, 2994))
    return [(family, *size) for size, family in product(sizes, FAMILIES)]


def find_truth(cell: Cell) -> np.ndarray:
    """Mean of each score of both networks over other sets, float [2, k]."""
    family, positives, others = cell
    n_sets = min(MOST_SETS, TRUTH_IMAGES // (positives + others))
    sums = 0.0
    for seed in range(TRUTH_SEED, TRUTH_SEED + n_sets):
        truth, odds, groups = draw_pair(seed, family, positives=positives, others=others)
        statistics = [make_lens_statistic(truth, expit(one), groups, list_scores()) for one in odds]
        sums = sums + np.concatenate([one(np.ones((1, positives + others))) for one in statistics])
    return sums / n_sets


def list_scores() -> tuple[str, ...]:
    """Names of the scores."""
    return tuple(scores_of("lens", baselines=False))


def run_trial(seed: int, cell: Cell, level: float, expected: np.ndarray) -> dict[str, float]:
    """What is averaged into the columns of the result."""
    family, positives, others = cell
    truth, odds, groups = draw_pair(seed, family, positives=positives, others=others)
    a, b = (expit(one) for one in odds)
    found = score_lenses(truth, a, groups, seed=seed, level=level, n_resamples=RESAMPLES)
    difference = compare_lenses(truth, a, b, groups, seed=seed, level=level, n_resamples=RESAMPLES)
    row: dict[str, float] = {"warned": found["auroc"].warning is not None}
    for k, name in enumerate(list_scores()):
        value, gap = expected[0, k], expected[0, k] - expected[1, k]
        row[name] = found[name].low - TINY <= value <= found[name].high + TINY
        row[f"difference_{name}"] = difference[name].low - TINY <= gap <= difference[name].high + TINY
        row[f"high_{name}"] = found[name].low > value + TINY
    return row


def main() -> None:
    """Runs the cells one by one, and writes the table after each."""
    parser = argparse.ArgumentParser(description="How often the intervals of the scores hold the truth.")
    parser.add_argument("--trials", type=int, default=300, help="per cell")
    parser.add_argument("--quick", action="store_true", help="two trials of two cells; keeps nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "score_coverage.csv")
    arguments = parser.parse_args()
    cells, trials = (list_cells()[:2], 2) if arguments.quick else (list_cells(), arguments.trials)
    kept = pd.DataFrame()
    if arguments.out.exists() and not arguments.quick:
        kept = pd.read_csv(arguments.out, comment="#")
        kept = kept[kept["trials"] >= trials]
    done = set() if kept.empty else set(zip(kept["family"], kept["positives"], kept["others"], strict=True))
    start = time.process_time()
    for cell in cells:
        if cell in done:
            continue
        expected = find_truth(cell)
        rows = []
        for level in LEVELS:
            seeds = range(FIRST_SEED, FIRST_SEED + trials)
            shares = pd.DataFrame([run_trial(seed, cell, level, expected) for seed in seeds]).astype(float).mean()
            facts = dict(zip(("family", "positives", "others"), cell, strict=True))
            rows.append(facts | {"trials": trials, "level": level} | shares.to_dict())
        kept = pd.concat([kept, pd.DataFrame(rows)], ignore_index=True)
        header = (
            f"# {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}; one process, "
            f"{RESAMPLES} resamples, seeds from {FIRST_SEED}\n"
        )
        if not arguments.quick:
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            temporary = arguments.out.with_suffix(".csv.partial")
            temporary.write_text(header + kept.to_csv(index=False, float_format="%.4g"))
            temporary.rename(arguments.out)
        print(f"{cell}, {time.process_time() - start:.0f} s", flush=True)
    print(header + kept.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
