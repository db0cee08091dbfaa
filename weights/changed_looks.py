"""Change one property of the CFHTLS candidates at a time: what makes a lens finder fail on another survey?

    python weights/changed_looks.py ../shared/data RUNS RUN

For each change the AUROC of grade 2 or more against below 1 is printed for two heads, fitted in five folds to unchanged
images of the other folds: that of CFHTLS as it is, and the one that ships (survey_ladder). The last lines take the
DR10 pictures at wrong pixel scales, with heads that have not seen their fields (the one that ships) or DR10 (the
other).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import surveys
from finder import features_of, load_set
from PIL import Image
from real_lenses import LENS_GRADE, OTHER_GRADE
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from survey_heads import SHIPS, VIEW_PX, fit_folds, score_held_out
from survey_ladder import SURVEY_RUNGS, read_images, take_features

NOISE, SKY = 12.0, 15.0
Change = Callable[[np.ndarray], np.ndarray]


def _unbend(light: np.ndarray, k: float = 3.0) -> np.ndarray:
    return 255 * np.sinh(k * light / 255) / np.sinh(k)


def _own_peak(light: np.ndarray) -> np.ndarray:
    peak = np.percentile(light.mean(axis=3), 99.5, axis=(1, 2))
    return light * (255 / np.maximum(peak, 1))[:, None, None, None]


def _zoom(light: np.ndarray, factor: float) -> np.ndarray:
    side = light.shape[1]
    wanted = max(1, round(side / factor))
    low = (side - wanted) // 2
    if wanted <= side:
        squares = light[:, low : low + wanted, low : low + wanted]
    else:
        squares = np.pad(light, ((0, 0), *[((wanted - side) // 2, wanted - side - (wanted - side) // 2)] * 2, (0, 0)))
    pictures = [Image.fromarray(one.astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC) for one in squares]
    return np.stack([np.asarray(one, float) for one in pictures])


CHANGES: dict[str, Change] = {
    "as it is": lambda light: light,
    "half as bright": lambda light: 0.5 * light,
    "twice as bright": lambda light: 2 * light,
    "nearly linear stretch": _unbend,
    "linear stretch by its own brightest pixels": lambda light: _own_peak(_unbend(light)),
    "gamma 0.6": lambda light: 255 * (light / 255) ** 0.6,
    "red 1.5 times, blue 0.7 times": lambda light: light * np.array([1.5, 1.0, 0.7]),
    "red and blue swapped": lambda light: light[..., ::-1],
    "grey": lambda light: np.repeat(light.mean(axis=3, keepdims=True), 3, axis=3),
    "seeing worse by a blur of 2 px": lambda light: ndimage.gaussian_filter(light, (0, 2, 2, 0)),
    "noise of 12 grey levels": lambda light: light + np.random.default_rng(0).normal(0, NOISE, light.shape),
    "sky of 15 grey levels": lambda light: light + SKY,
    "pixel scale wrong by 0.7": lambda light: _zoom(light, 0.7),
    "pixel scale wrong by 1.4": lambda light: _zoom(light, 1.4),
    "3 px off centre": lambda light: np.roll(light, (3, -3), axis=(1, 2)),
}
SCALES = (0.13, 0.172, 0.262, 0.4)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("run", type=Path)
    given = parser.parse_args()
    images = read_images(given.data, load_set(given.runs / "painted.npz"))
    sources = take_features(images, given.run)
    grade = images.real.table["grade"].to_numpy()
    graded = (grade >= LENS_GRADE) | (grade < OTHER_GRADE)
    kinds = {"CFHTLS as it is": SURVEY_RUNGS["CFHTLS, as it is"], "what ships": SHIPS}
    heads = {name: fit_folds(sources, kind) for name, kind in kinds.items()}
    rows = []
    for change, apply in CHANGES.items():
        pixels = np.clip(apply(images.real.images.astype(float)), 0, 255).astype(np.uint8)
        features = features_of(given.run, VIEW_PX, {"": pixels})[""]
        row: dict[str, object] = {"change": change}
        for name, folds in heads.items():
            odds = score_held_out(folds, features, images.real_fold)
            row[name] = roc_auc_score(grade[graded] >= LENS_GRADE, odds[graded])
        rows.append(row)
    fold = sources["DR10"].fold
    for scale in SCALES:
        surveys.DR10_SCALE = scale
        dr10 = surveys.read_dr10(given.data / "legacy-dr10")
        features = features_of(given.run, VIEW_PX, {"": dr10.pixels})[""]
        row = {"change": f"DR10 at {scale} arcsec per pixel"}
        for name, folds in heads.items():
            odds = score_held_out(folds, features, fold if "DR10" in kinds[name].shares else None)
            row[name] = roc_auc_score(dr10.truth, odds)
        rows.append(row)
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
