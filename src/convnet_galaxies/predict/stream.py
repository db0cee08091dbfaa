"""Predictions of any source of images, a batch at a time: memory does not grow with their number."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from convnet_galaxies.data.decoding import decode_batches
from convnet_galaxies.data.fits_image import FITS_ENDINGS
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_files import find_images, index_images
from convnet_galaxies.data.input_notes import InputNotes, require_scale
from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.pack import DESCRIPTION, MASKED, read_pack, summarise_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ImageInfo, ReadOptions
from convnet_galaxies.data.tables import table_format, write_table
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.predict.familiarity import STRANGE
from convnet_galaxies.predict.predictions import to_table
from convnet_galaxies.predict.predictor import Predictor

BATCHES_A_TABLE = 4
"""Batches of a net that are written at once: a table a batch would cost a tenth of the time."""

BLOCK_BYTES = 40_000_000
"""Pixels that are decoded before the net sees them."""


@dataclass(frozen=True)
class Summary:
    """What was predicted.

    images: their number; skipped: those left out, one text each; warnings: sentences about those to be wary of;
    facts: sentences on how linear images were read.
    """

    images: int
    skipped: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def predict_file(
    predictor: Predictor,
    source: Path,
    output: Path,
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    force: bool = False,
    reading: ReadOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Predict a pack, folder, zip or single image into a CSV, Parquet or FITS file, by the ending of output.

    One row an image, in input order. The file appears when it is whole. A CSV or Parquet file is written as the
    predictions come; a FITS file at the end, from memory (about 200 bytes an image).
    reading: how images are to be read. Linear images get a column masked_fraction. Raises InputError for bad sources,
    BadImageError for a bad image unless skip_bad.
    """
    form = table_format(output)
    if output.exists() and not force:
        raise OutputExistsError(output)
    skipped: list[str] = []
    notes = InputNotes()
    count = 0
    options: dict[str, Any] = {"skip_bad": skip_bad, "limit": limit, "reading": reading, "progress": progress}
    with closing(predict_tables(predictor, source, skipped=skipped, notes=notes, **options)) as tables:
        if form not in ("CSV", "Parquet"):
            table = pd.concat(list(tables), ignore_index=True)
            write_table(output, table, force=force)
            return Summary(len(table), tuple(skipped), tuple(notes.warnings()), tuple(notes.facts()))
        with new_file(output, force=force) as temporary:
            if form == "CSV":
                is_packed = output.name.lower().endswith(".gz")
                with (gzip.open if is_packed else open)(temporary, "wb") as file:
                    for table in tables:
                        if not count:
                            file.write(table.head(0).to_csv(index=False, lineterminator="\n").encode())
                        file.write(csv_rows(table))
                        count += len(table)
            else:
                writer = None
                try:
                    for table in tables:
                        block = pa.Table.from_pandas(table, preserve_index=False)
                        writer = writer or pq.ParquetWriter(temporary, block.schema)
                        writer.write_table(block)
                        count += len(table)
                finally:
                    if writer is not None:
                        writer.close()
    return Summary(count, tuple(skipped), tuple(notes.warnings()), tuple(notes.facts()))


def csv_rows(table: pd.DataFrame) -> bytes:
    """Rows of a CSV file without its header; numbers with the fewest digits that give them back, nothing for NaN.

    By Arrow, nine times as fast as pandas, which took as long for 37 votes as the net did for the image.
    """
    rows = pa.Table.from_pandas(table, preserve_index=False)
    try:
        return _as_csv(rows, "none")
    except pa.ArrowInvalid:  # a text with a comma, a quote or a line break
        return _as_csv(rows, "needed")  # quotes every text


def _as_csv(rows: pa.Table, quoting: Literal["none", "needed"]) -> bytes:
    buffer = pa.BufferOutputStream()
    pa_csv.write_csv(rows, buffer, pa_csv.WriteOptions(include_header=False, quoting_style=quoting))
    return buffer.getvalue().to_pybytes()


def predict_tables(
    predictor: Predictor,
    source: Path,
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    reading: ReadOptions | None = None,
    skipped: list[str] | None = None,
    notes: InputNotes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Generator[pd.DataFrame]:
    """Tables of predictions (see predictions.to_table), a batch of images each.

    skipped: a list that texts about images left out are added to. notes: takes in what was passed over in the source
    and what the images are like.
    progress: called with (done, all).
    """
    reading = reading or ReadOptions()
    require_scale(reading.pixel_scale_arcsec, predictor.preprocess)
    notes = notes or InputNotes()
    notes.window_px, notes.strange = predictor.window_px, STRANGE
    done = 0
    blocks, total = _open(
        predictor,
        source,
        batch=BATCHES_A_TABLE * predictor.batch,
        skip_bad=skip_bad,
        limit=limit,
        reading=reading,
        skipped=skipped,
        notes=notes,
    )
    with closing(blocks):
        for ids, pixels, infos, masked in blocks:
            answer = predictor.predict_all(pixels)
            notes.look(ids, pixels, infos, answer.familiarity)
            table = to_table(ids, answer.tasks, predictor.classes, answer.familiarity)
            yield table if masked is None else table.assign(**{MASKED: masked})
            done += len(ids)
            if progress is not None:
                progress(done, total)
    if not done:
        raise InputError(
            f"{source}: none of its {total:,} images can be used", "check the images, or the number of bands"
        )


Blocks = Generator[tuple[list[str], np.ndarray, Sequence[ImageInfo | None], np.ndarray | None]]
"""Names, pixels uint8 [n, h, w, bands], what the images were before (None: unknown), and the share of their pixels that
was missing, float32 [n] (None where there are no linear images).

The pixels hold until the next block is asked for, which is decoded into the same memory.
"""


def _open(
    predictor: Predictor,
    source: Path,
    *,
    batch: int,
    skip_bad: bool,
    limit: int | None,
    reading: ReadOptions,
    skipped: list[str] | None,
    notes: InputNotes,
) -> tuple[Blocks, int]:
    if (source / DESCRIPTION).is_file():
        if reading != ReadOptions():
            raise InputError(
                f"{source}: is a pack, whose pixels are settled, so --pixel-scale, --zero-point, --blue-first, "
                "--bands, --hdu and --missing cannot change them",
                "leave these options out, or give the images themselves",
            )
        pack = read_pack(source)
        predictor.require_pixels(pack, source, more=", or give the images themselves")
        total = len(pack) if limit is None else min(limit, len(pack))
        ids = pack.table["id"].astype(str).tolist()
        ends = [(start, min(start + batch, total)) for start in range(0, total, batch)]
        notes.earlier = tuple(f"When packed: {text}" for text in pack.warnings)
        notes.joined = tuple(f"When packed: {text}" for text in summarise_pack(source).facts)
        masked = pack.table[MASKED].to_numpy(np.float32) if MASKED in pack.table else None
        packed = (
            (ids[a:b], pack.images[a:b], [None] * (b - a), None if masked is None else masked[a:b]) for a, b in ends
        )
        return packed, total
    listing = find_images(source)
    notes.earlier, notes.joined = listing.remarks, listing.joined
    index = index_images(listing.files[:limit])  # the same ids as in a pack of these images
    files = tuple(index.values())
    decoded = _decode(
        files, list(index), predictor.preprocess, reading, batch=batch, skip_bad=skip_bad, skipped=skipped
    )
    return decoded, len(files)


def _decode(
    files: tuple[ImageFile, ...],
    ids: list[str],
    preprocess: Preprocess,
    reading: ReadOptions,
    *,
    batch: int,
    skip_bad: bool,
    skipped: list[str] | None,
) -> Blocks:
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
