"""Sources of predictions: packs, files, image sets and arrays, as blocks of pixels preprocessed for a run."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import numpy as np

from convnet_galaxies.data.decoding import decode_batches
from convnet_galaxies.data.fits_image import FITS_ENDINGS
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_files import find_images, index_images
from convnet_galaxies.data.input_notes import InputNotes
from convnet_galaxies.data.pack import DESCRIPTION, MASKED, read_pack, summarise_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ImageInfo, ReadOptions
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import BadImageError, InputError
from convnet_galaxies.paths import StrPath, name_some
from convnet_galaxies.predict.predictor import Predictor

BLOCK_BYTES = 40_000_000
"""Pixels decoded ahead of the network."""

Source: TypeAlias = StrPath | Sequence[StrPath] | ImageSet | np.ndarray

Blocks = Generator[tuple[list[str], np.ndarray, Sequence[ImageInfo | None], np.ndarray | None]]
"""Names, pixels uint8 [n, h, w, bands], what the images were before (None: unknown), and the share of their pixels that
was missing, float32 [n] (None where there are no linear images).

The pixels are valid until the next block is requested, which is decoded into the same memory.
"""


def open_blocks(
    predictor: Predictor,
    source: Source,
    *,
    batch: int,
    skip_bad: bool,
    limit: int | None,
    reading: ReadOptions,
    skipped: list[str] | None,
    notes: InputNotes,
    drawn_by: int | None = None,
) -> tuple[Blocks, int]:
    """Return blocks of at most so many images of a source, made as the run expects, and the number of images in all.

    source: a pack, folder, zip or image; a list of these without packs; an image set; or pixels [n, h, w] or
        [n, h, w, bands], the first row at the top: uint8 for pictures, other numbers for linear images.
    limit: number of images to take: the first, or, in their order, as drawn at random by the seed drawn_by.
    skip_bad, skipped, notes: see predict_tables.
    Raises InputError for a source that does not fit the run or holds no image.
    """
    if isinstance(source, np.ndarray):
        return _prepare(source[:limit], predictor.preprocess, reading, batch, skip_bad, skipped)
    if isinstance(source, ImageSet):
        source = source if drawn_by is None else source.select(_draw(len(source), limit, drawn_by))
        return _cut(source, predictor, "the image set", reading, batch, limit, notes)
    if isinstance(source, str | os.PathLike) and (Path(source) / DESCRIPTION).is_file():
        notes.joined = tuple(f"When packed: {text}" for text in summarise_pack(source).facts)
        images = read_pack(source)
        images = images if drawn_by is None else images.select(_draw(len(images), limit, drawn_by))
        return _cut(images, predictor, str(source), reading, batch, limit, notes)
    listing = find_images(source)
    notes.earlier, notes.joined = listing.remarks, listing.joined
    # The same ids as in a pack of these images.
    index = index_images(listing.files[:limit] if drawn_by is None else listing.files)
    if drawn_by is not None:
        names = list(index)
        index = {names[row]: index[names[row]] for row in _draw(len(names), limit, drawn_by)}
    files = tuple(index.values())
    decoded = decode_blocks(
        files, list(index), predictor.preprocess, reading, batch=batch, skip_bad=skip_bad, skipped=skipped
    )
    return decoded, len(files)


def read_one(
    predictor: Predictor, source: StrPath, name: str | None, *, reading: ReadOptions, notes: InputNotes
) -> tuple[str, np.ndarray]:
    """Return the id and the pixels, uint8 [h, w, bands], of one image of a source, made as the run expects.

    name: its id; None for a source of one image. Raises InputError when there is no such image, or no name among
    several, BadImageError for an image that cannot be used.
    """
    images: ImageSet | None = None
    if (Path(source) / DESCRIPTION).is_file():
        images = read_pack(source)
        ids = images.table["id"].astype(str).tolist()
        index = {}
    else:
        index = index_images(find_images(source).files)
        ids = list(index)
    if name is None and len(ids) > 1:
        raise InputError(f"{source}: holds {len(ids):,} images, expected one", f"name one with --id, e.g. {ids[0]}")
    chosen = ids[0] if name is None else name
    if chosen not in ids:
        close = [one for one in ids if chosen.lower() in one.lower()] or ids
        raise InputError(
            f"{source}: found no image '{chosen}' among {len(ids):,}, expected an id such as {name_some(close, 3)}",
            "give the id of one of these images",
        )
    if images is not None:
        one = images.select(np.array([ids.index(chosen)]))
        blocks, _ = _cut(one, predictor, str(source), reading, 1, None, notes)
    else:
        files = (index[chosen],)
        blocks = decode_blocks(files, [chosen], predictor.preprocess, reading, batch=1, skip_bad=False, skipped=None)
    with closing(blocks):
        names, pixels, infos, _ = next(blocks)
        notes.add(names, pixels, infos)
        return names[0], np.array(pixels[0])


def name_source(source: Source) -> str:
    """Return the name of a source for messages."""
    if isinstance(source, np.ndarray):
        return "the array"
    if isinstance(source, ImageSet):
        return "the image set"
    return str(source) if isinstance(source, str | os.PathLike) else f"{len(source)} paths"


def _draw(total: int, limit: int | None, seed: int) -> np.ndarray:
    """Return the rows of images drawn at random, in their order."""
    number = total if limit is None else min(limit, total)
    return np.sort(np.random.default_rng(seed).choice(total, number, replace=False))


def require_fitting_pack(images: ImageSet, predictor: Predictor, where: str, reading: ReadOptions) -> None:
    """Raise InputError unless packed images were made as the run expects and no option is to change them."""
    if reading != ReadOptions():
        raise InputError(
            f"{where}: is packed, and its pixels are settled, so --pixel-scale, --zero-point, --blue-first, "
            "--bands, --hdu and --missing cannot change them",
            "leave these options out, or give the images themselves",
        )
    predictor.require_pixels(images, where, more=", or give the images themselves")


def _cut(
    images: ImageSet,
    predictor: Predictor,
    where: str,
    reading: ReadOptions,
    batch: int,
    limit: int | None,
    notes: InputNotes,
) -> tuple[Blocks, int]:
    """Yield blocks of existing pixels."""
    require_fitting_pack(images, predictor, where, reading)
    total = len(images) if limit is None else min(limit, len(images))
    ids = images.table["id"].astype(str).tolist()
    notes.earlier = tuple(f"When packed: {text}" for text in images.warnings)
    masked = images.table[MASKED].to_numpy(np.float32) if MASKED in images.table else None
    ends = ((start, min(start + batch, total)) for start in range(0, total, batch))
    blocks = (
        (ids[a:b], images.images[a:b], [None] * (b - a), None if masked is None else masked[a:b]) for a, b in ends
    )
    return blocks, total


def _prepare(
    pixels: np.ndarray,
    preprocess: Preprocess,
    reading: ReadOptions,
    batch: int,
    skip_bad: bool,
    skipped: list[str] | None,
) -> tuple[Blocks, int]:
    """Yield blocks of images in memory, of any size."""
    if pixels.ndim not in (3, 4) or pixels.dtype.kind not in "uif":
        raise InputError(
            f"the array: found {pixels.dtype} of shape {list(pixels.shape)}, expected numbers of shape [n, h, w] or "
            "[n, h, w, bands]",
            "give several images of one shape as one array",
        )
    is_linear = pixels.dtype != np.uint8

    def blocks() -> Blocks:
        for start in range(0, len(pixels), batch):
            ids: list[str] = []
            infos: list[ImageInfo | None] = []
            made = preprocess.new_array(min(batch, len(pixels) - start))
            for row in range(start, min(start + batch, len(pixels))):
                try:
                    made[len(ids)], info = preprocess.prepare(pixels[row], f"image {row}", reading)
                except BadImageError as error:
                    if not skip_bad:
                        raise
                    if skipped is not None:
                        skipped.append(error.message)
                    continue
                ids.append(str(row))
                infos.append(info)
            if ids:
                masked = np.array([info.masked_fraction if info else 0.0 for info in infos], np.float32)
                yield ids, made[: len(ids)], infos, masked if is_linear else None

    return blocks(), len(pixels)


def decode_blocks(
    files: Sequence[ImageFile],
    ids: list[str],
    preprocess: Preprocess,
    reading: ReadOptions,
    *,
    batch: int,
    skip_bad: bool,
    skipped: list[str] | None,
) -> Blocks:
    """Yield blocks of at most so many images, decoded from their files; see open_blocks."""
    # Blocks of many pieces: decoders and net take turns at the processor, where both at once hinder each other.
    image_bytes = preprocess.size_px**2 * preprocess.bands
    room = max(1, min(batch, BLOCK_BYTES // image_bytes))
    infos: dict[int, ImageInfo] = {}
    rows: list[int] = []
    pixels = preprocess.new_array(room)
    has_linear = any(file.name.lower().endswith(FITS_ENDINGS) for file in files)

    def block() -> tuple[list[str], np.ndarray, list[ImageInfo | None], np.ndarray | None]:
        found = [infos.pop(row, None) for row in rows]
        masked = np.array([info.masked_fraction if info else 0.0 for info in found], np.float32)
        return [ids[row] for row in rows], pixels[: len(rows)], found, masked if has_linear else None

    with closing(decode_batches(files, preprocess, skip_bad=skip_bad, reading=reading, infos=infos)) as pieces:
        for found, decoded, failures in pieces:
            if skipped is not None:
                skipped += failures
            while len(found):
                start, taken = len(rows), min(len(found), room - len(rows))
                pixels[start : start + taken] = decoded[:taken]
                rows += found[:taken].tolist()
                found, decoded = found[taken:], decoded[taken:]
                if len(rows) == room:
                    yield block()
                    rows.clear()
        if rows:
            yield block()
