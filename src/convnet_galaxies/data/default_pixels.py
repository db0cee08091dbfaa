"""Default preprocessing of the images of each kind of data set.

The command line shows these numbers in its help, so nothing heavy is loaded with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convnet_galaxies.errors import UsageError

if TYPE_CHECKING:
    from convnet_galaxies.data.preprocess import Preprocess
    from convnet_galaxies.data.records import Records

ZOO_CROP_PX, ZOO_SIZE_PX = 288, 108
"""Of 424 px. The network input covers 213 px (see NetSettings); the rest is room for rotation, shift and zoom."""

STAMP_PX, STAMP_SCALE_ARCSEC = 96, 0.186
"""Of a Space Warps cutout."""


def default_preprocess(
    records: Records,
    *,
    pixel_scale_arcsec: float | None = None,
    hdus: Sequence[str] | None = None,
    **changes: Any,
) -> Preprocess:
    """Return the Preprocess of a kind of records (see Records.kind), with changes such as ``crop_px=64``.

    pixel_scale_arcsec, hdus: of images, as in ReadOptions; without a scale, the one that their headers agree on.
    Raises UsageError for a change that a Preprocess cannot have.
    """
    from pydantic import ValidationError

    from convnet_galaxies.data.image_sample import find_scale
    from convnet_galaxies.data.preprocess import Preprocess
    from convnet_galaxies.data.stretch import Composite

    made: dict[str, Any]
    if records.kind == "galaxy-zoo":
        made = {"crop_px": ZOO_CROP_PX, "size_px": ZOO_SIZE_PX}
    elif records.kind == "space-warps":
        made = {"crop_px": STAMP_PX, "size_px": STAMP_PX, "pixel_scale_arcsec": STAMP_SCALE_ARCSEC}
        made["stretch"] = Composite()
    else:
        scale = pixel_scale_arcsec or find_scale(records.files or (), hdus=hdus)
        made = {"size_px": STAMP_PX, "pixel_scale_arcsec": scale}
    try:
        return Preprocess(**{**made, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0] if first["loc"] else "pixels"
        raise UsageError(f"{name}: found {first['input']}, {first['msg'].lower()}", "give another value") from None
