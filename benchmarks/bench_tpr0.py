"""Measure how often the 95 % interval of TPR0 covers the mean TPR0 of such sets, and how wide the interval is.

TPR0 depends on one image, the highest-ranked non-lens, and no resample contains a higher one. Each trial draws lenses
and non-lenses in fields of one to three cutouts. Their scores are normal with unit width, at a given separation, and a
third of the variance is shared within a field. The truth is the mean TPR0 of 4,000 other sets drawn in the same way.
Columns: separation; lenses, others (images); true TPR0; coverage; above and below, how often the interval lies wholly
on that side of the truth; mean ends of the interval; the mean high end without the ceiling of measure/scores.py.

    python benchmarks/bench_tpr0.py [--trials 300] [--out benchmarks/results/tpr0.csv]
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.measure.intervals import encode_groups, resample_statistic, summarize
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.measure.scores import (
    CEILING,
    EXTREME_ERROR,
    count_rarer_groups,
    make_lens_statistic,
    summarize_lenses,
)

SEPARATIONS = (1.0, 2.0, 3.0, 4.0, 5.0)
SIZES = ((20, 100), (70, 270), (200, 1000))
"""Lenses and others; the second is about the held-out part of the demo, the third that of the published catalogue."""
SHARED = 1 / 3


def draw_set(rng: np.random.Generator, lenses: int, others: int, separation: float) -> tuple[np.ndarray, ...]:
    """Truth bool [n], probability [n] and group int [n]."""
    n = lenses + others
    groups = np.repeat(np.arange(n), rng.integers(1, 4, n))[:n]
    truth = rng.permutation(n) < lenses
    own, field = rng.normal(size=n), rng.normal(size=n)[groups]
    score = separation * truth + np.sqrt(1 - SHARED) * own + np.sqrt(SHARED) * field
    return truth, 1 / (1 + np.exp(-score)), groups


def run_cell(lenses: int, others: int, separation: float, trials: int) -> dict[str, float]:
    """One row of the result."""
    rng = np.random.default_rng(1 << 20)
    values = []
    for _ in range(4000):
        truth, probability, _ = draw_set(rng, lenses, others, separation)
        values.append((probability[truth] > probability[~truth].max()).mean())
    wanted = float(np.mean(values))
    columns = (*scores_of("lens"), CEILING)
    rows = []
    for trial in range(trials):
        truth, probability, groups = draw_set(np.random.default_rng(trial), lenses, others, separation)
        statistic = make_lens_statistic(truth, probability, groups, columns)
        found, draws = resample_statistic(statistic, groups, n_resamples=300, seed=trial)
        rarer = count_rarer_groups(truth, groups)
        everywhere = encode_groups(groups)[1]
        figure = summarize_lenses(columns, found, draws, rarer=rarer, everywhere=everywhere, level=0.95)["tpr0"]
        tpr0, tpr10 = columns.index("tpr0"), columns.index("tpr10")
        missed = EXTREME_ERROR * float(found[tpr10] - found[tpr0])
        free = summarize("tpr0", figure.value, draws[:, tpr0], n_effective=rarer, proportion=True, extra_error=missed)
        rows.append((figure.low <= wanted <= figure.high, figure.low > wanted, figure.high < wanted, figure.low,
                     figure.high, free.high))  # fmt: skip
    means = np.mean(rows, axis=0)
    names = ("coverage", "above", "below", "mean_low", "mean_high", "mean_high_without_ceiling")
    cell = {"separation": separation, "lenses": lenses, "others": others, "true_tpr0": wanted, "trials": trials}
    return cell | dict(zip(names, map(float, means), strict=True))


def main() -> None:
    """Runs all cells, prints and writes the table."""
    parser = argparse.ArgumentParser(description="How often the interval of TPR0 holds the truth.")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "tpr0.csv")
    arguments = parser.parse_args()
    rows = []
    for lenses, others in SIZES:
        for separation in SEPARATIONS:
            rows.append(run_cell(lenses, others, separation, arguments.trials))
            print(*(f"{value:.3g}" for value in rows[-1].values()), flush=True)
    header = f"# Python {platform.python_version()}, numpy {np.__version__}; seeds 0 to trials - 1\n"
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.out.with_suffix(".csv.partial")
    temporary.write_text(header + pd.DataFrame(rows).to_csv(index=False, float_format="%.4g"))
    temporary.rename(arguments.out)


if __name__ == "__main__":
    main()
