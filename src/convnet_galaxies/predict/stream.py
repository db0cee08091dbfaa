"""Predictions of any source of images, batch by batch: memory does not grow with their number."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from convnet_galaxies.data.input_notes import InputNotes, require_scale
from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.pack import MASKED
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.tables import table_format, write_table
from convnet_galaxies.errors import InputError, OutputExistsError, UsageError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.embeddings import EmbeddingWriter
from convnet_galaxies.predict.familiarity import STRANGE
from convnet_galaxies.predict.predictions import to_table
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.sources import Source, name_source, open_blocks

BATCHES_A_TABLE = 4
"""Batches written at once: one table per batch would take a tenth of the time."""


@dataclass(frozen=True)
class Summary:
    """Summary of predictions.

    images: their number; skipped: images left out, one text each; warnings: sentences about unsuitable images;
    facts: sentences on the reading of linear images.
    """

    images: int
    skipped: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def predict_file(
    predictor: Predictor,
    source: Path,
    output: StrPath,
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    force: bool = False,
    reading: ReadOptions | None = None,
    embeddings: StrPath | None = None,
    volunteers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Predict a pack, folder, zip or single image into a CSV, Parquet or FITS file, by the ending of output.

    One row per image, in input order. The file appears when it is complete. A CSV or Parquet file is written as the
    predictions come; a FITS file at the end, from memory (about 200 bytes per image).
    reading: how images are to be read. Linear images get a column masked_fraction.
    embeddings: Parquet file for the features of the same images (see embeddings.read_embeddings), written as they come.
    volunteers: add the columns of add_expected_votes for so many.
    Raises InputError for bad sources, BadImageError for a bad image unless skip_bad.
    """
    output = Path(output)
    form = table_format(output)
    if embeddings is not None and Path(embeddings) == output:
        raise UsageError(f"{output}: found one file for predictions and features, expected two", "name two files")
    for path in (output, *([] if embeddings is None else [Path(embeddings)])):
        if path.exists() and not force:
            raise OutputExistsError(path)
    skipped: list[str] = []
    notes = InputNotes()
    with ExitStack() as stack:
        keep = None
        if embeddings is not None:
            file = stack.enter_context(new_file(Path(embeddings), force=force))
            keep = stack.enter_context(closing(EmbeddingWriter(file, predictor.run, predictor.views))).write
        options: dict[str, Any] = {"skip_bad": skip_bad, "limit": limit, "reading": reading, "progress": progress}
        tables = predict_tables(
            predictor, source, skipped=skipped, notes=notes, keep_features=keep, volunteers=volunteers, **options
        )
        count = _write_tables(stack.enter_context(closing(tables)), output, form, force=force)
    return Summary(count, tuple(skipped), tuple(notes.warnings()), tuple(notes.facts()))


def _write_tables(tables: Iterable[pd.DataFrame], output: Path, form: str, *, force: bool) -> int:
    """Write tables one after another into one file, and return the number of their rows."""
    if form not in ("CSV", "Parquet"):
        table = pd.concat(list(tables), ignore_index=True)
        write_table(output, table, force=force)
        return len(table)
    count = 0
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
    return count


def csv_rows(table: pd.DataFrame) -> bytes:
    """Return rows of a CSV file without its header; numbers with the fewest digits that give them back, nothing for
    NaN.

    Arrow writes nine times as fast as pandas, which took as long for 37 votes as the network for the image.
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
    source: Source,
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    reading: ReadOptions | None = None,
    skipped: list[str] | None = None,
    notes: InputNotes | None = None,
    keep_features: Callable[[list[str], np.ndarray], None] | None = None,
    volunteers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Generator[pd.DataFrame]:
    """Yield tables of predictions (see predictions.to_table), one per batch of images.

    source: see open_blocks. skipped: a list that texts about images left out are added to.
    notes: collects remarks about the source and its images.
    keep_features: called with the ids and the features (float32 [n, f]) of each batch.
    volunteers: see predict_file. progress: called with (done, all).
    """
    if volunteers is not None:
        from convnet_galaxies.predict.expected_votes import add_expected_votes, count_task  # loads scipy

        count_task(predictor)
    reading = reading or ReadOptions()
    require_scale(reading.pixel_scale_arcsec, predictor.preprocess)
    notes = notes or InputNotes()
    notes.window_px, notes.strange = predictor.window_px, STRANGE
    done = 0
    blocks, total = open_blocks(
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
            notes.add(ids, pixels, infos, answer.familiarity)
            if keep_features is not None:
                keep_features(ids, answer.features)
            table = to_table(ids, answer.tasks, predictor.classes, answer.familiarity)
            if volunteers is not None:
                table = add_expected_votes(table, predictor, volunteers)
            yield table if masked is None else table.assign(**{MASKED: masked})
            done += len(ids)
            if progress is not None:
                progress(done, total)
    if not done:
        raise InputError(
            f"{name_source(source)}: none of its {total:,} images can be used",
            "check the images, or the number of bands",
        )
