"""Compare known lenses with ordinary galaxies whose centres are as bright and as red.

    python weights/matched.py ../shared/data

Known lenses lie in bright red galaxies, ordinary galaxies are mostly faint and blue: much of what separates them needs
no lens feature. Three comparisons are printed, each for the finder and for a baseline that is given the central 8 px
only: all pairs, pairs of like centres, and known lenses against candidates below grade 1, which are bright and red too.

The lens head of builtin:lens is refitted in five folds on the features of its unchanged network, without the painted
examples of the recipe (finder.gather_others), so that no image is scored by a head that was fitted on it or its group.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from real_lenses import OTHER_GRADE, assign_folds, read_neighbours, read_real_lenses
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convnet_galaxies.measure.intervals import Estimate, draw_groups, encode_groups, summarize
from convnet_galaxies.predict.predictor import Predictor

CENTRE_PX = 8
ALPHA, OTHERS = 300.0, 0.09
"""Of the recipe that ships (ladder.RUNGS)."""
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


def score_held_out(data: Path) -> tuple[Side, Side, Side]:
    """Known lenses, ordinary galaxies and candidates below grade 1."""
    folder = data / "space-warps"
    real = read_real_lenses(folder)
    stamps, owners = read_neighbours(folder, real)
    features = [Predictor("builtin:lens", views=v).extract_features(x) for v, x in ((16, real.images), (8, stamps))]
    centres = [describe_centre(real.images), describe_centre(stamps)]
    fold, groups = assign_folds(real.table), real.table["group"].to_numpy().astype(str)
    known = (real.table["kind"] == "known lens").to_numpy()
    soft = real.table["lens"].to_numpy(float)
    weight = OTHERS * len(real) / len(stamps)
    scores = np.zeros((2, len(real))), np.zeros((2, len(stamps)))
    for number in np.unique(fold):
        ours, theirs = fold == number, fold[owners] == number
        for row, (of_real, of_others) in enumerate((features, centres)):
            if row == 0:
                model = make_pipeline(StandardScaler().fit(of_real[~ours]), Ridge(ALPHA))
                x, y = np.concatenate([of_real[~ours], of_others[~theirs]]), [soft[~ours], np.zeros((~theirs).sum())]
                weights = np.concatenate([np.ones((~ours).sum()), np.full((~theirs).sum(), weight)])
                model[1].fit(model[0].transform(x), np.concatenate(y), sample_weight=weights)
                answer = model.predict
            else:
                shown = known & ~ours
                x = np.concatenate([of_real[shown], of_others[~theirs]])
                forest = RandomForestClassifier(500, min_samples_leaf=3, random_state=0, n_jobs=1)
                forest.fit(x, np.repeat([1, 0], [shown.sum(), (~theirs).sum()]))
                answer = lambda data, forest=forest: forest.predict_proba(data)[:, 1]  # noqa: E731
            scores[0][row, ours], scores[1][row, theirs] = answer(of_real[ours]), answer(of_others[theirs])

    def side(which: int, rows: np.ndarray, names: np.ndarray) -> Side:
        centre = centres[which][rows]
        return Side(scores[which][0, rows], scores[which][1, rows], centre[:, 0], centre[:, 1], names[rows])

    rejected = (real.table["grade"] < OTHER_GRADE).to_numpy()
    everything = np.ones(len(stamps), bool)
    return side(0, known, groups), side(1, everything, groups[owners]), side(0, rejected, groups)


def main() -> None:
    """Prints the comparisons."""
    parser = argparse.ArgumentParser(description="Known lenses against ordinary galaxies of like centres.")
    parser.add_argument("data", type=Path)
    known, ordinary, rejected = score_held_out(parser.parse_args().data)
    for name, others in (("ordinary galaxies", ordinary), ("candidates below grade 1", rejected)):
        for limits in LIMITS:
            n, m = count_alike(known, others, limits)
            found = {score: compare_alike(known, others, score, limits) for score in ("net", "baseline")}
            rest = ", ".join(f"{score} {one:.3f}" for score, one in found.items())
            print(f"{name}, centres within {limits[0]:g} and {limits[1]:g}: {n} lenses, {m} others: AUROC {rest}")


if __name__ == "__main__":
    main()
