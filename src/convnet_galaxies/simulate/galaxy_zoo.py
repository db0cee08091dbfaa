"""Simulated Galaxy Zoo in Kaggle's own files, with the truth beside them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies.data.output import new_folder
from convnet_galaxies.decision_tree import VOTE_COLUMNS, DecisionTree, write_tree
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.simulate.galaxy import render_galaxy
from convnet_galaxies.simulate.libraries import require_libraries
from convnet_galaxies.simulate.morphology import draw_galaxy
from convnet_galaxies.simulate.sdss import compose, draw_observation, encode_cutout, expose_sdss
from convnet_galaxies.simulate.surroundings import add_flaws, add_objects, draw_surroundings
from convnet_galaxies.simulate.tree_votes import answer_tree, cast_counts, simulated_part
from convnet_galaxies.simulate.votes import vote
from convnet_galaxies.workers import worker_pool

FIRST_ID = 100001
CHUNK = 32
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
FILES = (
    "images_training_rev1.zip",
    "training_solutions_rev1.zip",
    "images_test_rev1.zip",
    "all_zeros_benchmark.csv",
    "test_solutions_sealed.csv",
    "truth.csv",
)
TREE_FILES = ("votes.csv", "test_votes_sealed.csv", "tree.json")


@dataclass(frozen=True)
class SimulatedGalaxy:
    """One galaxy as volunteers saw it.

    jpeg: bytes of the 424 px image. votes: float64 [37]. truth: what it is and how well it can be seen. counts: of
    votes on the questions of another tree, int64 [answers]; None without one.
    """

    jpeg: bytes
    votes: np.ndarray
    truth: dict[str, Any]
    counts: np.ndarray | None = None


@dataclass(frozen=True)
class ZooSummary:
    """The written folder, and the number of images of each kind."""

    output: Path
    training: int
    test: int


def simulate_one(index: int, seed: int, tree: DecisionTree | None = None) -> SimulatedGalaxy:
    """Simulate Galaxy number index (from 0) of a simulation; depends on index and seed only.

    tree: whose questions are answered as well (see simulated_part); the votes on them have random numbers of their own.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    galaxy = draw_galaxy(rng)
    observation = draw_observation(galaxy.r90_arcsec, rng)
    around = draw_surroundings(rng, side_arcmin=observation.side_px * observation.pixel_arcsec / 60)
    light = render_galaxy(galaxy, observation.scene_px, observation.pixel_arcsec, rng)
    around = add_objects(light.array, galaxy, around, observation, rng)
    image = add_flaws(expose_sdss(light, observation, rng), around, observation, rng)
    fractions, seen, volunteers = vote(galaxy, observation, around, rng)
    truth = {
        **asdict(galaxy),
        "psf_fwhm_arcsec": float(observation.psf_fwhm_arcsec[1]),
        "pixel_arcsec": observation.pixel_arcsec,
        "volunteers": volunteers,
        **{f"seen_{name}": value for name, value in asdict(seen).items()},
        **{f"around_{name}": value for name, value in asdict(around).items()},
    }
    counts = None
    if tree is not None:
        own = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 1)))
        counts = cast_counts(tree, answer_tree(tree, galaxy, seen, around), volunteers, own)
    return SimulatedGalaxy(encode_cutout(compose(image, observation.pixel_arcsec)), fractions, truth, counts)


def simulate_galaxy_zoo(
    output: StrPath,
    *,
    number: int,
    seed: int,
    workers: int | None = None,
    test_fraction: float = 0.2,
    tree: DecisionTree | None = None,
    progress: Callable[[int, int], None] | None = None,
    force: bool = False,
) -> ZooSummary:
    """Writes number galaxies into the folder output; the same seed gives the same bytes for any number of workers.

    Files: images_training_rev1.zip, training_solutions_rev1.zip, images_test_rev1.zip, all_zeros_benchmark.csv,
    truth.csv (what each galaxy is) and test_solutions_sealed.csv (the votes of the test images, which Kaggle keeps).
    tree: also write votes.csv, a catalogue of the counts of its questions that the simulation can answer, with
    test_votes_sealed.csv of the test images and the tree itself, tree.json, for `pack votes`.
    workers: processes; None takes one for each core. progress: called with galaxies done and galaxies in all.
    Raises InputError for a number below 1, a bad share of test images or an output that is something else,
    OutputExistsError when a simulation is there already and force is not given.
    """
    output = Path(output)
    require_libraries()
    if number < 1:
        raise InputError(f"simulate galaxy-zoo: found number {number}, expected at least 1", "pass --number 1000")
    if not 0 <= test_fraction < 1:
        raise InputError(
            f"simulate galaxy-zoo: found a test fraction of {test_fraction}, expected 0 to below 1", "pass e.g. 0.2"
        )
    test = min(round(number * test_fraction), number - 1)
    part = None if tree is None else simulated_part(tree)
    with new_folder(output, force=force, is_ours=_is_simulated) as folder:
        _write(folder, _simulate_all(number, seed, workers, part), number - test, number, progress, part)
    return ZooSummary(output, number - test, test)


def _is_simulated(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()}
    return "truth.csv" in names and names <= {*FILES, *TREE_FILES}


def _simulate_all(
    number: int, seed: int, workers: int | None, tree: DecisionTree | None = None, *, chunk: int = CHUNK
) -> Iterator[SimulatedGalaxy]:
    """All galaxies in order; at most a few chunks wait in memory."""
    workers = min(workers or os.cpu_count() or 1, -(-number // chunk))
    work = partial(_simulate_chunk, number=number, seed=seed, chunk=chunk, tree=tree)
    with worker_pool(workers, modules=["galsim", __name__]) as run:
        for galaxies in run(work, range(0, number, chunk)):
            yield from galaxies


def _simulate_chunk(
    start: int, *, number: int, seed: int, chunk: int, tree: DecisionTree | None
) -> list[SimulatedGalaxy]:
    return [simulate_one(index, seed, tree) for index in range(start, min(start + chunk, number))]


def _write(
    folder: Path,
    galaxies: Iterator[SimulatedGalaxy],
    training: int,
    number: int,
    progress: Callable[[int, int], None] | None,
    tree: DecisionTree | None,
) -> None:
    votes, truth, counts = [], [], []
    with (
        zipfile.ZipFile(folder / "images_training_rev1.zip", "w") as training_zip,
        zipfile.ZipFile(folder / "images_test_rev1.zip", "w") as test_zip,
    ):
        for index, galaxy in enumerate(galaxies):
            part = "training" if index < training else "test"
            archive = training_zip if index < training else test_zip
            archive.writestr(zipfile.ZipInfo(f"images_{part}_rev1/{FIRST_ID + index}.jpg", ZIP_TIME), galaxy.jpeg)
            votes.append(galaxy.votes)
            counts.append(galaxy.counts)
            truth.append({"GalaxyID": FIRST_ID + index, "part": part, **galaxy.truth})
            if progress is not None:
                progress(index + 1, number)
    solutions = pd.DataFrame(np.array(votes), columns=list(VOTE_COLUMNS))
    solutions.insert(0, "GalaxyID", np.arange(FIRST_ID, FIRST_ID + number))
    zeros = solutions[training:].copy()
    zeros[list(VOTE_COLUMNS)] = 0
    text = io.StringIO()
    solutions[:training].to_csv(text, index=False, lineterminator="\n")
    with zipfile.ZipFile(folder / "training_solutions_rev1.zip", "w") as archive:
        info = zipfile.ZipInfo("training_solutions_rev1.csv", ZIP_TIME)
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, text.getvalue())
    zeros.to_csv(folder / "all_zeros_benchmark.csv", index=False, lineterminator="\n")
    solutions[training:].to_csv(folder / "test_solutions_sealed.csv", index=False, lineterminator="\n")
    pd.DataFrame(truth).to_csv(folder / "truth.csv", index=False, lineterminator="\n")
    if tree is not None:
        catalogue = pd.DataFrame(np.array(counts), columns=list(tree.columns))
        catalogue.insert(0, "id", np.arange(FIRST_ID, FIRST_ID + number))
        for question in tree.questions:
            catalogue[f"{question.name}_total-votes"] = catalogue[list(question.columns)].sum(axis=1)
        catalogue[:training].to_csv(folder / "votes.csv", index=False, lineterminator="\n")
        catalogue[training:].to_csv(folder / "test_votes_sealed.csv", index=False, lineterminator="\n")
        write_tree(tree, folder / "tree.json")
