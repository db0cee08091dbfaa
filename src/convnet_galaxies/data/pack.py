"""Packs: images decoded once, then memory-mapped, with their table beside them.

A pack is a folder: ``images.npy`` (uint8 [n, h, w, bands]), ``table.parquet`` (one row per image, in the same order)
and ``pack.json`` (format and version, how the pixels were made, the fingerprint of the source, what was left out).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from convnet_galaxies.data import pack_hashes, pixel_hash
from convnet_galaxies.data.decoding import decode_to_npy
from convnet_galaxies.data.input_notes import InputNotes
from convnet_galaxies.data.output import clear_up, new_folder, require_space
from convnet_galaxies.data.parquet_file import read_frame
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ImageInfo, ReadOptions
from convnet_galaxies.data.records import ImageSet, Records, find_copies, join_copies
from convnet_galaxies.data.tables import tidy
from convnet_galaxies.data.zip_files import list_members
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.paths import StrPath, require_path

PACK_FORMAT = "convnet-galaxies pack"
VERSION = 1
IMAGES, TABLE, DESCRIPTION = "images.npy", "table.parquet", "pack.json"
MASKED = "masked_fraction"
"""Column with the share of missing pixels of each image, in packs of linear images."""

READER = 2
"""Raised when linear images are read in another way, so that packs of them are made again; 2: rows from the top."""


@dataclass(frozen=True)
class PackSummary:
    """Result of packing.

    path: the pack; images: how many it holds; shape: (h, w, bands) of each.
    size_bytes: of images.npy.
    unchanged: whether the pack was there already, made of the same source in the same way; nothing was done then.
    remarks: what the reader noticed; skipped: what was left out and why, one text each.
    warnings: what was guessed or amiss in the images, one sentence each; facts: how they were read.
    """

    path: Path
    images: int
    shape: tuple[int, int, int]
    size_bytes: int
    unchanged: bool
    remarks: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def write_pack(
    records: Records,
    preprocess: Preprocess,
    output: StrPath,
    *,
    force: bool = False,
    skip_bad: bool = False,
    workers: int | None = None,
    reading: ReadOptions | None = None,
    window_px: Callable[[float | None], float | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PackSummary:
    """Decode all images in parallel threads and write the pack; memory does not grow with the number of images.

    force: replace an existing pack (never anything else). skip_bad: leave out images that cannot be decoded.
    workers: number of threads; None takes one for each processor. reading: how images are to be read. window_px: see
    InputNotes; None takes the crop. progress: called with (done, total) images.
    A pack that is current (see pack_is_current) is left as it is. Raises OutputExistsError, BadImageError for the
    first image that cannot be decoded (unless skip_bad), and InputError when there are no images or the disk is full.
    """
    output = Path(output)
    if records.files is None:
        raise InputError("the table was read without its images", "give the folder or zip of images as well")
    if not len(records):
        raise InputError(
            "the source: found no image, expected at least one", "give a folder or zip that contains images"
        )
    if pack_is_current(records, preprocess, output, skip_bad=skip_bad, reading=reading):
        clear_up(output)
        return _summarise(output, _read_description(output), unchanged=True)
    if output.exists() and not force:
        raise OutputExistsError(output)
    shape = (preprocess.size_px, preprocess.size_px, preprocess.bands)
    require_space(output, len(records) * int(np.prod(shape)) + 1_000_000)
    with new_folder(output, force=force, is_ours=is_pack) as folder:
        notes = InputNotes(window_px or preprocess.crop_of)
        ids = records.table["id"].astype(str).tolist()
        masked: list[float] = []
        hashes: list[str] = []
        units: set[str] = set()

        def note(rows: np.ndarray, pixels: np.ndarray, infos: list[ImageInfo]) -> None:
            notes.add([ids[row] for row in rows], pixels, infos)
            masked.extend(info.masked_fraction for info in infos)
            hashes.extend(pixel_hash.hash_pixels(pixels, [_shown_px(preprocess, info) for info in infos]))
            units.update(info.unit for info in infos)

        # On many threads the small products of the hashes would wait for processors that the decoders keep busy.
        with threadpool_limits(1):
            kept, failures = decode_to_npy(
                records.files,
                preprocess,
                folder / IMAGES,
                skip_bad=skip_bad,
                workers=workers,
                reading=reading,
                on_batch=note,
                progress=progress,
            )
        table = records.select(kept).table
        linear = bool(units - {"picture"})
        if linear:
            table = table.assign(**{MASKED: np.array(masked, np.float32)})
        table = table.assign(**{pixel_hash.COLUMN: hashes})
        first = find_copies(table, np.load(folder / IMAGES, mmap_mode="r"))
        table = tidy(join_copies(table, first))
        n_copies = int((first != np.arange(len(table))).sum())
        copies = [f"{n_copies:,} images have the pixels of another one, and count as one group with it"] * (
            n_copies > 0
        )
        table.to_parquet(folder / TABLE, index=False)
        description = {
            "format": PACK_FORMAT,
            "version": VERSION,
            "kind": records.kind,
            "images": len(table),
            "shape": list(shape),
            "preprocess": preprocess.model_dump(mode="json"),
            "given": asdict(reading or ReadOptions()),
            "linear": linear,
            "reader": READER,
            "warnings": notes.warnings(),
            "facts": notes.facts(),
            "link_columns": list(records.link_columns),
            "fingerprint_records": fingerprint_records(records),
            "remarks": [*records.remarks, *copies],
            "skipped": [*records.skipped, *failures],
            "undecoded": len(failures),
        }
        _write_description(folder, description)
    return _summarise(output, description, unchanged=False)


def write_set(images: ImageSet, output: StrPath, *, force: bool = False, skipped: Sequence[str] = ()) -> PackSummary:
    """Write a pack of pixels that are in memory. Raises OutputExistsError, and InputError when the disk is full."""
    output = Path(output)
    require_space(output, images.images.nbytes + 1_000_000)
    table = tidy(join_copies(images.table, find_copies(images.table, images.images)))
    description = {
        "format": PACK_FORMAT,
        "version": VERSION,
        "kind": images.kind,
        "images": len(images),
        "shape": list(images.images.shape[1:]),
        "preprocess": images.preprocess.model_dump(mode="json"),
        "linear": images.linear,
        "reader": READER,
        "warnings": list(images.warnings),
        "link_columns": list(images.link_columns),
        "fingerprint_records": hashlib.sha256(np.ascontiguousarray(images.images).tobytes()).hexdigest(),
        "remarks": [],
        "skipped": list(skipped),
        "undecoded": len(skipped),
    }
    with new_folder(output, force=force, is_ours=is_pack) as folder:
        np.save(folder / IMAGES, images.images)
        table.to_parquet(folder / TABLE, index=False)
        _write_description(folder, description)
    return _summarise(output, description, unchanged=False)


def _write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write the description, with the hashes of the other files, which are there already."""
    description[pack_hashes.NAME] = pack_hashes.hash_files(folder, (IMAGES, TABLE))
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", "utf-8")


def verify_pack(path: StrPath) -> tuple[list[str], int]:
    """Compare the files of a pack with their hashes; see pack_hashes.find_damage. Raises InputError."""
    return pack_hashes.find_damage(Path(path), _read_description(Path(path)))


def _shown_px(preprocess: Preprocess, info: ImageInfo) -> int:
    """Side of the square that is shown, in pixels of the file."""
    return min(preprocess.crop_of(info.pixel_scale_arcsec) or info.side_px, info.side_px)


_FAULTS = (OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, TokenError)
"""Of damaged files; numpy parses the head of an array as Python does."""


def read_pack(path: StrPath) -> ImageSet:
    """Read the images (memory-mapped, read-only) and table of a pack.

    Raises InputError when path is no pack, was written by a newer version, or is damaged.
    """
    path = Path(path)
    description = _read_description(path)
    try:
        images = np.load(path / IMAGES, mmap_mode="r", allow_pickle=False)
        table = read_frame(path / TABLE)
        preprocess = Preprocess.model_validate(description["preprocess"])
        expected = (int(description["images"]), *description["shape"])
        kind, links = str(description["kind"]), tuple(description["link_columns"])
        linear = bool(description.get("linear", True))  # earlier packs do not record it
    except (*_FAULTS, ValidationError, pa.ArrowException) as error:
        raise _damaged(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from None
    if images.dtype != np.uint8 or images.shape != expected:
        raise _damaged(path, f"{IMAGES} holds {images.dtype} {list(images.shape)}, expected uint8 {list(expected)}")
    if len(table) != len(images) or not {"id", "group", *links} <= set(table):
        raise _damaged(path, f"{TABLE} holds {len(table):,} rows of {len(table.columns)} columns")
    warnings = tuple(map(str, description.get("warnings", ())))
    return ImageSet(images, table, preprocess, kind, links, linear=linear, warnings=warnings)


def summarise_pack(path: StrPath) -> PackSummary:
    """Describe a pack from its metadata, without opening its images. Raises InputError when path is no pack."""
    path = Path(path)
    return _summarise(path, _read_description(path), unchanged=True)


def is_pack(path: Path) -> bool:
    """Return whether path is a folder marked as a pack, with nothing that a pack does not hold."""
    try:
        _read_description(path, any_version=True)
    except InputError:
        return False
    return {entry.name for entry in path.iterdir() if not entry.name.startswith(".")} <= {IMAGES, TABLE, DESCRIPTION}


def pack_is_current(
    records: Records, preprocess: Preprocess, path: Path, *, skip_bad: bool = False, reading: ReadOptions | None = None
) -> bool:
    """Return whether path is a pack of the same records by the same preprocessing.

    Sizes, times and checksums are compared, no image is read. A pack that leaves out undecodable images is current
    only under skip_bad.
    """
    try:
        description = _read_description(path)
    except InputError:
        return False
    if description.get("preprocess") != preprocess.model_dump(mode="json") or (
        description.get("undecoded") and not skip_bad
    ):
        return False
    given = json.loads(json.dumps(asdict(reading or ReadOptions())))
    if {**asdict(ReadOptions()), **description.get("given", {})} != given:
        return False
    if description.get("linear", True) and description.get("reader") != READER:
        return False
    if description.get("fingerprint_records") != fingerprint_records(records):
        return False
    try:
        read_pack(path)
    except InputError:
        return False
    return True


def fingerprint_records(records: Records) -> str:
    """Return SHA-256 over the table and, for each image, its name, size, and checksum (in a zip) or time (in a
    folder)."""
    digest = hashlib.sha256(f"{records.kind} {records.link_columns} {list(records.table.columns)}\n".encode())
    digest.update(pd.util.hash_pandas_object(tidy(records.table), index=False).to_numpy().tobytes())
    members: dict[Path, dict[str, tuple[int, int]]] = {}
    for file in (part for image in records.files or () for part in image.parts):
        if file.member is None:
            try:
                status = file.path.stat()
            except OSError:
                mark: tuple[int, int] = (-1, -1)
            else:
                mark = (status.st_size, status.st_mtime_ns)
        else:
            if file.path not in members:
                members[file.path] = {info.filename: (info.file_size, info.CRC) for info in list_members(file.path)}
            mark = members[file.path].get(file.member, (-1, -1))
        digest.update(f"{file.name} {mark[0]} {mark[1]}\n".encode())
    return digest.hexdigest()


def _read_description(path: Path, *, any_version: bool = False) -> dict[str, Any]:
    require_path(path)
    if not (path / DESCRIPTION).is_file():
        raise InputError(
            f"{path}: is no pack, expected a folder with {IMAGES}, {TABLE} and {DESCRIPTION}",
            "make one with `convnet-galaxies pack`",
        )
    try:
        description = json.loads((path / DESCRIPTION).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"{DESCRIPTION}: {error}") from None
    if not isinstance(description, dict) or description.get("format") != PACK_FORMAT:
        raise InputError(
            f"{path / DESCRIPTION}: found something else than a pack's description, expected {PACK_FORMAT!r}",
            "make a pack with `convnet-galaxies pack`",
        )
    if description.get("version") != VERSION and not any_version:
        raise InputError(
            f"{path}: found a pack of version {description.get('version')}, expected {VERSION}",
            "pack the source again with this version of the program",
        )
    return description


def _damaged(path: Path, found: str) -> InputError:
    return InputError(f"{path}: the pack is damaged ({found})", "pack the source again with `pack --force`")


def _summarise(path: Path, description: dict[str, Any], *, unchanged: bool) -> PackSummary:
    try:
        h, w, bands = description["shape"]
        return PackSummary(
            path=path,
            images=description["images"],
            shape=(h, w, bands),
            size_bytes=description["images"] * h * w * bands,
            unchanged=unchanged,
            remarks=tuple(description["remarks"]),
            skipped=tuple(description["skipped"]),
            warnings=tuple(description.get("warnings", ())),
            facts=tuple(description.get("facts", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{DESCRIPTION}: {error!r}") from None
