from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales
from hypothesis import given
from hypothesis import strategies as st
from made_fits import tan_wcs

from convnet_galaxies.data.bands import name_bands
from convnet_galaxies.data.fits_cards import Cards
from convnet_galaxies.data.fits_header import (
    bands_of,
    first_row_is_top,
    is_named_science,
    role_of_file,
    role_of_header,
    role_of_product,
    role_of_text,
)
from convnet_galaxies.data.fits_sky import read_pixel_scale, same_sky
from convnet_galaxies.data.fits_zeropoint import read_zeropoint


def as_cards(cards: dict | None = None) -> Cards:
    return Cards(Header(cards or {}))


def make_header(cards: dict) -> Cards:
    """Two underscores stand for a point; a value may have its comment beside it."""
    header = Header()
    for key, value in cards.items():
        header[f"HIERARCH {key.replace('__', '.')}" if "__" in key else key] = value
    return Cards(header)


def told(number: int = 1, **cards: object) -> tuple[str, str] | None:
    found = bands_of(make_header(cards), number)
    return None if found is None else (name_bands(found[0]), found[1])


def magnitude(primary: dict | None = None, **cards: object) -> float | None:
    found = read_zeropoint(make_header(cards), make_header(primary or {}))
    return None if found is None else round(found.mag, 3)


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (None, ["IMAGE", "SCI", "DATA", "FLUX", "BGSUB", "S21", "ccd4", "MEGACAM_U_FLUX", "G", "NGC 4038", "SKYSUB"]),
        ("mask", ["MASK", "Msk", "DQ", "dq", "FLAGS", "BPM", "maskbits", "DES_R_MASK", "QUALITY", "CCD_FLAG"]),
        ("weight", ["WHT", "WGT", "weight", "INVVAR", "ivar", "NIR_Y_WEIGHT", "WEIGHTMAP"]),
        ("error", ["VARIANCE", "VAR_POISSON", "ERR", "rms", "DES_G_RMS", "STAT", "Sigma", "UNCERT"]),
        (
            "other",
            ["PSF", "VIS_PSF", "MODEL", "BKG", "background", "EXP", "SEGMAP", "AREA", "CTX", "CON", "TIME", "WCSDVARR"],
        ),
    ],
)
def test_roles_are_told_by_names_of_extensions_in_any_case(role: str | None, names: list[str]) -> None:
    for name in names:
        assert role_of_text(name) == role, name
        assert role_of_header(as_cards({"EXTNAME": name})) == role, name


@pytest.mark.parametrize(
    ("cards", "role"),
    [
        ({"DES_EXT": "MASK"}, "mask"),
        ({"EXTTYPE": "VARIANCE"}, "error"),
        ({"EXTTYPE": "IMAGE"}, None),
        ({"EXTNAME": "N4", "PRODTYPE": "wtmap"}, "weight"),
        ({"PRODCATG": "ANCILLARY.WEIGHTMAP"}, "weight"),
        ({"PRODCATG": "SCIENCE.IMAGE"}, None),
        ({"HDUCLAS2": "ERROR", "HDUCLAS3": "MSE"}, "error"),
        ({"HDUCLAS2": "QUALITY", "HDUCLAS3": "FLAG64BIT"}, "mask"),
        ({"HDUCLAS2": "DATA"}, None),
        ({"IMAGETYP": "model"}, "other"),
        ({"BUNIT": "nanomaggies^-2"}, "weight"),
        ({"BUNIT": "1/nanomaggy^2"}, "weight"),
        ({"BUNIT": "(electrons/s)^2"}, "error"),
        ({"BUNIT": "nJy**2"}, "error"),
        ({"BUNIT": "nJy arcsec**-2"}, None),
        ({"BUNIT": "erg s-1 cm**-2"}, None),
        ({"BUNIT": "nanomaggies"}, None),
        ({"EXTNAME": 5, "BUNIT": True}, None),
    ],
)
def test_roles_are_told_by_cards_of_pipelines_and_by_the_power_of_the_unit(cards: dict, role: str | None) -> None:
    assert role_of_header(as_cards(cards)) == role


def test_the_first_header_tells_the_role_of_all_extensions_by_its_product_only() -> None:
    assert role_of_product(as_cards({"PRODTYPE": "dqmask"})) == "mask"
    assert role_of_product(as_cards({"PRODTYPE": "image", "IMAGETYP": "object"})) is None
    assert role_of_product(as_cards({"EXTNAME": "MASK"})) is None


def test_named_science_is_an_extension_called_so_or_by_its_band() -> None:
    for cards in ({"EXTNAME": "SCI"}, {"EXTNAME": "des_g"}, {"EXTNAME": "x", "EXTTYPE": "IMAGE"}, {"EXTNAME": "G"}):
        assert is_named_science(as_cards(cards)), cards
    for cards in ({}, {"EXTNAME": "S21"}, {"EXTNAME": "COMPRESSED_IMAGE"}, {"EXTNAME": "PRIMARY"}):
        assert not is_named_science(as_cards(cards)), cards


@pytest.mark.parametrize(
    ("words", "role", "sure"),
    [
        ("KiDS 43 r msk", "mask", "mask"),
        ("KiDS 43 r wei", "weight", None),
        ("c4d 140818 232043 oow z v2", "weight", "weight"),
        ("c4d 140818 232043 ood z v2 N12", "mask", "mask"),
        ("legacysurvey 0001m002 invvar g", "weight", "weight"),
        ("PSF HSC", "other", "other"),
        ("model 001", "other", None),
        ("bad seeing field 12 g", None, None),
        ("J0243 g", None, None),
    ],
)
def test_words_that_stand_in_names_of_objects_too_make_no_role_for_sure(words, role, sure) -> None:
    assert role_of_file(words.split(" ")) == role
    assert role_of_file(words.split(" "), sure=True) == sure


@pytest.mark.parametrize(
    ("number", "cards", "expected"),
    [
        (3, {"BANDS": "grz"}, ("g, r, z", "BANDS")),
        (3, {"BANDS": "zrg", "BAND0": "z", "BAND1": "r", "BAND2": "g"}, ("z, r, g", "BANDS")),
        (3, {"BAND0": "g", "BAND1": "r", "BAND2": "i"}, ("g, r, i", "BAND0")),
        (3, {"BAND1": "g", "BAND2": "r", "BAND3": "i"}, ("g, r, i", "BAND1")),
        (2, {"FILTER1": "F606W", "FILTER2": "F814W"}, ("F606W, F814W", "FILTER1")),
        (3, {"FILT01": "HSC-G", "FILT02": "HSC-R", "FILT03": "HSC-I"}, ("g, R, I", "FILT1")),
        (2, {"CHAN_1": "J", "CHAN_2": "Ks"}, ("J, Ks", "CHAN1")),
        (3, {"FILTER": "g,r,i"}, ("g, r, i", "FILTER")),
        (3, {"FILTER": "gri"}, ("g, r, i", "FILTER")),
        (5, {"FILTERS": "g r i z y"}, ("g, r, i, z, y", "FILTERS")),
        (3, {"FILTER": "r"}, ("r, r, r", "FILTER")),
        (3, {"FILTER": "VIS"}, ("VIS, VIS, VIS", "FILTER")),
        (3, {"BAND1": "g", "BAND2": "r"}, None),
        (3, {"BAND": 1, "OBJECT": "NGC 1", "CTYPE3": "BAND"}, None),
    ],
)
def test_bands_of_cubes_are_told_by_one_card_or_by_numbered_ones(number, cards, expected) -> None:
    assert told(number, **cards) == expected


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"FILTER": "i.MP9702"}, ("i", "FILTER")),
        ({"BAND": "z", "FILTER": "z DECam SDSS c0004 9260.0 1520.0"}, ("z", "BAND")),
        ({"FILT_ID": "OCAM_r_SDSS"}, ("r", "FILT_ID")),
        ({"FPA__FILTERID": "y.00000"}, ("y", "FPA.FILTERID")),
        ({"FILTER1": "CLEAR1L", "FILTER2": "F814W"}, ("F814W", "FILTER2")),
        ({"TELESCOP": "JWST", "FILTER": "F410M", "PUPIL": "CLEAR"}, ("F410M", "FILTER")),
        ({"TELESCOP": "JWST", "FILTER": "CLEAR", "PUPIL": "F150W"}, ("F150W", "PUPIL")),
        ({"TELESCOP": "JWST", "FILTER": "F444W", "PUPIL": "F470N"}, ("F470N", "PUPIL")),
        ({"EXTNAME": "NIR_J_BGSUB", "FILTER": "NIR_J"}, ("J", "FILTER")),
        ({"EXTNAME": "DES_G"}, ("g", "EXTNAME")),
        ({"EXTNAME": "R"}, ("R", "EXTNAME")),
        ({"EXTNAME": "B", "FILTER": "r"}, ("r", "FILTER")),
        ({"BANDS": "r", "BAND0": "r"}, ("r", "BANDS")),
        ({"FILTER": "H-alpha"}, None),
        ({"EXTNAME": "S21"}, None),
    ],
)
def test_the_band_of_a_plane_is_told_by_its_filter_or_its_name(cards: dict, expected: tuple[str, str] | None) -> None:
    assert told(1, **cards) == expected


@pytest.mark.parametrize(
    ("number", "cards", "message"),
    [
        (3, {"BANDS": "grz", "BAND0": "z", "BAND1": "r", "BAND2": "g"}, "BANDS gives g, r, z, BAND0 gives z, r, g"),
        (3, {"BANDS": "griz"}, "BANDS gives g, r, i, z for 3 planes"),
        (1, {"FILTER": "g", "EXTNAME": "SCI_R"}, "FILTER gives g, EXTNAME gives R"),
        (1, {"FILTER": "g", "EXTNAME": "R"}, "FILTER gives g, EXTNAME gives R"),
        (1, {"BAND": "g", "FILTER": "HSC-I"}, "BAND gives g, FILTER gives I"),
    ],
)
def test_cards_that_contradict_each_other_are_named(number: int, cards: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        told(number, **cards)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"MAGZERO": 30.0}, 30.0),
        ({"MAGZERO": 0.0}, 0.0),
        ({"ZEROPNT": 0.0}, 0.0),
        ({"MZP_AB": 30, "MZP_VEGA": 30.098}, 30.0),
        ({"MAGZP": 26.1}, 26.1),
        ({"PHOTZP": 23.9}, 23.9),
        ({"MAGZPT": 25.0, "EXPTIME": 100.0}, 30.0),
        ({"MAGZPT": 25.0, "EXPTIME": 100.0, "MAGZERO": 30.0}, 30.0),
        ({"MAGZPT": 25.0, "EXPTIME": 100.0, "BUNIT": "electron/s"}, 25.0),
        ({"MAGZPT": 25.0, "EXPTIME": 100.0, "BUNIT": "counts/second"}, 25.0),
        ({"MAGZPT": 25.0}, 25.0),
        ({"FPA__ZP": 25.0, "EXPTIME": 860.0}, 32.336),
        ({"FLUXMAG0": 63095734448.0194}, 27.0),
        ({"PHOTFLAM": 7.0331e-20, "PHOTPLAM": 8045.0}, 25.947),
        ({"PHOTFLAM": 7.0331e-20, "PHOTPLAM": 8045.0, "BUNIT": "ELECTRONS/S", "EXPTIME": 1000.0}, 25.947),
        ({"PHOTFLAM": 7.0331e-20, "PHOTPLAM": 8045.0, "BUNIT": "ELECTRONS", "EXPTIME": 1000.0}, 33.447),
        ({"PHOTFNU": 3.631e-9}, 30.0),
        ({"BUNIT": "nanomaggies"}, 22.5),
        ({"BUNIT": "nanomaggy"}, 22.5),
        ({"BUNIT": "NANOMAGGIES"}, 22.5),
        ({"BUNIT": "nMgy"}, None),
        ({"BUNIT": "nmgy/pixel"}, 22.5),
        ({"BUNIT": "maggies"}, 0.0),
        ({"BUNIT": "Jy"}, 8.9),
        ({"BUNIT": "JY/PIXEL"}, 8.9),
        ({"BUNIT": "mJy"}, 16.4),
        ({"BUNIT": "uJy"}, 23.9),
        ({"BUNIT": "UJY"}, 23.9),
        ({"BUNIT": "microJy"}, 23.9),
        ({"BUNIT": "nJy"}, 31.4),
        ({"BUNIT": "10*nanoJansky"}, 28.9),
        ({"BUNIT": "3.631 uJy"}, 22.5),
        ({"BUNIT": "MJy/sr", "PIXAR_SR": 2.29e-14}, 28.0),
        ({"BUNIT": "MJy/sr", **tan_wcs(0.03)}, 28.087),
        ({"BUNIT": "MJY/SR", "PIXSCALE": "0.03"}, 28.087),
    ],
)
def test_zero_points_are_those_of_the_documents_of_each_pipeline(cards: dict, expected: float | None) -> None:
    found = magnitude(**cards)
    assert found == (None if expected is None else pytest.approx(expected, abs=0.002))


@pytest.mark.parametrize("value", [-99.0, 99.0, 99.99, -999.0, 9999.0, 90.0, True, "30 mag", "nan", ""])
@pytest.mark.parametrize("key", ["MAGZERO", "MAGZP", "MAGZPT", "ZEROPNT"])
def test_sentinels_and_texts_are_no_zero_points(key: str, value: object) -> None:
    assert magnitude(**{key: value}) is None
    assert magnitude({"BUNIT": "nJy"}, **{key: value}) == 31.4


@pytest.mark.parametrize(
    "cards",
    [
        {"MAGZERO": 25.0, "PHOTSYS": "VEGA"},
        {"MAGZP": 20.5, "TELESCOP": "WISE"},
        {"MAGZPT": 24.0, "INSTRUME": "VIRCAM"},
        {"MAGZP": (20.0, "Vega magnitude of one count")},
        {"BUNIT": "adu"},
        {"BUNIT": "MJy/sr"},
        {"BUNIT": "Jy/beam"},
        {"BUNIT": "erg/s/cm2/Angstrom"},
        {"BUNIT": 3},
        {"FLUXMAG0": 0.0},
        {"PHOTFLAM": 0.0, "PHOTPLAM": 8045.0},
        {"PHOTFLAM": 1e-19},
    ],
)
def test_magnitudes_of_vega_counts_and_units_without_an_area_are_no_zero_points(cards: dict) -> None:
    assert magnitude(**cards) is None
    assert magnitude(cards) is None


def test_a_planes_own_header_comes_before_the_first_one_which_completes_it() -> None:
    assert magnitude({"MAGZERO": 25.0}, MAGZERO=30.0) == 30.0
    assert magnitude({"MAGZERO": 25.0}) == 25.0
    assert magnitude({"EXPTIME": 100.0}, MAGZPT=25.0) == 30.0
    assert magnitude({"PHOTFLAM": 7.0331e-20, "PHOTPLAM": 8045.0, "EXPTIME": 10.0}, BUNIT="ELECTRONS") == 28.447
    assert magnitude({"BUNIT": "MJy/sr"}, **tan_wcs(0.03)) == 28.087


def test_zero_points_that_contradict_each_other_are_named() -> None:
    with pytest.raises(ValueError, match=r"MAGZERO = 30 and BUNIT = nanomaggies \(AB 22.5\) contradict"):
        magnitude(MAGZERO=30.0, BUNIT="nanomaggies")
    with pytest.raises(ValueError, match="MAGZERO = 30 and MAGZP = 27 contradict each other"):
        magnitude(MAGZERO=30.0, MAGZP=27.0)
    assert magnitude(MAGZERO=22.52, BUNIT="nanomaggies") == 22.5
    assert magnitude(MAGZERO=30.0, MAGZP=-99.0, ZP=30.05) == 30.0


def notation(kind: str, scale: float, angle: float) -> dict[str, object]:
    """A coordinate system of a scale in degrees, turned by an angle, in one of the notations of FITS."""
    c, s = math.cos(angle), math.sin(angle)
    cards = {key: value for key, value in tan_wcs().items() if not key.startswith("CD")}
    steps = {"CDELT1": -scale, "CDELT2": scale}
    turned = {"1_1": c, "1_2": s, "2_1": -s, "2_2": c}
    if kind == "CD":
        return {**cards, **{f"CD{at}": (-scale if at[0] == "1" else scale) * v for at, v in turned.items()}}
    if kind == "PC":
        return {**cards, **steps, **{f"PC{at}": v for at, v in turned.items()}}
    if kind == "PC of degrees":
        own = {f"PC{at}": (-scale if at[0] == "1" else scale) * v for at, v in turned.items()}
        return {**cards, "CDELT1": 1.0, "CDELT2": 1.0, **own}
    if kind == "PC001001":
        return {**cards, **steps, **{f"PC00{at[0]}00{at[2]}": v for at, v in turned.items()}}
    if kind == "CROTA2":
        return {**cards, **steps, "CROTA2": math.degrees(angle)}
    if kind == "CDELT":
        return {**cards, **steps}
    arcsec = {"CUNIT1": "arcsec", "CUNIT2": "arcsec", "CDELT1": -3600 * scale, "CDELT2": 3600 * scale}
    return {**cards, **arcsec}


@given(
    st.sampled_from(["CD", "PC", "PC of degrees", "PC001001", "CROTA2", "CDELT", "arcsec"]),
    st.floats(0.02, 5.0),
    st.floats(-3.1, 3.1),
)
def test_the_pixel_scale_is_that_of_astropy_in_any_notation_and_turn(kind: str, arcsec: float, angle: float) -> None:
    header = as_cards(notation(kind, arcsec / 3600, angle))
    found = read_pixel_scale(header)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        oracle = proj_plane_pixel_scales(WCS(header).celestial) * 3600
    assert found == pytest.approx(math.sqrt(oracle[0] * oracle[1]), rel=1e-6)
    assert found == pytest.approx(arcsec, rel=1e-6)


@pytest.mark.parametrize("ctype", ["TAN", "TPV", "ZPN", "SIN", "TAN-SIP", "CAR", "ZEA"])
def test_the_pixel_scale_is_had_from_any_projection_with_its_parameters_cut_off(ctype: str) -> None:
    header = as_cards({**tan_wcs(0.4), "CTYPE1": f"RA---{ctype}", "CTYPE2": f"DEC--{ctype}"})
    assert read_pixel_scale(header) == pytest.approx(0.4, rel=1e-6)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"PIXSCALE": 0.263}, 0.263),
        ({"PIXSCAL1": "0.455   "}, 0.455),
        ({"SECPIX": 0.396}, 0.396),
        ({**tan_wcs(0.2), "PIXSCALE": 0.27}, 0.2),
        ({**tan_wcs(0.2), "CD1_1": 0.0, "CD2_2": 0.0, "PIXSCALE": 0.27}, 0.27),
        ({**tan_wcs(0.2), "CD1_1": "x", "PIXSCALE": 0.27}, 0.27),
        ({"CD1_1": 1e-4}, None),
        ({"PIXSCALE": -0.2}, None),
        ({"PIXSCALE": "?"}, None),
        ({}, None),
        ({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR", "CDELT1": 1.0, "CDELT2": 1.0}, None),
    ],
)
def test_a_card_gives_the_pixel_scale_where_no_coordinate_system_does(cards: dict, expected: float | None) -> None:
    assert read_pixel_scale(as_cards(cards)) == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_two_planes_show_one_sky_within_a_pixel_in_whatever_notation() -> None:
    shape = (40, 40)
    first = as_cards(notation("CD", 5e-5, 0.3))
    assert same_sky(first, as_cards(notation("PC", 5e-5, 0.3)), shape)
    assert same_sky(first, as_cards(), shape)
    assert same_sky(as_cards(tan_wcs()), as_cards(tan_wcs(crpix=20.9)), shape)
    assert not same_sky(as_cards(tan_wcs()), as_cards(tan_wcs(crpix=25.0)), shape)
    assert not same_sky(as_cards(tan_wcs()), as_cards(tan_wcs(0.4)), shape)
    assert not same_sky(as_cards(tan_wcs()), as_cards(tan_wcs(ra_deg=210.0)), shape)


def test_headers_never_warn() -> None:
    both = as_cards({**tan_wcs(), "CDELT1": 1.0, "CDELT2": 1.0, "RADECSYS": "FK5", "DATE-OBS": "01/02/99"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_pixel_scale(both) == pytest.approx(0.2)
        assert same_sky(both, as_cards(tan_wcs(crpix=20.6)), (40, 40))
        assert magnitude(BUNIT="DN per furlong") is None


def test_rows_run_from_the_bottom_unless_roworder_tells_the_other_way() -> None:
    for value in ("TOP-DOWN", "top-down", "TOP-DOWN "):
        assert first_row_is_top(as_cards({"ROWORDER": value}))
    for cards in ({}, {"ROWORDER": "BOTTOM-UP"}, {"ROWORDER": 1}, {"ROWORDER": ""}):
        assert not first_row_is_top(as_cards(cards))


def test_long_and_strange_cards_are_read_or_passed_over() -> None:
    header = Header()
    header["HIERARCH ESO INS FILT1 NAME"] = "r_SDSS"
    header["LONG"] = "x" * 200
    header["FILTER"] = None
    header["MAGZERO"] = 2**70
    header["EXPTIME"] = np.float64(3.0)
    again = Cards(Header.fromstring(header.tostring()))
    assert bands_of(again, 1) is not None
    assert read_zeropoint(again, again) is None
