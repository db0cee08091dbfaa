"""What the images of several sources have in common, and by what a grader could tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.errors import BadImageError
from convnet_galaxies.inspection.render import name_planes
from convnet_galaxies.inspection.sources import Source

_TRIED = 10


@dataclass(frozen=True)
class CommonPlanes:
    """What the page offers for each image alike.

    is_picture: whether some source has no linear values. bands: single bands, none unless all sources have them.
    remarks: sentences on what differs between the candidates and what is mixed in.
    """

    is_picture: bool
    bands: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def compare_sources(sources: Sequence[Source]) -> CommonPlanes:
    """Compare the first readable image of each source; the first source holds the candidates."""
    examples = [(source.name, image) for source in sources if (image := read_example(source)) is not None]
    if not examples:
        return CommonPlanes(True, ())
    bands = [name_planes(image) for _, image in examples]
    own = examples[0][1]
    remarks = []
    for name, image in examples[1:]:
        differences = []
        if image.is_picture != own.is_picture:
            kinds = ["linear values", "a picture"]
            differences.append(f"{kinds[image.is_picture]} instead of {kinds[own.is_picture]}")
        if min(image.shape) < min(own.shape):
            differences.append(f"{min(image.shape)} px instead of {min(own.shape)} px")
        scales = image.pixel_scale_arcsec, own.pixel_scale_arcsec
        if scales[0] and scales[1] and abs(scales[0] / scales[1] - 1) > 0.01:
            differences.append(f'{scales[0]:.3g}"/px instead of {scales[1]:.3g}"/px')
        if differences:
            remarks.append(
                f"{name}: a grader may tell its images from the candidates, since they have {' and '.join(differences)}"
            )
    common = bands[0] if all(one == bands[0] for one in bands) else ()
    return CommonPlanes(any(image.is_picture for _, image in examples), common, tuple(remarks))


def read_example(source: Source) -> LinearImage | None:
    """Return the first of a source's first images that can be read; None where there is none."""
    for row in np.flatnonzero(source.has_image)[:_TRIED]:
        try:
            return source.image(int(row))
        except BadImageError:
            continue
    return None
