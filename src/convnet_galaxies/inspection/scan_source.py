"""The candidates of a scan, cut from their tiles when they are looked at."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.errors import BadImageError
from convnet_galaxies.inspection.sources import Source
from convnet_galaxies.scan.folder import Cutter, ScanFolder, open_scan

OPEN_TILES = 8


class ScanSource(Source):
    """A scan's folder. Several tiles stay open, since shuffled candidates go from tile to tile."""

    def __init__(self, path: Path) -> None:
        self.scan: ScanFolder = open_scan(path)
        table = self.scan.table()
        doubles = table["id"].duplicated()
        table = table[~doubles].reset_index(drop=True)
        remarks = [f"{int(doubles.sum()):,} candidates have the id of a better ranked one and are left out"]
        super().__init__(
            str(path),
            table.assign(id=table["id"].astype("str")),
            np.ones(len(table), bool),
            remarks if doubles.any() else [],
        )
        self._open: OrderedDict[str, tuple[Cutter, ExitStack]] = OrderedDict()
        self._lock = threading.Lock()

    def image(self, row: int) -> LinearImage:
        return self._cut(row, 1)

    def wider(self, row: int, factor: float) -> LinearImage | None:
        return self._cut(row, factor)

    def _cut(self, row: int, factor: float) -> LinearImage:
        candidate = self.table.iloc[row]
        with self._lock:  # a tile is read by one thread at a time
            try:
                cutter = self._cutter(str(candidate["tile"]))
                image = cutter.linear(candidate)
                return image if factor == 1 else cutter.linear(candidate, round(min(image.shape) * factor))
            except OSError as error:
                raise BadImageError(
                    f"{candidate['id']}: its tile {candidate['tile']} cannot be read ({error})", "restore the tile"
                ) from None

    def cards(self, row: int) -> dict[str, str]:
        return {}

    def _cutter(self, tile: str) -> Cutter:
        if tile in self._open:
            self._open.move_to_end(tile)
            return self._open[tile][0]
        stack = ExitStack()
        cutter = stack.enter_context(self.scan.cutter())
        self._open[tile] = cutter, stack
        while len(self._open) > OPEN_TILES:
            self._open.popitem(last=False)[1][1].close()
        return cutter

    def close(self) -> None:
        """Close the tiles."""
        with self._lock:
            for _, stack in self._open.values():
                stack.close()
            self._open.clear()
