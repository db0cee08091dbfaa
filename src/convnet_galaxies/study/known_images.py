"""Choice of the labelled images with which unlabelled ones are compared."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnet_galaxies.data.records import ImageSet, stage_rows
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import FEW_GROUPS


def choose_known(
    images: ImageSet, rows: np.ndarray, unknown: pd.DataFrame, *, stage: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """Return the rows of the held-out labelled images (int [n]), and remarks.

    rows: held-out rows of images. Known are those with a label, of the given stage; by default of the stage that the
    unknown images are of, if enough are left: people saw other things in another stage. Raises InputError.
    """
    if "lens" not in images.table:
        raise InputError(
            "known images: found a pack without labels, expected labelled held-out images",
            "give --known PACK, the pack on which the run was trained (its held-out images are used)",
        )
    rows = rows[images.table["lens"].notna().to_numpy()[rows]]
    remarks: list[str] = []
    if stage is not None:
        rows = rows[stage_rows(images.table, stage)[rows]]
    elif "stage" in images.table and "stage" in unknown and len(set(unknown["stage"])) == 1:
        of_rows = images.table["stage"].to_numpy(float)[rows]
        own = float(unknown["stage"].iloc[0])
        same = rows[of_rows == own]
        if _count_least(images.table.iloc[same]) >= FEW_GROUPS:
            rows = same
        elif (of_rows != own).any():
            remarks.append(
                f"Fewer than {FEW_GROUPS} groups of held-out lenses or others are of stage {own:g}, that of the "
                "unknown images: the known images are of all stages, which may differ from it."
            )
    labels = images.table["lens"].to_numpy(float)[rows]
    if not len(rows) or labels.all() or not labels.any():
        raise InputError(
            f"known images: found {int(labels.sum())} lenses among {len(rows)} held-out images, expected lenses and "
            "others that the run was not trained on",
            f"give --known PACK with more labelled images, {'' if stage is None else 'leave out --stage, '}or train "
            "with a larger held-out fraction",
        )
    return rows, remarks


def _count_least(table: pd.DataFrame) -> int:
    lens, groups = table["lens"].to_numpy(float) == 1, table["group"].to_numpy()
    return min(len(np.unique(groups[side].astype(str))) for side in (lens, ~lens))
