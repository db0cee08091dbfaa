"""Predictions of any source of images, a batch at a time: memory does not grow with their number."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from convnet_galaxies.data.archive import list_images
from convnet_galaxies.data.decoding import decode_batches
from convnet_galaxies.data.matching import index_images
from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.pack import DESCRIPTION, read_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageFile
from convnet_galaxies.data.tables import table_format, write_table
from convnet_galaxies.errors import InputError, OutputExistsError
from convnet_galaxies.predict.predictions import to_table
from convnet_galaxies.predict.predictor import Predictor, require_preprocess

BATCHES_A_TABLE = 8
"""Batches of a net that are written at once: a table a batch would cost a tenth of the time."""


@dataclass(frozen=True)
class Summary:
    """What was predicted: number of images, and those left out, one text each."""

    images: int
    skipped: tuple[str, ...]


def predict_file(
    predictor: Predictor,
    source: Path,
    output: Path,
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Predict a pack, folder, zip or single image into a CSV, Parquet or FITS file, by the ending of output.

    One row an image, in input order. The file appears when it is whole. A CSV or Parquet file is written as the
    predictions come; a FITS file at the end, from memory (about 200 bytes an image).
    Raises InputError for bad sources, BadImageError for a bad image unless skip_bad.
    """
    form = table_format(output)
    if output.exists() and not force:
        raise OutputExistsError(output)
    skipped: list[str] = []
    count = 0
    with closing(
        predict_tables(predictor, source, skip_bad=skip_bad, limit=limit, skipped=skipped, progress=progress)
    ) as tables:
        if form not in ("CSV", "Parquet"):
            table = pd.concat(list(tables), ignore_index=True)
            write_table(output, table, force=force)
            return Summary(len(table), tuple(skipped))
        with new_file(output, force=force) as temporary:
            if form == "CSV":
                is_packed = output.name.lower().endswith(".gz")
                with (gzip.open if is_packed else open)(temporary, "wt", encoding="utf-8", newline="") as file:
                    for table in tables:
                        table.to_csv(file, index=False, header=count == 0, float_format="%.7g")
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
    return Summary(count, tuple(skipped))


def predict_tables(
    predictor: Predictor,
    source: Path,
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    skipped: list[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Generator[pd.DataFrame]:
    """Tables of predictions (see predictions.to_table), a batch of images each.

    skipped: a list that texts about images left out are added to. progress: called with (done, all).
    """
    done = 0
    blocks, total = _open(
        predictor.preprocess,
        source,
        batch=BATCHES_A_TABLE * predictor.batch,
        skip_bad=skip_bad,
        limit=limit,
        skipped=skipped,
    )
    with closing(blocks):
        for ids, pixels in blocks:
            yield to_table(ids, predictor.answer(pixels), predictor.classes)
            done += len(ids)
            if progress is not None:
                progress(done, total)
    if not done:
        raise InputError(
            f"{source}: none of its {total:,} images can be used", "check the images, or the number of bands"
        )


Blocks = Generator[tuple[list[str], np.ndarray]]


def _open(
    preprocess: Preprocess, source: Path, *, batch: int, skip_bad: bool, limit: int | None, skipped: list[str] | None
) -> tuple[Blocks, int]:
    if (source / DESCRIPTION).is_file():
        pack = read_pack(source)
        require_preprocess(source, pack.preprocess, preprocess)
        total = len(pack) if limit is None else min(limit, len(pack))
        ids = pack.table["id"].astype(str).tolist()
        return (
            (ids[a : min(a + batch, total)], pack.images[a : min(a + batch, total)]) for a in range(0, total, batch)
        ), total
    index = index_images(list_images(source)[:limit])  # the same ids as in a pack of these images
    files = tuple(index.values())
    return _decode(files, list(index), preprocess, skip_bad=skip_bad, skipped=skipped), len(files)


def _decode(
    files: tuple[ImageFile, ...], ids: list[str], preprocess: Preprocess, *, skip_bad: bool, skipped: list[str] | None
) -> Blocks:
    with closing(decode_batches(files, preprocess, skip_bad=skip_bad)) as batches:
        for rows, pixels, failures in batches:
            if skipped is not None:
                skipped += failures
            if len(rows):
                yield [ids[row] for row in rows], pixels
