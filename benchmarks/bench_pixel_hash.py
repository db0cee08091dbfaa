"""How often the hashes of pixels miss an image that was saved again, and take two different images for one.

Each set of images is packed; its images are then saved again as PNG or JPEG, or packed with another crop, and looked up
as `evaluate` looks up the images of a run. Columns of the result: images (the set); number; packed (crop and size in
px); saved (how the second copy was made); missed, images that are not recognised; pairs of different images of the set,
and pairs that count as one picture (wrongly, unless the set holds an object twice); bits, the largest difference that
counts as one picture.

    python benchmarks/bench_pixel_hash.py [--data FOLDER] [--quick] [--out benchmarks/results/pixel_hash.csv]

The images are the developers' real ones beside the project (galaxy_files.py); without them, simulated galaxies.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from galaxy_files import REAL, make_galaxy_files
from PIL import Image

from convnet_galaxies.data.pixel_hash import MOST_DIFFERENT, hash_pixels
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.runs.image_keys import NEVER, PIXELS, find_lowest_rank

QUALITIES = (75, 85, 95)
SETS = {
    "CFHTLS candidates": "space-warps/candidates",
    "known lenses, guide": "space-warps/guide/lens-gallery",
    "CFHTLS fields, guide": "space-warps/guide/fields",
    "Euclid candidates": "euclid-q1/images",
    "Legacy lenses": "legacy-dr10/real",
    "GOODS-S galaxies": "hst-goods/images",
}
ARCHIVES = {"Galaxy Challenge, shrunk to 128 px": "galaxy-zoo-unlabelled/images.zip"}
MOST_IMAGES = 400
PACKINGS = ((96, 48), (None, 64))
"""Crop and size in px; None packs whole images."""


def read_sets(data: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Names of the sets and the bytes of their images."""
    for name, folder in SETS.items():
        files = sorted(path for path in (data / folder).glob("*") if path.suffix in (".png", ".jpg", ".jpeg"))
        if files:
            yield name, [path.read_bytes() for path in files[:MOST_IMAGES]]
    for name, file in ARCHIVES.items():
        if (data / file).is_file():
            with zipfile.ZipFile(data / file) as archive:
                members = sorted(one for one in archive.namelist() if one.endswith((".jpg", ".png")))
                yield name, [archive.read(member) for member in members[:MOST_IMAGES]]


def save_again(data: bytes, quality: int | None) -> bytes:
    """The image as JPEG of a quality, or as PNG (None)."""
    image, again = Image.open(io.BytesIO(data)).convert("RGB"), io.BytesIO()
    if quality is None:
        image.save(again, "PNG")
    else:
        image.save(again, "JPEG", quality=quality)
    return again.getvalue()


def find_keys(images: list[bytes], packing: tuple[int | None, int]) -> list[list[str]]:
    """Keys of the pixels of each image, as a pack would hold them."""
    crop, size = packing
    made = Preprocess(crop_px=crop, size_px=size)
    pixels, shown = [], []
    for data in images:
        kind = "image.jpg" if data[:2] == b"\xff\xd8" else "image.png"
        one, info = made.decode_measured(data, kind)
        pixels.append(one)
        shown.append(min(crop or info.side_px, info.side_px))
    return [[f"{PIXELS}{part}" for part in text.split()] for text in hash_pixels(np.stack(pixels), shown)]


def count_missed(keys: list[list[str]], again: list[list[str]]) -> int:
    """Images whose second copy is not recognised."""
    return sum(int(find_lowest_rank([new], [old], [0])[0] == NEVER) for old, new in zip(keys, again, strict=True))


def count_alike(keys: list[list[str]]) -> int:
    """Pairs of images of a set that count as one picture."""
    return sum(int((find_lowest_rank(keys[k + 1 :], [one], [0]) < NEVER).sum()) for k, one in enumerate(keys[:-1]))


def measure(name: str, images: list[bytes]) -> Iterator[dict[str, object]]:
    """Rows of the result."""
    n = len(images)
    saved = {"PNG": None} | {f"JPEG {quality}": quality for quality in QUALITIES}
    for packing in PACKINGS:
        keys = find_keys(images, packing)
        facts = {"images": name, "number": n, "packed": write_packing(packing), "bits": MOST_DIFFERENT}
        facts |= {"pairs": n * (n - 1) // 2, "alike": count_alike(keys)}
        for form, quality in saved.items():
            again = find_keys([save_again(data, quality) for data in images], packing)
            yield facts | {"saved": form, "missed": count_missed(keys, again)}
        other = PACKINGS[1 - PACKINGS.index(packing)]
        yield facts | {
            "saved": f"packed {write_packing(other)}",
            "missed": count_missed(keys, find_keys(images, other)),
        }


def write_packing(packing: tuple[int | None, int]) -> str:
    """E.g. ``96 px as 48`` or ``whole as 64``."""
    return f"{'whole' if packing[0] is None else f'{packing[0]} px'} as {packing[1]}"


def main() -> None:
    """Measures every set and writes the table."""
    parser = argparse.ArgumentParser(description="How often hashes of pixels miss a copy or confuse two images.")
    parser.add_argument("--data", type=Path, default=REAL.parent)
    parser.add_argument("--quick", action="store_true", help="ten images of each set; keeps nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pixel_hash.csv")
    arguments = parser.parse_args()
    sets = dict(read_sets(arguments.data))
    if not sets:
        files = sorted(make_galaxy_files(48).jpegs.iterdir())
        sets = {"simulated galaxies": [path.read_bytes() for path in files]}
    rows = []
    for name, images in sets.items():
        rows += measure(name, images[:10] if arguments.quick else images)
        print(name, flush=True)
    table = pd.DataFrame(rows)
    if not arguments.quick:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(table.to_csv(index=False))
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
