"""Reads square windows of one plane of a large image: from a memory map, a compressed FITS image, or an array."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Iterator

import numpy as np

from convnet_galaxies.data.fits_image import name_broken
from convnet_galaxies.data.quiet import quiet_warnings
from convnet_galaxies.errors import GalaxyError

MOST_PIXELS = 1 << 22
"""Pixels that are read at once from a compressed image: memory does not grow with the tile."""

_MAPPED_BYTES = 1 << 23
"""Of a memory map that a process holds at a time."""


class PixelSource:
    """One plane [h, w] in the order of its file, of which only windows are read.

    shape: height and width. name: for messages. dtype: of the numbers that `gather` returns. most_pixels: read at once
    to serve windows near one another; 0 for each by itself. guard: raises BadImageError where the file was cut short
    since, before its map is read: the system would end the process.
    Windows raise BadImageError where the file turns out to be damaged.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        read: Callable[[slice, slice], np.ndarray],
        *,
        name: str = "image",
        array: np.ndarray | None = None,
        dtype: np.dtype | None = None,
        most_pixels: int = MOST_PIXELS,
        guard: Callable[[], None] | None = None,
    ) -> None:
        self.shape = shape
        self.name = name
        self._read = read
        self._array = array
        self._most_pixels = most_pixels
        self._guard = guard or (lambda: None)
        self._map = _find_map(array)
        self._touched = (shape[0], 0)
        self.dtype = np.dtype(dtype) if dtype is not None else read(slice(0, 1), slice(0, 1)).dtype.newbyteorder("=")

    @classmethod
    def of_array(cls, array: np.ndarray, name: str = "image", guard: Callable[[], None] | None = None) -> PixelSource:
        """Take an array [h, w] in memory, or a memory map."""
        h, w = array.shape
        kind = array.dtype.newbyteorder("=")
        return cls((h, w), lambda rows, columns: array[rows, columns], name=name, array=array, dtype=kind, guard=guard)

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Return a part of the plane in native byte order; the slices lie within it."""
        self._guard()
        if self._map is not None and self._array is not None:
            out = np.empty((rows.stop - rows.start, columns.stop - columns.start), self.dtype)
            step = max(1, _MAPPED_BYTES // (4 * self._array.shape[1] * self._array.itemsize))
            for first in range(rows.start, rows.stop, step):
                last = min(first + step, rows.stop)
                out[first - rows.start : last - rows.start] = self._array[first:last, columns]
                self._release()
            return out
        try:
            with quiet_warnings():
                return np.ascontiguousarray(self._read(rows, columns), dtype=self.dtype)
        except GalaxyError:
            raise
        except Exception as error:  # damaged bytes reach many decoders
            raise name_broken(self.name, error) from None

    def gather(self, left: np.ndarray, bottom: np.ndarray, side_px: int, fill: float) -> np.ndarray:
        """Return windows [n, side_px, side_px] whose first column and row are given, int [n]; fill stands outside.

        fill: for whole numbers 0 stands in the place of NaN.
        """
        if self.dtype.kind in "iub" and not np.isfinite(fill):
            fill = 0
        h, w = self.shape
        out = np.empty((len(left), side_px, side_px), self.dtype)
        self._guard()
        self._touch(bottom, side_px)
        inside = (left >= 0) & (bottom >= 0) & (left + side_px <= w) & (bottom + side_px <= h)
        if self._array is not None:
            if inside.any():
                views = np.lib.stride_tricks.sliding_window_view(self._array, (side_px, side_px))
                out[inside] = views[bottom[inside], left[inside]]
        else:
            self._gather_in_parts(np.flatnonzero(inside), left, bottom, side_px, out)
        for k in np.flatnonzero(~inside):
            out[k] = self._read_padded(int(left[k]), int(bottom[k]), side_px, fill)
        return out

    def _touch(self, first_rows: np.ndarray, rows: int) -> None:
        """Give the pages of a memory map back to the system before those between the rows read so far are too many.

        They can be reclaimed at any time, but count as memory of the process, by which clusters stop it.
        """
        if self._map is None or self._array is None or not len(first_rows):
            return
        low = min(self._touched[0], int(first_rows.min()))
        high = max(self._touched[1], int(first_rows.max()) + rows)
        if (high - low) * self._array.shape[1] * self._array.itemsize > _MAPPED_BYTES:
            self._release()
            low, high = int(first_rows.min()), int(first_rows.max()) + rows
        self._touched = (low, high)

    def _release(self) -> None:
        self._touched = (self.shape[0], 0)
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            with contextlib.suppress(OSError, ValueError):
                self._map.madvise(mmap.MADV_DONTNEED)

    def _gather_in_parts(
        self, rows: np.ndarray, left: np.ndarray, bottom: np.ndarray, side_px: int, out: np.ndarray
    ) -> None:
        """Windows near one another are read together: a compressed image is unpacked by whole tiles."""
        for members in self._split_near(rows[np.argsort(bottom[rows], kind="stable")], left, bottom, side_px):
            low_x, low_y = int(left[members].min()), int(bottom[members].min())
            high_x, high_y = int(left[members].max()) + side_px, int(bottom[members].max()) + side_px
            part = self.read(slice(low_y, high_y), slice(low_x, high_x))
            views = np.lib.stride_tricks.sliding_window_view(part, (side_px, side_px))
            out[members] = views[bottom[members] - low_y, left[members] - low_x]

    def _split_near(self, rows: np.ndarray, left: np.ndarray, bottom: np.ndarray, side_px: int) -> Iterator[np.ndarray]:
        """Yield rows, which are in the order of their first row of pixels, in groups whose hull is small enough."""
        first = 0
        low = high = 0
        for place, row in enumerate(rows):
            if place > first:
                new_low, new_high = min(low, int(left[row])), max(high, int(left[row]))
                height = int(bottom[row]) - int(bottom[rows[first]]) + side_px
                if height * (new_high - new_low + side_px) > self._most_pixels:
                    yield rows[first:place]
                    first = place
                else:
                    low, high = new_low, new_high
            if place == first:
                low = high = int(left[row])
        if first < len(rows):
            yield rows[first:]

    def _read_padded(self, left: int, bottom: int, side_px: int, fill: float) -> np.ndarray:
        h, w = self.shape
        window = np.full((side_px, side_px), fill, self.dtype)
        rows = slice(max(bottom, 0), min(bottom + side_px, h))
        columns = slice(max(left, 0), min(left + side_px, w))
        if rows.start < rows.stop and columns.start < columns.stop:
            window[rows.start - bottom : rows.stop - bottom, columns.start - left : columns.stop - left] = self.read(
                rows, columns
            )
        return window


def place_windows(centre_px: np.ndarray, side_px: int) -> np.ndarray:
    """Return the first pixel of windows round positions along one axis, int [n], as Cutout2D of astropy places them.

    centre_px: 0-based, float [n]. An odd window has the nearest pixel in its middle; of an even one the middle lies at
    most half a pixel from the position, so that pixel side_px // 2 of the window is that of a whole number.
    Positions are rounded to 1e-4 px before, since those from a sky position carry rounding errors.
    """
    return np.ceil(np.round(np.asarray(centre_px, float), 4) - side_px / 2).astype(int)


def _find_map(array: np.ndarray | None) -> mmap.mmap | None:
    """Return the memory map that an array is a part of; None for one in memory."""
    while isinstance(array, np.ndarray):
        found = getattr(array, "_mmap", None)  # numpy has no other way to it
        if isinstance(found, mmap.mmap):
            return found
        array = array.base
    return None
