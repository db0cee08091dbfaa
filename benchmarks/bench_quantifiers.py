"""Measure how often the 90 % interval of the prevalence covers the truth, by method.

Each trial draws labelled images (as many as in Space Warps stage 2: 1,876 in all, 151 of them lenses, two per field)
and an unknown set of known prevalence and flavor mix from a model of scores, and estimates the prevalence. The scores
of non-lenses and of three flavors of lens are logits of different width and skewness, so that no parametric
recalibration is exact. Columns of the result: method; shift (by how much the logits of the unknown lenses are lower);
n_unknown; prevalence; trials; coverage of the fraction of the population; above and below, how often the interval lies
wholly on that side of it; coverage of the number of lenses among these images; coverage of the fraction of each flavor;
median width. Other families of scores, and all that `unknown` prints: bench_coverage.py.

    python benchmarks/bench_quantifiers.py [--trials 120] [--out benchmarks/results/quantifiers.csv]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.measure.prevalence import Prevalence, ScoredImages, join_scores, quantify

CLASSES = ("non-lens", "lensed galaxy", "lensed quasar", "lensing cluster")
MIX = np.array([0.45, 0.25, 0.30])
"""Share of each flavor among the lenses of the unknown sets."""
LABELLED = np.array([1725, 52, 49, 50])
PREVALENCES = (0.002, 0.01, 0.03, 0.1, 0.3)


def draw_posteriors(truth: np.ndarray, rng: np.random.Generator, *, harder: float = 0.0) -> np.ndarray:
    """Posteriors [n, 4] for true classes int [n]; harder: by how much the logits of lenses are lower."""
    n = len(truth)
    centre, width = np.array([-4.0, 2.0, 4.0, 3.0])[truth], np.array([1.5, 1.8, 1.3, 1.6])[truth]
    tail = rng.exponential(1.0, n) * np.where(truth == 0, 0.8, -1.0)
    lens = 1 / (1 + np.exp(-(centre + width * rng.normal(size=n) + tail - harder * (truth > 0))))
    which = np.exp(rng.normal(size=(n, 3)) + 2.5 * (truth[:, None] == np.arange(1, 4)))
    return np.column_stack([1 - lens, lens[:, None] * which / which.sum(axis=1, keepdims=True)])


def draw_trial(
    seed: int, n_unknown: int, prevalence: float, *, harder: float, flavors: bool
) -> tuple[ScoredImages, np.ndarray, np.ndarray]:
    """The images of one trial, the true classes of the unknown ones int [m], and the true fractions [4]."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(4), LABELLED))
    fractions = np.concatenate([[1 - prevalence], prevalence * MIX])
    unknown = rng.choice(4, size=n_unknown, p=fractions)
    sides = [draw_posteriors(truth, rng), draw_posteriors(unknown, rng, harder=harder)]
    groups = [np.arange(len(side)) // 2 for side in sides]
    if not flavors:
        truth, sides = truth > 0, [1 - side[:, 0] for side in sides]
    return join_scores(truth, sides[0], groups[0], sides[1], groups[1]), unknown, fractions


def holds(answer: Prevalence, name: str, fraction: float, number: int) -> tuple[float, ...]:
    """Whether the interval holds the fraction, lies above it, below it, holds the number; and its width."""
    interval, count = answer.fraction[name], answer.count[name]
    return (
        interval.low <= fraction <= interval.high,
        interval.low > fraction,
        interval.high < fraction,
        count.low <= number <= count.high,
        interval.high - interval.low,
    )


def run_cell(
    method: str, n_unknown: int, prevalence: float, trials: int, *, harder: float = 0.0, flavors: bool = False
) -> dict[str, object]:
    """One row of the result."""
    rows, by_flavor = [], []
    for trial in range(trials):
        images, unknown, fractions = draw_trial(trial, n_unknown, prevalence, harder=harder, flavors=flavors)
        names, lens = (CLASSES, "any lens") if flavors else (("non-lens", "lens"), "lens")
        answer = quantify(images, classes=names, seed=trial, methods=(method,), n_resamples=100)
        rows.append(holds(answer, lens, prevalence, int((unknown > 0).sum())))
        if flavors:
            by_flavor += [holds(answer, CLASSES[k], fractions[k], int((unknown == k).sum()))[0] for k in (1, 2, 3)]
    means = np.mean(rows, axis=0)
    return {
        "method": method + (" by flavor" if flavors else ""),
        "shift": harder,
        "n_unknown": n_unknown,
        "prevalence": prevalence,
        "trials": trials,
        "coverage": float(means[0]),
        "above": float(means[1]),
        "below": float(means[2]),
        "coverage_of_number": float(means[3]),
        "coverage_by_flavor": float(np.mean(by_flavor)) if flavors else np.nan,
        "median_width": float(np.median([row[4] for row in rows])),
    }


def main() -> None:
    """Runs all cells, prints and writes the table."""
    parser = argparse.ArgumentParser(description="How often the interval of the prevalence holds the truth.")
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "quantifiers.csv")
    arguments = parser.parse_args()
    start, trials = time.process_time(), arguments.trials
    cells = [("mixture", n, p, trials, {}) for n in (300, 1000, 3000) for p in PREVALENCES]
    cells += [("mixture", 1000, p, trials // 2, {"flavors": True}) for p in PREVALENCES]
    cells += [("emq", 1000, p, trials // 4, {}) for p in PREVALENCES]
    cells += [("pacc", 1000, p, trials // 2, {}) for p in PREVALENCES]
    cells += [("mixture", 1000, p, trials // 4, {"harder": 3.0}) for p in PREVALENCES]
    rows = []
    for method, n_unknown, prevalence, n, options in cells:
        rows.append(run_cell(method, n_unknown, prevalence, max(n, 1), **options))
        print(f"{time.process_time() - start:5.0f} s", *rows[-1].values(), flush=True)
    header = (
        f"# {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}, "
        f"scikit-learn {version('scikit-learn')}, scipy {version('scipy')}; one process, "
        f"seeds 0 to trials - 1; {time.process_time() - start:.0f} s of processor time\n"
    )
    table = pd.DataFrame(rows)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.out.with_suffix(".csv.partial")
    temporary.write_text(header + table.to_csv(index=False, float_format="%.4g"))
    temporary.rename(arguments.out)
    print(header + table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
