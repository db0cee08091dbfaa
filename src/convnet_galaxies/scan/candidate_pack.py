"""Candidates of a scan as a pack: the pixels that the network got, to be graded, and trained on with their grades."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.pack import write_set
from convnet_galaxies.data.records import ImageSet, connect
from convnet_galaxies.data.sky_groups import group_by_sky
from convnet_galaxies.scan.folder import ScanFolder

PACK_ENDING = ".pack"
_AT_ONCE = 256


def pack_candidates(
    scan: ScanFolder,
    table: pd.DataFrame,
    output: Path,
    *,
    side_px: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write candidates, rows of the scan's table, as a pack without labels.

    Their table keeps the columns of the scan. Candidates within an arcminute are linked, so that a split keeps them
    together. Raises OutputExistsError unless force, and what Cutter.cut raises.
    """
    pixels = scan.preprocess.new_array(len(table))
    order = np.argsort(table["tile"].to_numpy(), kind="stable")  # a tile is opened once
    with scan.cutter() as cutter:
        for start in range(0, len(order), _AT_ONCE):
            rows = order[start : start + _AT_ONCE]
            pixels[rows] = cutter.cut(table.iloc[rows], side_px)
            if progress is not None:
                progress(start + len(rows), len(order))
    kept = table.drop(columns=[name for name in ("group", "sky_group") if name in table]).reset_index(drop=True)
    links: tuple[str, ...] = ()
    if table["ra_deg"].notna().any():
        groups = pd.Series(group_by_sky(kept["ra_deg"].to_numpy(float), kept["dec_deg"].to_numpy(float)), dtype=object)
        kept, links = kept.assign(sky_group=groups.astype("str")), ("sky_group",)
    kept.insert(1, "group", connect(kept, links))
    is_linear = any(tile_is_linear(scan, name) for name in kept["tile"].unique()[:1])
    write_set(ImageSet(pixels, kept, scan.preprocess, "images", links, linear=is_linear), output, force=force)


def tile_is_linear(scan: ScanFolder, name: str) -> bool:
    """Return whether a tile holds linear values, which the stretch of the network made into pixels."""
    with scan.cutter() as cutter:
        return not cutter.image(name).template.is_picture
