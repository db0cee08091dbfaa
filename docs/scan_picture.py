"""Draw a simulated tile with the candidates of a scan, and the best of them as the network saw them.

python docs/scan_picture.py docs/images/scan.jpg
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.scan.doubles import chord_of, to_unit_vectors
from convnet_galaxies.scan.export import keep_apart
from convnet_galaxies.scan.folder import ScanFolder, open_scan
from convnet_galaxies.scan.scan import scan_tiles
from convnet_galaxies.scan.survey import SurveyOptions
from convnet_galaxies.simulate.survey_tiles import simulate_tiles

SIDE_PX, LENSES, SEED = 900, 10, 3
SHOWN, STAMPS = 14, 10
APART_ARCSEC = 5.0
FOUND_ARCSEC, FOUND_RADII = 3.0, 1.7
"""A candidate lies at a lens up to so many arcsec, or Einstein radii, from its centre: arcs are objects too."""
WIDTH_PX = 1000
LENS_COLOUR, OTHER_COLOUR = "#5ee65e", "#ffb347"


def draw() -> Image.Image:
    """Return the picture: the tile, circles at the first candidates, and the cutouts of the very first below."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = simulate_tiles(folder / "survey", LENSES, SEED, tiles=(1, 1), size_px=SIDE_PX, overlap_px=0)
        predictor = Predictor("builtin:lens", views=8)
        scan_tiles(predictor, folder / "survey" / "tiles.csv", folder / "scan", SurveyOptions())
        scan = open_scan(folder / "scan")
        every = scan.table()
        best = keep_apart(every, APART_ARCSEC).head(SHOWN).reset_index(drop=True)
        is_lens = _match(best, truth)
        picture = _draw_tile(scan, best, is_lens)
        title = (
            f"{SIDE_PX} px of a simulated survey, {len(every)} objects, {len(truth)} lenses: the first {SHOWN} "
            "candidates, green where they lie at a lens"
        )
        return _join(picture, _draw_stamps(scan, best.head(STAMPS), is_lens), title)


def _match(best: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    found = to_unit_vectors(best["ra_deg"].to_numpy(), best["dec_deg"].to_numpy())
    true = to_unit_vectors(truth["ra_deg"].to_numpy(), truth["dec_deg"].to_numpy())
    reach = np.maximum(FOUND_ARCSEC, FOUND_RADII * truth["einstein_radius_arcsec"].to_numpy())
    apart = np.linalg.norm(found[:, None] - true[None], axis=2)
    return (apart < np.array([chord_of(float(one)) for one in reach])).any(axis=1)


def _draw_tile(scan: ScanFolder, best: pd.DataFrame, is_lens: np.ndarray) -> Image.Image:
    """The tile by the composite of the network, with a circle and the rank at each candidate."""
    (tile,) = scan.tiles.values()
    with open_survey_image(tile) as image:
        window = image.cut(np.array([(SIDE_PX - 1) / 2]), np.array([(SIDE_PX - 1) / 2]), SIDE_PX)
        whole = scan.preprocess.model_copy(update={"crop_px": SIDE_PX, "size_px": SIDE_PX})
        pixels, _ = whole.prepare_image(window.image(0), tile.name, replace(scan.reading, missing_share=0.9))
    factor = WIDTH_PX / SIDE_PX
    picture = Image.fromarray(pixels).resize((WIDTH_PX, WIDTH_PX), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    for row, lens in zip(best.itertuples(), is_lens, strict=True):
        colour = LENS_COLOUR if lens else OTHER_COLOUR
        x, y = (row.x_px + 0.5) * factor, (SIDE_PX - row.y_px - 0.5) * factor
        pen.ellipse((x - 26, y - 26, x + 26, y + 26), outline=colour, width=2)
        pen.text((x + 20, y - 40), str(row.Index + 1), fill=colour, font=ImageFont.load_default(22))
    return picture


def _draw_stamps(scan: ScanFolder, best: pd.DataFrame, is_lens: np.ndarray) -> Image.Image:
    with scan.cutter() as cutter:
        stamps = cutter.cut(best)
    side = WIDTH_PX // (STAMPS // 2)
    sheet = Image.new("RGB", (WIDTH_PX, 2 * (side + 26)), "white")
    pen = ImageDraw.Draw(sheet)
    for k, (stamp, row) in enumerate(zip(stamps, best.itertuples(), strict=True)):
        left, top = side * (k % (STAMPS // 2)), (side + 26) * (k // (STAMPS // 2))
        sheet.paste(Image.fromarray(stamp).resize((side - 4,) * 2, Image.Resampling.LANCZOS), (left + 2, top + 2))
        text = f"{k + 1}: {row.lens_probability:.2f}, {'lens' if is_lens[k] else 'no lens'}"
        pen.text((left + 6, top + side), text, fill="black", font=ImageFont.load_default(17))
    return sheet


def _join(above: Image.Image, below: Image.Image, title: str) -> Image.Image:
    sheet = Image.new("RGB", (WIDTH_PX, 30 + above.height + 6 + below.height), "white")
    ImageDraw.Draw(sheet).text((4, 6), title, fill="black", font=ImageFont.load_default(15))
    sheet.paste(above, (0, 30))
    sheet.paste(below, (0, 36 + above.height))
    return sheet


if __name__ == "__main__":
    draw().save(sys.argv[1], quality=85, optimize=True)
