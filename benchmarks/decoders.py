"""Decode images on all processors and do nothing else: the upper limit of packing and predicting."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import simplejpeg
from galaxy_files import PIXELS
from PIL import Image

from convnet_galaxies.data.decoding import count_processors


def read_members(archive: Path) -> list[bytes]:
    """The bytes of all images of a zip."""
    with zipfile.ZipFile(archive) as images:
        return [images.read(name) for name in images.namelist()]


def decode_with_simplejpeg(jpegs: Sequence[bytes], *, shrink: bool = True) -> None:
    """Decode each into pixels that are dropped; shrink: while decoding, by as much as our packs shrink."""
    _on_all_processors(partial(_simplejpeg, factor=PIXELS.size_px / (PIXELS.crop_px or 1) if shrink else 1.0), jpegs)


def decode_with_pillow(jpegs: Sequence[bytes]) -> None:
    """Decode each, crop and resize it as our packs do, all by Pillow."""
    _on_all_processors(_pillow, jpegs)


def decode_pngs(pngs: Sequence[bytes]) -> None:
    """Decode each by Pillow, as the package does, into pixels that are dropped."""
    _on_all_processors(_png, pngs)


def _png(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        image.load()


def _simplejpeg(data: bytes, factor: float) -> None:
    height, width = simplejpeg.decode_jpeg_header(data)[:2]
    simplejpeg.decode_jpeg(data, "RGB", min_height=math.ceil(height * factor), min_width=math.ceil(width * factor))


def _pillow(data: bytes) -> None:
    half = (PIXELS.crop_px or 424) / 2
    with Image.open(io.BytesIO(data)) as image:
        x, y = image.width / 2, image.height / 2
        box = (x - half, y - half, x + half, y + half)
        np.asarray(image.convert("RGB").resize((PIXELS.size_px,) * 2, Image.Resampling.BICUBIC, box=box))


def _on_all_processors(decode: Callable[[bytes], None], files: Sequence[bytes]) -> None:
    # Threads, as in the package: both libraries let go of Python's lock while they decode.
    with ThreadPoolExecutor(count_processors()) as pool:
        for _ in pool.map(lambda block: [decode(data) for data in block], [files[k::32] for k in range(32)]):
            pass
