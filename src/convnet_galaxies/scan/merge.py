"""Join the shards of a scan into one ranked table of candidates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.parquet_file import read_frame
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.top_ranked import expect_top_at
from convnet_galaxies.paths import name_some
from convnet_galaxies.runs.card import LensCalibration, read_card
from convnet_galaxies.scan.area import cover, measure_deg2
from convnet_galaxies.scan.doubles import SHARD, drop_doubles
from convnet_galaxies.scan.known import KnownSystems, read_known
from convnet_galaxies.scan.ledger import Failure, Ledger
from convnet_galaxies.scan.plan import TILES, hash_facts, read_facts
from convnet_galaxies.scan.run import find_places, require_done
from convnet_galaxies.scan.shards import read_shard

CANDIDATES, AREA = "candidates.parquet", "area.fits"
RISING = ("familiarity",)
"""Columns by which the lowest value ranks first."""


@dataclass(frozen=True)
class MergeOptions:
    """How candidates are ranked and compared.

    rank_by: column of the answers; None for lens_probability, or, of a run without it, for no ranking but the order of
    the tiles. same_arcsec: positions of overlapping tiles closer than this are one; None for 1, or half a step of a
    grid. known: list of known systems; known_arcsec: a candidate closer than this to one is that system.
    prevalence: share of lenses among the positions, for expected purities; None for none.
    """

    rank_by: str | None = None
    same_arcsec: float | None = None
    known: Path | None = None
    known_arcsec: float = 3.0
    prevalence: float | None = None

    def __post_init__(self) -> None:
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise UsageError(
                f"--prevalence: found {self.prevalence:g}, expected a fraction between 0 and 1", "give e.g. 0.0005"
            )


@dataclass(frozen=True)
class MergeSummary:
    """The table of candidates and what is in it.

    candidates: rows. doubles: positions left out, since another tile or region has them. area_deg2: of the tiles whose
    shards are all done; None where nothing tells it. known_systems: those on these tiles; known_found: of them, that a
    candidate lies at; known_rows: of the list. lenses: expected number, and its interval. failures: shards left out.
    """

    path: Path
    candidates: int
    doubles: int
    area_deg2: float | None
    known_rows: int | None
    known_systems: int | None
    known_found: int | None
    lenses: tuple[float, float, float] | None
    failures: tuple[Failure, ...]
    remarks: tuple[str, ...]


def merge(folder: Path, options: MergeOptions | None = None) -> MergeSummary:
    """Write candidates.parquet, and area.fits, of a scan all of whose shards are done or failed.

    The table does not depend on the order in which the shards were done, nor on how many parts there were.
    Raises InputError where shards are left, or an option does not fit the run.
    """
    options = options or MergeOptions()
    facts = read_facts(folder)
    places = find_places(folder)
    failures = require_done(folder, places)
    plan = hash_facts(facts)
    parts = []
    for place in places:
        with Ledger(place.ledger, read_only=True) as ledger:
            if ledger.facts["plan"] != plan:
                raise InputError(f"{place.ledger}: is of another scan", "move it away")
            parts += [(number, place.shard(number)) for number in ledger.numbers("done")]
    shards = [(number, read_shard(path, plan)) for number, path in sorted(parts)]
    filled = [table.append_column(SHARD, pa.array(np.full(len(table), k))) for k, table in shards if len(table)]
    if not filled:
        raise InputError(
            f"{folder}: found no position that could be used in {len(shards):,} shards",
            "see `scan --status`, and check the tiles and positions",
        )
    every = pa.concat_tables(filled, promote_options="permissive").to_pandas()
    table = drop_doubles(every, _radius(options, facts))
    table, column = _rank(table, options.rank_by)
    remarks = list(facts.get("remarks", []))
    area, moc = _area(folder, failures)
    known, table = _mark_known(table, options, moc, remarks)
    expected, table = _expect(table, facts, options, remarks)
    about = {
        "run": facts["run"],
        "settings": facts["settings"],
        "source": facts["source"],
        "plan": plan,
        "rank_by": column,
        "prevalence": options.prevalence,
        "area_deg2": area,
    }
    _write(folder / CANDIDATES, table, about)
    if moc is not None:
        with new_file(folder / AREA, force=True) as temporary:
            moc.save(temporary, format="fits", overwrite=True)
    return MergeSummary(
        folder / CANDIDATES,
        len(table),
        len(every) - len(table),
        area,
        *known,
        expected,
        tuple(failures),
        tuple(remarks),
    )


def _radius(options: MergeOptions, facts: dict[str, Any]) -> float:
    if options.same_arcsec is not None:
        return options.same_arcsec
    step_px, scale = facts["settings"]["step_px"], facts["preprocess"]["pixel_scale_arcsec"]
    scale = facts["settings"]["reading"]["pixel_scale_arcsec"] or scale
    return 1.0 if step_px is None or scale is None else 0.5 * step_px * scale


def _rank(table: pd.DataFrame, rank_by: str | None) -> tuple[pd.DataFrame, str]:
    """The table without the columns of shards, ordered, with its rank."""
    column = rank_by or ("lens_probability" if "lens_probability" in table else "")
    own = [name for name in table if pd.api.types.is_float_dtype(table[name].dtype)]
    if column and column not in own:
        raise InputError(
            f"--rank-by: found {column}, expected a column of numbers of the candidates",
            f"give one of {name_some(own)}",
        )
    hidden = [name for name in table if str(name).startswith("_")]
    keys = [table["id"].astype(str).to_numpy(), table["y_px"].to_numpy(), table["x_px"].to_numpy()]
    keys += [table["tile"].astype(str).to_numpy()]
    if column:
        values = table[column].to_numpy(float)
        keys += [values if column in RISING else -values]  # NaN comes last either way
    order = np.lexsort(keys)
    table = table.drop(columns=hidden).iloc[order].reset_index(drop=True)
    return table.assign(rank=np.arange(1, len(table) + 1)), column


def _area(folder: Path, failures: Sequence[Failure]) -> tuple[float | None, Any]:
    tiles = read_frame(folder / TILES)
    moc = cover(tiles[~tiles["tile"].isin({failure.name for failure in failures})])
    return (None if moc is None else measure_deg2(moc)), moc


def _mark_known(
    table: pd.DataFrame, options: MergeOptions, moc: Any, remarks: list[str]
) -> tuple[tuple[int | None, int | None, int | None], pd.DataFrame]:
    names = np.full(len(table), "", object)
    counts: tuple[int | None, int | None, int | None] = (None, None, None)
    if options.known is not None:
        known = read_known(options.known)
        system = known.match(table, options.known_arcsec)
        names[system >= 0] = known.names[system[system >= 0]]
        remarks += known.remarks
        on_tiles = None if moc is None else len(set(known.system[_inside(known, moc)].tolist()))
        counts = (len(known.system), on_tiles, len(set(system[system >= 0].tolist())))
    return counts, table.assign(known=pd.Series(names, dtype="str"))


def _inside(known: KnownSystems, moc: Any) -> np.ndarray:
    from astropy import units as u

    x, y, z = known.vectors.T
    lon, lat = np.arctan2(y, x) * u.rad, np.arcsin(np.clip(z, -1, 1)) * u.rad
    return np.asarray(moc.contains_lonlat(lon, lat))


def _expect(
    table: pd.DataFrame, facts: dict[str, Any], options: MergeOptions, remarks: list[str]
) -> tuple[tuple[float, float, float] | None, pd.DataFrame]:
    """The table with expected purity and number of lenses of its first rows, and the number of lenses in all."""
    if options.prevalence is None:
        return None, table
    calibration = _calibration(facts)
    if options.rank_by not in (None, "lens_probability"):
        raise UsageError(
            "--prevalence: found another ranking than by the lens probability, whose purity is not known",
            "leave out --rank-by or --prevalence",
        )
    found = expect_top_at(
        table["lens_probability"].to_numpy(float),
        options.prevalence,
        calibrated_for=calibration.prevalence,
        n_lenses=calibration.positives,
        n_others=calibration.images - calibration.positives,
        seed=0,
    )
    rank = table["rank"].to_numpy()
    columns = {
        "expected_purity": found.purity,
        "expected_purity_low": found.purity_low,
        "expected_purity_high": found.purity_high,
        "expected_lenses": found.purity * rank,
        "expected_lenses_low": found.purity_low * rank,
        "expected_lenses_high": found.purity_high * rank,
    }
    table = table.assign(**{name: values.astype(np.float32) for name, values in columns.items()})
    if calibration.images < 1000:
        remarks.append(
            f"The run was calibrated on {calibration.images:,} images, {calibration.positives:,} of them lenses: "
            "expected purities far below that share extrapolate, and depend on the tail of the calibration."
        )
    last = table.iloc[-1]
    return tuple(float(last[f"expected_lenses{end}"]) for end in ("", "_low", "_high")), table  # type: ignore[return-value]


def _calibration(facts: dict[str, Any]) -> LensCalibration:
    name = facts["run"]["name"]
    if facts["run"].get("grey"):
        raise InputError(
            f"--prevalence: this scan shows {name} grey images, for which it is not calibrated",
            "leave out --prevalence",
        )
    card = read_card(name)
    if "lens" not in card.calibration:
        raise InputError(
            f"--prevalence: {name} is not calibrated, so that its probabilities tell no purity",
            "calibrate it first (`calibrate`), or leave out --prevalence",
        )
    return card.calibration["lens"]


def _write(path: Path, table: pd.DataFrame, about: dict[str, Any]) -> None:
    block = pa.Table.from_pandas(table, preserve_index=False)
    block = block.replace_schema_metadata({b"convnet-galaxies scan": json.dumps(about, sort_keys=True).encode()})
    with new_file(path, force=True) as temporary:
        pq.write_table(block, temporary)
