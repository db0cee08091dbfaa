"""Checks of a command before torch is loaded, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convnet_galaxies.errors import OutputExistsError
from convnet_galaxies.paths import require_path, table_format
from convnet_galaxies.runs.folder import run_path


def check_paths(
    *,
    runs: Sequence[str | None] = (),
    inputs: Sequence[Path | None] = (),
    output: Path | None = None,
    table: Path | None = None,
    force: bool = False,
) -> None:
    """Check that runs are finished, that inputs exist and that the output is new; None is skipped.

    output: file or folder to be written. table: the same, but a table, whose ending names its format.
    Raises InputError, and OutputExistsError unless force.
    """
    for run in runs:
        if run is not None:
            run_path(run)
    for path in inputs:
        if path is not None:
            require_path(path)
    if table is not None:
        table_format(table)
    for path in (output, table):
        if path is not None and path.exists() and not force:
            raise OutputExistsError(path)
