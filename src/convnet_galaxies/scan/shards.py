"""Shards, the units of work of a scan: what is read of one, what it becomes, and its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.reading import ImageInfo
from convnet_galaxies.errors import InputError

PLAN_KEY = b"convnet-galaxies plan"


@dataclass(frozen=True)
class Shard:
    """A unit of work: its number in the plan, the name of what it is of (a tile, a source of images), and its content.

    content: what the reader of the plan needs beside itself; small, since it travels to the machine that does it.
    images: how many images it holds; None where that turns out when it is read.
    """

    number: int
    name: str
    content: Any = None
    images: int | None = None


@dataclass(frozen=True, eq=False)
class Piece:
    """Images of a shard, ready for the network.

    pixels: uint8 [n, size, size, bands]. before, after: tables of n rows, the columns that stand before and after the
    answers of the network; before has ``id``. infos: what the images were, None where unknown.
    left_out: texts on images that were left out.
    """

    pixels: np.ndarray
    before: pd.DataFrame
    after: pd.DataFrame
    infos: Sequence[ImageInfo | None]
    left_out: Sequence[str] = ()


class Reader(Protocol):
    """Reads shards; it is pickled to other processes and machines."""

    def read(self, shard: Shard) -> Iterator[Piece]:
        """Yield the images of a shard, in order. Raises GalaxyError or OSError when it cannot be read."""

    def close(self) -> None:
        """Close the files that are kept open between shards."""


@dataclass(frozen=True, eq=False)
class ShardResult:
    """Outcome of a shard: its table of predictions, or the error.

    remarks: see remarks.py. seconds: from its first pixels to its last answer.
    """

    number: int
    name: str
    table: pd.DataFrame | None
    error: str = ""
    seconds: float = 0.0
    remarks: dict[str, Any] = field(default_factory=dict)


def write_shard(path: Path, table: pd.DataFrame, plan: str) -> None:
    """Write the table of a shard. plan: the hash of the plan. Raises InputError."""
    block = pa.Table.from_pandas(table, preserve_index=False)
    block = block.replace_schema_metadata({PLAN_KEY: plan.encode()})
    with new_file(path, force=True) as temporary:
        pq.write_table(block, temporary)


def read_shard(path: Path, plan: str) -> pa.Table:
    """Read the table of a shard. Raises InputError when it is broken or of another plan."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: cannot be read ({error})", "remove it, and run the scan again, which makes it again"
        ) from None
    if (table.schema.metadata or {}).get(PLAN_KEY) != plan.encode():
        raise InputError(f"{path}: is of another scan", "remove it, and run the scan again, which makes it again")
    return table


def is_shard(path: Path, plan: str) -> int | None:
    """Return the number of rows of a finished shard of this plan; None where there is none."""
    try:
        found = pq.ParquetFile(path)
    except (OSError, pa.ArrowException):
        return None
    with found:
        fits = (found.schema_arrow.metadata or {}).get(PLAN_KEY) == plan.encode()
        return found.metadata.num_rows if fits else None
