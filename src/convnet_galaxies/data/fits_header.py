"""Read role, band and row order of a plane from FITS headers."""

from __future__ import annotations

import re
from typing import Literal

from convnet_galaxies.data.bands import Band, parse_band, split_bands
from convnet_galaxies.data.fits_cards import Cards, text_of

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
            "corr truth painted preview snr blobmodel time samp flat dark wavelength wcsdvarr imarr"
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
_PRODUCT_CARDS = ("PRODTYPE", "PRODCATG", "IMAGETYP")
"""Those of the first header that hold for all extensions of the file."""

_SCIENCE_WORDS = _words("image img sci science data flux bgsub signal coadd")
_UNNAMED = ("", "PRIMARY", "COMPRESSED_IMAGE")
_FLUX = r"\(?(adu|dn|counts?|electrons?|e-?|photons?|n?mgy|(nano)?magg(y|ies)|[munM]?Jy)(/s|s-1|/pix(el)?|/sr)*\)?"


def role_of_text(text: str) -> Role | None:
    """Return the role that an extension's name, or a card's value, tells, e.g. ``mask`` for ``MSK`` or
    ``DES_R_MASK``."""
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", text)}
    return next((role for role, known in _ROLE_WORDS if words & known), None)


def role_of_file(words: list[str], *, sure: bool = False) -> Role | None:
    """Return the role that the words of a file's name tell, e.g. ``weight`` for ``c4d 140818 oow z``; None without one.

    Words that name objects as well count among the last three only, and not at all if ``sure``.
    """
    tail = set() if sure else {word.lower() for word in words[-3:]}
    counted = ({word.lower() for word in words} & _SURE_WORDS) | tail
    return next((role for role, known in _ROLE_WORDS if counted & known), None)


def role_of_header(header: Cards) -> Role | None:
    """Return the role that the cards of a plane's own header tell; None where they tell none."""
    for card in _ROLE_CARDS:
        value = header.get(card)
        role = role_of_text(value) if isinstance(value, str) else None
        if role is not None:
            return role
    unit = text_of(header, "BUNIT").replace(" ", "")
    if re.fullmatch(rf"1/{_FLUX}(\^|\*\*)?2|{_FLUX}(\^|\*\*)?\(?-2\)?", unit, re.IGNORECASE):
        return "weight"
    return "error" if re.fullmatch(rf"{_FLUX}(\^|\*\*)?2", unit, re.IGNORECASE) else None


def role_of_product(primary: Cards) -> Role | None:
    """Return the role that the first header gives to all planes of its file, e.g. ``mask`` for PRODTYPE = dqmask."""
    return next((role for card in _PRODUCT_CARDS if (role := role_of_text(text_of(primary, card))) is not None), None)


def has_name(header: Cards) -> bool:
    """Return whether an extension has a name of its own, and not one that programs give to any."""
    return text_of(header, "EXTNAME").upper() not in _UNNAMED


def is_named_science(header: Cards) -> bool:
    """Return whether a plane without another role is told to be science: by EXTNAME (SCI, a band), EXTTYPE or
    HDUCLAS2."""
    name = text_of(header, "EXTNAME")
    if not has_name(header):
        return False
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", name)}
    kinds = {text_of(header, card).lower() for card in ("EXTTYPE", "HDUCLAS2")}
    band, is_sure = _band_of_name(header)
    return bool(words & _SCIENCE_WORDS or kinds & _SCIENCE_WORDS or (band and is_sure))


_BAND_CARDS = ("BAND", "FILTER", "FILT_ID", "FILTNAM1", "FILTNAM", "FILTNAME", "FPA.FILTERID", "FPA.FILTER",
               "ESO INS FILT1 NAME", "FILTERS", "FILTER1", "FILTER2", "PHOTBAND", "BANDS")  # fmt: skip


def bands_of(header: Cards, number: int) -> tuple[tuple[Band, ...], str] | None:
    """Return the bands of a cube of so many planes, or of one plane, and the card that tells them; None without such a
    card.

    Cubes: ``BANDS = 'grz'``, or numbered cards from 0 or 1 (``BAND0``, ``FILTER1``), as cutout services write them; one
    card for a single band holds for all planes, which are images in that band.
    Raises ValueError that names two cards which contradict each other, or one that tells of more or fewer planes.
    """
    found = _bands_of_cube(header, number) if number > 1 else []
    found = found or [((band,) * number, card) for band, card in _bands_of_plane(header)]
    for bands, card in found[1:]:
        if [fold(band) for band in bands] != [fold(band) for band in found[0][0]]:
            raise ValueError(f"{found[0][1]} gives {_join(found[0][0])}, {card} gives {_join(bands)}")
    return found[0] if found else None


def _bands_of_cube(header: Cards, number: int) -> list[tuple[tuple[Band, ...], str]]:
    found = []
    for card in ("BANDS", "FILTERS", "FILTER", "BAND", "EXTNAME"):
        bands = split_bands(text_of(header, card), number)
        if bands:
            found.append((bands, card))
    listed = text_of(header, "BANDS")
    others = next((some for n in range(2, 16) if n != number and (some := split_bands(listed, n))), None)
    if others:
        raise ValueError(f"BANDS gives {_join(others)} for {number} planes")
    series: dict[str, dict[int, Band]] = {}
    for card in header:
        match = re.fullmatch(r"(.*?[^\d\W_])[ _.]?0*(\d{1,2})", card)
        if match and int(match.group(2)) <= number and match.group(1) not in _SERIES_OF_OTHERS:
            band = parse_band(text_of(header, card), infrared_telescope=_is_webb(header))
            if band is not None:
                series.setdefault(match.group(1), {})[int(match.group(2))] = band
    for stem, by_place in series.items():
        for first in (0, 1):
            bands = tuple(by_place[k] for k in range(first, first + number) if k in by_place)
            if len({fold(band) for band in bands}) == number:
                found.append((bands, f"{stem}{first}"))
                break
    return found


_SERIES_OF_OTHERS = ("CTYPE", "CUNIT", "TTYPE", "TFORM", "TUNIT", "CNAME")


def _bands_of_plane(header: Cards) -> list[tuple[Band, str]]:
    found = []
    # Webb has two wheels in a row: where PUPIL holds a filter, that of FILTER is wider or none.
    cards = ("PUPIL",) if _is_webb(header) and parse_band(text_of(header, "PUPIL")) else _BAND_CARDS
    for card in cards:
        band = parse_band(text_of(header, card), infrared_telescope=_is_webb(header))
        if band is not None:
            found.append((band, card))
    band, is_sure = _band_of_name(header)
    if band is not None and (is_sure or not found):
        found.append((band, "EXTNAME"))
    return found


def _band_of_name(header: Cards) -> tuple[Band | None, bool]:
    """Return the band that EXTNAME tells, and whether it is one for sure: the name of a detector may be B, or H, as
    well."""
    name = text_of(header, "EXTNAME")
    return parse_band(name, infrared_telescope=_is_webb(header)), len(name) > 1 or name.lower() in tuple("ugrizy")


def _is_webb(header: Cards) -> bool:
    return text_of(header, "TELESCOP").upper() == "JWST"


def fold(band: Band) -> str:
    """Return the name under which two spellings of a band are one: ``HSC-R`` and ``r``."""
    return band.name.lower()


def first_row_is_top(header: Cards) -> bool:
    """Return whether the rows run from top to bottom (ROWORDER of SiriL and others); else from the bottom, as FITS
    does."""
    return "TOP" in text_of(header, "ROWORDER").upper().split("-")[0]


def _join(bands: tuple[Band, ...]) -> str:
    return ", ".join(map(str, bands))
