"""Climb over surveys: what a head learns from decides where it holds.

    python weights/survey_ladder.py ../shared/data RUNS RUN [--table]

RUN is a finder whose backbone has seen painted lenses only (RUNS/painted1). Its features of all images are taken once,
and of LOOKS copies of each, as random surveys would show them. For each rung (SURVEY_RUNGS: what the head learns from)
a head is fitted in five folds, whole objects and fields at a time. A survey that a rung learns from is scored by the
heads that did not see the field, any other by the mean of the five: nothing of it was seen. No head learns from
Euclid. With --table the figures are kept in weights/surveys.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from finder import features_of, load_set, look_again
from ladder import compare_with_experts, find_rates
from real_lenses import LINKS, PIXELS, assign_folds, read_neighbours, read_real_lenses
from scipy.special import expit
from sklearn.model_selection import StratifiedGroupKFold
from surveys import SurveySet, read_dr10, read_euclid, read_ps1

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.sky_groups import group_by_sky
from convnet_galaxies.measure.intervals import Estimate, bound_proportion
from convnet_galaxies.measure.scores import evaluate_lenses
from convnet_galaxies.training.ridge_head import RidgeHead, fit_ridge_head

FOLDS, LOOKS, VIEW_PX = 5, 4, 46.0
PAINTED = 1000
"""Painted examples of which a head learns."""
SHOWN, BESIDE = 0.98, 0.02
"""Soft labels of lenses and of what lies beside them."""
LOOKED = 0.5
"""What the copies of an image count together, next to the image itself."""
SINGLE = 0.25
"""What the image in one view counts: a head of means over 8 views alone ranks single views worse."""
PENALTY = 100.0
KEPT = Path(__file__).with_name("surveys.csv")

CFHTLS = {"CFHTLS": 1.0, "beside CFHTLS": 2.0}
LEARNED = {**CFHTLS, "painted": 0.1, "DR10": 0.5, "PS1 quasars": 0.25, "PS1 galaxies": 0.125}
SURVEY_RUNGS: dict[str, tuple[dict[str, float], float, float]] = {
    "CFHTLS, as it is": (CFHTLS, 0.0, 0.0),
    "CFHTLS, random looks": (CFHTLS, LOOKED, 0.0),
    "and painted lenses": ({**CFHTLS, "painted": 0.1}, LOOKED, 0.0),
    "and DR10": ({**CFHTLS, "painted": 0.1, "DR10": 0.5}, LOOKED, 0.0),
    "and Pan-STARRS": (LEARNED, LOOKED, 0.0),
    "the same without random looks": (LEARNED, 0.0, 0.0),
    "all but DR10": ({name: share for name, share in LEARNED.items() if name != "DR10"}, LOOKED, 0.0),
    "all, surveys moved half the way": (LEARNED, LOOKED, 0.5),
}
"""What the images of each set count together, in units of the candidates, the share of their copies, and how far the
surveys are moved (fit_head)."""
SHIPS = "and Pan-STARRS"


@dataclass(frozen=True)
class Source:
    """Images that a head can learn from.

    features: float [n, c]. looked: the same of copies with random looks. single: in one view. labels: soft ones, float
        [n]. groups: str [n]. fold: int [n], -1 for images that are in all.
    """

    features: np.ndarray
    looked: tuple[np.ndarray, ...]
    single: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    fold: np.ndarray


@dataclass(frozen=True)
class Images:
    """All images before their features are taken: the known real lenses and candidates, and sets of other surveys."""

    real: ImageSet
    real_fold: np.ndarray
    beside: np.ndarray
    beside_rows: np.ndarray
    painted: ImageSet
    surveys: dict[str, SurveySet]
    euclid_fields: np.ndarray


def read_images(data: Path, painted: ImageSet) -> Images:
    """Read all sets. painted: of which PAINTED are taken."""
    real = read_real_lenses(data / "space-warps")
    beside, rows = read_neighbours(data / "space-warps", real)
    euclid, fields = read_euclid(data / "euclid-q1")
    surveys = {
        "DR10": read_dr10(data / "legacy-dr10"),
        "PS1 quasars": read_ps1(data / "ps1-sled", "lensed_quasars"),
        "PS1 galaxies": read_ps1(data / "ps1-sled", "lensed_galaxies"),
        "Euclid": euclid,
    }
    chosen = np.sort(np.random.default_rng(0).choice(len(painted), min(len(painted), PAINTED), replace=False))
    return Images(real, assign_folds(real.table), beside, rows, painted.select(chosen), surveys, fields)


def take_features(images: Images, run: str | Path) -> dict[str, Source]:
    """The features of all images by a run, by the names of SURVEY_RUNGS, and of Euclid."""
    real, painted = images.real, images.painted
    groups = real.table["group"].to_numpy().astype(str)
    rows = images.beside_rows
    made = {
        "CFHTLS": (real.images, real.table["lens"].to_numpy(float), groups, images.real_fold),
        "beside CFHTLS": (images.beside, np.zeros(len(rows)), groups[rows], images.real_fold[rows]),
        "painted": (
            painted.images,
            0.95 * painted.table["lens"].to_numpy(float),
            painted.table["group"].to_numpy().astype(str),
            np.full(len(painted), -1),
        ),
    }
    for name, one in images.surveys.items():
        labels = np.where(one.truth, SHOWN, BESIDE)
        made[name] = (one.pixels, labels, np.char.add(f"{name} ", one.groups), deal(one))
    pixels = {name: one[0] for name, one in made.items()}
    plain, single = (features_of(run, VIEW_PX, pixels, views=views) for views in (8, 1))
    copies = [
        features_of(
            run, VIEW_PX, {name: look_again(one, seed=seed) for name, one in pixels.items() if name != "Euclid"}
        )
        for seed in range(LOOKS)
    ]
    return {
        name: Source(
            plain[name], tuple(copy[name] for copy in copies if name in copy), single[name], labels, groups, fold
        )
        for name, (_, labels, groups, fold) in made.items()
    }


def deal(images: SurveySet, *, seed: int = 0) -> np.ndarray:
    """Fold of each image, int [n]; whole fields."""
    fold = np.empty(len(images), int)
    dealer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for number, (_, rows) in enumerate(dealer.split(images.truth, images.truth, images.groups)):
        fold[rows] = number
    return fold


def fit_head(
    sources: Mapping[str, Source],
    shares: Mapping[str, float],
    looked: float,
    *,
    without: int | None = None,
    moved: float = 0.0,
) -> RidgeHead:
    """The head of a rung. looked: share of the copies. without: the fold that is held out; None for none.

    moved: part of the way by which the mean features and the mean label of each survey are moved to those of CFHTLS. At
    1 the head learns from contrasts within surveys alone, at 0 also that the look of a survey goes with lenses.
    """
    features, labels, groups, weights, kinds = [], [], [], [], []
    candidates = len(sources["CFHTLS"].labels)
    for name, share in shares.items():
        one = sources[name]
        rows = np.ones(len(one.labels), bool) if without is None else one.fold != without
        each = share * candidates / len(one.labels)
        parts = [(one.features, each), (one.single, SINGLE * each)]
        parts += [(copy, each * looked / LOOKS) for copy in one.looked if looked]
        for values, weight in parts:
            features.append(values[rows])
            labels.append(one.labels[rows])
            groups.append(one.groups[rows])
            weights.append(np.full(rows.sum(), weight))
            kinds.append(np.full(rows.sum(), name.removeprefix("beside ").partition(" ")[0]))
    shown, wanted, weight_of = np.concatenate(features), np.concatenate(labels), np.concatenate(weights)
    if moved:
        shown, wanted = (_move(one, weight_of, np.concatenate(kinds), moved) for one in (shown, wanted))
    return fit_ridge_head(shown, wanted, np.concatenate(groups), weights=weight_of, penalty=PENALTY, slope=4.0)


def _move(values: np.ndarray, weights: np.ndarray, kinds: np.ndarray, part: float) -> np.ndarray:
    means = {kind: np.average(values[kinds == kind], axis=0, weights=weights[kinds == kind]) for kind in set(kinds)}
    return values - part * np.stack([means[kind] - means["CFHTLS"] for kind in kinds])


def score_rung(
    sources: Mapping[str, Source], shares: Mapping[str, float], looked: float, moved: float = 0.0
) -> dict[str, np.ndarray]:
    """Log odds of all images, float [n] by name; held out where the rung learns from the set."""
    scores = {name: np.zeros(len(one.labels)) for name, one in sources.items()}
    for number in range(FOLDS):
        head = fit_head(sources, shares, looked, without=number, moved=moved)
        for name, one in sources.items():
            odds = (one.features @ head.weight + head.bias)[:, 0]
            if name in shares:
                scores[name][one.fold == number] = odds[one.fold == number]
            else:
                scores[name] += odds / FOLDS
    return scores


def measure_rung(scores: Mapping[str, np.ndarray], images: Images) -> dict[str, Estimate]:
    """Figures of one rung, with 95 % intervals over objects and fields."""
    figures = compare_with_experts(images.real, scores["CFHTLS"])
    found = {"CFHTLS candidates": figures["net"], "CFHTLS candidates, with the crowd": figures["both"]}
    known = (images.real.table["kind"] == "known lens").to_numpy()
    groups = images.real.table["group"].to_numpy().astype(str)
    rates = find_rates(
        np.repeat([True, False], [known.sum(), len(images.beside)]),
        expit(np.concatenate([scores["CFHTLS"][known], scores["beside CFHTLS"]])),
        np.concatenate([groups[known], groups[images.beside_rows]]),
    )
    found["known lenses of CFHTLS against galaxies beside candidates"] = rates["auroc"]
    found["the same, completeness where 1 % of the galaxies pass"] = rates["completeness at 1 %"]
    for name, one in images.surveys.items():
        found[name] = measure_auroc(one.truth, scores[name], one.groups)
    for name in ("DR10", "PS1 quasars"):
        is_lens = images.surveys[name].truth
        passed = int((scores[name][is_lens] > scores[name][~is_lens].max()).sum())
        low, high = bound_proportion(passed, int(is_lens.sum()))
        found[f"{name}, completeness where no neighbour passes"] = Estimate(
            "completeness", passed / int(is_lens.sum()), low, high
        )
    euclid = images.surveys["Euclid"]
    for field in np.unique(images.euclid_fields).tolist():
        rows = images.euclid_fields == field
        found[f"Euclid, {field}"] = measure_auroc(euclid.truth[rows], scores["Euclid"][rows], euclid.groups[rows])
    return found


def measure_auroc(truth: np.ndarray, log_odds: np.ndarray, groups: np.ndarray) -> Estimate:
    """AUROC with its 95 % interval over groups."""
    return evaluate_lenses(truth, expit(log_odds), groups, seed=0).overall["auroc"]


def join_known(images: Images) -> ImageSet:
    """Everything that a head learned from but painted examples, by which a published run recognises it."""
    real = images.real.table[["id", *LINKS, "ra_deg", "dec_deg", "lens"]]
    parts = [images.real.images]
    tables = [real.astype(dict.fromkeys(LINKS, "object"))]
    for name, one in images.surveys.items():
        if name in LEARNED:
            parts.append(one.pixels)
            tables.append(one.table.assign(group=np.char.add(f"{name} ", one.groups), lens=one.truth.astype(float)))
    table = pd.concat(tables, ignore_index=True)
    placed = table[["ra_deg", "dec_deg"]].notna().all(axis=1).to_numpy()
    table.loc[placed, "sky_group"] = group_by_sky(
        table.loc[placed, "ra_deg"].to_numpy(float), table.loc[placed, "dec_deg"].to_numpy(float)
    )
    return ImageSet(np.concatenate(parts), table, PIXELS, link_columns=LINKS)


def to_rows(rung: str, figures: Mapping[str, Estimate]) -> list[dict[str, Any]]:
    """Rows of the kept table."""
    return [
        {"rung": rung, "figure": name, "value": one.value, "low": one.low, "high": one.high}
        for name, one in figures.items()
    ]


def main() -> None:
    """Print the figures of all rungs, and of the brightness of the centre alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    images = read_images(given.data, load_set(given.runs / "painted.npz"))
    baseline = {
        name: measure_auroc(one.truth, (one.centre - np.median(one.centre)) / np.std(one.centre), one.groups)
        for name, one in images.surveys.items()
    }
    rows = to_rows("brightness of the centre", baseline)
    sources = take_features(images, given.run)
    for rung, recipe in SURVEY_RUNGS.items():
        rows += to_rows(rung, measure_rung(score_rung(sources, *recipe), images))
    table = pd.DataFrame(rows).round(4)
    print(table.to_string(index=False))
    if given.table:
        table.to_csv(KEPT, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
