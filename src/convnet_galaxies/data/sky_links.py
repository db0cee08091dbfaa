"""Links the images of a table by their positions on the sky."""

from __future__ import annotations

import pandas as pd

from convnet_galaxies.data.positions import read_positions
from convnet_galaxies.data.sky_groups import NEIGHBOUR_ARCMIN, group_by_sky


def read_sky(frame: pd.DataFrame, where: object, remarks: list[str]) -> dict[str, object]:
    """Return the columns ra_deg, dec_deg (float) and sky_group (text), or nothing where the table has no positions.

    where: the source, for messages. remarks: gets what was noticed. Raises InputError for impossible coordinates.
    """
    positions, more = read_positions(frame, where)
    remarks += more
    if positions is None:
        return {}
    remarks.append(positions.remark)
    groups = pd.Series(group_by_sky(positions.ra_deg, positions.dec_deg), dtype=object)
    lacking, joined = int(groups.isna().sum()), int(groups.notna().sum()) - groups.nunique()
    if lacking:
        has, kept = ("has", "is") if lacking == 1 else ("have", "are")
        remarks.append(f"{lacking:,} of {len(frame):,} images {has} no position and {kept} kept together with nothing")
    if joined:
        lies, kept = ("image lies", "is") if joined == 1 else ("images lie", "are")
        remarks.append(f"{joined:,} {lies} within {NEIGHBOUR_ARCMIN:g} arcmin of another and {kept} kept together")
    return {"ra_deg": positions.ra_deg, "dec_deg": positions.dec_deg, "sky_group": groups.astype("str")}
