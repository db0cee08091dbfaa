"""What a grader could tell mixed-in images from candidates by is said."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.errors import BadImageError
from convnet_galaxies.inspection.planes import compare_sources, read_example
from convnet_galaxies.inspection.sources import Source


class Made(Source):
    """Images that are given; None is a damaged one."""

    def __init__(self, name: str, *images: LinearImage | None) -> None:
        super().__init__(name, pd.DataFrame({"id": [str(k) for k in range(len(images))]}), np.ones(len(images), bool))
        self.images = images

    def image(self, row: int) -> LinearImage:
        image = self.images[row]
        if image is None:
            raise BadImageError(f"{row}: is damaged", "fetch it again")
        return image


def draw(side_px: int = 40, *, bands: str = "gri", scale: float | None = 0.2, is_picture: bool = False) -> LinearImage:
    values = np.zeros((side_px, side_px), np.uint8 if is_picture else np.float32)
    planes = tuple(Plane(values, f"band {band}") for band in bands)
    return LinearImage(planes, is_picture=is_picture, pixel_scale_arcsec=scale)


def test_images_alike_need_no_remark() -> None:
    found = compare_sources([Made("candidates", draw()), Made("known", draw(60, scale=0.2001))])
    assert (found.is_picture, found.bands, found.remarks) == (False, ("band g", "band r", "band i"), ())


def test_every_difference_is_named_with_both_sides() -> None:
    other = draw(30, bands="gr", scale=0.263, is_picture=True)
    found = compare_sources([Made("candidates", draw()), Made("known", other)])
    assert found.is_picture
    assert found.bands == ()
    assert found.remarks == (
        "known: a grader may tell its images from the candidates, since they have a picture instead of linear values "
        'and 30 px instead of 40 px and 0.263"/px instead of 0.2"/px',
    )
    (reverse,) = compare_sources([Made("candidates", other), Made("known", draw())]).remarks
    assert "linear values instead of a picture" in reverse
    assert "px instead of 30" not in reverse  # larger images are cut


def test_damaged_images_are_passed_over_and_none_at_all_is_a_picture() -> None:
    source = Made("candidates", None, None, draw())
    assert read_example(source) is source.images[2]
    assert read_example(Made("candidates", *[None] * 10, draw())) is None  # it stops after ten
    source.has_image[2] = False
    assert read_example(source) is None
    found = compare_sources([source])
    assert (found.is_picture, found.bands, found.remarks) == (True, (), ())
