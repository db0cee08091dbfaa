"""Run the ablation of the lens finder: cross-validate every recipe ("rung") on the same folds of real candidates.

    python weights/ladder.py ../shared/data RUNS RUNG [RUNG ...] --parent RUN [--folds 0,1]

Each fold of each recipe is a run folder in RUNS, with its held-out log odds beside it; finished folds are not trained
again. `--table` prints the figures of all finished recipes, and keeps them in weights/ladder.csv and
docs/images/ladder.svg.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from finder import (
    HeadRecipe,
    Recipe,
    attach_head,
    fine_tune,
    gather_others,
    load_set,
    paint_examples,
    pretrain,
    save_set,
)
from ladder_plot import plot_ladder, show_table, to_table
from real_lenses import assign_folds, read_neighbours, read_real_lenses
from scipy.special import expit, logit
from sklearn.metrics import roc_curve

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.measure.agreement import Subjects, compare_eyes
from convnet_galaxies.measure.intervals import Estimate, bound_proportion
from convnet_galaxies.measure.scores import evaluate_lenses
from convnet_galaxies.predict.predictor import Predictor

CLOSER = ("net.view_px=48", "augment.zoom=1.4")

PRETRAININGS: dict[str, tuple[int, Sequence[str]]] = {
    "painted0": (0, ()),
    "painted1": (1, (*CLOSER, "train.epochs=14")),
    "painted2": (2, ("net.view_px=40", "augment.zoom=1.5", "train.epochs=10", "train.learning_rate=0.0025")),
}
"""Seed and settings of the finders that have seen painted lenses only."""

RUNGS: dict[str, tuple[str, Recipe | HeadRecipe]] = {
    "zoo, head at 64 px": ("zoo", HeadRecipe(64)),
    "fine-tuned from zoo, 48 px": ("zoo", Recipe(painted=0.5, settings=CLOSER)),
    "fine-tuned, 64 px": ("painted0", Recipe()),
    "fine-tuned, 48 px": ("painted0", Recipe(painted=0.5, settings=CLOSER)),
    "fine-tuned on real ones gently, 48 px": (
        "painted0",
        Recipe(painted=0.1, settings=(*CLOSER, "train.epochs=3", "train.backbone_rate=0.1")),
    ),
    "head at 48 px": ("painted0", HeadRecipe(48)),
    "fine-tuned, second pretraining": ("painted1", Recipe(painted=0.5, settings=CLOSER)),
    "second pretraining, head at 48 px": ("painted1", HeadRecipe(48)),
    "second pretraining, head at 40 px": ("painted1", HeadRecipe(40)),
    "second pretraining, head at 34 px": ("painted1", HeadRecipe(34)),
    "second pretraining, head at 46 px": ("painted1", HeadRecipe(46, alpha=300, others=0.09)),
    "third pretraining, head at 40 px": ("painted2", HeadRecipe(40)),
}
"""What each starts from (``zoo``, or a finder that has seen painted lenses only), and what it is fed."""

KEPT, DRAWN = (Path(__file__).parents[1] / name for name in ("weights/ladder.csv", "docs/images/ladder.svg"))

ENSEMBLE = ("second pretraining, head at 46 px",)
"""The rungs whose networks ship, a member each; the head that ships is of survey_ladder.py."""


def name_run(rung: str, fold: int) -> str:
    """Name of the run folder."""
    return f"{rung.replace(', ', '-').replace(' ', '-')}-{fold}"


def compare_with_sky(data: Path, runs: Path, rung: str) -> dict[str, Estimate]:
    """Score known lenses against ordinary galaxies near candidates of the same held-out fold."""
    real = read_real_lenses(data / "space-warps")
    fold = assign_folds(real.table)
    stamps, rows = read_neighbours(data / "space-warps", real)
    known = (real.table["kind"] == "known lens").to_numpy()
    truth, score, groups = [], [], []
    for number in np.unique(fold):
        for images, owners, lens in ((real.images[known], np.flatnonzero(known), 1), (stamps, rows, 0)):
            held_out = fold[owners] == number
            score.append(log_odds(runs / name_run(rung, number), images[held_out]))
            truth.append(np.full(held_out.sum(), lens))
            groups.append(real.table["group"].to_numpy()[owners[held_out]])
    answer = expit(np.concatenate(score))
    return find_rates(np.concatenate(truth) == 1, answer, np.concatenate(groups))


def find_rates(truth: np.ndarray, probability: np.ndarray, groups: np.ndarray) -> dict[str, Estimate]:
    """AUROC, and completeness where 1 % of the others pass."""
    scores = evaluate_lenses(truth, probability, groups, seed=0)
    false_positive, completeness, _ = roc_curve(truth, probability)
    at = completeness[np.searchsorted(false_positive, 0.01, side="right") - 1]
    lenses = int(truth.sum())
    low, high = bound_proportion(at * lenses, lenses)
    return {"auroc": scores.overall["auroc"], "completeness at 1 %": Estimate("completeness", float(at), low, high)}


def log_odds(run: Path, images: np.ndarray) -> np.ndarray:
    """Float [n], 16 views."""
    probability = Predictor(run, views=16).predict(images)["lens"].astype(float)
    return logit(np.clip(probability, 1e-6, 1 - 1e-6))


def climb(data: Path, runs: Path, rung: str, zoo: str, folds: list[int]) -> None:
    """Train and score the folds of a rung that are missing."""
    real = read_real_lenses(data / "space-warps")
    fold = assign_folds(real.table)
    painted = painted_set(data, runs)
    start, recipe = RUNGS[rung]
    parent = start_of(start, painted, runs, zoo)
    for number in folds:
        run = runs / name_run(rung, number)
        scores = runs / f"{name_run(rung, number)}.npy"
        if not scores.is_file():
            held_out = fold == number
            learn(data, real, painted, run, held_out=held_out, parent=parent, recipe=recipe, seed=number)
            np.save(scores, log_odds(run, real.images[held_out]))
            print(f"{rung}, fold {number}: done", flush=True)


def start_of(start: str, painted: ImageSet, runs: Path, zoo: str | Path) -> str | Path:
    """The run that a rung starts from, trained when it is not there."""
    if start == "zoo":
        return zoo
    run = runs / start
    if not (run / "model.json").is_file():
        seed, changes = PRETRAININGS[start]
        pretrain(painted, run, parent=zoo, seed=seed, changes=changes)
    return run


def learn(
    data: Path,
    real: ImageSet,
    painted: ImageSet,
    output: Path,
    *,
    held_out: np.ndarray,
    parent: str | Path,
    recipe: Recipe | HeadRecipe,
    seed: int,
) -> Path:
    """Learn from the real images that are not held out, as the recipe says."""
    if isinstance(recipe, HeadRecipe):
        others = gather_others(data / "space-warps", real, painted)
        return attach_head(parent, real, others, output, held_out=held_out, recipe=recipe)
    return fine_tune(real, painted, output, held_out=held_out, parent=parent, recipe=recipe, seed=seed)


def painted_set(data: Path, runs: Path) -> ImageSet:
    """What the finder learns first, made once."""
    return kept_set(runs / "painted.npz", lambda: paint_examples(data))


def kept_set(path: Path, make) -> ImageSet:  # type: ignore[no-untyped-def]
    """A set made once."""
    if not path.is_file():
        save_set(make(), path)
    return load_set(path)


def scores_of(runs: Path, rung: str, fold: np.ndarray) -> np.ndarray | None:
    """Held-out log odds of a rung, float [n]; None until all folds are there."""
    out = np.full(len(fold), np.nan)
    for number in np.unique(fold):
        path = runs / f"{name_run(rung, number)}.npy"
        if not path.is_file():
            return None
        out[fold == number] = np.load(path)
    return out


def measure(data: Path, runs: Path) -> dict[str, dict[str, Estimate]]:
    """Figures of each finished rung, with 95 % intervals over groups; see compare_with_experts."""
    real = read_real_lenses(data / "space-warps")
    fold = assign_folds(real.table)
    ladders = {rung: scores_of(runs, rung, fold) for rung in RUNGS}
    if (runs / "painted0" / "model.json").is_file():
        ladders = {"painted only, no real image": log_odds(runs / "painted0", real.images), **ladders}
    finished = {rung: score for rung, score in ladders.items() if score is not None}
    members = [rung for rung in ENSEMBLE if rung in finished]
    if len(members) > 1:
        finished["ensemble of " + ", ".join(members)] = np.mean([finished[rung] for rung in members], axis=0)
    return {rung: compare_with_experts(real, score) for rung, score in finished.items()}


def compare_with_experts(real: ImageSet, score: np.ndarray) -> dict[str, Estimate]:
    """Figures of log odds, float [n], on the candidates: grade 2 or more against below 1, and the crowd beside."""
    candidate = (real.table["kind"] == "candidate").to_numpy()
    table = real.table[candidate]
    subjects = Subjects(
        ids=table["id"].to_numpy().astype(str),
        net=expit(score[candidate]),
        crowd=table["crowd"].to_numpy(float),
        grade=table["grade"].to_numpy(float),
        groups=table["group"].to_numpy().astype(str),
    )
    eyes = compare_eyes(subjects, seed=0)
    return {
        "net": eyes.judges["net"]["auroc"],
        "crowd": eyes.judges["crowd"]["auroc"],
        "both": eyes.judges["both"]["auroc"],
        "both - crowd": eyes.differences["both - crowd"]["auroc"],
        "net, rank correlation": eyes.judges["net"]["spearman"],
    }


def main() -> None:
    """Climb, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("rungs", nargs="*", metavar="RUNG", help=f"of: {'; '.join(RUNGS)}")
    parser.add_argument("--parent", help="the Galaxy Zoo run to start from (build.py makes WORK/lens-start)")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    strangers = set(arguments.rungs) - set(RUNGS)
    if strangers:
        parser.error(f"found no rung {sorted(strangers)[0]!r}, expected one of: {'; '.join(RUNGS)}")
    if arguments.rungs and arguments.parent is None:
        parser.error("found rungs to climb without --parent")
    arguments.runs.mkdir(parents=True, exist_ok=True)
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for rung in arguments.rungs:
        climb(arguments.data, arguments.runs, rung, arguments.parent, [int(k) for k in arguments.folds.split(",")])
    if arguments.table:
        table = to_table(measure(arguments.data, arguments.runs))
        print(show_table(table))
        table.to_csv(KEPT, index=False, lineterminator="\n")
        plot_ladder(table, DRAWN, ships=ENSEMBLE[0])


if __name__ == "__main__":
    main()
