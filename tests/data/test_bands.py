from __future__ import annotations

import pytest

from convnet_galaxies.data.bands import band_of_word, name_bands, parse_band, split_bands, split_words


def named(text: str) -> str | None:
    band = parse_band(text)
    return band.name if band else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g", "g"),
        ("SDSS_R", "R"),
        ("i.MP9701", "i"),
        ("u.MP9302", "u"),
        ("HSC-Z", "z"),
        ("HSC-R2", "r"),
        ("HSC-I2", "i"),
        ("OCAM_g_SDSS", "g"),
        ("r DECam SDSS c0002 6415.0 1480.0", "r"),
        ("Y DECam c0005 10095.0 1130.0", "Y"),
        ("y.00000", "y"),
        ("zd", "z"),
        ("bokr", "r"),
        ("ZTF_g", "g"),
        ("gSDSS", "g"),
        ("SDSSi", "i"),
        ("rp", "r"),
        ("g'", "g"),
        ("Rc", "R"),
        ("BB#Rc/162_ESO844", "R"),
        ("NIR_H", "H"),
        ("h", "H"),
        ("VISTA Ks", "Ks"),
        ("VIS", "VIS"),
        ("MEGACAM_u", "u"),
        ("unWISE W1", "W1"),
        ("f814w", "F814W"),
        ("F129", "F129"),
    ],
)
def test_a_band_is_one_word_of_a_filters_name(text: str, expected: str) -> None:
    assert named(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "H-alpha",
        "He I",
        "Halpha",
        "CLEAR2L",
        "VR DECam c0007",
        "gri",
        "N708",
        "IA527",
        "white",
        "Open",
        "V-R",
        "F8",
    ],
)
def test_lines_broad_filters_and_several_bands_are_no_band(text: str) -> None:
    assert named(text) is None


def test_numbers_of_hubble_and_webb_filters_are_wavelengths() -> None:
    expected_nm = {
        "F275W": 275, "F438W": 438, "F606W": 606, "F814W": 814, "F850LP": 850, "F090W": 900, "F1042M": 1042,
        "F105W": 1050, "F115W": 1150, "F160W": 1600, "F200W": 2000, "F277W": 2770, "F322W2": 3220, "F356W": 3560,
        "F444W": 4440, "F560W": 5600, "F770W": 7700, "F1000W": 10000, "F2550W": 25500,
    }  # fmt: skip
    for name, wavelength_nm in expected_nm.items():
        for band in (parse_band(name), band_of_word(name)):
            assert band is not None
            assert band.wavelength_nm == wavelength_nm, name
    assert parse_band("F410M").wavelength_nm == 410  # type: ignore[union-attr]
    assert parse_band("F410M", infrared_telescope=True).wavelength_nm == 4100  # type: ignore[union-attr]


def test_bands_are_ordered_by_wavelength() -> None:
    ordered = "FUV NUV u U B g V r R VIS i I z y Y J H Ks K W1 W2 W3 W4"
    bands = [band for name in ordered.split() if (band := parse_band(name))]
    assert " ".join(map(str, sorted(bands))) == ordered


@pytest.mark.parametrize(
    ("text", "number", "expected"),
    [
        ("grz", 3, "g, r, z"),
        ("zrg", 3, "z, r, g"),
        ("g,r,z", 3, "g, r, z"),
        ("g r i z y", 5, "g, r, i, z, y"),
        ("['g', 'r']", 2, "g, r"),
        ("F435W+F606W+F814W", 3, "F435W, F606W, F814W"),
        ("HSC-G;HSC-R", 2, None),
    ],
)
def test_lists_of_bands_have_as_many_as_the_cube_has_planes(text: str, number: int, expected: str | None) -> None:
    found = split_bands(text, number)
    assert (name_bands(found) if found else None) == expected
    assert split_bands(text, number + 1) is None


def test_one_band_of_three_letters_is_no_list() -> None:
    assert split_bands("VIS", 3) is None
    assert split_bands("rgb", 3) is None


def test_words_of_file_names_are_bands_only_in_their_own_case() -> None:
    assert split_words("KiDS_43.2-34_r_sci") == ["KiDS", "43", "2", "34", "r", "sci"]
    for word in ("g", "G", "R", "V", "VIS", "Ks", "f814w", "gband"):
        assert band_of_word(word) is not None, word
    for word in ("v", "b", "k", "rp", "ip", "F129", "J0243", "a", "r3"):
        assert band_of_word(word) is None, word
