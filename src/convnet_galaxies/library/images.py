"""Read, pack and show images in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convnet_galaxies.blocks import Gallery
from convnet_galaxies.data.default_pixels import default_preprocess
from convnet_galaxies.data.image_folder import read_image_folder as read_images
from convnet_galaxies.data.input_notes import require_scale
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.records import ImageSet, Records
from convnet_galaxies.errors import UsageError
from convnet_galaxies.library.warn import warn_of
from convnet_galaxies.paths import StrPath
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.show.galleries import make_gallery
from convnet_galaxies.training.grade_labels import label_by_grades

__all__ = ["apply_grades", "pack", "read_images", "show_images"]

SHOWN = 12


def pack(
    records: Records,
    output: StrPath,
    *,
    like: StrPath | None = None,
    preprocess: Preprocess | None = None,
    skip_bad: bool = False,
    force: bool = False,
    workers: int | None = None,
    **reading: Any,
) -> ImageSet:
    """Decode the images of records once into the folder output, and return them as an image set.

    like: run, or ``builtin:NAME``, whose preprocessing to use. preprocess: another one than that of the kind of
        records (see default_preprocess); give one of the two at most.
    skip_bad: leave out images that cannot be decoded. force: replace an existing pack of other records.
    workers: threads; None takes one per processor. reading: fields of ReadOptions, such as pixel_scale_arcsec.
    Each remark of the reader and each image left out becomes an InputWarning.
    Raises OutputExistsError, InputError, UsageError for both like and preprocess, and BadImageError for the first image
    that cannot be decoded.
    """
    if like is not None and preprocess is not None:
        raise UsageError("pack: found both like and preprocess, expected one of them", "leave one out")
    options = ReadOptions(**reading)
    card = None if like is None else read_card(like)
    if card is not None:
        require_scale(options.pixel_scale_arcsec, card.preprocess)
    made = card.preprocess if card else preprocess
    if made is None:
        made = default_preprocess(records, pixel_scale_arcsec=options.pixel_scale_arcsec, hdus=options.hdus)
    summary = write_pack(
        records,
        made,
        output,
        force=force,
        skip_bad=skip_bad,
        workers=workers,
        reading=options,
        window_px=card.window_px if card else None,
    )
    warn_of((*summary.remarks, *summary.warnings, *(f"left out: {text}" for text in summary.skipped)))
    return read_pack(output)


def show_images(
    images: ImageSet | np.ndarray, rows: Sequence[int] | None = None, captions: Sequence[str] | None = None
) -> Gallery:
    """Return a gallery, which a notebook shows.

    images: an image set, or uint8 [n, h, w, bands]. rows: which ones; None takes the first 12.
    captions: a text per row; None takes the ids.
    """
    pixels = images.images if isinstance(images, ImageSet) else images
    chosen = list(range(min(SHOWN, len(pixels)))) if rows is None else [int(row) for row in rows]
    if captions is None:
        ids = images.table["id"].astype(str).tolist() if isinstance(images, ImageSet) else None
        captions = [ids[row] if ids else str(row) for row in chosen]
    gallery = make_gallery("Images", "", pixels, chosen, list(captions))
    return gallery or Gallery("Images", "no images", ())


def apply_grades(
    images: ImageSet, grades: StrPath | Sequence[StrPath], *, soft: bool = True, use_consensus: bool = False
) -> ImageSet:
    """Return the images with grades as labels of those that have none.

    grades: the table of `inspect`, its export, or tables of ids and grades from 0 to 3; several are averaged.
    soft: a third of the grade, for training; else 1 from grade 2 on, 0 below grade 1, for `Run.evaluate` and
        `Run.calibrate`. Images that graders named a kind for (ring, spiral ...) are no lenses.
    use_consensus: take the probability by the model of graders in place of the mean grade.
    Grades that are not used become an InputWarning. Raises InputError for grades of none of the images.
    """
    found = label_by_grades(images, grades, soft=soft, use_consensus=use_consensus)
    warn_of(found.remarks[1:])
    return found.images
