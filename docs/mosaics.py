"""Make the pictures of the README from simulated images: an overview, galaxies by vote, lenses by flavor, whole fields.

python docs/mosaics.py docs/images
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.simulate.camera import linear_to_composite
from convnet_galaxies.simulate.field import draw_field, draw_pointing
from convnet_galaxies.simulate.galaxy_zoo import simulate_one
from convnet_galaxies.simulate.injection import inject_lens

ROWS = {
    "smooth": "Class1.1",
    "edge-on": "Class2.1",
    "bar": "Class3.1",
    "spiral": "Class4.1",
    "ring": "Class8.1",
    "merger": "Class8.6",
}
FLAVORS = ("lensed galaxy", "lensed quasar", "lensing cluster")
TILE_PX, CAPTION_PX, TITLE_PX = 165, 40, 30


def overview(count: int = 500) -> Image.Image:
    """Draw simulated images above the predictions of the built-in weights, one view per image.

    First row: of count galaxies, that with the highest predicted fraction of votes for each answer. Second row: of a
    simulated Space Warps catalogue, the lens of each flavor and the three other cutouts with the highest probability.
    """
    with tempfile.TemporaryDirectory() as folder:
        galaxies = _vote_tiles(Path(folder), count)
        cutouts = _lens_tiles(Path(folder))
    sheet = Image.new("RGB", (TILE_PX * len(ROWS), 2 * (TITLE_PX + TILE_PX + CAPTION_PX)), "white")
    pen = ImageDraw.Draw(sheet)
    top = 0
    for title, tiles in (
        ("Galaxy Zoo (simulated): fraction of votes predicted by builtin:zoo (true fraction)", galaxies),
        ("Space Warps (simulated): true class, and lens probability predicted by builtin:lens", cutouts),
    ):
        pen.text((4, top + 6), title, fill="black", font=ImageFont.load_default(17))
        for k, (image, caption) in enumerate(tiles):
            sheet.paste(image.convert("RGB").resize((TILE_PX - 4,) * 2), (TILE_PX * k + 2, top + TITLE_PX))
            pen.multiline_text(
                (TILE_PX * k + 5, top + TITLE_PX + TILE_PX - 1), caption, fill="black", font=ImageFont.load_default(14)
            )
        top += TITLE_PX + TILE_PX + CAPTION_PX
    return sheet


def _vote_tiles(folder: Path, count: int) -> list[tuple[Image.Image, str]]:
    """Galaxies with predicted and true votes, one per answer of ROWS."""
    drawn = {f"{index:04d}": simulate_one(index, 1) for index in range(count)}
    (folder / "galaxies").mkdir()
    for name, one in drawn.items():
        (folder / "galaxies" / f"{name}.jpg").write_bytes(one.jpeg)
    left = _predict("builtin:zoo", folder / "galaxies", folder / "votes.csv")
    tiles = []
    for label, column in ROWS.items():
        name = left[column].idxmax()
        image = Image.open(io.BytesIO(drawn[name].jpeg)).crop((62, 62, 362, 362))
        true = drawn[name].votes[VOTE_COLUMNS.index(column)]
        tiles.append((image, f"{label}\n{left.loc[name, column]:.2f} (true {true:.2f})"))
        left = left.drop(name)
    return tiles


def _lens_tiles(folder: Path) -> list[tuple[Image.Image, str]]:
    """Cutouts with the predicted probability of a lens: a lens per flavor, three others."""
    _call("simulate", "space-warps", str(folder / "space-warps"), "--number", "300", "--seed", "4")
    cutouts = folder / "space-warps" / "cutouts_good"
    found = _predict("builtin:lens", cutouts, folder / "lens.csv")["lens_probability"]
    table = pd.read_csv(folder / "space-warps" / "cluster_catalog.csv")
    table.index = pd.Index([f"{row.object_id}_{row.ZooID}" for row in table.itertuples()])
    table = table.assign(probability=found)
    table = table[(table["truth"] != "UNKNOWN") & (table["stage"] == 1)].sort_values("probability", ascending=False)
    is_lens = (table["truth"] == "LENS") & (table["alpha"] == 1)
    best = table[is_lens].groupby("flavor", sort=False).head(1)
    chosen = [*zip(best.index, best["flavor"], strict=True), *((name, "no lens") for name in table[~is_lens].index[:3])]
    return [(Image.open(cutouts / f"{name}.png"), f"{kind}\n{found[name]:.2f}") for name, kind in chosen]


def _predict(run: str, images: Path, output: Path) -> pd.DataFrame:
    """Predictions of a run for a folder of images, indexed by file name without its ending."""
    _call("predict", run, str(images), "-o", str(output), "--views", "1")
    return pd.read_csv(output, dtype={"id": str}).set_index("id")


def _call(*words: str) -> None:
    """Run a command of the package."""
    subprocess.run([sys.executable, "-m", "convnet_galaxies", *words], check=True)


def galaxies_by_vote(count: int = 500, columns: int = 8, side_px: int = 110) -> Image.Image:
    """A row per answer: the galaxies with the most votes for it, of count simulated ones."""
    drawn = [simulate_one(index, 1) for index in range(count)]
    votes = np.array([one.votes for one in drawn])
    rows = {}
    for label, column in ROWS.items():
        best = np.argsort(-votes[:, VOTE_COLUMNS.index(column)], kind="stable")[:columns]
        rows[label] = [
            Image.open(io.BytesIO(drawn[k].jpeg)).crop((62, 62, 362, 362)).resize((side_px,) * 2) for k in best
        ]
    return label_rows(rows, side_px)


def lenses_by_flavor(columns: int = 8, side_px: int = 110, stamp_px: int = 96) -> Image.Image:
    """A row per flavor: stamps round painted lenses."""
    rng = np.random.default_rng(2)
    rows: dict[str, list[Image.Image]] = {}
    for flavor in FLAVORS:
        rows[flavor] = []
        while len(rows[flavor]) < columns:
            painted = inject_lens(
                linear_to_composite(draw_field(draw_pointing(rng), rng)), rng, flavor, margin_px=stamp_px // 2
            )
            if painted is None:
                continue
            rgb, mask, _ = painted
            ys, xs = np.nonzero(mask)
            if len(ys) < 40:
                continue
            y, x = (int(np.clip(v.mean(), stamp_px // 2, 440 - stamp_px // 2)) for v in (ys, xs))
            half = stamp_px // 2
            rows[flavor].append(Image.fromarray(rgb[y - half : y + half, x - half : x + half]).resize((side_px,) * 2))
    return label_rows(rows, side_px)


def whole_fields(columns: int = 3) -> Image.Image:
    """Fields of 440 px side by side."""
    rng = np.random.default_rng(3)
    return Image.fromarray(
        np.concatenate([linear_to_composite(draw_field(draw_pointing(rng), rng)) for _ in range(columns)], axis=1)
    )


def label_rows(rows: dict[str, list[Image.Image]], side_px: int) -> Image.Image:
    """Rows of images, the name of each to its left."""
    left = 110
    width = left + side_px * max(len(images) for images in rows.values())
    sheet = Image.new("RGB", (width, side_px * len(rows)))
    pen = ImageDraw.Draw(sheet)
    for number, (label, images) in enumerate(rows.items()):
        pen.text((8, side_px * number + side_px // 2 - 5), label, fill="white")
        for k, image in enumerate(images):
            sheet.paste(image, (left + side_px * k, side_px * number))
    return sheet


def main(folder: Path) -> None:
    """Write the four pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (
        ("overview", overview),
        ("galaxies", galaxies_by_vote),
        ("lenses", lenses_by_flavor),
        ("fields", whole_fields),
    ):
        picture().save(folder / f"{name}.jpg", quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
