"""The plan of a scan of survey tiles: regions of them, or the positions of a catalogue tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import TypeAdapter

from convnet_galaxies.data.output import as_plain, new_file
from convnet_galaxies.data.parquet_file import read_frame
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.detection import Detection
from convnet_galaxies.data.survey.positions import Positions, find_on_tile, read_positions
from convnet_galaxies.data.survey.survey_image import SurveyImage, open_survey_image
from convnet_galaxies.data.survey.tiles import Tile, list_tiles
from convnet_galaxies.errors import GalaxyError, InputError, UsageError, find_lack
from convnet_galaxies.extras import require_extra
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.plan import PLAN, POSITIONS, TILES, Plan, describe_files, describe_run
from convnet_galaxies.scan.shards import Shard
from convnet_galaxies.scan.survey_reader import (
    REGION_PX,
    ROW,
    SIDE_PX,
    At,
    Region,
    SurveyReader,
    sides_of,
    split_tile,
)

SHARD_POSITIONS = 2048
BAND_PX = 256
"""Positions of a catalogue are read in stripes of so many rows, each from left to right."""


@dataclass(frozen=True)
class SurveyOptions:
    """Where to look, and how tiles are read.

    at: ``objects``, ``grid``, or a table of positions. step_px: of the grid. detection: of objects.
    cutout_px: side of the cutouts, for a run that takes whole images of any size.
    pattern: of the tiles' files (see list_tiles). regrid: resample bands on other grids. limit: tiles at most.
    size_factor: side of each cutout in sizes of its object: of size_column (arcsec) of a table of positions, or of the
    radius that holds nine tenths of the light of a detected one; None for cutouts of one size.
    """

    at: str = "objects"
    step_px: float | None = None
    detection: Detection = field(default_factory=Detection)
    cutout_px: int | None = None
    pattern: str | None = None
    regrid: bool = False
    limit: int | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    size_column: str | None = None
    size_factor: float | None = None

    def __post_init__(self) -> None:
        _check_sizes(self)
        if (self.at == "grid") != (self.step_px is not None):
            raise UsageError(
                f"--step: found {'none' if self.step_px is None else f'{self.step_px:g}'} for --at {self.at}, expected "
                "a step for a grid, and for nothing else",
                "give e.g. --at grid --step 32" if self.at == "grid" else "leave out --step, or give --at grid",
            )
        if self.step_px is not None and not self.step_px >= 1:
            raise UsageError(f"--step: found {self.step_px:g} px, expected 1 or more", "give e.g. 32")

    @property
    def kind(self) -> At:
        """Return ``objects``, ``grid`` or ``positions``."""
        return self.at if self.at in ("objects", "grid") else "positions"  # type: ignore[return-value]


@dataclass(eq=False)
class SurveyPlan:
    """The plan of a survey before its shards are known.

    tiles: in order. facts: see Plan; ``remarks`` among them, one sentence each. remarks: on how the tiles were found.
    """

    folder: Path
    tiles: tuple[Tile, ...]
    options: SurveyOptions
    facts: dict[str, Any]
    reader: SurveyReader
    remarks: tuple[str, ...]

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Open each tile once, and write its shards, its place on the sky and the positions on it into the folder."""
        is_given = self.options.kind == "positions"
        positions = read_positions(self.options.at, size_column=self.options.size_column) if is_given else None
        made = _Shards(self.options, positions)
        for number, tile in enumerate(self.tiles):
            made.add(number, tile)
            if progress is not None:
                progress(number + 1, len(self.tiles))
        made.write(self.folder)
        self.facts["remarks"] = [*self.remarks, *made.remarks()]

    def load(self) -> Plan:
        """Return the plan with its shards."""
        table = read_frame(self.folder / PLAN)
        rows = list(table.itertuples(index=False))
        names = [self.tiles[row.tile].name for row in rows]
        positions = self.folder / POSITIONS

        def make_shard(number: int) -> Shard:
            row = rows[number]
            region = Region(self.tiles[row.tile])
            if row.end > row.first:
                region = replace(region, positions=_read_positions(positions, row.first, row.end))
            elif row.top >= 0:
                region = replace(region, top=row.top, left=row.left, side_px=row.side_px)
            return Shard(number, names[number], region, None if region.positions is None else row.end - row.first)

        return Plan(self.facts, names, self.reader, make_shard)


def plan_survey(predictor: Predictor, source: StrPath, folder: Path, options: SurveyOptions) -> SurveyPlan:
    """List the tiles of a survey and plan its scan. Raises InputError for a source without tiles."""
    libraries = ["sep"] * (options.kind == "objects") + ["mocpy"] + ["reproject"] * options.regrid
    require_extra("scan", "scan", libraries)
    found = list_tiles(source, pattern=options.pattern)
    tiles = found.tiles[: options.limit]
    if options.size_factor is None and (predictor.preprocess.crop_px is None) != (options.cutout_px is not None):
        settled = options.cutout_px is not None
        raise UsageError(
            f"--cutout-px: found {options.cutout_px or 'none'}, expected {'none' if settled else 'a side in pixels'}, "
            f"since the network takes {predictor.preprocess}",
            "leave out --cutout-px"
            if settled
            else "give the side of the cutouts that the run was trained on, or --size-factor for a side by object",
        )
    reader = SurveyReader(
        predictor.preprocess,
        options.reading,
        options.kind,
        options.detection,
        options.step_px,
        options.at if options.kind == "positions" else None,
        options.regrid,
        options.cutout_px,
        options.size_column,
        options.size_factor,
    )
    inputs = {tile.name: describe_files(_paths(tile)) for tile in tiles}
    settings = as_plain(asdict(options)) | {"pattern": None}  # the files themselves are compared
    if options.kind == "positions":
        inputs["positions"] = describe_files([Path(options.at)])
        settings["at"] = str(Path(options.at).absolute())
    facts = {
        "kind": "scan of a survey",
        "run": describe_run(predictor),
        "settings": settings,
        "inputs": inputs,
        "tiles": TypeAdapter(tuple[Tile, ...]).dump_python(tiles, mode="json"),
        "preprocess": predictor.preprocess.model_dump(mode="json"),
        "source": str(Path(source).absolute()),
    }
    return SurveyPlan(folder, tiles, options, facts, reader, found.remarks)


def read_tiles(facts: dict[str, Any]) -> tuple[Tile, ...]:
    """Return the tiles that the facts of a scan name."""
    return TypeAdapter(tuple[Tile, ...]).validate_python(facts["tiles"])


class _Shards:
    """Shards while they are made, tile by tile."""

    def __init__(self, options: SurveyOptions, positions: Positions | None) -> None:
        self.options, self.positions = options, positions
        self.rows: list[dict[str, int]] = []
        self.tiles: list[dict[str, Any]] = []
        self.parts: list[pd.DataFrame] = []
        self.count = 0
        self.seen = np.zeros(0 if positions is None else len(positions), bool)
        self.without_sky: list[str] = []
        self.notes: list[str] = []

    def add(self, number: int, tile: Tile) -> None:
        """Add the shards of a tile; one that cannot be opened is a single shard, which tells why when it is tried."""
        try:
            with open_survey_image(tile, self.options.reading, regrid=self.options.regrid) as image:
                self.tiles.append(describe_tile(image))
                self.notes += image.remarks
                if image.wcs is None:
                    self.without_sky.append(tile.name)
                if self.positions is None:
                    for top, left in split_tile(image.shape, REGION_PX):
                        self._append(number, top=top, left=left)
                else:
                    self._add_positions(number, image, self.positions)
        except (GalaxyError, OSError) as error:
            if find_lack(error):  # the tile may be sound, and none of its positions would be looked at by later runs
                raise
            self.tiles.append({"tile": tile.name})
            self._append(number)

    def _add_positions(self, number: int, image: SurveyImage, positions: Positions) -> None:
        rows, x, y = find_on_tile(positions, image)
        self.seen[rows] = True
        order = np.lexsort((x, y // BAND_PX))
        rows, x, y = rows[order], x[order], y[order]
        sides = sides_of(positions, rows, self.options.size_factor, image, self.options.reading)
        for start in range(0, len(rows), SHARD_POSITIONS):
            part = slice(start, min(start + SHARD_POSITIONS, len(rows)))
            table = pd.DataFrame({"id": positions.name_ids(rows[part]), "x_px": x[part], "y_px": y[part]})
            self.parts.append(table.assign(**{ROW: rows[part], **({} if sides is None else {SIDE_PX: sides[part]})}))
            self._append(number, first=self.count, end=self.count + len(table))
            self.count += len(table)

    def _append(self, tile: int, *, top: int = -1, left: int = -1, first: int = 0, end: int = 0) -> None:
        place = {"top": top, "left": left, "side_px": REGION_PX}
        self.rows.append({"tile": tile, **place, "first": first, "end": end})

    def remarks(self) -> list[str]:
        """Return remarks on the tiles and positions, one sentence each."""
        found = list(dict.fromkeys(self.notes))
        if self.without_sky:
            found.append(
                f"{len(self.without_sky):,} tiles have no world coordinates, such as {self.without_sky[0]}: their "
                "candidates have pixel positions alone, and are not compared between tiles"
            )
        if self.positions is not None:
            found += self.positions.remarks
            off = int((~self.seen).sum())
            if off:
                found.append(f"{off:,} of {len(self.seen):,} positions lie on no tile")
            if off == len(self.seen) and all("height_px" in tile for tile in self.tiles):
                raise InputError(
                    f"{self.positions.source}: none of its {off:,} positions lies on a tile",
                    "check the coordinates and their units, or give the tiles that they lie on",
                )
        return found

    def write(self, folder: Path) -> None:
        """Write the tables of shards, tiles and positions."""
        sides = dict.fromkeys(("tile", "top", "left", "side_px"), "int32")
        schema = {**sides, "first": "int64", "end": "int64"}
        _write(folder / PLAN, pd.DataFrame(self.rows, columns=list(schema)).astype(schema))
        _write(folder / TILES, pd.DataFrame(self.tiles))
        if self.positions is None:
            return
        table = pd.concat(self.parts, ignore_index=True) if self.parts else pd.DataFrame({"id": []})
        block = pa.Table.from_pandas(table, preserve_index=False).combine_chunks()
        with (
            new_file(folder / POSITIONS, force=True) as temporary,
            pa.OSFile(str(temporary), "wb") as file,
            pa.ipc.new_file(file, block.schema) as writer,
        ):
            writer.write_table(block)


def _check_sizes(options: SurveyOptions) -> None:
    """Raise UsageError for options of sizes that do not go together."""
    factor, column = options.size_factor, options.size_column
    if factor is None and column is None:
        return
    if factor is None or not (math.isfinite(factor) and factor > 0):
        found = "none" if factor is None else f"{factor:g}"
        raise UsageError(f"--size-factor: found {found}, expected a number above 0", "give e.g. --size-factor 5.76")
    if options.cutout_px is not None:
        raise UsageError("--size-factor: found --cutout-px beside it, expected one of them", "leave out one of them")
    if (column is not None) != (options.kind == "positions"):
        raise UsageError(
            f"--size: found {column or 'none'} for --at {options.at}, expected a column of a table of positions, and "
            "none for objects",
            "give --at FILE --size COLUMN, or --at objects without --size",
        )
    if options.kind == "grid":
        raise UsageError("--size-factor: found a grid, whose points have no size", "leave out --size-factor")


def describe_tile(image: SurveyImage) -> dict[str, Any]:
    """Return name, size, scale and corners on the sky of a tile (ra_deg, dec_deg, in order round it)."""
    h, w = image.shape
    x, y = np.array([-0.5, w - 0.5, w - 0.5, -0.5]), np.array([-0.5, -0.5, h - 0.5, h - 0.5])
    ra, dec = image.to_sky(x, y)
    return {
        "tile": image.name,
        "width_px": w,
        "height_px": h,
        "pixel_scale_arcsec": image.pixel_scale_arcsec,
        "ra_deg": ra.tolist(),
        "dec_deg": dec.tolist(),
    }


def _write(path: Path, table: pd.DataFrame) -> None:
    with new_file(path, force=True) as temporary:
        table.to_parquet(temporary, index=False)


def _read_positions(path: Path, first: int, end: int) -> pd.DataFrame:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all().slice(first, end - first).to_pandas()


def _paths(tile: Tile) -> Sequence[Path]:
    return [path for file in tile.files for path in (file.path, file.mask, file.weight) if path is not None]
