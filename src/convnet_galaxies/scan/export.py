"""Export candidates: tables, a region file of DS9, cutouts as PNG and as FITS with world coordinates."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from convnet_galaxies.data.output import new_file, new_folder
from convnet_galaxies.data.survey.survey_image import SurveyImage, Windows
from convnet_galaxies.data.tables import write_table
from convnet_galaxies.errors import InputError, OutputExistsError, UsageError
from convnet_galaxies.paths import TABLE_FORMATS, find_ending
from convnet_galaxies.scan.candidate_pack import PACK_ENDING, pack_candidates
from convnet_galaxies.scan.doubles import choose_doubles, chord_of, find_pairs, to_unit_vectors
from convnet_galaxies.scan.folder import Cutter, ScanFolder

REGION = ".reg"
CUTOUTS_AT_MOST = 10_000
"""Cutouts that are made without a selection."""
_REGION_HEAD = '# Region file format: DS9 version 4.1\nglobal color=green width=1 font="helvetica 10 normal"\n'


@dataclass(frozen=True)
class ExportSummary:
    """What was written: candidates, of those in the scan; remarks, one sentence each."""

    path: Path
    candidates: int
    of: int
    remarks: tuple[str, ...] = ()


def export_scan(
    scan: ScanFolder,
    output: Path,
    *,
    top: int | None = None,
    min_probability: float | None = None,
    apart_arcsec: float | None = None,
    side_px: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExportSummary:
    """Write the best candidates of a scan, by the ending of output.

    output: a table (CSV, FITS, VOTable, Parquet), a region file of DS9 (.reg), a pack (.pack) to grade and to train
        on, or, without an ending, a folder of cutouts: ``0001_ID.png`` as the network sees it, ``0001_ID.fits`` with
        the values of the tile, an extension per band, and a table of them.
    top: the first so many; min_probability: those of at least this lens probability; None: all.
    apart_arcsec: of candidates closer than this only the best is taken, since arcs are objects of their own.
    side_px: pixels of the tile in a cutout; None for what the network got.
    Raises OutputExistsError unless force; InputError where nothing is left to write.
    """
    if output.exists() and not force:
        raise OutputExistsError(output)
    every = scan.table()
    table = every
    if min_probability is not None:
        if "lens_probability" not in table:
            raise UsageError(f"--min-probability: {scan.run} predicts no lens probability", "choose the first by --top")
        table = table[table["lens_probability"] >= min_probability]
    if apart_arcsec is not None:
        table = keep_apart(table, apart_arcsec)
    table = table.head(len(table) if top is None else top).reset_index(drop=True)
    if not len(table):
        highest = every["lens_probability"].max() if len(every) else 0.0
        raise InputError(
            f"{scan.path}: none of {len(every):,} candidates is left; the highest lens probability is {highest:.3g}",
            "lower --min-probability",
        )
    remarks: tuple[str, ...] = ()
    if output.name.lower().endswith(REGION):
        remarks = _write_regions(output, table, scan, force=force)
    elif output.name.lower().endswith(PACK_ENDING):
        pack_candidates(scan, table, output, side_px=side_px, force=force, progress=progress)
    elif find_ending(output.name, TABLE_FORMATS) or output.suffix:
        write_table(output, table, force=force)
    else:
        _write_cutouts(output, table, scan, side_px, force=force, progress=progress)
    return ExportSummary(output, len(table), len(every), remarks)


def keep_apart(table: pd.DataFrame, radius_arcsec: float) -> pd.DataFrame:
    """Return the candidates, in the order of their rank, that lie no closer than this to a better one that stays."""
    known = np.flatnonzero(table["ra_deg"].notna().to_numpy() & table["dec_deg"].notna().to_numpy())
    ra, dec = table["ra_deg"].to_numpy()[known], table["dec_deg"].to_numpy()[known]
    pairs = known[find_pairs(to_unit_vectors(ra, dec), chord_of(radius_arcsec))]
    return table.drop(index=table.index[choose_doubles(pairs, np.arange(len(table)))])


def _write_regions(path: Path, table: pd.DataFrame, scan: ScanFolder, *, force: bool) -> tuple[str, ...]:
    on_sky = table["ra_deg"].notna().to_numpy() & table["dec_deg"].notna().to_numpy()
    probability = table["lens_probability"] if "lens_probability" in table else pd.Series([np.nan] * len(table))
    texts = [
        f"{rank}" if np.isnan(value) else f"{rank}: {value:.3f}"
        for rank, value in zip(table["rank"], probability, strict=True)
    ]
    radius = 0.5 * (scan.preprocess.crop_px or 40)
    remarks = []
    if on_sky.any():
        arcsec = radius * (scan.preprocess.pixel_scale_arcsec or 0.2) / 2
        rows = zip(table["ra_deg"][on_sky], table["dec_deg"][on_sky], np.array(texts)[on_sky], strict=True)
        lines = ["icrs", *(f'circle({ra:.7f},{dec:.7f},{arcsec:.1f}") # text={{{text}}}' for ra, dec, text in rows)]
        if not on_sky.all():
            remarks.append(f"{int((~on_sky).sum()):,} candidates of tiles without world coordinates are left out")
    else:
        tiles = table["tile"].unique()
        if len(tiles) > 1:
            raise InputError(
                f"{path}: the candidates lie on {len(tiles)} tiles without world coordinates, of which one region file "
                "cannot tell",
                "export a table",
            )
        rows = zip(table["x_px"] + 1, table["y_px"] + 1, texts, strict=True)
        lines = ["image", *(f"circle({x:.2f},{y:.2f},{radius / 2:.1f}) # text={{{text}}}" for x, y, text in rows)]
    with new_file(path, force=force) as temporary:
        temporary.write_text(_REGION_HEAD + "\n".join(lines) + "\n", "ascii")
    return tuple(remarks)


def _write_cutouts(
    output: Path,
    table: pd.DataFrame,
    scan: ScanFolder,
    side_px: int | None,
    *,
    force: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    if len(table) > CUTOUTS_AT_MOST:
        raise UsageError(
            f"{output}: would be cutouts of {len(table):,} candidates, twice as many files", "choose some by --top"
        )
    digits = len(str(int(table["rank"].max())))
    names = [
        f"{rank:0{digits}d}_{re.sub(r'[^A-Za-z0-9.+-]', '_', name)}"
        for rank, name in zip(table["rank"], table["id"], strict=True)
    ]
    with (
        new_folder(output, force=force, is_ours=lambda path: (path / "candidates.csv").is_file()) as folder,
        scan.cutter() as cutter,
    ):
        done = 0
        for tile, rows in table.groupby("tile", sort=True).indices.items():
            for row in rows.tolist():
                candidate = table.iloc[row]
                pixels = cutter.cut(table.iloc[[row]], side_px)[0]
                Image.fromarray(pixels.squeeze()).save(folder / f"{names[row]}.png")
                image = cutter.image(str(tile))
                if not image.template.is_picture:
                    _write_fits(folder / f"{names[row]}.fits", cutter, image, candidate, side_px)
                done += 1
                if progress is not None:
                    progress(done, len(table))
        write_table(folder / "candidates.csv", table.assign(file=names))


def _write_fits(path: Path, cutter: Cutter, image: SurveyImage, candidate: pd.Series, side_px: int | None) -> None:
    from astropy.io import fits

    window = cutter.window(candidate, side_px)
    header = fits.Header()
    for key, value, remark in (
        ("OBJECT", candidate["id"], "candidate"),
        ("TILE", candidate["tile"], "where it was found"),
        ("X_TILE", float(candidate["x_px"]), "[px] its place there, from 0"),
        ("Y_TILE", float(candidate["y_px"]), "[px] its place there, from 0"),
        ("RANK", int(candidate["rank"]), "among all candidates"),
    ):
        header[key] = (value, remark)
    if "lens_probability" in candidate:
        header["LENSPROB"] = (float(candidate["lens_probability"]), "lens probability")
    hdus = [fits.PrimaryHDU(header=header)]
    sky = _sky_header(image, window)
    for plane in window.image(0).planes:
        values = np.asarray(plane.values)
        values = values[::-1] if image.rows_from_bottom else values
        hdu = fits.ImageHDU(np.ascontiguousarray(values), sky, name=str(plane.band or plane.label)[:60])
        if plane.band is not None:
            hdu.header["FILTER"] = str(plane.band)
        if plane.zeropoint is not None:
            hdu.header["MAGZERO"] = (plane.zeropoint.mag, "[mag] AB magnitude of one unit")
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)


def _sky_header(image: SurveyImage, window: Windows) -> Any:
    """Header of the world coordinates of a window."""
    if image.wcs is None:
        return None
    from astropy.wcs import Sip

    offset = np.array([window.left[0], window.first_row[0]], float)
    wcs = image.wcs.deepcopy()
    wcs.wcs.crpix = wcs.wcs.crpix - offset
    if wcs.sip is not None:
        sip = wcs.sip
        wcs.sip = Sip(sip.a, sip.b, sip.ap, sip.bp, sip.crpix - offset)
    return wcs.to_header(relax=True)
