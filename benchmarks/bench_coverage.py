"""How often the 90 % intervals of `unknown` hold the truth, by family of scores, shift, labelled lenses and prevalence.

Each trial draws labelled images and 2,000 unknown ones (score_families.py) and estimates the fraction and the number of
lenses, the purity of the 10, 50 and 200 best, and the number from 100 and 300 graded images drawn by a plan.
Columns of the result, each a share of the trials unless stated otherwise: family; shift, by which the log odds of the
unknown lenses are lower; positives, labelled lenses; prevalence; trials; fraction, number, purity_k, completeness_50:
the interval holds the truth; optimistic_k: it lies above the true purity; plan_n: that of n graded images holds the
number; plan_purity: of 300 graded images holds the purity of the 50 best; ratio: median of estimated over true number;
flagged: the scores are no mixture of the known ones; alike: no warning (the verdict of trust.py without the tests of
features, which can only add warnings, and 10 or more labelled lenses); warned: of the trials in which the interval of
the number fails, those with a warning (empty when it never fails); warned_fraction, warned_purity: the same for the
fraction and for the purity of any of the 10, 50 and 200 best; unwarned_number: of the trials without a warning, those
in which the interval of the number holds (empty when there is none); seen: median of the smallest shift that would be
seen, in natural log odds; range: the range over all shifts that the scores allow holds the number; range_purity_k,
range_completeness_50: its ranges hold the purity and completeness of the k best; range_warned: it carries a warning;
warned_range: it carries one, of the trials in which it does not hold the number (empty when it always does);
warned_range_purity: the same for the purity of any of the 10, 50 and 200 best; unwarned_range, unwarned_range_purity_k:
it holds, of the trials in which it carries none; range_over: the number lies above it; range_width: median of its width
over that of the interval of the number; range_width_50: the same for the purity of the 50 best.

    python benchmarks/bench_coverage.py [--trials 300] [--first 0] [--quick] [--out FILE] [--keep FILE]

With --keep each trial is a row of FILE, and a run that was interrupted is continued from it.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from dataclasses import replace
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from score_families import FAMILIES, Trial, draw_trial

from convnet_galaxies.measure.graded_sample import GradedImages, estimate_number, estimate_top, plan_sample
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.prevalence import quantify
from convnet_galaxies.measure.score_fit import check_score_fit
from convnet_galaxies.measure.shifted_lenses import ShiftedRange, bound_by_shift
from convnet_galaxies.measure.shifted_top import bound_top_by_shift
from convnet_galaxies.measure.top_ranked import TopRange, TopRanked, expect_top
from convnet_galaxies.measure.trust import SIGNIFICANCE, judge

Cell = tuple[str, float, int, float]
"""Family, shift, positives, prevalence."""
PREVALENCES = (0.002, 0.02, 0.2)
TOPS = (10, 50, 200)
PLANS = (100, 300)
ROUND = 10
"""Trials of a cell between two writings of the result."""
TINY = 1e-9


def list_cells() -> list[Cell]:
    """All cells, the most important first."""
    cells: list[Cell] = [(family, 0.0, 150, p) for family, p in product(FAMILIES, PREVALENCES)]
    cells += [(family, 1.5, 150, p) for family, p in product(("normal", "look-alikes", "separated"), PREVALENCES)]
    cells += [("normal", shift, 150, p) for shift, p in product((3.0, 0.75), PREVALENCES)]
    cells += [(family, 0.0, n, p) for n, family, p in product((30, 12, 6), FAMILIES[:4], PREVALENCES)]
    cells += [("normal", 1.5, n, p) for n, p in product((30, 12, 6), PREVALENCES)]
    return cells


def run_trial(seed: int, cell: Cell) -> dict[str, float]:
    """What is averaged into the columns of the result."""
    family, shift, positives, prevalence = cell
    trial = draw_trial(seed, family, prevalence=prevalence, positives=positives, shift=shift)
    answer = quantify(trial.images, seed=seed, methods=("mixture",))
    number, n_lenses = answer.count["lens"], int(trial.truth.sum())
    holds = number.low - TINY <= n_lenses <= number.high + TINY
    top, shifted = expect_top(trial.images, seed=seed), bound_by_shift(trial.images, number)
    top_range = bound_top_by_shift(trial.images, top, seed=seed)
    alpha = SIGNIFICANCE / 3
    scores = check_score_fit(trial.images, seed=seed, alpha=alpha)
    alike = judge([], scores, number, alpha=alpha) == "alike" and not answer.remarks
    fraction, by_rank = answer.fraction["lens"], compare_top(top, trial.truth)
    holds_fraction = fraction.low <= prevalence <= fraction.high
    return {
        "fraction": holds_fraction,
        "number": holds,
        **by_rank,
        **grade_plans(top, trial, seed),
        "ratio": number.value / max(n_lenses, 1),
        "flagged": scores.p_value < alpha,
        "alike": alike,
        "warned": np.nan if holds else not alike,
        "warned_fraction": np.nan if holds_fraction else not alike,
        "warned_purity": np.nan if all(by_rank[f"purity_{k}"] for k in TOPS) else not alike,
        "unwarned_number": holds if alike else np.nan,
        "seen": np.inf if scores.seen is None else scores.seen,
        **compare_range(shifted, number, n_lenses),
        **compare_top_range(top_range, top, trial.truth, is_warned=shifted.warning is not None),
    }


def compare_range(shifted: ShiftedRange, number: Estimate, n_lenses: int) -> dict[str, float]:
    """Whether the range over shifts holds the number, and whether it carries a warning."""
    holds, is_warned = shifted.low - TINY <= n_lenses <= shifted.high + TINY, shifted.warning is not None
    return {
        "range": holds,
        "range_warned": is_warned,
        "warned_range": np.nan if holds else is_warned,
        "unwarned_range": np.nan if is_warned else holds,
        "range_over": n_lenses > shifted.high + TINY,
        "range_width": (shifted.high - shifted.low) / max(number.high - number.low, TINY),
    }


def compare_top(top: TopRanked, truth: np.ndarray) -> dict[str, float]:
    """Whether the intervals of the best-ranked hold what is found."""
    found, row = np.cumsum(truth[top.order]), {}
    for k in TOPS:
        purity = found[k - 1] / k
        row[f"purity_{k}"] = top.purity_low[k - 1] - TINY <= purity <= top.purity_high[k - 1] + TINY
        row[f"optimistic_{k}"] = top.purity_low[k - 1] > purity + TINY
    complete = found[49] / found[-1] if found[-1] else 1.0
    row["completeness_50"] = top.completeness_low[49] - TINY <= complete <= top.completeness_high[49] + TINY
    return row


def compare_top_range(top_range: TopRange, top: TopRanked, truth: np.ndarray, *, is_warned: bool) -> dict[str, float]:
    """Whether the ranges of the best-ranked hold what is found."""
    row = {
        name.replace("purity", "range_purity").replace("completeness", "range_completeness"): holds
        for name, holds in compare_top(replace(top, **vars(top_range)), truth).items()
        if not name.startswith("optimistic")
    }
    of_purity = {f"unwarned_range_purity_{k}": np.nan if is_warned else row[f"range_purity_{k}"] for k in TOPS}
    at = 50 - 1
    return (
        row
        | of_purity
        | {
            "warned_range_purity": np.nan if all(row[f"range_purity_{k}"] for k in TOPS) else is_warned,
            "range_width_50": (top_range.purity_high[at] - top_range.purity_low[at])
            / max(top.purity_high[at] - top.purity_low[at], TINY),
        }
    )


def grade_plans(top: TopRanked, trial: Trial, seed: int) -> dict[str, float]:
    """Whether the intervals from graded images hold the truth."""
    m, row = len(trial.truth), {}
    probability, rank = np.empty(m), np.empty(m, int)
    probability[top.order], rank[top.order] = top.probability, np.arange(1, m + 1)
    for n in PLANS:
        plan = plan_sample(probability, n, seed=seed)
        is_graded = np.isin(np.arange(m), plan.chosen)
        graded = GradedImages(plan.stratum, is_graded, is_graded & trial.truth)
        number = estimate_number(graded)
        row[f"plan_{n}"] = number.low - TINY <= trial.truth.sum() <= number.high + TINY
        if n == 300:
            purity, _ = estimate_top(graded, rank, 50)
            row["plan_purity"] = purity.low - TINY <= trial.truth[rank <= 50].mean() <= purity.high + TINY
    return row


def summarize(cell: Cell, rows: list[dict[str, float]]) -> dict[str, object]:
    """One row of the result."""
    table = pd.DataFrame(rows).astype(float).drop(columns="seconds")
    columns = {name: float(table[name].mean()) for name in table}
    for name in ("ratio", "seen", "range_width", "range_width_50"):
        columns[name] = float(table[name].median())
    return (
        dict(zip(("family", "shift", "positives", "prevalence"), cell, strict=True)) | {"trials": len(rows)} | columns
    )


def main() -> None:
    """Runs all cells in rounds, and writes the table after each round."""
    parser = argparse.ArgumentParser(description="How often the intervals of `unknown` hold the truth.")
    parser.add_argument("--trials", type=int, default=300, help="per cell")
    parser.add_argument("--first", type=int, default=0, help="seed of the first trial")
    parser.add_argument("--quick", action="store_true", help="two trials of two cells; keeps nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "coverage.csv")
    parser.add_argument("--keep", type=Path, help="file of single trials, continued if it exists")
    arguments = parser.parse_args()
    out = arguments.out
    cells, trials = (list_cells()[:2], 2) if arguments.quick else (list_cells(), arguments.trials)
    kept = read_trials(arguments.keep, cells)
    end = arguments.first + trials
    for first in range(arguments.first, end, ROUND):
        for cell in cells:
            for seed in range(first, min(first + ROUND, end)):
                if seed not in kept[cell]:
                    start = time.process_time()
                    row = run_trial(seed, cell)
                    kept[cell][seed] = {name: float(value) for name, value in row.items()}
                    kept[cell][seed]["seconds"] = time.process_time() - start
        write_trials(arguments.keep, kept)
        rows = [row for of_cell in kept.values() for row in of_cell.values()]
        seconds = sum(row["seconds"] for row in rows)
        header = (
            f"# {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy "
            f"{np.__version__}, scikit-learn {version('scikit-learn')}; one process, seeds from {arguments.first}; "
            f"{seconds:.0f} s of processor time\n"
        )
        table = pd.DataFrame([summarize(cell, list(of_cell.values())) for cell, of_cell in kept.items()])
        if not arguments.quick:
            out.parent.mkdir(parents=True, exist_ok=True)
            temporary = out.with_suffix(".csv.partial")
            temporary.write_text(header + table.to_csv(index=False, float_format="%.4g"))
            temporary.rename(out)
        print(f"{min(first + ROUND, end) - arguments.first} trials a cell, {seconds:.0f} s", flush=True)
    print(header + table.round(3).to_string(index=False))


def read_trials(path: Path | None, cells: list[Cell]) -> dict[Cell, dict[int, dict[str, float]]]:
    """The rows of earlier trials by cell and seed; none without a file."""
    kept: dict[Cell, dict[int, dict[str, float]]] = {cell: {} for cell in cells}
    if path is None or not path.exists():
        return kept
    for row in pd.read_csv(path).to_dict("records"):
        cell = (
            str(row.pop("family")),
            float(row.pop("shift")),
            int(row.pop("positives")),
            float(row.pop("prevalence")),
        )
        seed = int(row.pop("seed"))
        if cell in kept:
            kept[cell][seed] = {str(name): float(value) for name, value in row.items()}
    return kept


def write_trials(path: Path | None, kept: dict[Cell, dict[int, dict[str, float]]]) -> None:
    """Writes one row per trial."""
    if path is None:
        return
    names = ("family", "shift", "positives", "prevalence")
    rows = [
        dict(zip(names, cell, strict=True)) | {"seed": seed} | row
        for cell, of_cell in kept.items()
        for seed, row in of_cell.items()
    ]
    temporary = path.with_suffix(".partial")
    pd.DataFrame(rows).to_csv(temporary, index=False)
    temporary.rename(path)


if __name__ == "__main__":
    main()
