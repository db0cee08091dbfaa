"""Reads Parquet files: whole numbers with gaps keep their digits, whoever wrote them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table.meta import get_header_from_yaml

from convnet_galaxies.data.parquet_file import require_sound_rows
from convnet_galaxies.data.table_notes import add_units

_KINDS = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
_LARGE_BYTES = 64_000_000
"""From here on threads save seconds; below, none is started, since Arrow waits for ever for one that the system has no
memory for."""
_INDEX_OF_PANDAS = re.compile(r"__index_level_\d+__")


def parse_parquet(data: bytes | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the table of a Parquet file, or these columns of it; an index with a name is a column.

    data: its bytes, or its path, of which nothing but the columns is read then.
    Raises pa.ArrowException for broken files, KeyError for columns that it has not, and TooLargeError for one that
    promises far more rows than it holds.
    """
    require_sound_rows(data, columns)
    size = len(data) if isinstance(data, bytes) else data.stat().st_size
    with pq.ParquetFile(pa.BufferReader(data) if isinstance(data, bytes) else data, pre_buffer=False) as file:
        if absent := set(columns or ()) - set(file.schema_arrow.names):
            raise KeyError(", ".join(sorted(absent)))
        table = file.read(None if columns is None else list(columns), use_threads=size > _LARGE_BYTES)
    table.validate(full=True)  # text that is no UTF-8 fails later, and with another exception
    table = table.select([name for name in table.column_names if not _INDEX_OF_PANDAS.fullmatch(name)])
    frame = table.to_pandas(types_mapper=_KINDS.get, ignore_metadata=True, use_threads=size > _LARGE_BYTES)
    return add_units(frame, _read_units(table.schema.metadata or {}))


def _read_units(metadata: dict[bytes, bytes]) -> dict[str, str]:
    """Return the units that astropy writes into the metadata of a Parquet file."""
    header = metadata.get(b"table_meta_yaml")
    if header is None:
        return {}
    columns = get_header_from_yaml(header.decode("utf-8").splitlines()).get("datatype", [])
    return {column["name"]: str(column["unit"]) for column in columns if column.get("unit")}
