"""Features of many images in one Parquet file: computed once, then searched without the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from convnet_galaxies.data.input_notes import InputNotes
from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.parquet_file import require_sound_rows
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, name_some
from convnet_galaxies.predict.predictor import Prediction, Predictor
from convnet_galaxies.predict.sources import BLOCK_BYTES, Source, name_source, open_blocks
from convnet_galaxies.runs.folder import RunFolder, run_path
from convnet_galaxies.runs.weights import fingerprint_file

METADATA = b"convnet_galaxies.embeddings"
"""Key of the file's metadata: JSON with run, weights_sha256, views and features."""


@dataclass(frozen=True)
class Embeddings:
    """Features of n images.

    ids: names of the images, each once. features: float32 [n, f], input of the heads, means over views; those of the
    members of an ensemble stand side by side. run, weights_sha256: of what network; views: averaged per image.
    """

    ids: tuple[str, ...]
    features: np.ndarray
    run: str
    weights_sha256: str
    views: int

    def __len__(self) -> int:
        return len(self.ids)

    def row_of(self, name: str) -> int:
        """Return the row of an image by its id. Raises InputError when there is no such image."""
        try:
            return self.ids.index(name)
        except ValueError:
            close = [one for one in self.ids if name.lower() in one.lower()] or list(self.ids)
            raise InputError(
                f"id: found no image '{name}' among {len(self):,}, expected an id such as {name_some(close, 3)}",
                "give the id of one of these images",
            ) from None


class EmbeddingWriter:
    """Writes features batch by batch into a Parquet file with the columns id and features (a list of f float32).

    path: a temporary file of new_file. Call `close` at the end; a file without images is not made.
    """

    def __init__(self, path: Path, run: str, views: int) -> None:
        self.path = path
        self.facts = {"run": run, "weights_sha256": fingerprint_weights(run), "views": views}
        self._writer: pq.ParquetWriter | None = None

    def write(self, ids: Sequence[str], features: np.ndarray) -> None:
        """Append the features, float [n, f], of images of these ids."""
        numbers = pa.array(np.ascontiguousarray(features, np.float32).reshape(-1))
        lists = pa.FixedSizeListArray.from_arrays(numbers, features.shape[1])
        table = pa.table({"id": pa.array(list(ids), pa.string()), "features": lists})
        if self._writer is None:
            text = json.dumps({**self.facts, "features": features.shape[1]})
            schema = table.schema.with_metadata({METADATA: text.encode()})
            # Numbers of many digits do not repeat: a dictionary would only cost time.
            self._writer = pq.ParquetWriter(self.path, schema, compression="zstd", use_dictionary=False)
        self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()


def fingerprint_weights(run: str | Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a run's weights."""
    return fingerprint_file(RunFolder(run_path(run)).weights)


def write_embeddings(path: StrPath, embeddings: Embeddings, *, force: bool = False) -> None:
    """Write features as `read_embeddings` reads them. Raises OutputExistsError unless force."""
    with new_file(Path(path), force=force) as temporary:
        writer = EmbeddingWriter(temporary, embeddings.run, embeddings.views)
        writer.facts["weights_sha256"] = embeddings.weights_sha256
        writer.write(embeddings.ids, embeddings.features)
        writer.close()


def read_embeddings(path: StrPath, *, run: str | Path | None = None) -> Embeddings:
    """Read a file of features. run: the run of which they must be.

    Raises InputError for another kind of file, an image twice, or the features of other weights than those of the run.
    """
    facts = read_facts(path)
    if facts is None:
        raise InputError(
            f"{path}: is no file of embeddings, expected what `predict` writes with --embeddings", "write it with that"
        )
    if run is not None and (wanted := fingerprint_weights(run)) != facts["weights_sha256"]:
        raise InputError(
            f"{path}: holds features of the weights {facts['weights_sha256']} ({facts['run']}), expected {wanted} "
            f"of {run}",
            f"write the file again with `predict {run}`, or give the other run",
        )
    try:
        require_sound_rows(Path(path))
        with pq.ParquetFile(path, pre_buffer=False) as file:
            table = file.read(use_threads=False)
        ids = tuple(table["id"].to_pylist())
        features = table["features"].combine_chunks().flatten().to_numpy().reshape(len(ids), int(facts["features"]))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "write it again with `predict`") from None
    if len(set(ids)) < len(ids):
        raise InputError(f"{path}: holds an image twice, expected each id once", "write it again with `predict`")
    return Embeddings(ids, features, str(facts["run"]), str(facts["weights_sha256"]), int(facts["views"]))


def read_facts(path: StrPath) -> dict[str, Any] | None:
    """Return the metadata of a file of embeddings; None for any other file or folder."""
    if not Path(path).is_file():
        return None
    try:
        text = (pq.read_schema(path).metadata or {}).get(METADATA)
    except (OSError, pa.ArrowException):
        return None
    return None if text is None else json.loads(text)


def embed_source(
    predictor: Predictor,
    source: Source,
    *,
    keep_images: Callable[[list[str], np.ndarray, Prediction], None] | None = None,
    number: int | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    reading: ReadOptions | None = None,
    skipped: list[str] | None = None,
    notes: InputNotes | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Embeddings:
    """Return the features of any source of images (see sources.open_blocks), in input order.

    keep_images: called with the ids, the pixels (uint8 [n, h, w, bands], valid during the call) and the predictions of
    each block. number: largest number of images, drawn at random by the seed where there are more; None takes all.
    Raises InputError for a source that does not fit the run, BadImageError for a bad image unless skip_bad.
    """
    notes = notes or InputNotes()
    batch = max(predictor.batch, BLOCK_BYTES // (predictor.preprocess.size_px**2 * predictor.preprocess.bands))
    options: dict[str, Any] = {"limit": number, "skip_bad": skip_bad, "skipped": skipped, "notes": notes}
    options["drawn_by"] = None if number is None else seed
    blocks, total = open_blocks(predictor, source, batch=batch, reading=reading or ReadOptions(), **options)
    ids: list[str] = []
    features: list[np.ndarray] = []
    with closing(blocks):
        for names, pixels, infos, _ in blocks:
            found = predictor.predict_all(pixels)
            features.append(found.features)
            notes.add(names, pixels, infos)
            if keep_images is not None:
                keep_images(names, pixels, found)
            ids += names
            if progress is not None:
                progress(len(ids), total)
    if not ids:
        raise InputError(f"{name_source(source)}: none of its {total:,} images can be used", "check the images")
    fingerprint = fingerprint_weights(predictor.run)
    return Embeddings(tuple(ids), np.concatenate(features), predictor.run, fingerprint, predictor.views)
