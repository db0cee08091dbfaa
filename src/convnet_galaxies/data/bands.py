"""Photometric bands: their names in headers, extensions and file names, and their order by wavelength."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

OPTICAL_NM = {
    "FUV": 154, "NUV": 228,
    "u": 355, "U": 365, "B": 440, "g": 475, "V": 551, "r": 622, "R": 658, "VIS": 715, "i": 763, "I": 806, "z": 905,
    "y": 962, "Y": 1020, "J": 1250, "H": 1650, "Ks": 2150, "K": 2200, "W1": 3368, "W2": 4618, "W3": 12082, "W4": 22194,
}  # fmt: skip
"""Mean wavelengths of bands in nm: GALEX, SDSS and MegaCam u to z, Johnson-Cousins, Pan-STARRS y, Euclid VIS, VISTA Y
to Ks, WISE (the SVO Filter Profile Service). Only their order matters here."""

_FOLDED = {name.lower(): name for name in ("FUV", "NUV", "VIS", "Ks", "W1", "W2", "W3", "W4", "u", "g", "r", "i", "z")}
_FOLDED_IN_HEADERS = {**_FOLDED, "j": "J", "h": "H", "k": "K"}
_HUBBLE_OR_WEBB = re.compile(r"F(\d{3,4})(?:W2?|M|N|LP|X)", re.IGNORECASE)
_WEBB = frozenset(("F200W", "F210M", "F212N", "F250M", "F277W", "F300M", "F322W2", "F323N", "F335M", "F356W", "F360M",
                   "F380M", "F405N", "F430M", "F444W", "F460M", "F466N", "F470N", "F480M", "F560W",
                   "F770W"))  # fmt: skip
"""Filters of Webb whose numbers Hubble's have too, as wavelengths of a tenth (F410M alone is on both)."""
_HUBBLE_NM = {"F1042M": 1042.0}
_ROMAN = frozenset(("F062", "F087", "F106", "F129", "F146", "F158", "F184", "F213"))
_WORDS = re.compile(r"[A-Za-z]+\d*[A-Za-z0-9]*|\d+")
_ALIASES = {"zd": "z", "bokr": "r", "bokg": "g", "r2": "r", "i2": "i"}
"""Spellings of single pipelines: the z of Mosaic-3, g and r of 90Prime, the second r and i filters of HSC."""
_HEADER_ALIASES = {**_ALIASES, "rc": "R", "ic": "I", "up": "u", "gp": "g", "rp": "r", "ip": "i", "zs": "z"}
"""Those of headers only, since file names hold such words: Cousins' R and I, the primed bands of Las Cumbres."""
_NO_BANDS = frozenset(("alpha", "beta", "gamma", "delta", "narrow", "halpha", "hbeta", "he"))
"""Words beside which a letter is a line and no band, as in ``H-alpha`` and ``He I``."""


@dataclass(frozen=True, order=True)
class Band:
    """A band by wavelength and name, e.g. Band(475.0, "g"); ordered from blue to red."""

    wavelength_nm: float
    name: str

    def __str__(self) -> str:
        return self.name


def parse_band(text: str, *, infrared_telescope: bool = False) -> Band | None:
    """Return the band that a text names, e.g. ``g``, ``SDSS_R``, ``i.MP9701``, ``HSC-Z``, ``F814W`` or ``NIR_Y``; or
    None.

    The text is a filter's name as headers and extensions give it: one of its words is the band, the others name
    survey, camera or serial number. None where no word, or words of several bands, are found.
    infrared_telescope: F410M is Webb's, whose numbers count tens of nm, and not Hubble's.
    """
    words = _WORDS.findall(text)
    if _NO_BANDS & {word.lower() for word in words}:
        return None
    found = dict.fromkeys(band for word in words if (band := _parse_word(word, True, infrared_telescope)))
    return next(iter(found)) if len(found) == 1 else None


def split_words(stem: str) -> list[str]:
    """Return the words of a file name without folders and ending, e.g. ``KiDS``, ``43``, ``r``, ``sci``."""
    return re.findall(r"[A-Za-z0-9]+", stem)


def band_of_word(word: str) -> Band | None:
    """Return the band that one word of a file name stands for, or None: ``g``, ``R``, ``VIS``, ``F814W``, ``Ks``."""
    return _parse_word(word, False)


def split_bands(text: str, number: int) -> tuple[Band, ...] | None:
    """Return the bands of a list such as ``grz``, ``g,r,z`` or ``g r i z y``, where it has so many; else None."""
    parts = re.split(r"[\s,;|/+-]+", text.strip())
    if len(parts) == 1 and len(parts[0]) == number:
        parts = list(parts[0])
    bands = [parse_band(part) for part in parts]
    return tuple(band for band in bands if band) if len(bands) == number and all(bands) else None


def name_bands(bands: Sequence[object]) -> str:
    """Return ``i, r, g``; a question mark for each that is None."""
    return ", ".join("?" if band is None else str(band) for band in bands)


@lru_cache(maxsize=4096)
def _parse_word(word: str, is_header: bool, infrared_telescope: bool = False) -> Band | None:
    word = re.sub(r"(?<=.)band$", "", word, flags=re.IGNORECASE)
    if is_header:
        word = re.sub(r"^sdss(?=[ugriz]$)|(?<=^[ugriz])sdss$", "", word, flags=re.IGNORECASE)
    word = (_HEADER_ALIASES if is_header else _ALIASES).get(word.lower(), word)
    name = word if word in OPTICAL_NM else (_FOLDED_IN_HEADERS if is_header else _FOLDED).get(word.lower())
    if name is not None:
        return Band(OPTICAL_NM[name], name)
    name = word.upper()
    if is_header and name in _ROMAN:
        return Band(10.0 * int(name[1:]), name)
    match = _HUBBLE_OR_WEBB.fullmatch(name)
    if match is None:
        return None
    digits = match.group(1)
    is_tens = infrared_telescope or int(digits) < 200 or len(digits) == 4 or name in _WEBB
    return Band(_HUBBLE_NM.get(name, float(digits) * (10 if is_tens else 1)), name)
