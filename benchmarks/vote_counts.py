"""Compare what is learned from few volunteers: counts (Dirichlet-multinomial, multinomial) and fractions.

Needs real galaxies with the fractions of some forty volunteers (--data, the folder galaxy-zoo). These fractions are
taken for the truth: 5, 10 and 40 volunteers per training galaxy walk down the tree, and a network learns their answers
with each task. On held-out galaxies it is scored against the truth (RMSE of the shares among the volunteers asked, each
question by the fraction asked) and against 40 new volunteers (log likelihood per vote, its interval over galaxies, and
how often the 90 % interval of the fraction of as many volunteers as were trained on holds theirs). Fractions have no
concentration: their likelihood is that of the multinomial, of shares that are at least FLOOR.

    python benchmarks/vote_counts.py [--data ../shared/data/galaxy-zoo] [--epochs 15] [--galaxies N] [--seeds 1]
    python benchmarks/vote_counts.py --exact [--data ../shared/data/galaxy-zoo]

With --exact nothing is trained: the truth of each galaxy, with a given concentration, is taken for the prediction, and
volunteers are those of the model itself. Printed is how often the 90 % interval of their fraction then holds: what
whole numbers alone make of 90 %.

The rows are appended to results/vote_counts.csv as they come; rows that are there are not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from galaxy_files import PIXELS
from measuring import RESULTS, describe_load, describe_machine
from scipy.stats import betabinom

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.vote_tree import note_votes, share_of_asked
from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS
from convnet_galaxies.measure.count_scores import evaluate_counts
from convnet_galaxies.measure.vote_intervals import fraction_interval
from convnet_galaxies.model.heads import MULTINOMIAL
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.settings import load_settings
from convnet_galaxies.simulate.tree_votes import cast_counts
from convnet_galaxies.training.fit import fit

OUT = RESULTS / "vote_counts.csv"
TASKS = ("counts", "counts-multinomial", "votes")
VOLUNTEERS = (5, 10, 40)
JUDGES = 40
FLOOR = 0.01


def main() -> None:
    """Measure what is missing, cheapest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/galaxy-zoo"))
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--galaxies", type=int, default=None)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--exact", action="store_true")
    given = parser.parse_args()
    if given.exact:
        print(measure_exact(given.data, given.galaxies or 1500).round(3).to_string(index=False))
        return
    load = describe_load()
    rows = pd.read_csv(OUT, comment="#").to_dict("records") if OUT.is_file() else []
    done = {(row["seed"], row["volunteers"], row["task"]) for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        write_pack(read_galaxy_zoo(given.data), PIXELS, Path(folder) / "pack")
        images = read_pack(Path(folder) / "pack")
        if given.galaxies is not None:
            images = images.select(np.arange(given.galaxies))
        for seed in range(given.seeds):
            for volunteers in VOLUNTEERS:
                for task in TASKS:
                    if (seed, volunteers, task) in done:
                        continue
                    rows.append(measure(images, volunteers, task, seed, given.epochs, Path(folder) / "run"))
                    text = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", float_format="%.5g")
                    OUT.write_text(f"# {describe_machine(load)}\n{text}", "utf-8")
                    print(rows[-1], flush=True)


def measure(images: ImageSet, volunteers: int, task: str, seed: int, epochs: int, run: Path) -> dict[str, object]:
    """Train on the votes of so many volunteers, and score on the test part."""
    truth = share_of_asked(images.table[list(VOTE_COLUMNS)].to_numpy(float), KAGGLE)
    sets = {
        name: draw(truth, number, [seed, k])
        for k, (name, number) in enumerate((("train", volunteers), ("test", JUDGES)))
    }
    table = images.table.copy()
    table[list(VOTE_COLUMNS)] = hide_unasked(sets["train"])
    learned = replace(images, table=note_votes(table, KAGGLE, "counts"))
    parts = images.split((0.8, 0.05, 0.15), seed=seed)
    settings = load_settings(None, [f"train.epochs={epochs}", f"seed={seed}"])
    fit(learned, settings, run, tasks=(task,), parts=parts, force=True)
    rows = np.flatnonzero(parts == "test")
    answer = Predictor(run, views=8, with_familiarity=False).predict_set(images, rows).tasks[task]
    if task == "votes":
        shares = np.nan_to_num(share_of_asked(answer.astype(float), KAGGLE), nan=0.5)
        shares = share_of_asked(np.maximum(shares, FLOOR), KAGGLE)
        concentration = np.full((len(rows), len(KAGGLE.questions)), MULTINOMIAL)
    else:
        shares, concentration = np.split(answer.astype(float), [len(VOTE_COLUMNS)], axis=1)
    groups = images.table["group"].to_numpy()[rows]
    scores = evaluate_counts(hide_unasked(sets["test"])[rows], shares, concentration, groups, KAGGLE, seed=0)
    likelihood = scores.overall["vote_log_likelihood"]
    asked = asked_of(images.table[list(VOTE_COLUMNS)].to_numpy(float))[rows][:, list(KAGGLE.question_of)]
    error = np.sqrt(np.nansum((shares - truth[rows]) ** 2 * asked) / asked.sum())
    fresh = np.random.default_rng([seed, 9]).multinomial
    low, high = fraction_interval(shares, concentration[:, list(KAGGLE.question_of)], volunteers)
    inside = []
    for part in KAGGLE.slices:
        known = np.isfinite(truth[rows, part.start])
        known &= asked[:, part.start] > 0.2
        given = np.array([fresh(volunteers, share / share.sum()) for share in truth[rows][known, part]]) / volunteers
        inside.append(((given >= low[known, part] - 1e-9) & (given <= high[known, part] + 1e-9)).ravel())
    return {
        "seed": seed,
        "volunteers": volunteers,
        "task": task,
        "galaxies": int((parts == "train").sum()),
        "test": len(rows),
        "epochs": epochs,
        "log_likelihood": likelihood.value,
        "low": likelihood.low,
        "high": likelihood.high,
        "share_rmse": error,
        "interval_90_holds": float(np.concatenate(inside).mean()),
    }


def measure_exact(data: Path, galaxies: int) -> pd.DataFrame:
    """How often the 90 % interval holds the fraction of volunteers drawn from the very beta-binomial it is made of."""
    votes = read_galaxy_zoo(data).table[list(VOTE_COLUMNS)].to_numpy(float)[:galaxies]
    truth = share_of_asked(votes, KAGGLE)
    share = np.clip(truth[np.isfinite(truth) & (asked_of(votes)[:, list(KAGGLE.question_of)] > 0.2)], 1e-3, 1 - 1e-3)
    rows = []
    for concentration in (3.0, 10.0, 30.0, 100.0):
        for volunteers in VOLUNTEERS:
            ends = fraction_interval(share, np.full(share.shape, concentration), volunteers)
            low, high = (np.rint(end * volunteers).astype(int) for end in ends)
            a, b = share * concentration, (1 - share) * concentration
            held = betabinom.cdf(high, volunteers, a, b) - betabinom.cdf(low - 1, volunteers, a, b)
            is_unclear = (share > 0.2) & (share < 0.8)
            rows.append(
                {
                    "concentration": concentration,
                    "volunteers": volunteers,
                    "holds": held.mean(),
                    "holds_unclear": held[is_unclear].mean(),
                    "one_number": (low == high).mean(),
                }
            )
    return pd.DataFrame(rows)


def draw(truth: np.ndarray, volunteers: int, seed: list[int]) -> np.ndarray:
    """Counts of so many volunteers per galaxy, int [n, answers]; truth: shares among those asked, NaN for nobody."""
    counts = []
    for row, shares in enumerate(truth):
        each = [np.where(np.isnan(shares[part]), 1.0, shares[part]) for part in KAGGLE.slices]
        rng = np.random.default_rng([*seed, row])
        counts.append(cast_counts(KAGGLE, [share / share.sum() for share in each], volunteers, rng))
    return np.array(counts, float)


def asked_of(fractions: np.ndarray) -> np.ndarray:
    """Fraction of all volunteers who are asked each question, [n, questions]."""
    return np.stack([fractions[:, part].sum(axis=1) for part in KAGGLE.slices], axis=1)


def hide_unasked(counts: np.ndarray) -> np.ndarray:
    """Counts with NaN for the questions that nobody was asked."""
    hidden = counts.copy()
    for part in KAGGLE.slices:
        hidden[hidden[:, part].sum(axis=1) == 0, part] = np.nan
    return hidden


if __name__ == "__main__":
    main()
