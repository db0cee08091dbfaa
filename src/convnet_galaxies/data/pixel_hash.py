"""Perceptual hashes: which pictures are one picture, whatever their name, format, crop and size.

The bits of a hash are signs of cosine coefficients of the logarithm of the middle band. Only coefficients that are odd
in x or y count: they vanish for anything symmetric, so that two smooth round galaxies differ in them by their noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from convnet_galaxies.data.records import PIXEL_HASH, ImageSet

COLUMN = PIXEL_HASH
"""Column of a pack with the hashes of each image, as hash_pixels returns them."""

BITS = 128
MOST_DIFFERENT = 28
"""Bits in which two hashes of one picture may differ (docs/science.md gives the rates of both kinds of errors)."""

SHRUNK_DIFFERENT, UNLIKE = 20, 44
"""Where the whole of two images agrees but the largest square that both show differs in more than UNLIKE bits, they are
one picture only if one was shrunk: then the wholes differ in at most SHRUNK_DIFFERENT bits (docs/science.md)."""

WHOLE = "all"
SIDES_PX = (64, 128, 256, 512)
"""Central squares that are hashed beside the whole, in pixels of the file, so that packs of other crops share one."""

_FLATTEST = 1e-3
_CHUNK = 8  # few enough for the cache of a processor
_LOGARITHM = np.log1p(np.arange(256)).astype(np.float32)


def hash_pixels(pixels: np.ndarray, shown_px: Sequence[int | None]) -> list[str]:
    """Return the hashes of each image, e.g. ``all:<32 hex digits> 64:<32 hex digits>``; empty for a flat image.

    pixels: uint8 [n, h, w, bands], square. shown_px: side of each in pixels of its file, None where it is unknown.
    ``all`` is of the whole image, a number of the central square of so many pixels of the file.
    """
    texts: list[list[str]] = [[] for _ in range(len(pixels))]
    for start in range(0, len(pixels), _CHUNK):
        chunk = np.asarray(pixels[start : start + _CHUNK])
        light = _LOGARITHM.take(chunk[..., chunk.shape[-1] // 2])
        shown = np.array([side or 0 for side in shown_px[start : start + _CHUNK]])
        for side in np.unique(shown).tolist():
            rows = np.flatnonzero(shown == side)
            for name, part in ((WHOLE, 1.0), *((str(px), px / side) for px in SIDES_PX if px <= side)):
                for row, text in zip(rows.tolist(), _hash_square(light[rows], part), strict=True):
                    if text:
                        texts[start + row].append(f"{name}:{text}")
    return [" ".join(found) for found in texts]


def hash_set(images: ImageSet) -> list[str]:
    """Return the hashes of each image (see hash_pixels): those of the table, computed where it has none."""
    made = images.preprocess
    # The scale of linear images decides how much of them is shown, and their table lacks it.
    side = None if images.linear and made.pixel_scale_arcsec is not None else made.crop_px
    if COLUMN not in images.table:
        return hash_pixels(images.images, [side] * len(images))
    column = images.table[COLUMN]
    texts = column.astype(object).tolist()
    rows = np.flatnonzero(column.isna().to_numpy())
    for row, text in zip(rows.tolist(), hash_pixels(images.images[rows], [side] * len(rows)), strict=True):
        texts[row] = text
    return texts


def find_alike(hashes: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """Return the mask [n] of the hashes (32 hex digits) that differ from a known one in at most MOST_DIFFERENT bits."""
    if not hashes or not known:
        return np.zeros(len(hashes), bool)
    ours, theirs = _to_signs(hashes), _to_signs(known)
    agree = BITS - 2 * MOST_DIFFERENT
    return np.concatenate([(ours[i : i + 1024] @ theirs.T).max(axis=1) >= agree for i in range(0, len(ours), 1024)])


def count_different(hashes: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """Return in how many bits hashes (32 hex digits) differ from known ones, float [n, k]."""
    return (BITS - _to_signs(hashes) @ _to_signs(known).T) / 2


def _hash_square(light: np.ndarray, part: float) -> list[str]:
    rows, columns = _coefficients()
    inside, waves = _waves(light.shape[1], part)
    square = np.ascontiguousarray(light[:, inside, inside])
    n, side, _ = square.shape
    across = (square.reshape(n * side, side) @ waves).reshape(n, side, -1)  # one product of matrices, not n small ones
    down = np.ascontiguousarray(across.transpose(0, 2, 1)).reshape(-1, side) @ waves
    found = down.reshape(n, waves.shape[1], -1)[:, columns, rows]
    packed = np.packbits(found > 0, axis=1)
    flat = np.abs(found).max(axis=1) < _FLATTEST
    return ["" if is_flat else row.tobytes().hex() for row, is_flat in zip(packed, flat, strict=True)]


@lru_cache(maxsize=1)
def _coefficients() -> tuple[np.ndarray, np.ndarray]:
    """The BITS lowest pairs of orders of which one is odd."""
    pairs = [(u, v) for u in range(20) for v in range(20) if u % 2 or v % 2]
    pairs.sort(key=lambda pair: (sum(pair), abs(pair[0] - pair[1]), pair))
    rows, columns = np.array(pairs[:BITS]).T
    return rows, columns


@lru_cache(maxsize=64)
def _waves(side: int, part: float) -> tuple[slice, np.ndarray]:
    """The pixels of the central part of a side, and cosines integrated over each: float32 [pixels, orders]."""
    order = np.arange(1 + max(int(orders.max()) for orders in _coefficients()))
    edge = ((np.arange(side + 1) / side - 0.5) / part + 0.5)[:, None]
    place = np.clip(edge, 0, 1)
    integral = np.where(order == 0, place, np.sin(np.pi * order * place) / (np.pi * np.maximum(order, 1)))
    inside = np.flatnonzero((edge[1:, 0] > 0) & (edge[:-1, 0] < 1))
    chosen = slice(int(inside[0]), int(inside[-1]) + 1)
    return chosen, np.diff(integral, axis=0).astype(np.float32)[chosen]


def _to_signs(hashes: Sequence[str]) -> np.ndarray:
    packed = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), BITS // 8)
    return 2 * np.unpackbits(packed, axis=1).astype(np.float32) - 1
