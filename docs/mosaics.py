"""Make the pictures of the README: simulated galaxies by vote, lenses by flavor, whole fields. All simulated.

python docs/mosaics.py docs/images
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

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


def galaxies_by_vote(count: int = 500, columns: int = 8, side_px: int = 110) -> Image.Image:
    """A row an answer: the galaxies with the most votes for it, of count simulated ones."""
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
    """A row a flavor: stamps round painted lenses."""
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
    """Write the three pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (("galaxies", galaxies_by_vote), ("lenses", lenses_by_flavor), ("fields", whole_fields)):
        picture().save(folder / f"{name}.jpg", quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
