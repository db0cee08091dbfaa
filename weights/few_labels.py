"""A few labels of one's own survey: what learns most from 10, from 30, or from all of them?

    python weights/few_labels.py ../shared/data WORK [--draws 1] [--table]

For DR10, Pan-STARRS quasars and Euclid, images of four folds of whole fields are labelled at random, and those of the
fifth are ranked, in 8 views. builtin:lens learned from DR10 and Pan-STARRS; here its head is fitted anew without the
survey (survey_heads.fit_head), and its network has seen none of them. Ridge heads take RIDGE_DRAWS draws of folds and
labels, trainings of a whole network the first few of the same. Finished trainings are kept in WORK/few_labels. The
AUROC compares images of one fold and draw only. With --table the figures are kept in weights/few_labels.csv and
docs/images/few_labels.svg.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from finder import describe_split, features_of, write_finder
from ladder import painted_set
from real_lenses import LINKS, PIXELS
from scipy.special import expit
from survey_heads import FOLDS, SHIPS, VIEW_PX, Source, fit_head
from survey_ladder import Images, deal, read_images, take_features
from surveys import SurveySet

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.measure.fold_scores import score_within_folds
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.model.looks import look_again
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.runs.inherit import choose_settings
from convnet_galaxies.runs.weights import load_net
from convnet_galaxies.show.canvas import COLORS, GREY, MARKERS, draw
from convnet_galaxies.training.fit import fit
from convnet_galaxies.training.ridge_head import LOOKS, fit_ridge_head
from convnet_galaxies.training.setup import take_shape

BUILTIN = "builtin:lens"
SURVEYS = {"DR10": ("DR10",), "PS1 quasars": ("PS1 quasars", "PS1 galaxies"), "Euclid": ()}
"""The surveys, and of what the head of builtin:lens is left without."""
LABELS = (10, 30, 1000)
"""Numbers of labels of a head; the last stands for all of four folds."""
RIDGE_DRAWS = 10
ZOO_VIEW_PX = 80.0
"""What a run that starts from builtin:zoo sees of a pack of builtin:lens."""
FEATURES = 256
"""Those of the first member of builtin:zoo, from which `train` starts, and all of builtin:lens."""
NOTHING, LENS_HEAD, ZOO_HEAD, WHOLE, SCRATCH = (
    "no label, builtin:lens without this survey",
    "head, from builtin:lens",
    "head, from builtin:zoo",
    "whole network, from builtin:lens",
    "whole network, from scratch",
)
TRAININGS = {
    WHOLE: (("train.learning_rate=0.0015",), {10: 40, 1000: 12}),
    SCRATCH: ((), {1000: 30}),
}
"""Settings of the trainings of whole networks, and their epochs for numbers of labels."""
COMMON = ("train.batch=32", "train.validate_every=1000")
WIDTH_IN, HEIGHT_IN = 7.2, 3.6
KEPT, DRAWN = (Path(__file__).parents[1] / name for name in ("weights/few_labels.csv", "docs/images/few_labels.svg"))


def choose_labelled(truth: np.ndarray, allowed: np.ndarray, number: int, *, seed: int) -> np.ndarray:
    """Rows that get a label, int [k], at random among the allowed ones (bool [n]): both classes by their share, at
    least two of each.
    """
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(allowed)
    if number >= len(rows):
        return rows
    lenses = int(np.clip(round(number * truth[rows].mean()), 2, number - 2))
    parts = [
        rng.choice(rows[truth[rows] == kind], count, replace=False)
        for kind, count in ((True, lenses), (False, number - lenses))
    ]
    return np.sort(np.concatenate(parts))


@dataclass(frozen=True)
class Arm:
    """What a ridge head learns from: features, float [n, c], what looks change of them, float [n, LOOKS, c], and the
    parent's head.
    """

    features: np.ndarray
    changes: np.ndarray
    parent: tuple[np.ndarray, np.ndarray] | None = None


def take_arm(run: str, pixels: np.ndarray, view_px: float, parent: tuple[np.ndarray, np.ndarray] | None) -> Arm:
    """As `train --head ridge` takes them."""

    def see(shown: np.ndarray, views: Literal[1, 8]) -> np.ndarray:
        found = features_of(run, view_px, {"": shown}, views=views)[""]
        return found[:, :FEATURES]

    plain = see(pixels, 1)
    changes = [see(look_again(pixels, seed=seed), 1) - plain for seed in range(LOOKS)]
    return Arm(see(pixels, 8), np.stack(changes, axis=1), parent)


def learn_heads(
    arms: dict[str, Arm], truth: np.ndarray, groups: np.ndarray, draws: int
) -> dict[tuple[str, int, int], np.ndarray]:
    """Held-out log odds of ridge heads, float [n], by arm, number of labels and draw."""
    found = {}
    for seed in range(draws):
        fold = deal_again(truth, groups, seed)
        for number in LABELS:
            for name, arm in arms.items():
                odds = np.empty(len(truth))
                for held_out in range(FOLDS):
                    rows = choose_labelled(truth, fold != held_out, number, seed=FOLDS * seed + held_out)
                    one = fit_ridge_head(
                        arm.features[rows], truth[rows], groups[rows], changes=arm.changes[rows], parent=arm.parent
                    )
                    there = fold == held_out
                    odds[there] = (arm.features[there] @ one.weight + one.bias)[:, 0]
                found[name, number, seed] = odds
    return found


def learn_networks(
    one: SurveySet, groups: np.ndarray, parent: str | Path, kept: Path, draws: int
) -> dict[tuple[str, int, int], np.ndarray]:
    """Held-out probabilities of networks trained as a whole, float [n], by arm, number of labels and draw."""
    table = pd.DataFrame({"id": one.table["id"], "group": groups, "lens": one.truth.astype(float)})
    images = ImageSet(one.pixels, table, PIXELS, link_columns=LINKS[:1])
    found = {}
    for seed in range(draws):
        fold = deal_again(one.truth, groups, seed)
        for arm, (changes, epochs) in TRAININGS.items():
            for number, passes in epochs.items():
                answers = np.empty(len(one.truth))
                for held_out in range(FOLDS):
                    path = kept / f"{arm}-{number}-{seed}-{held_out}.npy".replace(" ", "-").replace(":", "-")
                    there = fold == held_out
                    if not path.is_file():
                        rows = choose_labelled(one.truth, ~there, number, seed=FOLDS * seed + held_out)
                        wanted = (*COMMON, *changes, f"train.epochs={passes}", f"seed={seed}")
                        np.save(path, train_and_predict(images, rows, there, arm, parent, wanted))
                        print(f"{kept.name}, {arm}, {number} labels, draw {seed}, fold {held_out}", flush=True)
                    answers[there] = np.load(path)
                found[arm, number, seed] = answers
    return found


def train_and_predict(
    images: ImageSet, rows: np.ndarray, there: np.ndarray, arm: str, parent: str | Path, changes: tuple[str, ...]
) -> np.ndarray:
    """Train on rows (int [k]) and predict others (bool [n]): lens probabilities, float [m]."""
    settings = take_shape(choose_settings(None, changes, parent=parent), read_card(parent), images)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        parts = np.full(len(rows), "train", dtype=object)
        start = parent if arm == WHOLE else None
        fit(images.select(rows), settings, run, tasks=("lens",), parent=start, parts=parts)
        predictor = Predictor(run, views=8, with_familiarity=False)
        return predictor.predict(images.images[there])["lens"].astype(float)


def deal_again(truth: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Fold of each image in a draw, int [n]; whole fields."""
    return deal(SurveySet(np.empty(0), truth, groups, pd.DataFrame(), np.empty(0)), seed=seed)


def measure(
    answers: dict[tuple[str, int, int], np.ndarray], truth: np.ndarray, groups: np.ndarray
) -> dict[tuple[str, int], Estimate]:
    """AUROC within folds and draws by arm and number of labels, with 95 % intervals over groups."""
    found = {}
    for arm, number in dict.fromkeys(key[:2] for key in answers):
        draws = [seed for one, labels, seed in answers if (one, labels) == (arm, number)]
        fold = np.concatenate([FOLDS * seed + deal_again(truth, groups, seed) for seed in draws])
        odds = np.concatenate([answers[arm, number, seed] for seed in draws])
        probability = odds if arm in TRAININGS else expit(odds)
        times = len(draws)
        found[arm, number] = score_within_folds(
            np.tile(truth, times), probability, np.tile(groups, times), fold, seed=0
        )
    return found


def make_parent(images: Images, sources: dict[str, Source], survey: str, folder: Path) -> str | Path:
    """builtin:lens, or a run of its network with a head that has learned nothing of a survey, written into a folder."""
    if not SURVEYS[survey]:
        return BUILTIN
    head = fit_head(sources, SHIPS.without(*SURVEYS[survey]))
    split = describe_split(BUILTIN, images.real, np.zeros(len(images.real), bool))
    return write_finder(
        BUILTIN, folder, VIEW_PX, head.weight, head.bias, split=split, note=f"learned nothing of {survey}"
    )


def head_of(run: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Weight, float [c, 1], and bias, float [1], of the lens head of a run."""
    linear = load_net(run)[0].heads["lens"].linear
    assert isinstance(linear, torch.nn.Linear)
    return linear.weight.detach().double().numpy().T, linear.bias.detach().double().numpy()


def plot(table: pd.DataFrame, path: Path) -> None:
    """Write the curves (SVG), one panel per survey; whiskers are 95 % intervals."""
    with draw("", "") as drawing:
        figure = drawing.axes.figure
        drawing.axes.remove()
        figure.set_size_inches(WIDTH_IN, HEIGHT_IN)  # type: ignore[union-attr]
        panels = figure.subplots(1, len(SURVEYS), sharey=True)  # type: ignore[union-attr]
        for axes, (survey, rows) in zip(panels, table.groupby("survey", sort=False), strict=True):
            without = rows[rows["arm"] == NOTHING].iloc[0]
            axes.axhline(without["auroc"], color=GREY, linestyle="--", linewidth=1.1, label=NOTHING)
            for number, arm in enumerate((LENS_HEAD, ZOO_HEAD, WHOLE, SCRATCH)):
                curve = rows[rows["arm"] == arm].sort_values("labels")
                if curve.empty:
                    continue
                axes.errorbar(
                    curve["labels"] * 1.05 ** (number - 1.5),  # side by side
                    curve["auroc"],
                    yerr=[curve["auroc"] - curve["low"], curve["high"] - curve["auroc"]],
                    marker=MARKERS[number],
                    color=COLORS[number],
                    capsize=2,
                    elinewidth=0.7,
                    label=arm,
                )
            ticks = sorted(set(rows["labels"]) - {0})
            axes.set_xscale("log")
            axes.set_xticks(ticks, [str(one) for one in ticks])
            axes.set_xticks([], minor=True)
            axes.set_title(survey)
            axes.set_xlabel("labels")
        panels[0].set_ylabel("AUROC of images of other fields")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7)
    path.write_bytes(drawing.svg)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    images = read_images(given.data, painted_set(given.data, given.work))
    sources = take_features(images, BUILTIN)
    rows = []
    for survey in SURVEYS:
        one, of_lens = images.surveys[survey], sources[survey]
        kept = given.work / "few_labels" / survey.replace(" ", "-")
        kept.mkdir(parents=True, exist_ok=True)
        parent = make_parent(images, sources, survey, kept / "parent")
        weight, bias = head = head_of(parent)
        arms = {
            LENS_HEAD: take_arm(BUILTIN, one.pixels, VIEW_PX, head),
            ZOO_HEAD: take_arm("builtin:zoo", one.pixels, ZOO_VIEW_PX, None),
        }
        unlearned = (arms[LENS_HEAD].features @ weight + bias)[:, 0]
        answers = {(NOTHING, 0, seed): unlearned for seed in range(RIDGE_DRAWS)}
        answers |= learn_heads(arms, one.truth, of_lens.groups, RIDGE_DRAWS)
        answers |= learn_networks(one, of_lens.groups, parent, kept, given.draws)
        for (arm, number), figure in measure(answers, one.truth, of_lens.groups).items():
            labels = min(number, round(len(one) * (FOLDS - 1) / FOLDS))
            row = {"survey": survey, "arm": arm, "labels": labels}
            rows.append(row | {"auroc": figure.value, "low": figure.low, "high": figure.high})
    table = pd.DataFrame(rows).round(4)
    print(table.to_string(index=False))
    if given.table:
        table.to_csv(KEPT, index=False, lineterminator="\n")
        plot(table, DRAWN)


if __name__ == "__main__":
    main()
