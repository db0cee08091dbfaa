"""Zero points from FITS headers: cards of pipelines and archives, and the unit of the pixels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from convnet_galaxies.data.fits_cards import Cards, number_of, text_of
from convnet_galaxies.data.fits_sky import read_pixel_scale
from convnet_galaxies.data.quiet import quiet_warnings


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


_VEGA = {"PHOTSYS": ("VEGA",), "TELESCOP": ("WISE", "2MASS"), "INSTRUME": ("WFCAM", "VIRCAM")}
"""Cards and words in them by which magnitudes are those of Vega, not AB."""


def read_zeropoint(header: Cards, primary: Cards) -> ZeroPoint | None:
    """Read the zero point that a plane's own header tells, or else the first header of its file; None without one.

    Raises ValueError that names two cards which contradict each other by more than 0.1 mag.
    """
    unit_text = text_of(header, "BUNIT") or text_of(primary, "BUNIT")
    exposure_s = number_of(header, "EXPTIME") or number_of(primary, "EXPTIME") or 0.0
    found = None
    if not (_is_vega(header) or _is_vega(primary)):
        found = _from_cards(header, unit_text, exposure_s) or _from_cards(primary, unit_text, exposure_s)
    unit = _from_unit(unit_text, header, primary)
    if found and unit and abs(found.mag - unit.mag) > 0.1:
        raise ValueError(f"{found.source} and {unit.source} (AB {unit.mag:g}) contradict each other")
    return unit or found


def _is_vega(header: Cards) -> bool:
    return any(word in text_of(header, card).upper() for card, words in _VEGA.items() for word in words)


def _from_cards(header: Cards, unit: str, exposure_s: float) -> ZeroPoint | None:
    is_rate = _is_rate(unit)
    whole = [
        ZeroPoint(mag, f"{key} = {mag:g}") for key in ZEROPOINT_KEYS if (mag := _magnitude(header, key)) is not None
    ]
    for other in whole[1:]:
        if abs(other.mag - whole[0].mag) > 0.1:
            raise ValueError(f"{whole[0].source} and {other.source} contradict each other")
    if whole:
        return whole[0]
    for key in RATE_KEYS:
        value = _magnitude(header, key)
        if value is not None and exposure_s > 0 and not is_rate:
            return ZeroPoint(value + 2.5 * math.log10(exposure_s), f"{key} = {value:g} and EXPTIME = {exposure_s:g}")
        if value is not None:
            return ZeroPoint(value, f"{key} = {value:g}")
    flux = number_of(header, "FLUXMAG0")
    if flux is not None and flux > 0:
        return ZeroPoint(2.5 * math.log10(flux), f"FLUXMAG0 = {flux:g}")
    is_total = bool(unit) and not is_rate and exposure_s > 0
    more = 2.5 * math.log10(exposure_s) if is_total else 0.0
    flam, pivot, jansky = (number_of(header, key) or 0.0 for key in ("PHOTFLAM", "PHOTPLAM", "PHOTFNU"))
    if flam > 0 and pivot > 0:
        mag = -2.5 * math.log10(flam) - 5 * math.log10(pivot) - 2.408
        return ZeroPoint(mag + more, f"PHOTFLAM = {flam:g} and PHOTPLAM = {pivot:g}")
    if jansky > 0:
        return ZeroPoint(-2.5 * math.log10(jansky / MAGGY_JY) + more, f"PHOTFNU = {jansky:g}")
    return None


def _magnitude(header: Cards, key: str) -> float | None:
    """An AB magnitude; None where the card is absent, holds a sentinel, or is of Vega by its comment."""
    value = number_of(header, key)
    if value is None or abs(value) >= SENTINEL_MAG or "vega" in header.comment(key).lower():
        return None
    return value


def _from_unit(unit: str, header: Cards, primary: Cards) -> ZeroPoint | None:
    maggies, per_steradian = _unit_in_maggies(unit) if unit else (None, False)
    if maggies is None:
        return None
    if per_steradian:
        arcsec = read_pixel_scale(header) or read_pixel_scale(primary)
        steradian = number_of(header, "PIXAR_SR") or (0.0 if arcsec is None else (arcsec / 206264.806) ** 2)
        if steradian <= 0:
            return None
        maggies *= steradian
    return ZeroPoint(-2.5 * math.log10(maggies), f"BUNIT = {unit}")


@lru_cache(maxsize=64)
def _unit_in_maggies(text: str) -> tuple[float | None, bool]:
    """Return a unit of flux in maggies, or of brightness in maggies per steradian (True); None for counts."""
    from astropy import units as u

    plain = re.sub(r"\s*(/|per)\s*(pixel|pix)\b", "", text.strip(), flags=re.IGNORECASE)
    plain = re.sub(
        r"(nano|micro|milli)?magg(y|ies?)\b", lambda match: f"{match.group(1) or ''}maggy".lower(), plain, flags=re.I
    )
    plain = re.sub(
        r"\b(nano|micro|milli)\s*Jy", lambda match: _PREFIXES[match.group(1).lower()] + "Jy", plain, flags=re.I
    )
    plain = re.sub(r"\bmujy\b", "uJy", plain, flags=re.IGNORECASE)
    if plain.isupper():  # but MJY alone is milli or mega
        plain = re.sub(r"\b([UN]?)JY\b", lambda match: match.group(1).lower() + "Jy", plain)
        plain = re.sub(r"\bMJY\s*/\s*SR\b", "MJy/sr", plain)
    with quiet_warnings():
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
    return bool(re.search(r"/\s*s(ec(onds?)?)?\b|\bs(\^|\*\*)?\(?-1", unit, re.IGNORECASE))
