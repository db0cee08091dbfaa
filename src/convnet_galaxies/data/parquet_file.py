"""Reads the package's own Parquet files; refuses any that promises far more than it holds, before memory is taken."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from convnet_galaxies.data.unpack import require_sound_size

_VALUE_BYTES = 8
_NOTES_OF_PANDAS = b"PANDAS_ATTRS"


def require_sound_rows(source: bytes | Path, columns: Collection[str] | None = None) -> None:
    """Raise TooLargeError, a ValueError, for a file whose footer promises more values than a sound one of its size
    has.

    columns: the only ones that are to be read; None for all. Raises pa.ArrowException for broken files.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source) as file:
        metadata, schema = file.metadata, file.schema
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        parts = [(number, schema.column(number)) for number in range(metadata.num_columns)]
        # Only of lists: a look at damaged facts about a part ends the process, and others have a value per row.
        values = sum(
            max(group.num_rows, group.column(number).num_values if part.max_repetition_level else 0)
            for group in groups
            for number, part in parts
            if columns is None or part.path.partition(".")[0] in columns
        )
    require_sound_size(size, max(metadata.num_rows, values) * _VALUE_BYTES)


def read_frame(path: Path) -> pd.DataFrame:
    """Return the whole table of one of the package's own Parquet files, in this thread alone.

    Arrow waits for ever for its threads where the system has no memory to start them. Raises TooLargeError as
    require_sound_rows does, OSError, and pa.ArrowException or ValueError for broken files.
    """
    require_sound_rows(path)
    with pq.ParquetFile(path, pre_buffer=False) as file:
        table = file.read(use_threads=False, use_pandas_metadata=True)
    frame = table.to_pandas(use_threads=False)
    notes = json.loads((table.schema.metadata or {}).get(_NOTES_OF_PANDAS, b"{}"))
    if isinstance(notes, dict):
        frame.attrs = notes  # Arrow before 17 leaves them to pandas
    return frame
