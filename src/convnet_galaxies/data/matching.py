"""Brings table rows and image files together by a key, and says what has no counterpart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convnet_galaxies.data.records import ImageFile
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import name_some


@dataclass(frozen=True)
class Match:
    """Rows that have an image.

    rows: int [m], row numbers of the table, ascending.
    files: m files, the image of each of these rows.
    remarks: one sentence for each kind of thing that was left out.
    skipped: one text for each thing that was left out.
    """

    rows: np.ndarray
    files: tuple[ImageFile, ...]
    remarks: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def match_images(
    keys: Sequence[str], files: Mapping[str, ImageFile], *, table: object, images: object, skip_bad: bool
) -> Match:
    """Match the key of each row with the files of that key.

    table, images: the sources, for messages. Several rows may share an image.
    Raises InputError when a row has no image or an image no row (unless skip_bad), or when nothing matches.
    """
    rows = [row for row, key in enumerate(keys) if key in files]
    if not rows:
        raise InputError(
            f"{table}: found no row whose image is among the {len(files):,} of {images}; rows name "
            f"{name_some(list(keys), 3)}; images are {name_some([file.name for file in files.values()], 3)}",
            "give the table and the images that belong together",
        )
    named = set(keys)
    lonely_rows = [key for key in keys if key not in files]
    lonely_files = [file.name for key, file in files.items() if key not in named]
    remarks = []
    for lonely, what, lack in (
        (lonely_rows, f"rows of {table}", f"image in {images}"),
        (lonely_files, f"images of {images}", f"row in {table}"),
    ):
        if not lonely:
            continue
        if not skip_bad:
            raise InputError(
                f"{what}: found {len(lonely):,} without {lack} ({name_some(lonely)}), expected one for each",
                "give the files that belong together, or pass --skip-bad to leave these out",
            )
        remarks.append(f"{len(lonely):,} {what} have no {lack} and are left out: {name_some(lonely)}")
    skipped = [f"{key}: no image" for key in lonely_rows] + [f"{name}: no row in the table" for name in lonely_files]
    return Match(np.array(rows, dtype=int), tuple(files[keys[row]] for row in rows), tuple(remarks), tuple(skipped))


def index_images(files: Sequence[ImageFile]) -> dict[str, ImageFile]:
    """Files by their stem; of equal stems in several folders, each goes by ``folder/stem`` instead.

    Raises InputError when that does not tell them apart either.
    """
    stems = [file.stem for file in files]
    counts: dict[str, int] = {}
    for stem in stems:
        counts[stem] = counts.get(stem, 0) + 1
    index: dict[str, ImageFile] = {}
    for stem, file in zip(stems, files, strict=True):
        key = stem if counts[stem] == 1 else "/".join(part for part in (file.folder, stem) if part)
        if key in index:
            raise InputError(
                f"{file}: found a second image called {key} (the first is {index[key]}), expected unique names",
                "remove or rename one of them",
            )
        index[key] = file
    return index
