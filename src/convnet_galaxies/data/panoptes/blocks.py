"""A classification export as blocks of rows, never as a whole: a million rows are 1 to 2 GB of text."""

from __future__ import annotations

import csv
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import name_some, require_path

REQUIRED = ("user_name", "workflow_id", "annotations", "subject_data")
OPTIONAL = (
    "classification_id",
    "user_id",
    "workflow_name",
    "workflow_version",
    "created_at",
    "gold_standard",
    "metadata",
    "subject_ids",
)
"""Columns that are read where they are there. ``user_ip`` is not among them: hashes of addresses are never kept."""

# A row must fit into a block. Larger blocks cost memory and save no time.
BLOCK_BYTES = 8 << 20
_LONGEST_HEADER_BYTES = 1 << 16
_COMPRESSION = {b"\x1f\x8b": "gzip", b"BZ": "bz2"}


def is_export(path: Path) -> bool:
    """Return whether a file, compressed or not, has the header of a classification export."""
    try:
        names = _read_header(path) if path.is_file() else []
    except (OSError, UnicodeDecodeError, csv.Error, EOFError, zlib.error):
        return False
    return set(REQUIRED) <= set(names)


def read_blocks(path: Path, *, note_broken: Callable[[], None]) -> Iterator[dict[str, pa.Array]]:
    """Read the export block by block, as columns of bytes (pa.BinaryArray) by their names; absent columns are left out.

    path: CSV, also compressed by gzip or bzip2. note_broken: called for each row with more or fewer cells than the
    header, which is left out.
    Raises InputError for a path that does not exist, a file without the columns REQUIRED, and a damaged file.
    """
    require_path(path)
    fix = "request the classification export (not that of subjects or workflows) again, and give its CSV or CSV.GZ"
    try:
        names = _read_header(path) if path.is_file() else []
    except (OSError, UnicodeDecodeError, csv.Error, EOFError, zlib.error) as error:
        raise InputError(f"{path}: found no text ({error}), expected a classification export", fix) from None
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"{path}: found {f'the columns {name_some(names, 20)}' if names else 'no header'}, expected a "
            f"classification export of Zooniverse, which has also {', '.join(missing)}",
            fix,
        )
    wanted = [name for name in (*REQUIRED, *OPTIONAL) if name in names]

    def pass_over(row: arrow_csv.InvalidRow) -> str:
        note_broken()
        return "skip"

    try:
        with _open(path) as stream, _quiet_about(pass_over):
            reader = arrow_csv.open_csv(
                stream,
                read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES, column_names=names, skip_rows=1),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=pass_over),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=wanted,
                    column_types=dict.fromkeys(wanted, pa.binary()),
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
            for batch in reader:
                yield dict(zip(wanted, batch.columns, strict=True))
    except (OSError, pa.ArrowException, zlib.error) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: is cut short or damaged ({reason}), expected a whole classification export", "fetch it again"
        ) from None


@contextmanager
def _quiet_about(function: object) -> Iterator[None]:
    """Keep Python from printing that a row that is no text could not be given to a function: the reading fails, which
    is told in one message."""
    before = sys.unraisablehook

    def hook(about: sys.UnraisableHookArgs) -> None:
        if about.object is not function or not isinstance(about.exc_value, UnicodeDecodeError):
            before(about)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def _open(path: Path) -> Iterator[pa.NativeFile]:
    with path.open("rb") as file:
        compression = _COMPRESSION.get(file.read(2))
    with pa.OSFile(str(path)) as raw:
        if compression is None:
            yield raw
        else:
            with pa.CompressedInputStream(raw, compression) as stream:
                yield stream


def _read_header(path: Path) -> list[str]:
    with _open(path) as stream:
        data = stream.read(_LONGEST_HEADER_BYTES)
    line = data.split(b"\n", 1)[0].decode("utf-8-sig")
    return [name.strip() for name in next(csv.reader([line]), [])]
