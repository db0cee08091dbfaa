"""Reads the Galaxy Challenge as Kaggle ships it: zips of images, a zip of solutions, unzipped or not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.columns import whole_column
from convnet_galaxies.data.image_files import find_images, holds_images, match_images
from convnet_galaxies.data.records import ImageFile, Records
from convnet_galaxies.data.table_notes import table_remarks
from convnet_galaxies.data.vote_table import TreeCheck, check_tree, read_votes, write_submission
from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, name_some, require_path, visible_names

__all__ = ["Sources", "TreeCheck", "check_tree", "find_sources", "read_galaxy_zoo", "write_submission"]

TRAINING = re.compile(r"images?_train(ing)?(_rev\d+)?(\.zip)?$", re.IGNORECASE)
TEST = re.compile(r"images?_test(_rev\d+)?(\.zip)?$", re.IGNORECASE)
SOLUTIONS = re.compile(r"training_solutions(_rev\d+)?(\.csv)?(\.zip)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Sources:
    """Files of the challenge in a folder: images, solutions if any, and remarks."""

    images: Path
    solutions: Path | None
    remarks: tuple[str, ...] = ()


def read_galaxy_zoo(images: StrPath, solutions: StrPath | None = None, *, skip_bad: bool = False) -> Records:
    """Read images of the challenge and, when there are any, their votes.

    images: ``images_training_rev1.zip``, the folder in it, the same of the test set, or one folder that holds
        images and solutions as they were downloaded.
    solutions: the CSV or the zip with it; None finds it when images is a folder that holds it.
    Returns records ordered by GalaxyID; columns id, group, GalaxyID (int64, or uint64 beyond), and with solutions the
        37 votes (float64).
    Raises InputError for anything missing or at fault; skip_bad leaves out rows without an image and images
    without a row or with a name that is no GalaxyID.
    """
    sources = find_sources(images, solutions)
    listing = find_images(sources.images)
    files, skipped = _index_by_galaxy(listing.files, sources.images, skip_bad=skip_bad)
    remarks = [*sources.remarks, *listing.remarks]
    if skipped:
        remarks.append(f"{len(skipped):,} images have names that are no GalaxyID and are left out")
    if sources.solutions is None:
        ids = sorted(files)
        table = _with_ids(pd.DataFrame({"GalaxyID": whole_column(ids, np.zeros(len(ids), bool))}))
        found = tuple(files[galaxy] for galaxy in ids)
        return Records("galaxy-zoo", table, found, ("GalaxyID",), tuple(remarks), tuple(skipped))
    votes = read_votes(sources.solutions).sort_values("GalaxyID", ignore_index=True)
    by_name = {str(galaxy): file for galaxy, file in sorted(files.items())}
    keys = votes["GalaxyID"].astype(str).tolist()
    match = match_images(keys, by_name, table=sources.solutions, images=sources.images, skip_bad=skip_bad)
    table = _with_ids(votes.iloc[match.rows].reset_index(drop=True))
    tree = check_tree(table[list(VOTE_COLUMNS)].to_numpy())
    remarks += [*table_remarks(votes), *match.remarks, *([] if tree.is_sound else [str(tree)])]
    skipped += match.skipped
    return Records("galaxy-zoo", table, match.files, ("GalaxyID",), tuple(remarks), tuple(skipped))


def find_sources(images: StrPath, solutions: StrPath | None = None) -> Sources:
    """Find images and solutions, given either them or a folder that holds both.

    Of a zip and its unzipped folder the zip is taken, since an unzipping may have been cut off; of training and
    test images the training ones, unless there are no solutions. Raises InputError when no images are found.
    """
    images = Path(images)
    solutions = None if solutions is None else Path(solutions)
    require_path(images)
    if solutions is not None:
        require_path(solutions)
    if not images.is_dir():
        return Sources(images, solutions, _remark_on_solutions(images, solutions))
    names = visible_names(images)
    remarks: list[str] = []
    training = _choose(images, [name for name in names if TRAINING.match(name)], remarks)
    test = _choose(images, [name for name in names if TEST.match(name)], remarks)
    found = _choose(images, [name for name in names if SOLUTIONS.match(name)], remarks)
    if training is None and test is None:
        if solutions is None and found is None:
            return Sources(images, None, _remark_on_solutions(images, None))
        return Sources(images, solutions or found, tuple(remarks))
    solutions = solutions or found
    if solutions is not None and training is not None:
        if test is not None:
            remarks.append(f"{training.name} is read; {test.name} is not, give it by itself to read it")
        return Sources(training, solutions, tuple(remarks))
    if solutions is not None and test is not None:
        remarks.append(f"{solutions.name} is not used, since only the test images are there, which have no votes")
    chosen = test or training
    assert chosen is not None
    if test is not None and training is not None:
        remarks.append(f"{test.name} is read; {training.name} is not, since no solutions are there")
    return Sources(chosen, None, tuple(remarks))


def _choose(folder: Path, names: list[str], remarks: list[str]) -> Path | None:
    usable = [
        name for name in names if (folder / name).is_file() or holds_images(folder / name) or _solves(folder / name)
    ]
    if not usable:
        return None
    usable.sort(key=lambda name: (not name.lower().endswith(".zip"), name))
    if len(usable) > 1:
        remarks.append(f"{name_some(usable)} are all in {folder}: {usable[0]} is read")
    chosen = folder / usable[0]
    return _solves(chosen) or chosen


def _solves(folder: Path) -> Path | None:
    """Return the solutions in a folder that unzipping made round them."""
    if not folder.is_dir() or not SOLUTIONS.match(folder.name):
        return None
    inside = [name for name in visible_names(folder) if name.lower().endswith(".csv")]
    return folder / inside[0] if len(inside) == 1 else None


def _remark_on_solutions(images: Path, solutions: Path | None) -> tuple[str, ...]:
    if solutions is not None or TEST.match(images.name):
        return ()
    beside = [name for name in visible_names(images.absolute().parent) if SOLUTIONS.match(name)]
    return (f"no votes are read; give {beside[0]} as well to have them",) if beside else ()


def _index_by_galaxy(
    files: tuple[ImageFile, ...], where: Path, *, skip_bad: bool
) -> tuple[dict[int, ImageFile], list[str]]:
    index: dict[int, ImageFile] = {}
    skipped = []
    for file in files:
        if not (file.stem.isascii() and file.stem.isdigit() and int(file.stem) < 2**64):
            if not skip_bad:
                raise InputError(
                    f"{file}: found an image called {file.name}, expected <GalaxyID>.jpg",
                    "use `pack images` for other images, or pass --skip-bad to leave it out",
                )
            skipped.append(f"{file}: its name is no GalaxyID")
            continue
        galaxy = int(file.stem)
        if galaxy in index:
            raise InputError(
                f"{where}: found GalaxyID {galaxy} twice ({index[galaxy]} and {file}), expected one image for each",
                "remove one of them",
            )
        index[galaxy] = file
    if not index:
        raise InputError(f"{where}: found no image called <GalaxyID>.jpg", "use `pack images` for other images")
    return index, skipped


def _with_ids(table: pd.DataFrame) -> pd.DataFrame:
    names = table["GalaxyID"].astype(str)
    return pd.concat([pd.DataFrame({"id": names, "group": "GalaxyID=" + names}), table], axis=1)
