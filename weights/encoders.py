"""Compare encoders by linear probes: the features of builtin:lens, of builtin:zoo, and of both side by side.

    python weights/encoders.py ../shared/data WORK

For each question a ridge head (training/ridge_head.py) is fitted to features of 8 views of unchanged networks, in five
folds of whole fields and objects, REPEATS times with other folds; an image's score is the mean of those held out. Each
network sees what it sees by default: VIEW_PX of images of 128 px at 0.186 arcsec, and of galaxies of 108 px. No galaxy
of the questions on votes was trained on by builtin:zoo; the head of builtin:lens has learned from the images of the
other questions, its features have not. The results are kept in weights/encoders.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from build import zoo_images
from finder import features_of
from PIL import Image
from real_lenses import LENS_GRADE, OTHER_GRADE, read_neighbours, read_real_lenses
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.model_selection import StratifiedGroupKFold
from surveys import read_dr10, read_euclid, read_ps1
from teacher import ZOO_PARTS

from convnet_galaxies.data.pack import is_pack, read_pack
from convnet_galaxies.data.preprocess import as_image
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.measure.comparisons import compare_lenses
from convnet_galaxies.measure.intervals import Estimate, Statistic, bootstrap_groups, encode_groups
from convnet_galaxies.measure.scores import evaluate_lenses
from convnet_galaxies.training.ridge_head import fit_ridge_head

ENCODERS = {"builtin:lens": ("lens",), "builtin:zoo": ("zoo",), "both": ("lens", "zoo")}
VIEW_PX = {"lens": 46.0, "zoo": 80.0}
FOLDS, REPEATS = 5, 2
RING = 0.3
"""Least vote for a ring among all volunteers (Class8.1) of the galaxies that count as one."""
GAIN = "both - better one"
KEPT = Path(__file__).with_name("encoders.csv")


@dataclass(frozen=True)
class Question:
    """Images of one question.

    pixels: uint8 [n, h, w, 3]. truth: bool [n]. groups: str [n]. votes: float [n] where the question is a rank
    correlation with them.
    """

    pixels: np.ndarray
    truth: np.ndarray
    groups: np.ndarray
    votes: np.ndarray | None = None


def read_questions(data: Path, work: Path) -> dict[str, Question]:
    """All questions by name."""
    real = read_real_lenses(data / "space-warps")
    beside, rows = read_neighbours(data / "space-warps", real)
    groups = real.table["group"].to_numpy().astype(str)
    grade = real.table["grade"].to_numpy()
    graded = (grade >= LENS_GRADE) | (grade < OTHER_GRADE)
    known = (real.table["kind"] == "known lens").to_numpy()
    rejected = known | (grade < OTHER_GRADE)
    found = {
        "CFHTLS candidates": Question(real.images[graded], grade[graded] >= LENS_GRADE, groups[graded]),
        "known lenses, rejected candidates": Question(real.images[rejected], known[rejected], groups[rejected]),
        "known lenses, objects beside candidates": Question(
            np.concatenate([real.images[known], beside]),
            np.repeat([True, False], [known.sum(), len(beside)]),
            np.concatenate([groups[known], groups[rows]]),
        ),
    }
    sets = {
        "DR10 lenses, objects beside them": read_dr10(data / "legacy-dr10"),
        "PS1 quasars, objects beside them": read_ps1(data / "ps1-sled", "lensed_quasars"),
        "Euclid, A and C": read_euclid(data / "euclid-q1")[0],
    }
    found |= {name: Question(one.pixels, one.truth, one.groups) for name, one in sets.items()}

    zoo = read_pack(work / "zoo.pack") if is_pack(work / "zoo.pack") else zoo_images(data, work)
    held_out = np.flatnonzero(zoo.split(ZOO_PARTS, seed=0) != "train")
    galaxies = np.asarray(zoo.images[held_out])
    ids = zoo.table["group"].to_numpy().astype(str)[held_out]
    ring = zoo.table["Class8.1"].to_numpy(float)[held_out]
    found["SDSS galaxies, ring or not"] = Question(galaxies, ring > RING, ids)
    found["SDSS galaxies, votes for a ring"] = Question(galaxies, ring > RING, ids, ring)

    table = pd.read_csv(data / "hst-goods" / "galaxies.csv")
    pictures = [np.asarray(Image.open(data / "hst-goods" / file).convert("RGB")) for file in table["file"]]
    pixels = np.stack([zoo.preprocess.prepare_image(as_image(one), "image", ReadOptions())[0] for one in pictures])
    votes = table["p_features"].to_numpy(float)
    found["HST galaxies, votes for features"] = Question(pixels, votes > np.median(votes), ids_of(table), votes)
    return found


def ids_of(table: pd.DataFrame) -> np.ndarray:
    """Names of Hubble galaxies, str [n]."""
    return table["goods_uid"].to_numpy().astype(str)


def take_features(question: Question) -> dict[str, np.ndarray]:
    """Features by encoder, float [n, c]."""
    of_net = {name: features_of(f"builtin:{name}", side, {"": question.pixels})[""] for name, side in VIEW_PX.items()}
    return {encoder: np.concatenate([of_net[name] for name in names], axis=1) for encoder, names in ENCODERS.items()}


def probe(features: np.ndarray, question: Question, *, seed: int) -> np.ndarray:
    """Held-out log odds of a question, float [n]."""
    labels = question.truth.astype(float) if question.votes is None else question.votes
    log_odds = np.empty(len(labels))
    dealer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for learned, held_out in dealer.split(labels, question.truth, question.groups):
        head = fit_ridge_head(features[learned], labels[learned], question.groups[learned])
        log_odds[held_out] = (features[held_out] @ head.weight + head.bias)[:, 0]
    return log_odds


def compare_encoders(question: Question, scores: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """The figure of each encoder, and of both minus the better one, with 95 % intervals over groups.

    scores: float [n]. The figure is the AUROC, or the rank correlation with the votes.
    """
    if question.votes is None:
        found = {
            name: evaluate_lenses(question.truth, expit(one), question.groups, seed=0).overall["auroc"]
            for name, one in scores.items()
        }
        better = max(list(scores)[:2], key=lambda name: found[name].value)
        pair = expit(scores["both"]), expit(scores[better])
        found[GAIN] = compare_lenses(question.truth, *pair, question.groups, seed=0)["auroc"]
        return found
    correlations = correlate(question.votes, list(scores.values()), question.groups)
    alone = int(np.argmax(correlations(np.ones((1, len(np.unique(question.groups)))))[0, :2]))

    def with_gain(counts: np.ndarray) -> np.ndarray:
        values = correlations(counts)
        return np.column_stack([values, values[:, 2] - values[:, alone]])

    return bootstrap_groups(with_gain, question.groups, [*scores, GAIN], seed=0)


def correlate(votes: np.ndarray, scores: Sequence[np.ndarray], groups: np.ndarray) -> Statistic:
    """Rank correlations of scores, float [n] each, with votes, as a statistic of how often each group counts."""
    codes = encode_groups(groups)[0]

    def statistic(counts: np.ndarray) -> np.ndarray:
        values = np.empty((len(counts), len(scores)))
        for draw, times in enumerate(counts):
            rows = np.repeat(np.arange(len(votes)), times[codes].astype(int))
            ranks = rankdata([votes[rows], *(score[rows] for score in scores)], axis=1)
            values[draw] = np.corrcoef(ranks)[0, 1:]
        return values

    return statistic


def main() -> None:
    """Print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    before = None
    for name, question in read_questions(given.data, given.work).items():
        if before is None or question.pixels is not before.pixels:
            features = take_features(question)
        before = question
        scores = {
            encoder: np.mean([probe(one, question, seed=seed) for seed in range(REPEATS)], axis=0)
            for encoder, one in features.items()
        }
        for encoder, one in compare_encoders(question, scores).items():
            images, positive = len(question.truth), int(question.truth.sum())
            rows.append(
                {
                    "question": name,
                    "images": images,
                    "positive": positive,
                    "encoder": encoder,
                    "figure": "AUROC" if question.votes is None else "rank correlation",
                    "value": one.value,
                    "low": one.low,
                    "high": one.high,
                }
            )
            print(f"{name} ({positive} of {images}), {encoder}: {one}", flush=True)
    pd.DataFrame(rows).round(4).to_csv(KEPT, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
