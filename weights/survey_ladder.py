"""Climb over surveys: what a head learns from decides where it holds.

    python weights/survey_ladder.py ../shared/data RUNS RUN [--table]

RUN is a finder whose backbone has seen painted lenses only (RUNS/painted1, or builtin:lens, whose head is not used).
Its features of all images are taken once, and of LOOKS copies of each, as random surveys would show them. For each rung
(SURVEY_RUNGS: what the head learns from) a head is fitted in five folds, whole objects and fields at a time
(survey_heads.py). A survey that a rung learns from is scored by the heads that did not see the field, any other by the
mean of the five: nothing of it was seen. No head learns from Euclid. With --table the figures are kept in
weights/surveys.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from finder import features_of, load_set
from ladder import compare_with_experts, find_rates
from real_lenses import LINKS, PIXELS, assign_folds, read_neighbours, read_real_lenses
from scipy.special import expit
from sklearn.model_selection import StratifiedGroupKFold
from survey_heads import (
    CFHTLS,
    FOLDS,
    HOME,
    LEARNED,
    LOOKS,
    SHIPS,
    VIEW_PX,
    Head,
    Rung,
    Source,
    fit_folds,
    score_held_out,
)
from surveys import SurveySet, read_dr10, read_euclid, read_ps1

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.sky_groups import group_by_sky
from convnet_galaxies.measure.intervals import Estimate, bound_proportion
from convnet_galaxies.measure.scores import evaluate_lenses
from convnet_galaxies.model.looks import look_again

PAINTED = 1000
"""Painted examples of which a head learns."""
SHOWN, BESIDE = 0.98, 0.02
"""Soft labels of lenses and of what lies beside them."""
KEPT = Path(__file__).with_name("surveys.csv")

PS1 = ("PS1 quasars", "PS1 galaxies")
PLAIN = Rung(known=1.0, steady=0.0)
EARLIER = Rung({**LEARNED, "painted": 0.1}, known=1.0, looks=4, looked=0.5, single=0.25, steady=0.0)
SURVEY_RUNGS: dict[str, Rung] = {
    "CFHTLS, as it is": replace(PLAIN, shares=CFHTLS, looks=0),
    "CFHTLS, random looks": replace(PLAIN, shares=CFHTLS),
    "and painted lenses": PLAIN.without("DR10", *PS1),
    "and DR10": PLAIN.without(*PS1),
    "and Pan-STARRS": PLAIN,
    "and known lenses half as much again": replace(PLAIN, known=SHIPS.known),
    "and copies that count alike": SHIPS,
    "all but DR10": SHIPS.without("DR10"),
    "all but Pan-STARRS": SHIPS.without(*PS1),
    "all but both": SHIPS.without("DR10", *PS1),
    "all but CFHTLS": SHIPS.without(*CFHTLS),
    "the earlier head": EARLIER,
    "the earlier head, all but DR10": EARLIER.without("DR10"),
    "the earlier head, all but Pan-STARRS": EARLIER.without(*PS1),
    "the earlier head, all but both": EARLIER.without("DR10", *PS1),
    "the earlier head, all but CFHTLS": EARLIER.without(*CFHTLS),
}
"""The head that ships is that of SHIPS."""


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
    """The features of all images by a run, by the names of LEARNED, and of Euclid."""
    real, painted = images.real, images.painted
    groups = real.table["group"].to_numpy().astype(str)
    known = (real.table["kind"] == "known lens").to_numpy()
    rows = images.beside_rows
    made = {
        HOME: (real.images, real.table["lens"].to_numpy(float), groups, images.real_fold),
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
    grey = features_of(run, VIEW_PX, pixels, grey=True)
    learned = {name: one for name, one in pixels.items() if name in LEARNED}
    copies = [
        features_of(run, VIEW_PX, {name: look_again(one, seed=seed) for name, one in learned.items()})
        for seed in range(LOOKS)
    ]
    return {
        name: Source(
            plain[name],
            tuple(copy[name] for copy in copies if name in copy),
            single[name],
            grey[name],
            labels,
            known if name == HOME else np.zeros(len(labels), bool),
            groups,
            fold,
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


def score_rung(
    sources: Mapping[str, Source],
    rung: Rung,
    heads: Sequence[Head],
    kind: Literal["features", "single", "grey"] = "features",
) -> dict[str, np.ndarray]:
    """Log odds of all images, float [n] by name; held out where the rung learns from the set.

    heads: of the folds. kind: of the features.
    """
    return {
        name: score_held_out(heads, getattr(one, kind), one.fold if name in rung.shares else None)
        for name, one in sources.items()
    }


def measure_rung(sources: Mapping[str, Source], rung: Rung, images: Images) -> dict[str, Estimate]:
    """Figures of one rung, with 95 % intervals over objects and fields."""
    heads = fit_folds(sources, rung)
    scores = score_rung(sources, rung, heads)
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
    single, grey = (score_rung(sources, rung, heads, kind) for kind in ("single", "grey"))
    found["CFHTLS candidates, one view"] = compare_with_experts(images.real, single["CFHTLS"])["net"]
    found["CFHTLS candidates, in grey"] = compare_with_experts(images.real, grey["CFHTLS"])["net"]
    for name in ("DR10", "PS1 quasars"):
        one = images.surveys[name]
        found[f"{name}, in grey"] = measure_auroc(one.truth, grey[name], one.groups)
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
        rows += to_rows(rung, measure_rung(sources, recipe, images))
    table = pd.DataFrame(rows).round(4)
    print(table.to_string(index=False))
    if given.table:
        table.to_csv(KEPT, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
