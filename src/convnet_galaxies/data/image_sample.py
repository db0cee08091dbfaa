"""Looks at some of many images: their formats and sizes, how they are read, and whether they can be decoded at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convnet_galaxies.data.band_files import read_image
from convnet_galaxies.data.bands import name_bands
from convnet_galaxies.data.fits_image import is_fits
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.linear_image import LinearImage, above_sky
from convnet_galaxies.data.missing import LARGEST_SHARE
from convnet_galaxies.data.photometry import find_flux_scale
from convnet_galaxies.data.picture import decode_jpeg, decode_picture, name_form
from convnet_galaxies.errors import BadImageError

SAMPLE = 64


@dataclass(frozen=True)
class ImageSample:
    """Summary of a sample of images.

    looked_at, total: number of images looked at, and of all.
    forms: for each form, e.g. ``JPEG 424 x 424 px, RGB``, the number of images, most frequent first.
    with_alpha: number of images with an alpha channel.
    facts: what headers tell of linear images, or what will be guessed, each with the number of images.
    with_holes, missing_pixels: number of images with missing pixels, and of such pixels in all of them.
    faults: one text for each image that cannot be decoded.
    """

    looked_at: int
    total: int
    forms: tuple[tuple[str, int], ...]
    with_alpha: int
    faults: tuple[str, ...]
    facts: tuple[tuple[str, int], ...] = ()
    with_holes: int = 0
    missing_pixels: int = 0


def sample_images(files: Sequence[ImageFile]) -> ImageSample:
    """Decode up to SAMPLE images, evenly spaced among the files."""
    chosen = np.unique(np.linspace(0, max(0, len(files) - 1), min(SAMPLE, len(files))).round().astype(int))
    forms: Counter[str] = Counter()
    facts: Counter[str] = Counter()
    with_alpha, with_holes, missing_pixels, faults = 0, 0, 0, []
    for row in chosen:
        try:
            form, has_alpha, told, missing = probe_image(files[row])
        except BadImageError as error:
            faults.append(error.message)
            continue
        forms[form] += 1
        facts.update(told)
        with_alpha += has_alpha
        with_holes += missing > 0
        missing_pixels += missing
    return ImageSample(
        len(chosen),
        len(files),
        tuple(forms.most_common()),
        with_alpha,
        tuple(faults),
        tuple(facts.most_common()),
        with_holes,
        missing_pixels,
    )


def probe_image(file: ImageFile) -> tuple[str, bool, tuple[str, ...], int]:
    """Return the form of one image, e.g. ``PNG 96 x 96 px, RGBA`` (width first), whether it has an alpha channel,
    facts, and the number of its missing pixels.

    Raises BadImageError when it cannot be decoded.
    """
    data = b"" if file.others else file.read()
    if file.others or is_fits(data, file.name):
        image = read_image(file, data)
        h, w = image.shape
        bands = len(image.planes)
        missing = sum(int(np.isnan(plane.values).sum()) for plane in image.planes)
        return f"FITS {w} x {h} px, {bands} band{'s' if bands > 1 else ''}", False, _facts(image, str(file)), missing
    is_jpeg = data[:2] == b"\xff\xd8"
    pixels = decode_jpeg(data, str(file), bands=3)[0] if is_jpeg else decode_picture(data, str(file))
    form, mode, has_alpha = name_form(data, str(file))
    is_linear = pixels.dtype != np.uint8
    facts = (
        (f"values of {pixels.dtype.itemsize * 8} bits, taken as linear: stretched by their noise",) if is_linear else ()
    )
    return f"{form} {pixels.shape[1]} x {pixels.shape[0]} px, {mode}", has_alpha, facts, 0


def find_scale(files: Sequence[ImageFile], *, hdus: Sequence[str] | None = None) -> float | None:
    """Find arcsec per pixel that the headers of some FITS files agree on, to four digits; None without one."""
    fits = [file for file in files if file.others or is_fits(b"", file.name)]
    chosen = (
        [fits[row] for row in np.unique(np.linspace(0, len(fits) - 1, min(4, len(fits))).astype(int))] if fits else []
    )
    scales = set()
    for file in chosen:
        try:
            scale = read_image(file, hdus=hdus).pixel_scale_arcsec
        except BadImageError:
            continue
        scales.add(None if scale is None else float(f"{scale:.4g}"))
    return scales.pop() if len(scales) == 1 else None


def _facts(image: LinearImage, name: str) -> tuple[str, ...]:
    """Describe how an image will be read, and every guess. Raises BadImageError for an empty band."""
    facts = []
    planes = image.planes
    if any(plane.band for plane in planes):
        source = next(plane.band_source for plane in planes if plane.band)
        facts.append(f"bands {name_bands([plane.band for plane in planes])} ({source or 'file names'})")
    elif len(planes) > 1:
        facts.append("bands not named: planes will be taken from red to blue (--blue-first, --bands)")
    if image.passed_over:
        facts.append(f"planes that are no bands: {', '.join(image.passed_over)}")
    if image.pixel_scale_arcsec is not None:
        facts.append(f'{image.pixel_scale_arcsec:.3g}"/px')
    else:
        facts.append("no pixel scale (--pixel-scale)")
    if image.is_picture:
        return (*facts, "8 bits: taken as it is")
    _, noise, _ = above_sky(planes, (slice(None), slice(None)), name, LARGEST_SHARE)
    counts, remarks = find_flux_scale(planes, noise, name, None)
    sources = {plane.zeropoint.source.split(" =")[0] for plane in planes if plane.zeropoint}
    if counts is not None:
        facts.append(f"zero point known ({', '.join(sorted(sources))})")
    else:
        facts.append("no zero point: brightness will be guessed from the noise (--zero-point)")
    return (*facts, *(text for _, text in remarks))
