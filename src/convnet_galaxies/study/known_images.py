"""What a run says of images, and which images of known truth the unknown ones are measured against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnet_galaxies.data.records import ImageSet, stage_rows
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import FEW


@dataclass(frozen=True)
class Scored:
    """What a run says of a set of images.

    table: one row an image (id, group, ...); lens: float [n], lens probability; features: float32 [n, f];
    flavor: float [n, k] or None; flavor_names: of its columns, the first that of no lens.
    """

    table: pd.DataFrame
    lens: np.ndarray
    features: np.ndarray
    flavor: np.ndarray | None = None
    flavor_names: tuple[str, ...] = ()


def choose_known(
    images: ImageSet, rows: np.ndarray, unknown: pd.DataFrame, *, stage: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """Which held-out images are the known ones (int [n]), and remarks.

    rows: held-out rows of images. Known are those with a label, of the given stage; by default of the stage that the
    unknown images are of, if enough are left: people saw other things in another stage. Raises InputError.
    """
    if "lens" not in images.table:
        raise InputError(
            "known images: found a pack without labels, expected held-out images whose truth is known",
            "give --known PACK, the pack that the run was trained from",
        )
    rows = rows[images.table["lens"].notna().to_numpy()[rows]]
    remarks: list[str] = []
    if stage is not None:
        rows = rows[stage_rows(images.table, stage)[rows]]
    elif "stage" in images.table and "stage" in unknown and len(set(unknown["stage"])) == 1:
        of_rows = images.table["stage"].to_numpy(float)[rows]
        own = float(unknown["stage"].iloc[0])
        same = rows[of_rows == own]
        if _count_least(images.table.iloc[same]) >= FEW:
            rows = same
        elif (of_rows != own).any():
            remarks.append(
                f"Fewer than {FEW} groups of held-out lenses or others are of stage {own:g}, that of the unknown "
                "images: the known images are of all stages, which may differ from it."
            )
    labels = images.table["lens"].to_numpy(float)[rows]
    if not len(rows) or labels.all() or not labels.any():
        raise InputError(
            f"known images: found {int(labels.sum())} lenses among {len(rows)} held-out images, expected lenses and "
            "others that the run was not trained on",
            "give --known PACK with more labelled images, leave out --stage, or train with a larger held-out share",
        )
    return rows, remarks


def _count_least(table: pd.DataFrame) -> int:
    lens, groups = table["lens"].to_numpy(float) == 1, table["group"].to_numpy()
    return min(len(np.unique(groups[side].astype(str))) for side in (lens, ~lens))
