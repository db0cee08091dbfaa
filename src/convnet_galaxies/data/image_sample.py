"""Looks at some of many images: their formats and sizes, and whether they can be decoded at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convnet_galaxies.data.fits_image import is_fits, read_fits
from convnet_galaxies.data.picture import name_form
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageFile
from convnet_galaxies.errors import BadImageError

SAMPLE = 64


@dataclass(frozen=True)
class ImageSample:
    """What a sample of images is.

    looked_at, total: number of images looked at, and of all.
    forms: for each form, e.g. ``JPEG 424 x 424 px, RGB``, the number of images, most frequent first.
    with_alpha: number of images with an alpha channel.
    faults: one text for each image that cannot be decoded.
    """

    looked_at: int
    total: int
    forms: tuple[tuple[str, int], ...]
    with_alpha: int
    faults: tuple[str, ...]


def sample_images(files: Sequence[ImageFile], number: int = SAMPLE) -> ImageSample:
    """Decode up to number images, evenly spaced among the files."""
    chosen = np.unique(np.linspace(0, max(0, len(files) - 1), min(number, len(files))).round().astype(int))
    forms: Counter[str] = Counter()
    with_alpha, faults = 0, []
    for row in chosen:
        try:
            form, has_alpha = probe_image(files[row])
        except BadImageError as error:
            faults.append(error.message)
            continue
        forms[form] += 1
        with_alpha += has_alpha
    return ImageSample(len(chosen), len(files), tuple(forms.most_common()), with_alpha, tuple(faults))


def probe_image(file: ImageFile) -> tuple[str, bool]:
    """Form of one image, e.g. ``PNG 96 x 96 px, RGBA`` (width first), and whether it has an alpha channel.

    Raises BadImageError when it cannot be decoded.
    """
    data = file.read()
    if is_fits(data, file.name):
        h, w, bands = read_fits(data, str(file)).planes.shape
        return f"FITS {w} x {h} px, {bands} band{'s' if bands > 1 else ''}", False
    pixels, _ = Preprocess().decode_whole(data, str(file))
    form, mode, has_alpha = name_form(data, str(file))
    return f"{form} {pixels.shape[1]} x {pixels.shape[0]} px, {mode}", has_alpha
