"""What FITS headers tell of a plane: its role, band, zero point, pixel scale and the way its rows run."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from astropy.io.fits import Header

from convnet_galaxies.data.bands import Band, parse_band, split_bands


class Cards(Mapping[str, Any]):
    """The cards of a header by their keywords, without comments; values are parsed when they are asked for.

    A look into astropy's Header for a keyword that is not there costs a hundred times as much, and a plane needs sixty.
    """

    def __init__(self, header: Header) -> None:
        self._cards = {card.keyword: card for card in header.cards if card.keyword not in ("", "COMMENT", "HISTORY")}

    def __getitem__(self, keyword: str) -> Any:
        return self._cards[keyword].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)


Role = Literal["science", "mask", "weight", "error", "other"]
"""``weight``: 0 where nothing was measured (weights, inverse variances). ``error``: standard deviations or variances.
``other``: no picture of the sky in one band (PSF, model, background, exposure map)."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ROLE_WORDS: tuple[tuple[Role, frozenset[str]], ...] = (
    (
        "other",
        _words(
            "psf psfex psfsize kernel bkg background sky model models resid residual residuals chi chisq seg segm "
            "segmap segmentation nexp exp expmap exptime exposure ctx con cov coverage depth galdepth psfdepth area "
            "corr truth painted preview"
        ),
    ),
    (
        "mask",
        _words(
            "mask msk masks maskbits allmask anymask flag flags flg dq dqm dqmask ood oqd ord quality qual qualdata "
            "bpm badpix bad badpixel"
        ),
    ),
    ("weight", _words("weight weights weightmap wht wgt wei wt wtmap oow ivar invvar invvariance invmse")),
    (
        "error",
        _words(
            "var variance err error errdata errors rms rmse mse sigma sig std stddev stat unc uncert uncertainty noise"
        ),
    ),
)
_SURE_WORDS = _words(
    "psf psfex msk mask masks dq dqm dqmask ood oow invvar ivar wht wgt weight weights weightmap wtmap bpm maskbits "
    "allmask rms variance segmap"
)
"""Words that make a file no image by its name alone; others (``var``, ``sky``) stand in names of objects as well."""

_ROLE_CARDS = ("EXTNAME", "HDUNAME", "DES_EXT", "EXTTYPE", "PRODTYPE", "PRODCATG", "IMAGETYP", "HDUCLAS3", "HDUCLAS2")
"""Cards that tell what a plane is: DES_EXT of DES, EXTTYPE of Rubin and HSC, PRODTYPE of NOIRLab, PRODCATG of ESO,
HDUCLASn of the HEASARC convention."""


def role_of_text(text: str) -> Role | None:
    """The role that an extension's name, or a card's value, tells, e.g. ``mask`` for ``MSK`` or ``DES_R_MASK``."""
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", text)}
    return next((role for role, known in _ROLE_WORDS if words & known), None)


def role_of_file(words: list[str], *, sure: bool = False) -> Role | None:
    """The role that the words of a file's name tell, e.g. ``weight`` for ``c4d 140818 oow z``; None without one.

    Words that name objects as well count among the last three only, and not at all if ``sure``.
    """
    tail = set() if sure else {word.lower() for word in words[-3:]}
    counted = ({word.lower() for word in words} & _SURE_WORDS) | tail
    return next((role for role, known in _ROLE_WORDS if counted & known), None)


def role_of_header(header: Cards) -> Role | None:
    """The role that the cards of a plane's own header tell; None where they tell none."""
    for card in _ROLE_CARDS:
        value = header.get(card)
        role = role_of_text(value) if isinstance(value, str) else None
        if role is not None:
            return role
    unit = _text(header, "BUNIT").replace(" ", "")
    if re.fullmatch(r"1/.*2|.*(\^|\*\*)-2", unit):
        return "weight"
    return (
        "error"
        if re.fullmatch(r"(adu|dn|counts?|electrons?|e-?|n?mgy|nanomagg(y|ies)|[munM]?Jy)(\^|\*\*)?2", unit, re.I)
        else None
    )


_BAND_CARDS = ("BAND", "FILTER", "FILT_ID", "FILTNAM1", "FILTNAM", "FPA.FILTERID", "FPA.FILTER", "ESO INS FILT1 NAME",
               "FILTERS", "FILTER1", "FILTER2", "PHOTBAND")  # fmt: skip


def bands_of(header: Cards, number: int) -> tuple[tuple[Band, ...], str] | None:
    """The bands of a cube of so many planes, or of one plane, and the card that tells them; None without such a card.

    Cubes: ``BANDS = 'grz'``, ``BAND0`` ... or ``BAND1`` ... (likewise FILTER, FILT), as cutout services write them.
    Raises ValueError that names two cards which contradict each other.
    """
    webb = _text(header, "TELESCOP").upper() == "JWST"
    found: list[tuple[tuple[Band, ...], str]] = []
    if number > 1:
        for card in ("BANDS", "FILTERS", "FILTER", "BAND"):
            bands = split_bands(_text(header, card), number)
            if bands:
                found.append((bands, card))
        for stem in ("BAND", "FILTER", "FILT", "BAND_", "FILTER_"):
            for first in (0, 1):
                texts = [_text(header, f"{stem}{first + k}") for k in range(number)]
                parsed = [parse_band(text, infrared_telescope=webb) for text in texts]
                if all(parsed):
                    found.append((tuple(band for band in parsed if band), f"{stem}{first}"))
                    break
    else:
        for card in _BAND_CARDS:
            band = parse_band(_text(header, card), infrared_telescope=webb)
            if band is not None:
                found.append(((band,), card))
        name = _text(header, "EXTNAME")
        band = parse_band(name) if len(name) > 1 or name in "ugrizyY" else None
        if name and band is not None:
            found.append(((band,), "EXTNAME"))
    for bands, card in found[1:]:
        if [fold(band) for band in bands] != [fold(band) for band in found[0][0]]:
            raise ValueError(f"{found[0][1]} gives {_join(found[0][0])}, {card} gives {_join(bands)}")
    return found[0] if found else None


def fold(band: Band) -> str:
    """The name under which two spellings of a band are one: ``HSC-R`` and ``r``."""
    return band.name.lower()


@dataclass(frozen=True)
class ZeroPoint:
    """mag: AB magnitude of one unit of the pixels. source: the cards that it comes from, e.g. ``MAGZERO = 30``."""

    mag: float
    source: str


ZEROPOINT_KEYS = (
    "MZP_AB",  # CFHTLS of Space Warps
    "MAGZERO",  # NOIRLab's Community Pipeline, Euclid MER, THELI: of the whole exposure
    "MAGZP",  # IPAC (ZTF, PTF)
    "ZEROPNT",  # KiDS (Astro-WISE)
    "PHOTZP",  # ESO Phase 3
    "ZP_AB",
    "ABZP",
    "ZPT",
    "ZP",
    "MAGZEROP",
    "ZEROPT",
    "SIMMAGZP",
)
"""Cards that hold the AB magnitude of one count. Their sources stand in docs/data_formats.md."""

RATE_KEYS = ("MAGZPT", "FPA.ZP")
"""Cards that hold the magnitude of one count per second (CASU and NOIRLab; Pan-STARRS)."""

SENTINEL_MAG = 90.0
"""No zero point is so far from 0: 99, -99, 999 and -9999 mark a calibration that failed."""

MAGGY_JY = 3631.0
_PREFIXES = {"nano": "n", "micro": "u", "milli": "m"}


def read_zeropoint(header: Cards, primary: Cards) -> ZeroPoint | None:
    """The zero point that a plane's own header tells, or else the first header of its file; None without one.

    Raises ValueError that names two cards which contradict each other by more than 0.1 mag.
    """
    for cards in (header, primary):
        found = _from_cards(cards, primary)
        unit = _from_unit(cards)
        if found and unit and abs(found.mag - unit.mag) > 0.1:
            raise ValueError(f"{found.source} and {unit.source} (AB {unit.mag:g}) contradict each other")
        if unit or found:
            return unit or found
    return None


def _from_cards(header: Cards, primary: Cards) -> ZeroPoint | None:
    if "VEGA" in (_text(header, "PHOTSYS") + _text(primary, "PHOTSYS")).upper():
        return None
    for key in ZEROPOINT_KEYS:
        value = _number(header, key)
        if value is not None and abs(value) < SENTINEL_MAG:
            return ZeroPoint(value, f"{key} = {value:g}")
    exposure_s = _number(header, "EXPTIME") or _number(primary, "EXPTIME")
    is_rate = _is_rate(_text(header, "BUNIT") or _text(primary, "BUNIT"))
    for key in RATE_KEYS:
        value = _number(header, key)
        if value is not None and abs(value) < SENTINEL_MAG:
            if exposure_s and exposure_s > 0 and not is_rate:
                return ZeroPoint(
                    value + 2.5 * math.log10(exposure_s), f"{key} = {value:g} and EXPTIME = {exposure_s:g}"
                )
            return ZeroPoint(value, f"{key} = {value:g}")
    flux = _number(header, "FLUXMAG0")
    if flux is not None and flux > 0:
        return ZeroPoint(2.5 * math.log10(flux), f"FLUXMAG0 = {flux:g}")
    flam, pivot = _number(header, "PHOTFLAM"), _number(header, "PHOTPLAM")
    if flam and pivot and flam > 0 and pivot > 0:
        mag = -2.5 * math.log10(flam) - 5 * math.log10(pivot) - 2.408
        unit = _text(header, "BUNIT") or _text(primary, "BUNIT")
        if unit and not is_rate and exposure_s and exposure_s > 0:
            mag += 2.5 * math.log10(exposure_s)
        return ZeroPoint(mag, f"PHOTFLAM = {flam:g} and PHOTPLAM = {pivot:g}")
    jansky = _number(header, "PHOTFNU")
    if jansky and jansky > 0:
        return ZeroPoint(-2.5 * math.log10(jansky / MAGGY_JY), f"PHOTFNU = {jansky:g}")
    return None


def _from_unit(header: Cards) -> ZeroPoint | None:
    unit = _text(header, "BUNIT")
    if not unit:
        return None
    maggies, per_steradian = _unit_in_maggies(unit)
    if maggies is None:
        return None
    if per_steradian:
        steradian = _number(header, "PIXAR_SR")
        if steradian is None:
            arcsec = read_pixel_scale(header)
            steradian = None if arcsec is None else (arcsec / 206264.806) ** 2
        if not steradian or steradian <= 0:
            return None
        maggies *= steradian
    return ZeroPoint(-2.5 * math.log10(maggies), f"BUNIT = {unit}")


@lru_cache(maxsize=64)
def _unit_in_maggies(text: str) -> tuple[float | None, bool]:
    """What a unit of flux is in maggies, or of brightness in maggies per steradian (True); None for counts."""
    from astropy import units as u

    plain = re.sub(r"\s*(/|per)\s*(pixel|pix)\b", "", text.strip(), flags=re.IGNORECASE)
    plain = re.sub(r"maggies?\b", "maggy", plain, flags=re.IGNORECASE)
    plain = re.sub(r"^(nano|micro|milli)\s*Jy", lambda match: _PREFIXES[match.group(1)] + "Jy", plain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            unit = u.Unit(plain)
        except (ValueError, TypeError):
            return None, False
        for per_steradian in (False, True):
            whole = unit * u.sr if per_steradian else unit
            for reference, scale in ((u.mgy, 1.0), (u.Jy, 1 / MAGGY_JY)):
                try:
                    return float(whole.to(reference)) * scale, per_steradian
                except u.UnitConversionError:
                    continue
    return None, False


def _is_rate(unit: str) -> bool:
    return bool(re.search(r"/\s*s(ec)?\b|s-1|s\^-1|s\*\*-1", unit, re.IGNORECASE))


_WCS_CARDS = tuple(
    [f"{stem}{axis}" for stem in ("CTYPE", "CUNIT", "CDELT", "CROTA") for axis in (1, 2)]
    + [f"{stem}{i}_{j}" for stem in ("CD", "PC") for i in (1, 2) for j in (1, 2)]
    + [f"PC00{i}00{j}" for i in (1, 2) for j in (1, 2)]
)
_PLACE_CARDS = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2")
_SCALE_CARDS = ("PIXSCALE", "PIXSCAL1", "SECPIX", "SECPIX1", "PSCALE")
"""Cards with arcsec per pixel, for headers without a world coordinate system."""


def read_pixel_scale(header: Cards) -> float | None:
    """Arcsec per pixel, from the world coordinate system in any notation (CD; PC or CROTA2 with CDELT), or from a card.

    The geometric mean of both axes; None where neither is there.
    """
    scale = _scale_of(tuple((key, header[key]) for key in _WCS_CARDS if key in header))
    if scale is not None:
        return scale
    return next((value for key in _SCALE_CARDS if (value := _number(header, key)) and 0 < value < 60), None)


@lru_cache(maxsize=256)
def _scale_of(cards: tuple[tuple[str, str | float], ...]) -> float | None:
    """Stamps of one survey share these cards, so that the coordinate system is made once."""
    from astropy.wcs.utils import proj_plane_pixel_scales

    wcs = make_wcs(Header(dict(cards)))
    if wcs is None:
        return None
    degrees = proj_plane_pixel_scales(wcs)
    arcsec = 3600 * float(np.sqrt(degrees[0] * degrees[1]))
    return arcsec if math.isfinite(arcsec) and 0 < arcsec < 3600 else None


def make_wcs(header: Cards):  # type: ignore[no-untyped-def]
    """The celestial part of a header's world coordinate system as astropy.wcs.WCS, or None without one."""
    from astropy.wcs import WCS, FITSFixedWarning, WcsError

    if "CTYPE1" not in header or not ({"CD1_1", "CDELT1", "PC1_1", "CD1_2"} & set(header)):
        return None
    cards = {key: header[key] for key in (*_WCS_CARDS, *_PLACE_CARDS) if key in header}
    for key in ("CTYPE1", "CTYPE2"):
        if key in cards:
            cards[key] = str(cards[key]).removesuffix("-SIP")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            wcs = WCS(Header(cards)).celestial
        except (WcsError, ValueError, KeyError, TypeError, MemoryError, AttributeError):
            return None
    return wcs if wcs.naxis == 2 else None


def same_sky(first: Cards, second: Cards, shape: tuple[int, int], *, tolerance_px: float = 1.0) -> bool:
    """Whether the corners of two planes [h, w] lie at the same positions, as far as both headers tell them."""
    keys = (*_WCS_CARDS, *_PLACE_CARDS)
    if all(first.get(key) == second.get(key) for key in keys):
        return True
    ours, theirs = make_wcs(first), make_wcs(second)
    if ours is None or theirs is None:
        return True
    h, w = shape
    x, y = np.array([0, w - 1, 0, w - 1]), np.array([0, 0, h - 1, h - 1])
    try:
        back_x, back_y = theirs.world_to_pixel(ours.pixel_to_world(x, y))
    except Exception:
        return False
    return bool((np.hypot(back_x - x, back_y - y) <= tolerance_px).all())


def first_row_is_top(header: Cards) -> bool:
    """Whether the rows run from top to bottom (ROWORDER of SiriL and others); else from the bottom, as FITS does."""
    return "TOP" in _text(header, "ROWORDER").upper().split("-")[0]


def _text(header: Cards, key: str) -> str:
    value = header.get(key)
    return value.strip() if isinstance(value, str) else ""


def _number(header: Cards, key: str) -> float | None:
    value = header.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _join(bands: tuple[Band, ...]) -> str:
    return ", ".join(map(str, bands))
