"""Would a preset for each survey help? Other stretches, band orders and pixel scales than `predict` takes by itself.

    python weights/stretches.py ../shared/data WORK

For each survey and each change of its images the AUROC of two heads on the network of builtin:lens is printed: the one
that ships, which has not seen the field, and one that has learned nothing of the survey (the mean of five, fitted
without it). With each stands the difference to the images as `predict` takes them, with its 95 % interval over fields.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import surveys
from changed_looks import CHANGES
from few_labels import BUILTIN, SURVEYS
from finder import features_of
from ladder import painted_set
from real_lenses import PIXELS
from scipy.special import expit
from survey_heads import SHIPS, VIEW_PX, fit_folds, score_held_out
from survey_ladder import measure_auroc, read_images, take_features
from surveys import SurveySet, read_dr10, read_euclid, read_ps1

from convnet_galaxies.data.stretch import Composite, Stretch
from convnet_galaxies.measure.comparisons import compare_lenses

OF_PICTURES = (
    "half as bright",
    "twice as bright",
    "nearly linear stretch",
    "linear stretch by its own brightest pixels",
    "gamma 0.6",
    "red and blue swapped",
    "grey",
)
STRETCHES = {
    "asinh in units of the noise": Stretch(),
    "asinh, whiter": Stretch(white_sigma=60),
    "Lupton, Q 8": Composite(softening=8),
    "Lupton, faint light twice as steep": Composite(alpha=0.18),
    "Lupton, faint light half as steep": Composite(alpha=0.045),
}
"""Of FITS images; by default they become the composite of CFHTLS by their zero points."""
SCALES = {"DR10": (0.13, 0.186, 0.37), "PS1 quasars": (0.125, 0.186, 0.35), "Euclid": (0.07, 0.14, 0.186)}
"""Wrong ones; 0.186 is what is assumed where none is given."""


def read_survey(data: Path, survey: str) -> SurveySet:
    """A survey by the settings of surveys.py at present."""
    if survey == "DR10":
        return read_dr10(data / "legacy-dr10")
    return read_ps1(data / "ps1-sled", "lensed_quasars") if survey != "Euclid" else read_euclid(data / "euclid-q1")[0]


def change_images(data: Path, survey: str, usual: SurveySet) -> Iterator[tuple[str, np.ndarray]]:
    """Names of changes and images, uint8 [n, 128, 128, 3]."""
    yield "as predict takes them", usual.pixels
    for name in OF_PICTURES:
        if survey != "Euclid" or ("red" not in name and name != "grey"):
            yield name, np.clip(CHANGES[name](usual.pixels.astype(float)), 0, 255).astype(np.uint8)
    if survey == "PS1 quasars":
        for name, stretch in STRETCHES.items():
            surveys.PIXELS = PIXELS.model_copy(update={"stretch": stretch})
            yield name, read_survey(data, survey).pixels
        surveys.PIXELS = PIXELS
    constant = {"DR10": "DR10_SCALE", "PS1 quasars": "PS1_SCALE", "Euclid": "EUCLID_SCALE"}[survey]
    right = getattr(surveys, constant)
    for scale in SCALES[survey]:
        setattr(surveys, constant, scale)
        yield f"{scale} instead of {right} arcsec per pixel", read_survey(data, survey).pixels
    setattr(surveys, constant, right)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    given = parser.parse_args()
    images = read_images(given.data, painted_set(given.data, given.work))
    sources = take_features(images, BUILTIN)
    shipped = fit_folds(sources, SHIPS)
    for survey, parts in SURVEYS.items():
        blind = fit_folds(sources, SHIPS.without(*parts)) if parts else shipped
        usual = images.surveys[survey]
        first: dict[str, np.ndarray] = {}
        for change, pixels in change_images(given.data, survey, usual):
            features = features_of(BUILTIN, VIEW_PX, {"": pixels})[""]
            fold = sources[survey].fold if parts else None
            for kind, odds in (
                ("ships", score_held_out(shipped, features, fold)),
                ("never saw it", score_held_out(blind, features)),
            ):
                figure = measure_auroc(usual.truth, odds, usual.groups)
                apart = compare_lenses(
                    usual.truth, expit(odds), expit(first.setdefault(kind, odds)), usual.groups, seed=0
                )["auroc"]
                print(f"{survey}; {change}; head {kind}; {figure}; difference {apart}", flush=True)


if __name__ == "__main__":
    main()
