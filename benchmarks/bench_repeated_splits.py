"""Measure how often the interval of `study` covers the true difference of two strategies, and what it detects.

A whole study is repeated on new catalogues, with linear discriminants in place of networks: images in groups of one to
three that share a third of the variance, a fifth of them lenses, five features that separate these from the others.
"equal": both strategies see ten useless features besides, each ten of its own, so that the true difference is zero by
symmetry. "better": strategy a sees none, as if it started from what matters. Splits and intervals are those of `study`.
The truth of "better" is the mean difference over all catalogues.

Columns: case; images; repetitions; score; truth; scatter, between catalogues, of the mean difference; error, the mean
standard error of the intervals; coverage of the 95 % interval; detected, fraction of studies whose interval excludes 0;
detectable, mean of the difference that a study states it would have detected in 80 %; same_sign, fraction of studies
whose estimate has the sign of the truth.

    python benchmarks/bench_repeated_splits.py [--trials 100] [--out benchmarks/results/repeated_splits.csv]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.measure.repeated_splits import summarize_repetitions
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.measure.scores import make_lens_statistic
from convnet_galaxies.study.strategies import study_parts

FRACTIONS = (0.6, 0.2, 0.2)
USEFUL, USELESS, SHIFT, SHARED = 5, 10, 0.9, 1 / 3
NAMES = ("auroc", "tpr_5_percent", "log_loss")


def draw_catalogue(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, ImageSet]:
    """Features float [n, 25], truth bool [n], and the table of a catalogue, whose pixels do not matter."""
    groups = np.repeat(np.arange(n), rng.integers(1, 4, n))[:n]
    truth = rng.random(n) < 0.2
    size = (n, USEFUL + 2 * USELESS)
    features = np.sqrt(1 - SHARED) * rng.normal(size=size) + np.sqrt(SHARED) * rng.normal(size=size)[groups]
    features[:, :USEFUL] += SHIFT * truth[:, None]
    table = pd.DataFrame({"id": np.arange(n).astype(str), "group": groups.astype(str), "lens": truth.astype(float)})
    return features, truth, ImageSet(np.zeros((n, 4, 4, 3), np.uint8), table, Preprocess(size_px=4))


def fit_discriminant(features: np.ndarray, truth: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Probabilities float [m] for others [m, d] of a linear discriminant of features [n, d] and truth bool [n]."""
    means = [features[truth == one].mean(axis=0) for one in (False, True)]
    scatter = np.cov((features - np.stack(means)[truth.astype(int)]).T) + 0.05 * np.eye(features.shape[1])
    weights = np.linalg.solve(scatter, means[1] - means[0])
    prior = np.log(truth.mean() / (1 - truth.mean()))
    return 1 / (1 + np.exp(-((others - (means[0] + means[1]) / 2) @ weights + prior)))


def compare(rng: np.random.Generator, case: str, n: int, repetitions: int) -> np.ndarray:
    """Differences a minus b of one study, float [repetitions, scores]."""
    features, truth, images = draw_catalogue(rng, n)
    useful = np.arange(USEFUL)
    columns_a = useful if case == "better" else np.r_[useful, USEFUL : USEFUL + USELESS]
    columns_b = np.r_[useful, USEFUL + USELESS : USEFUL + 2 * USELESS]
    found, seed = [], int(rng.integers(1 << 30))
    for repetition in range(repetitions):
        parts = study_parts(images, FRACTIONS, repetition=repetition, seed=seed)
        train, test = parts == "train", parts == "test"
        groups = images.table["group"].to_numpy()[test]
        once = np.ones((1, len(np.unique(groups))))
        scores = [
            make_lens_statistic(
                truth[test],
                fit_discriminant(features[train][:, one], truth[train], features[test][:, one]),
                groups,
                NAMES,
            )(once)[0]
            for one in (columns_a, columns_b)
        ]
        found.append(scores[0] - scores[1])
    return np.array(found)


def run_cell(case: str, n: int, repetitions: int, trials: int) -> list[dict[str, object]]:
    """One row per score."""
    studies = np.array([compare(np.random.default_rng([trial, n]), case, n, repetitions) for trial in range(trials)])
    rows: list[dict[str, object]] = []
    for k, name in enumerate(NAMES):
        means = studies[:, :, k].mean(axis=1)
        truth = 0.0 if case == "equal" else float(means.mean())
        found = [
            summarize_repetitions(name, one, test_over_train=1 / 3, level=0.95, most=SCORES[name].most)
            for one in studies[:, :, k]
        ]
        ends = np.array([(one.estimate.low, one.estimate.high) for one in found])
        reach = (ends[:, 1] - ends[:, 0]) / 2
        rows.append(
            {
                "case": case,
                "images": n,
                "repetitions": repetitions,
                "score": name,
                "truth": truth,
                "scatter": means.std(ddof=1),
                "error": (reach / stats.t.ppf(0.975, repetitions - 1)).mean(),
                "coverage": np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])),
                "detected": np.mean((ends[:, 0] > 0) | (ends[:, 1] < 0)),
                "detectable": np.mean([one.detectable for one in found]),
                "same_sign": np.mean(np.sign(means) == np.sign(truth)) if truth else np.nan,
            }
        )
    return rows


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "repeated_splits.csv")
    arguments = parser.parse_args()
    rows = []
    for case in ("equal", "better"):
        for n in (300, 1200):
            for repetitions in (3, 5):
                rows += run_cell(case, n, repetitions, arguments.trials)
                print(pd.DataFrame(rows[-len(NAMES) :]).to_string(header=False, index=False), flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(arguments.out, index=False, float_format="%.5g")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
