"""Refuses Parquet files that promise far more than they hold, before memory is taken for it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from convnet_galaxies.data.unpack import require_sound_size

_VALUE_BYTES = 8


def require_sound_rows(source: bytes | Path, columns: Collection[str] | None = None) -> None:
    """Raise TooLargeError, a ValueError, for a file whose footer promises more values than a sound one of its size
    has.

    columns: the only ones that are to be read; None for all. Raises pa.ArrowException for broken files.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source) as file:
        metadata = file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        values = sum(
            max(group.num_rows, part.num_values)
            for group in groups
            for part in map(group.column, range(group.num_columns))
            if columns is None or part.path_in_schema.partition(".")[0] in columns
        )
    require_sound_size(size, max(metadata.num_rows, values) * _VALUE_BYTES)
