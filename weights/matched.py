"""Compare known lenses with ordinary galaxies whose centres are as bright and as red.

    python weights/matched.py ../shared/data WORK

Known lenses lie in bright red galaxies, ordinary galaxies are mostly faint and blue: much of what separates them needs
no lens feature. Three comparisons are printed, each for the finder and for a baseline that is given the central 8 px
only: all pairs, pairs of like centres, and known lenses against candidates below grade 1, which are bright and red too.

The lens head is that of survey_heads.SHIPS, fitted in five folds, so that no image is scored by a head that was fitted
on it or its group.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from build import FINDER
from finder import load_set
from real_lenses import OTHER_GRADE
from sklearn.ensemble import RandomForestClassifier
from survey_heads import SHIPS, fit_folds
from survey_ladder import read_images, score_rung, take_features

from convnet_galaxies.measure.intervals import Estimate, draw_groups, encode_groups, summarize

CENTRE_PX = 8
LIMITS = ((np.inf, np.inf), (150.0, 0.3), (100.0, 0.2))
"""Largest difference of the centre's brightness (sum of three bands, 0 to 765) and colour (ln of red over blue)."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Side:
    """Images of one class: held-out scores of finder and baseline, brightness and colour of the centre, groups; [n]."""

    net: np.ndarray
    baseline: np.ndarray
    brightness: np.ndarray
    colour: np.ndarray
    groups: np.ndarray


def describe_centre(images: np.ndarray) -> np.ndarray:
    """Brightness, two colours and concentration of the central square, float [n, 4], of uint8 [n, h, w, 3]."""
    middle, half = images.shape[1] // 2, CENTRE_PX // 2
    square = images[:, middle - half : middle + half, middle - half : middle + half].astype(float)
    bands = square.mean(axis=(1, 2))
    inner = square[:, half - 1 : half + 1, half - 1 : half + 1].mean(axis=(1, 2, 3))
    logs = np.log(bands + 5)
    return np.column_stack([bands.sum(axis=1), logs[:, 0] - logs[:, 2], logs[:, 0] - logs[:, 1], inner / bands.mean(1)])


def compare_alike(lenses: Side, others: Side, score: str, limits: tuple[float, float], *, seed: int = 0) -> Estimate:
    """AUROC over pairs of like centres, each lens counting once, with its interval over groups."""
    names = encode_groups(np.concatenate([lenses.groups, others.groups]))[0]
    of_lens, of_other = names[: len(lenses.groups)], names[len(lenses.groups) :]
    gaps = [np.abs(getattr(lenses, one)[:, None] - getattr(others, one)) for one in ("brightness", "colour")]
    alike = (gaps[0] <= limits[0]) & (gaps[1] <= limits[1])
    first, second = getattr(lenses, score)[:, None], getattr(others, score)
    wins = (first > second) + (first == second) / 2

    def measure(counts: np.ndarray) -> float:
        weight = alike * counts[of_other]
        pairs = weight.sum(axis=1)
        mine = counts[of_lens] * (pairs > 0)
        return float(((wins * weight).sum(axis=1) / np.maximum(pairs, 1e-9) * mine).sum() / max(mine.sum(), 1e-9))

    n_groups = int(names.max()) + 1
    draws = [measure(counts) for counts in draw_groups(n_groups, RESAMPLES, np.random.default_rng(seed))]
    n = len(np.unique(of_lens[alike.any(axis=1)]))
    return summarize("auroc", measure(np.ones(n_groups)), np.array(draws), n_effective=n, proportion=True)


def count_alike(lenses: Side, others: Side, limits: tuple[float, float]) -> tuple[int, int]:
    """Lenses and others with a partner."""
    near = np.abs(lenses.brightness[:, None] - others.brightness) <= limits[0]
    near &= np.abs(lenses.colour[:, None] - others.colour) <= limits[1]
    return int(near.any(axis=1).sum()), int(near.any(axis=0).sum())


def score_held_out(data: Path, runs: Path) -> tuple[Side, Side, Side]:
    """Known lenses, ordinary galaxies and candidates below grade 1."""
    images = read_images(data, load_set(runs / "painted.npz"))
    real, fold, owners = images.real, images.real_fold, images.beside_rows
    sources = take_features(images, runs / FINDER)
    net = score_rung(sources, SHIPS, fit_folds(sources, SHIPS))
    centres = [describe_centre(real.images), describe_centre(images.beside)]
    groups = real.table["group"].to_numpy().astype(str)
    known = (real.table["kind"] == "known lens").to_numpy()
    baseline = [np.zeros(len(real)), np.zeros(len(images.beside))]
    for number in np.unique(fold):
        ours, theirs = fold == number, fold[owners] == number
        shown = known & ~ours
        forest = RandomForestClassifier(500, min_samples_leaf=3, random_state=0, n_jobs=1)
        forest.fit(
            np.concatenate([centres[0][shown], centres[1][~theirs]]), np.repeat([1, 0], [shown.sum(), (~theirs).sum()])
        )
        baseline[0][ours] = forest.predict_proba(centres[0][ours])[:, 1]
        baseline[1][theirs] = forest.predict_proba(centres[1][theirs])[:, 1]

    def side(which: int, name: str, rows: np.ndarray, names: np.ndarray) -> Side:
        centre = centres[which][rows]
        return Side(net[name][rows], baseline[which][rows], centre[:, 0], centre[:, 1], names[rows])

    rejected = (real.table["grade"] < OTHER_GRADE).to_numpy()
    everything = np.ones(len(images.beside), bool)
    return (
        side(0, "CFHTLS", known, groups),
        side(1, "beside CFHTLS", everything, groups[owners]),
        side(0, "CFHTLS", rejected, groups),
    )


def main() -> None:
    """Prints the comparisons."""
    parser = argparse.ArgumentParser(description="Known lenses against ordinary galaxies of like centres.")
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, help="folder in which build.py keeps its results")
    given = parser.parse_args()
    known, ordinary, rejected = score_held_out(given.data, given.runs)
    for name, others in (("ordinary galaxies", ordinary), ("candidates below grade 1", rejected)):
        for limits in LIMITS:
            n, m = count_alike(known, others, limits)
            found = {score: compare_alike(known, others, score, limits) for score in ("net", "baseline")}
            rest = ", ".join(f"{score} {one:.3f}" for score, one in found.items())
            print(f"{name}, centres within {limits[0]:g} and {limits[1]:g}: {n} lenses, {m} others: AUROC {rest}")


if __name__ == "__main__":
    main()
