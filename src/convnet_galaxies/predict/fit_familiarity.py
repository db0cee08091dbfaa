"""Fit the familiarity of a run: the feature distribution of its known images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convnet_galaxies.data.records import ImageSet, split_groups
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.measure.familiarity import FEWEST_IMAGES, fit_distances, fit_distribution
from convnet_galaxies.model.device import Device
from convnet_galaxies.predict.familiarity import FamiliarityModel, write_familiarity
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.card import VIEWS
from convnet_galaxies.runs.folder import BUILTIN, RunFolder, run_path
from convnet_galaxies.runs.split import read_split_of, was_trained_on

MOST_FITTED, MOST_HELD_OUT = 2000, 1000
FEWEST_HELD_OUT = 200


@dataclass(frozen=True)
class FamiliaritySummary:
    """Numbers of images that were fitted, and of held-out images that calibrate the distances.

    are_unseen: whether the run was trained on none of the latter.
    """

    path: Path
    fitted: int
    held_out: int
    are_unseen: bool


def fit_familiarity(
    run: str | Path,
    images: ImageSet,
    *,
    device: Device = "auto",
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FamiliaritySummary:
    """Write familiarity.safetensors into a run's folder; images: all kinds that the run was trained on.

    The distribution is fitted on training images, and distances are calibrated on images on which the run was not
    trained. With fewer than FEWEST_HELD_OUT of those, training images of other groups are used, which look slightly
    too familiar.
    Raises InputError for too few images, or weights that ship with the package.
    """
    if str(run).startswith(BUILTIN):
        raise InputError(f"{run}: ships with the package and is not changed", "give a run folder")
    folder = RunFolder(run_path(run))
    if folder.familiarity.exists() and not force:
        raise OutputExistsError(folder.familiarity)
    fitted, held_out, are_unseen = choose_images_to_fit(images, run, seed=seed)
    total = len(fitted) + len(held_out) * sum(VIEWS)
    done, weight = 0, 1
    features: dict[str, np.ndarray] = {}

    def count(images_done: int) -> None:
        nonlocal done
        done += images_done * weight
        if progress is not None:
            progress(done, total)

    for name, rows, views in (("fit", fitted, 1), *((str(one), held_out, one) for one in VIEWS)):
        predictor = Predictor(run, device=device, views=views, with_familiarity=False)  # type: ignore[arg-type]
        weight = views
        features[name] = predictor.predict_set(images, rows, progress=count).features
    distribution = fit_distribution(features["fit"])
    distances = {views: fit_distances(distribution.distance(features[str(views)])) for views in VIEWS}
    write_familiarity(
        folder.familiarity, FamiliarityModel(distribution, distances), folder.weights, images=len(fitted), force=force
    )
    return FamiliaritySummary(folder.familiarity, len(fitted), len(held_out), are_unseen)


def choose_images_to_fit(images: ImageSet, run: str | Path, *, seed: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the rows to fit, the rows that calibrate distances, and whether the run was trained on none of those."""
    split = read_split_of(run)
    groups = images.table["group"].to_numpy()
    trained = np.zeros(len(images), bool) if split is None else was_trained_on(images, split)
    are_unseen = bool((~trained).sum() >= FEWEST_HELD_OUT and trained.sum() >= FEWEST_IMAGES)
    is_fitted = trained if are_unseen else split_groups(groups, (2 / 3, 1 / 3, 0), seed=seed) == "train"
    order = np.random.default_rng(seed).permutation(len(images))
    fitted, held_out = order[is_fitted[order]][:MOST_FITTED], order[~is_fitted[order]][:MOST_HELD_OUT]
    return np.sort(fitted), np.sort(held_out), are_unseen or not trained[held_out].any()
