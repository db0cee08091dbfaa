"""Scan survey tiles in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.detection import Detection
from convnet_galaxies.library.run import load
from convnet_galaxies.library.warn import warn_of
from convnet_galaxies.model.device import Device
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.predictor import Views
from convnet_galaxies.scan.folder import ScanFolder, open_scan
from convnet_galaxies.scan.merge import MergeOptions
from convnet_galaxies.scan.scan import scan_tiles
from convnet_galaxies.scan.survey import SurveyOptions

__all__ = ["ScanFolder", "open_scan", "scan_survey"]


def scan_survey(
    run: StrPath,
    tiles: StrPath,
    output: StrPath,
    *,
    at: StrPath = "objects",
    step_px: float | None = None,
    detection: Detection | None = None,
    cutout_px: int | None = None,
    size_column: str | None = None,
    size_factor: float | None = None,
    pattern: str | None = None,
    regrid: bool = False,
    limit: int | None = None,
    views: Views | None = None,
    rank_by: str | None = None,
    known: StrPath | None = None,
    prevalence: float | None = None,
    cluster: str | int | None = None,
    device: Device = "auto",
    **reading: Any,
) -> ScanFolder:
    """Scan survey images of any size, or go on with a scan, and return its folder: ``.table()`` has the candidates.

    run: run, its folder, or ``builtin:NAME``.
    tiles: a folder, an image, or a table of files (tile, band, path).
    output: folder of the scan.
    at: ``objects``, ``grid`` with step_px, or a table of positions.
    detection: how objects are found; None for the defaults.
    cutout_px: side of the cutouts, for a run that takes whole images.
    size_column: column of the positions with the size of each object, in arcsec.
    size_factor: side of each cutout in sizes of its object; of detected ones in radii of 90 % of the light.
    pattern: names of the tiles' files, such as ``{tile}_{band}.fits``.
    regrid: whether bands on other pixel grids are resampled.
    limit: number of tiles at most.
    views: as in `Run.predict`.
    rank_by: column that ranks; None for the lens probability.
    known: list of known systems, to be matched with candidates.
    prevalence: share of lenses among the positions; gives expected purities of a calibrated run.
    cluster: number of local processes, or the address of a Dask scheduler.
    reading: fields of ReadOptions, such as zeropoint_mag.

    Tiles that fail are passed over, and each problem becomes an InputWarning; the same call tries them again.
    Raises InputError for tiles, positions or options that do not fit, UsageError for a folder of another scan.
    """
    options = SurveyOptions(
        str(at),
        step_px,
        detection or Detection(),
        cutout_px,
        pattern,
        regrid,
        limit,
        ReadOptions(**reading),
        size_column,
        size_factor,
    )
    found = scan_tiles(
        load(run, device=device).predictor(views),
        tiles,
        Path(output),
        options,
        merging=MergeOptions(rank_by=rank_by, known=None if known is None else Path(known), prevalence=prevalence),
        cluster=None if cluster is None else str(cluster),
    )
    failed = (f"{one.name} is passed over: {one.error}" for one in found.session.failures)
    warn_of((*failed, *found.session.warnings, *(f"left out: {text}" for text in found.session.left_out)))
    return open_scan(output)
