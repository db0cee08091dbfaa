"""Open whatever holds candidates: a pack, the folder of a scan, a table with its images, or images alone."""

from __future__ import annotations

from pathlib import Path

from convnet_galaxies.data.pack import DESCRIPTION
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.tables import is_table
from convnet_galaxies.errors import UsageError
from convnet_galaxies.inspection.sources import FileSource, PackSource, Source, read_candidates
from convnet_galaxies.paths import StrPath, require_path

SCAN = "scan.json"
"""Marks the folder of a scan."""


def open_source(
    path: StrPath,
    *,
    images: StrPath | None = None,
    predictions: StrPath | None = None,
    reading: ReadOptions | None = None,
) -> Source:
    """Open a pack, the folder of a scan, a table of predictions, or a folder or zip of images.

    images: the pack, folder or zip of the images of a table. predictions: a table as
        `predict` writes it, for a pack or for images.
    Raises InputError for anything else, for a table that names a candidate twice, and where nothing matches.
    """
    path = Path(path)
    require_path(path)
    if path.is_file() and is_table(path) and not _is_image_file(path, images):
        if images is None:
            raise UsageError(f"{path}: is a table without its images", "name their folder or zip with --images")
        if (Path(images) / DESCRIPTION).is_file():
            return PackSource(Path(images), read_candidates(path), chosen=True)
        return FileSource(Path(images), read_candidates(path), where=str(path), reading=reading)
    if images is not None:
        raise UsageError(f"{path}: holds images itself, so that --images has no meaning", "leave --images out")
    table = None if predictions is None else read_candidates(predictions)
    if (path / DESCRIPTION).is_file():
        return PackSource(path, table)
    if (path / SCAN).is_file():
        if predictions is not None:
            raise UsageError(f"{path}: is a scan, which has its own predictions", "leave --predictions out")
        from convnet_galaxies.inspection.scan_source import ScanSource  # loads torch

        return ScanSource(path)
    return FileSource(path, table, where="" if predictions is None else str(predictions), reading=reading)


def _is_image_file(path: Path, images: StrPath | None) -> bool:
    """A FITS file may be an image or a table; without images beside it, a table in it decides."""
    if images is not None or not path.name.lower().endswith((".fits", ".fit", ".fits.gz")):
        return False
    from convnet_galaxies.data.tables import list_fits_tables

    return not list_fits_tables(path.read_bytes())
