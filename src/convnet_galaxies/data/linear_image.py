"""Linear images: planes of pixel values with what their files tell of them, and the choice of planes for a net."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from convnet_galaxies.data.bands import Band, name_bands, parse_band
from convnet_galaxies.data.fits_cards import Cards
from convnet_galaxies.data.fits_header import fold
from convnet_galaxies.data.fits_zeropoint import ZeroPoint
from convnet_galaxies.data.missing import sky_and_noise
from convnet_galaxies.errors import BadImageError

MOST_PLANES = 15
"""A cube of more planes without bands is a stack of images."""


@dataclass(frozen=True, eq=False)
class Plane:
    """One band of an image.

    values: float32 [h, w] (NaN where missing) or, of a picture, uint8 [h, w]; the first row is the top.
    label: how its file calls it, e.g. ``SCI`` or ``plane 2``.
    band: None where nothing tells it; band_source: what does.
    zeropoint: of one unit of the values; None where nothing tells it.
    band_fault, zeropoint_fault: how cards contradict each other; nothing where they do not.
    is_absent: a band that other tiles of its survey have, and for which this one has no file: sky everywhere.
    """

    values: np.ndarray
    label: str
    band: Band | None = None
    band_source: str = ""
    zeropoint: ZeroPoint | None = None
    band_fault: str = ""
    zeropoint_fault: str = ""
    is_absent: bool = False


@dataclass(frozen=True, eq=False)
class LinearImage:
    """Planes of one shape and one piece of sky, in the order of the file.

    is_picture: 8-bit values, which are taken as they are. pixel_scale_arcsec: None where nothing tells it.
    passed_over: what else the file holds, e.g. ``MASK (mask)``. rows_from_bottom: whether the rows of the file run from
        the bottom, as FITS does. header: where the sky is, for files of one band that are joined.
    """

    planes: tuple[Plane, ...]
    is_picture: bool = False
    pixel_scale_arcsec: float | None = None
    passed_over: tuple[str, ...] = ()
    rows_from_bottom: bool = False
    header: Cards | None = field(default=None, compare=False, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        h, w = self.planes[0].values.shape
        return h, w


@dataclass(frozen=True, eq=False)
class Choice:
    """The planes that a net is shown, from red to blue, and remarks on why (kind and sentence, see InputNotes)."""

    planes: tuple[Plane, ...]
    remarks: tuple[tuple[str, str], ...] = ()


def choose_planes(
    image: LinearImage,
    number: int,
    name: str,
    *,
    wanted: Sequence[str] | None = None,
    blue_first: bool = False,
    preferred: Sequence[str] = (),
) -> Choice:
    """Choose the planes of an image for a net of so many bands: known bands go from red to blue, others as in the file.

    wanted: names of bands or extensions, or numbers of planes from 1. blue_first: planes of unknown band go from blue
    to red. preferred: bands that are taken where more are known than the net has. One plane stands for all bands.
    Raises BadImageError that lists the planes where the choice is not settled.
    """
    planes, is_fits = list(image.planes), image.header is not None
    remarks: list[tuple[str, str]] = []
    if wanted is not None:
        planes = _pick(planes, wanted, name)
    elif faulty := next((plane for plane in planes if plane.band_fault), None):
        example = ",".join(str(k) for k in range(min(number, len(planes)), 0, -1))
        raise BadImageError(
            f"{name}, {faulty.label}: {faulty.band_fault}",
            f"correct the header, or name the planes with --bands, by band or by number, such as {example}",
        )
    elif len(planes) > number > 1:
        by_name = {fold(plane.band): plane for plane in planes if plane.band is not None}
        if preferred and len(by_name) == len(planes) and all(band in by_name for band in preferred):
            planes = [by_name[band] for band in preferred]
    if wanted is None and len(planes) > MOST_PLANES and not all(plane.band for plane in planes):
        raise BadImageError(
            f"{name}: found {len(planes)} planes without names, expected an image of a few bands: a stack of images?",
            "write one file per image, or choose planes by --bands 3,2,1",
        )
    if len(planes) not in (1, number):
        raise _unsettled(planes, number, name)
    bands = [plane.band for plane in planes]
    if len(planes) > 1 and all(bands):
        names = [fold(band) for band in bands if band is not None]
        is_numbered = wanted is not None and all(text.isdigit() for text in wanted)
        if len(set(names)) < len(names) and is_numbered:
            return Choice(tuple(planes))
        if len(set(names)) < len(names):
            raise BadImageError(
                f"{name}: found the bands {name_bands(bands)}, expected each once",
                "choose one plane, which is read as grey, e.g. --bands 1, or name their bands with --bands i,r,g",
            )
        ordered = sorted(planes, key=lambda plane: plane.band or Band(0, ""), reverse=True)
        if blue_first and wanted is None and ordered != planes[::-1]:
            remarks.append(
                (
                    "contradicted",
                    f"read as {name_bands([p.band for p in ordered])} according to their files, against --blue-first",
                )
            )
        planes = ordered
        source = next((plane.band_source for plane in planes if plane.band_source), "")
        remarks.append(("bands", f"shown as {name_bands([p.band for p in planes])} (red to blue), from {source}"))
    elif len(planes) > 1 and any(bands) and wanted is None:
        raise BadImageError(
            f"{name}: found the bands {name_bands(bands)}, expected the band of each plane or of none",
            "name them with --bands, by band or by number, from red to blue",
        )
    elif len(planes) > 1:
        if blue_first and wanted is None and is_fits:
            planes = planes[::-1]
        if wanted is None and not image.is_picture and is_fits:
            order = "blue to red (--blue-first)" if blue_first else "red to blue"
            remarks.append(
                (
                    "order",
                    f"without names of bands, so their planes were taken from {order} (--bands, --blue-first)",
                )
            )
    return Choice(tuple(planes), tuple(remarks))


def above_sky(
    planes: Sequence[Plane],
    kept: tuple[slice, slice],
    name: str,
    missing_share: float,
    *,
    values: Sequence[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the kept part of planes above their sky, float32 [bands, h, w], missing pixels 0; noise [bands]; share
    missing.

    values: float32 [h, w] of each plane where they are not its own, as of one window among many.
    A plane that is absent is 0, with the mean noise of the others, and does not count for the share.
    Raises BadImageError that names a band in which more than missing_share of the kept pixels are missing, or all
    pixels have one value.
    """
    whole = [plane.values for plane in planes] if values is None else values
    excess = np.empty((len(planes), *whole[0][kept].shape), np.float32)
    noise, masked = np.empty(len(planes)), 0.0
    present = [k for k, plane in enumerate(planes) if not plane.is_absent]
    for k, plane in enumerate(planes):
        if plane.is_absent:
            excess[k] = 0
            continue
        part = whole[k][kept]
        share = float(np.count_nonzero(np.isnan(part))) / part.size if np.isnan(part.max()) else 0.0
        if share > missing_share:
            raise BadImageError(
                f"{name}, {_call(plane)}: found {share:.1%} of its pixels missing (NaN, blank, masked or padded), "
                f"expected at most {missing_share:.1%}",
                f"pass --missing {min(0.99, math.ceil(100 * share) / 100):g} to fill them with sky, or --skip-bad"
                if share < 0.99
                else "leave the band out by --bands, or pass --skip-bad",
            )
        sky, sigma = sky_and_noise(whole[k])
        if sigma == 0 and _is_empty(whole[k]):
            raise BadImageError(
                f"{name}, {_call(plane)}: found the value {sky:g} everywhere, expected light: a band without an "
                "exposure?",
                "leave the band out by --bands, or pass --skip-bad",
            )
        np.subtract(part, np.float32(sky), out=excess[k])
        if share:
            np.nan_to_num(excess[k], copy=False)
        noise[k] = sigma
        masked += share / len(present)
    if len(present) < len(planes):
        noise[[k for k in range(len(planes)) if k not in present]] = noise[present].mean()
    return excess, noise, masked


def _call(plane: Plane) -> str:
    return f"{plane.label}, band {plane.band}" if plane.band else plane.label


def _is_empty(values: np.ndarray) -> bool:
    return bool(np.nanmin(values) == np.nanmax(values)) if not np.isnan(values).all() else True


def _pick(planes: list[Plane], wanted: Sequence[str], name: str) -> list[Plane]:
    named = [parse_band(text) for text in wanted]
    own = {fold(plane.band) for plane in planes if plane.band is not None}
    if len(wanted) == len(planes) and len(own) < len(planes) and all(named):  # their file does not tell them apart
        return [
            replace(plane, band=band, band_source="--bands", band_fault="")
            for plane, band in zip(planes, named, strict=True)
        ]
    chosen = []
    for text in wanted:
        found = [plane for plane in planes if plane.label.lower() == text.lower()]
        band = parse_band(text)
        if not found and band is not None:
            found = [plane for plane in planes if plane.band is not None and plane.band.name == band.name]
            found = found or [plane for plane in planes if plane.band is not None and fold(plane.band) == fold(band)]
        if not found and text.isdigit() and 1 <= int(text) <= len(planes):
            found = [planes[int(text) - 1]]
        if len(found) != 1:
            raise BadImageError(
                f"{name}: found {_list(planes)}, expected {'one' if found else 'a'} plane called {text}",
                f"choose among {', '.join(_handle(plane, k) for k, plane in enumerate(planes, 1))}",
            )
        chosen += found
    return chosen


def _unsettled(planes: list[Plane], number: int, name: str) -> BadImageError:
    handles = [_handle(plane, k) for k, plane in enumerate(planes, 1)]
    if len(planes) < number:
        fix = (
            f"give images of {number} bands or of one, or train a network on packs of "
            f"`pack images --bands {len(planes)}`"
        )
    else:
        bands = [plane.band for plane in planes]
        ordered = sorted(zip(planes, handles, strict=True), key=lambda pair: pair[0].band or Band(0, ""), reverse=True)
        example = [handle for _, handle in ordered] if all(bands) else handles[::-1]
        fix = f"choose {number} of the {len(planes)}, e.g. --bands {','.join(example[-number:])}"
        fix += "" if number == 1 else f", or train a network on packs of `pack images --bands {len(planes)}`"
    named = f" ({_list(planes)})" if any(plane.band for plane in planes) else ""
    return BadImageError(f"{name}: found {len(planes)} bands, expected {number}{named}", fix)


def _handle(plane: Plane, number: int) -> str:
    return plane.band.name if plane.band else str(number)


def _list(planes: Sequence[Plane]) -> str:
    return ", ".join(f"{plane.label}: {plane.band}" if plane.band else plane.label for plane in planes)
