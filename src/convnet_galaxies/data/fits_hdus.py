"""The images of a FITS file and their roles: which ones show the sky, and which mask or weight belongs to which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from convnet_galaxies.data.fits_cards import Cards
from convnet_galaxies.data.fits_header import (
    Role,
    bands_of,
    has_name,
    is_named_science,
    role_of_header,
    role_of_product,
    role_of_text,
)
from convnet_galaxies.data.fits_sky import same_sky
from convnet_galaxies.errors import BadImageError

_PLAIN_WORDS = frozenset(("image", "sci", "data", "flux", "bgsub", "signal", "hdu", "coadd"))


@dataclass(frozen=True, eq=False)
class Hdu:
    """One image of a file: its number, extension's name (with version where it has several), header, role and data."""

    number: int
    label: str
    hdu: Any
    header: Cards
    role: Role

    @property
    def shape(self) -> tuple[int, ...]:
        return squeeze(self.hdu.shape)

    def __str__(self) -> str:
        return f"{self.label} ({' x '.join(map(str, self.shape[::-1]))})"


def list_image_hdus(opened: Sequence[Any]) -> list[Hdu]:
    """List all images of a file with their roles. What nothing tells of is science, except for flags and unknown
    extras."""
    found = [(number, hdu) for number, hdu in enumerate(opened) if is_image_hdu(hdu)]
    names = [hdu.name for _, hdu in found]
    cards = [hdu.header if isinstance(hdu.header, Cards) else Cards(hdu.header) for _, hdu in found]
    roles = [role_of_header(one) for one in cards]
    is_told = [role is None and is_named_science(one) for role, one in zip(roles, cards, strict=True)]
    is_float = [one["BITPIX"] < 0 or one.get("BSCALE", 1) != 1 for one in cards]
    product = role_of_product(Cards(opened[0].header))
    images = []
    for k, (number, hdu) in enumerate(found):
        label = hdu.name or f"HDU {number}"
        if hdu.name and names.count(hdu.name) > 1:
            label = f"{hdu.name}:{hdu.ver}"
        role = roles[k]
        if role is None and not is_told[k]:
            if number and product is not None:
                role = product
            elif any(is_told) and has_name(cards[k]) and not _has_band(cards[k]):
                role = "other"  # beside SCI, what has a name that is none of science
            elif not is_float[k] and any(
                is_float[other] and roles[other] is None and found[other][1].shape[-2:] == hdu.shape[-2:]
                for other in range(len(found))
            ):
                role = "mask"  # whole numbers beside an image are flags
        images.append(Hdu(number, label, hdu, cards[k], role or "science"))
    science = [image for image in images if image.role == "science"]
    if science and "CTYPE1" in science[0].header:  # what has no place on the sky beside a plane that has: a PSF
        images = [
            replace(image, role="other")
            if image in science[1:] and "CTYPE1" not in image.header and image.shape[-2:] != science[0].shape[-2:]
            else image
            for image in images
        ]
    return images


def _has_band(header: Cards) -> bool:
    try:
        return bands_of(header, 1) is not None
    except ValueError:
        return True


def choose_science(
    images: list[Hdu], wanted: Sequence[str] | None, opened: Sequence[Any], name: str, file_role: Role | None
) -> list[Hdu]:
    """Choose the science planes among the images of a file, or those that are wanted (names or numbers from 0).

    Raises BadImageError that lists what there is.
    """
    listed = ", ".join(f"{image} {image.role}" for image in images)
    if wanted is not None:
        chosen = []
        for text in wanted:
            found = [one for one in images if text.lower() in (one.label.lower(), str(one.number))]
            found = found or [one for one in images if one.hdu.name.lower() == text.lower()]
            if len(found) != 1:
                raise BadImageError(
                    f"{name}: found {listed or 'no image'}, expected {'one' if found else 'an'} image called {text}",
                    "name one by its extension or number (from 0): --hdu",
                )
            chosen += found
        return chosen
    if not images:
        tables = sum(not hdu.is_image for hdu in opened)
        found_text = f"no image but {tables} table{'s' if tables > 1 else ''}" if tables else "no image and no table"
        raise BadImageError(
            f"{name}: found {found_text}, expected a 2-D image or a [bands, h, w] cube",
            "give a file with an image, or pass --skip-bad to leave it out",
        )
    science = [image for image in images if image.role == "science"]
    if not science or file_role is not None:
        what = f"a {file_role} by its name" if file_role else listed
        raise BadImageError(
            f"{name}: found {what}, expected an image of the sky",
            f"give the image itself, or name its plane: --hdu {images[0].number}",
        )
    return science


def require_one_place(science: list[Hdu], name: str) -> None:
    """Raise BadImageError that names planes of another shape or part of the sky than the first."""
    first = science[0]
    for other in science[1:]:
        if other.shape[-2:] != first.shape[-2:]:
            raise BadImageError(
                f"{name}: found planes of different shape ({', '.join(map(str, science))}), expected one shape",
                f"choose the planes of one image, e.g. --hdu {first.label}",
            )
        if not same_sky(first.header, other.header, (first.shape[-2], first.shape[-1])):
            raise BadImageError(
                f"{name}: found planes of different parts of the sky ({first.label} and {other.label}), expected one",
                f"choose the planes of one image, e.g. --hdu {first.label}",
            )


def owner_of(other: Hdu, science: list[Hdu]) -> Hdu | None:
    """Return the science plane that a mask or weight belongs to: of the same words or version, or the nearest before
    it."""
    if len(science) == 1:
        return science[0]
    own = _content_words(other.label)
    same = [one for one in science if own and _content_words(one.label) == own]
    if len(same) == 1:
        return same[0]
    same = [one for one in science if one.hdu.ver == other.hdu.ver]
    if len(same) == 1:
        return same[0]
    before = [one for one in science if one.number < other.number]
    return before[-1] if (before and len(before) < len(science)) or (before and own) else None


def _content_words(label: str) -> frozenset[str]:
    words = {word.lower() for word in re.findall(r"[A-Za-z0-9]+", label)}
    return frozenset(word for word in words if role_of_text(word) is None) - _PLAIN_WORDS


def squeeze(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Remove axes of length 1 before the last two."""
    return (*(length for length in shape[:-2] if length != 1), *shape[-2:])


def is_image_hdu(hdu: Any) -> bool:
    """Return whether an HDU holds a 2-D image or a cube."""
    return bool(hdu.is_image) and len(squeeze(tuple(hdu.shape))) in (2, 3) and 0 not in hdu.shape
