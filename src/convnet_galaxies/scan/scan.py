"""Scan a survey: from tiles and a run to a ranked table of candidates; also progress, and what a scan would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from convnet_galaxies.data.input_notes import InputNotes, require_scale
from convnet_galaxies.data.parquet_file import read_frame
from convnet_galaxies.errors import GalaxyError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.area import cover, measure_deg2
from convnet_galaxies.scan.ledger import Failure, Ledger, Progress
from convnet_galaxies.scan.merge import MergeOptions, MergeSummary, merge
from convnet_galaxies.scan.plan import PLAN, TILES, read_facts
from convnet_galaxies.scan.run import Part, find_places
from convnet_galaxies.scan.session import SessionSummary, work_through
from convnet_galaxies.scan.survey import SurveyOptions, SurveyPlan, plan_survey


@dataclass(frozen=True)
class ScanSummary:
    """What a session of a scan did; merged is None for a part of several."""

    session: SessionSummary
    merged: MergeSummary | None


@dataclass(frozen=True)
class Preview:
    """What a scan would do.

    tiles, unreadable: their numbers. shards: regions or stripes of them. positions: of a catalogue or grid; for
    objects, about as many as the first region suggests. area_deg2: None where nothing tells it.
    """

    tiles: int
    unreadable: tuple[str, ...]
    shards: int
    positions: int
    area_deg2: float | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """Progress of a scan, of all its parts. seconds_left: of the slowest part; None where unknown.

    parts_begun, parts: numbers of parts.
    """

    folder: Path
    shards: int
    done: int
    failed: int
    images: int
    seconds_left: float | None
    parts_begun: int
    parts: int
    failures: tuple[Failure, ...]


def scan_tiles(
    predictor: Predictor,
    source: StrPath,
    folder: Path,
    options: SurveyOptions,
    *,
    merging: MergeOptions | None = None,
    part: Part | None = None,
    cluster: str | None = None,
    planning: Callable[[int, int], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> ScanSummary:
    """Scan the tiles of a survey, or go on with it, and write the candidates when all is done.

    source: see list_tiles. part, cluster: see Part and on_cluster. planning, progress: see work_through.
    Raises InputError for tiles, positions or options that do not fit, UsageError for a folder of another scan.
    """
    require_scale(options.reading.pixel_scale_arcsec, predictor.preprocess)
    part = part or Part()
    plan = plan_survey(predictor, source, folder, options)
    notes = InputNotes(predictor.window_px)
    session = work_through(
        folder, plan, predictor, notes=notes, part=part, cluster=cluster, planning=planning, progress=progress
    )
    return ScanSummary(session, merge(folder, merging) if part.count == 1 else None)


def preview(predictor: Predictor, source: StrPath, options: SurveyOptions) -> Preview:
    """Tell what a scan would do, and write nothing."""
    require_scale(options.reading.pixel_scale_arcsec, predictor.preprocess)
    with TemporaryDirectory() as folder:
        plan = plan_survey(predictor, source, Path(folder), options)
        plan.prepare()
        shards, tiles = read_frame(Path(folder) / PLAN), read_frame(Path(folder) / TILES)
        positions = _count_positions(plan, shards, tiles)
    known = tiles["height_px"].notna().to_numpy() if "height_px" in tiles else np.zeros(len(tiles), bool)
    moc = cover(tiles)
    return Preview(
        len(tiles),
        tuple(tiles["tile"][~known]),
        len(shards),
        positions,
        None if moc is None else measure_deg2(moc),
        tuple(plan.facts["remarks"]),
    )


def read_status(folder: Path) -> Status:
    """Return the progress of a scan, also while it is at work. Raises InputError where there is none."""
    read_facts(folder)
    places = find_places(folder)
    every = []
    for place in places:
        with Ledger(place.ledger, read_only=True) as ledger:
            every.append(ledger.progress())
    left = [found.seconds_left for found in every if found.seconds_left is not None]
    return Status(
        folder,
        sum(found.shards for found in every),
        sum(found.done for found in every),
        sum(found.failed for found in every),
        sum(found.images for found in every),
        max(left, default=None),
        len(places),
        places[0].part.count if places else 1,
        tuple(failure for found in every for failure in found.failures),
    )


def _count_positions(plan: SurveyPlan, shards: pd.DataFrame, tiles: pd.DataFrame) -> int:
    if plan.options.kind == "positions":
        return int((shards["end"] - shards["first"]).sum())
    if plan.options.step_px is not None:
        sides = tiles[["height_px", "width_px"]].dropna().to_numpy(float)
        return int(np.ceil(sides / plan.options.step_px).prod(axis=1).sum())
    loaded = plan.load()
    for number in np.flatnonzero(shards["top"] >= 0):
        try:
            found = sum(len(piece.before) for piece in plan.reader.read(loaded.make_shard(int(number))))
            return found * len(shards)
        except (GalaxyError, OSError):
            continue
        finally:
            plan.reader.close()
    return 0
