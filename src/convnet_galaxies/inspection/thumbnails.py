"""Pictures of showings as the page fetches them: a mosaic as one JPEG, one image as PNG, both from a bounded cache."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import simplejpeg
from PIL import Image

from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.data.preprocess import central_slices
from convnet_galaxies.errors import InputError
from convnet_galaxies.inspection.mixing import Showings, turn_image
from convnet_galaxies.inspection.planes import read_example
from convnet_galaxies.inspection.render import Look, render, resize
from convnet_galaxies.inspection.sources import Source

CACHE_BYTES = 96_000_000
SIDES_PX = (48, 64, 80, 96, 112, 128, 160, 192, 224, 256)
"""Sides of tiles: multiples of the blocks of a JPEG, so that no tile shines into its neighbour."""

MOST_TILES = 400
JPEG_QUALITY = 93
_THREADS = 4


class BoundedCache:
    """The values that were used last, as many as fit into so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.size_bytes = most_bytes, 0
        self._values: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], np.ndarray | bytes]) -> np.ndarray | bytes:
        """Return the value of a key, made where it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key][0]  # type: ignore[return-value]
        value = make()
        size = value.nbytes if isinstance(value, np.ndarray) else len(value)
        with self._lock:
            if key not in self._values and size <= self.most_bytes:
                self._values[key] = (value, size)
                self.size_bytes += size
            while self.size_bytes > self.most_bytes:
                self.size_bytes -= self._values.popitem(last=False)[1][1]
        return value


class Pictures:
    """Draws showings. sources: the candidates, then what is mixed in.

    What is mixed in is cut to the size of the candidates, so that its scale on the page is theirs. same_size: whether
    each image has as many pixels as any other, as blind sessions need.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        showings: Showings,
        *,
        same_size: bool = False,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.sources, self.showings, self.same_size = list(sources), showings, same_size
        self._cache = BoundedCache(cache_bytes)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="pictures")
        example = read_example(self.sources[0])
        self._shape = None if example is None else min(example.shape)
        """Shorter side of the first candidate in pixels."""

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def image(self, index: int, *, wider: float | None = None) -> LinearImage | None:
        """Return the planes of a showing as it is turned; with `wider`, of a larger field, None where there is none.

        Raises BadImageError when it has no image, or one that is damaged.
        """
        source, row = self.sources[self.showings.source[index]], int(self.showings.row[index])
        image = source.image(row) if wider is None else source.wider(row, wider)
        if image is None:
            return None
        if wider is None and self.showings.source[index] and self._shape is not None:
            kept = central_slices(image.shape, self._shape)
            image = replace(image, planes=tuple(replace(one, values=one.values[kept]) for one in image.planes))
        return turn_image(image, int(self.showings.turn[index]))

    def tile(self, index: int, side_px: int, look: Look) -> np.ndarray:
        """Return a showing, uint8 [side_px, side_px, 3]; a cross where it has no image."""

        def draw() -> np.ndarray:
            try:
                image = self.image(index)
                assert image is not None
                return resize(render(image, look), side_px)
            except InputError:  # one bad image, or a tile that is gone, leaves the rest of the page
                return _draw_cross(side_px)

        found = self._cache.get((index, side_px, look), draw)
        assert isinstance(found, np.ndarray)
        return found

    def mosaic(self, indices: Sequence[int], columns: int, side_px: int, look: Look) -> bytes:
        """Return showings side by side, row by row, as JPEG; empty places are black."""
        tiles = list(self._pool.map(lambda index: self.tile(index, side_px, look), indices))
        rows = -(-len(tiles) // columns)
        sheet = np.zeros((max(1, rows), side_px, columns, side_px, 3), np.uint8)
        for place, tile in enumerate(tiles):
            sheet[place // columns, :, place % columns] = tile
        pixels = sheet.reshape(max(1, rows) * side_px, columns * side_px, 3)
        return bytes(simplejpeg.encode_jpeg(pixels, quality=JPEG_QUALITY, colorsubsampling="444"))

    def single(self, index: int, most_px: int, look: Look, *, wider: float | None = None) -> bytes | None:
        """Return a showing as PNG in its own pixels, shrunk to most_px where it is larger; the page magnifies it.

        Where it is asked for by `same_size`, every image has the size of the first candidate. None where the larger
        field is not at hand. Raises BadImageError as `image`.
        """
        image = self.image(index, wider=wider)
        if image is None:
            return None
        pixels = render(image, look)
        longer = max(pixels.shape[:2])
        if self.same_size and self._shape is not None and pixels.shape[:2] != (self._shape, self._shape):
            pixels = resize(pixels, self._shape)
        elif longer > most_px:
            pixels = resize(pixels, most_px)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        return file.getvalue()


def _draw_cross(side_px: int) -> np.ndarray:
    y, x = np.mgrid[:side_px, :side_px]
    cross = (np.abs(y - x) < 2) | (np.abs(y + x - side_px + 1) < 2)
    return np.repeat(np.where(cross, 90, 30).astype(np.uint8)[..., None], 3, axis=2)
