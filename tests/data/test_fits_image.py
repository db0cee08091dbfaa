from __future__ import annotations

import bz2
import gzip
import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits
from made_fits import bands, image, labels, read, save, sky, tan_wcs, to_bytes

from convnet_galaxies.data.fits_image import list_hdus, read_fits
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.linear_image import choose_planes
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.stretch import Composite
from convnet_galaxies.errors import BadImageError

LENSES = Preprocess(crop_px=40, size_px=40, stretch=Composite())


def flags(seed: int = 0, side: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 64, (side, side)).astype(np.int32)


def passed(*hdus, **options) -> list[str]:
    return list(read(*hdus, **options).passed_over)


def test_coadds_of_hsc_and_rubin_are_one_band_beside_mask_and_variance() -> None:
    planes = image(sky(), tan_wcs(), "IMAGE"), image(flags(), {"MP_SAT": 1}, "MASK"), image(sky(), {}, "VARIANCE")
    found = read(*planes, primary={"FILTER": "HSC-I", "FLUXMAG0": 63095734448.0})
    assert (labels(found), bands(found)) == (["IMAGE"], "I")
    assert found.passed_over == ("MASK (mask)", "VARIANCE (error)")
    assert found.planes[0].zeropoint.mag == pytest.approx(27.0)
    by_type = [
        image(hdu.data, {"EXTTYPE": kind}) for hdu, kind in zip(planes, ("IMAGE", "MASK", "VARIANCE"), strict=True)
    ]
    assert len(read(*by_type).planes) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("SCI", "ERR", "DQ"),
        ("SCI", "WHT", "CTX"),
        ("sci", "err", "dq"),
        ("SCI", "MSK", "WGT"),
        ("SCI", "ERR", "DQ", "SAMP", "TIME"),
        ("SCI", "ERR", "CON", "WHT", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"),
        ("SCI", "ERR", "DQ", "AREA", "WAVELENGTH"),
        ("DATA", "STAT", "DQ"),
        ("IMAGE", "SNR", "EXOTIC"),
        ("FLUX", "INVVAR", "NEXP", "PSFSIZE", "GALDEPTH"),
    ],
)
def test_beside_a_plane_called_science_all_others_are_passed_over(names: tuple[str, ...]) -> None:
    whole = {"DQ", "dq", "MSK", "CTX", "SAMP"}
    hdus = [image(flags(k) if name in whole else sky(k) + 50, {}, name) for k, name in enumerate(names)]
    found = read(*hdus, primary={"FILTER": "F814W"})
    assert labels(found) == [names[0].upper()]
    assert bands(found) == "F814W"
    assert len(found.passed_over) == len(names) - 1


def test_science_of_whole_numbers_stays_science_beside_its_float_errors_and_flags() -> None:
    counts = np.round(sky(level=200)).astype(np.int32)
    for hdus in (
        (image(counts, {}, "SCI"), image(sky(), {}, "ERR"), image(np.zeros_like(counts), {}, "DQ")),
        (image(counts), image(sky() + 5, {}, "VARIANCE")),
        (image(counts.astype(np.uint16), {}, "SCI"), image(sky(), {}, "WHT")),
    ):
        found = read(*hdus)
        assert len(found.planes) == 1
        np.testing.assert_array_equal(found.planes[0].values[::-1], counts)


def test_whole_numbers_without_a_name_beside_a_float_image_of_their_size_are_flags() -> None:
    assert passed(image(sky()), image(flags())) == ["HDU 2 (mask)"]
    assert len(read(image(sky()), image(sky(1)), image(sky(2))).planes) == 3


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_several_versions_of_sci_keep_their_own_errors_and_flags(scale: float) -> None:
    hdus = []
    for version, name in enumerate(("F435W", "F606W", "F814W"), 1):
        weight = np.ones((40, 40), np.float32)
        weight[version, :10] = 0
        cards = {"FILTER": name, **tan_wcs()}
        hdus += [image(sky(version), cards, "SCI", version), image(weight, {}, "WHT", version)]
    found = read(*hdus)
    assert (labels(found), bands(found)) == (["SCI:1", "SCI:2", "SCI:3"], "F435W F606W F814W")
    for version, plane in enumerate(found.planes, 1):
        assert np.argwhere(np.isnan(plane.values[::-1]))[:, 0].tolist() == [version] * 10
    grouped = [*hdus[::2], *hdus[1::2]]
    again = read(*grouped)
    for plane, other in zip(found.planes, again.planes, strict=True):
        np.testing.assert_array_equal(plane.values, other.values)


def test_stamps_of_euclid_have_a_band_psf_and_rms_of_other_shapes_in_turn() -> None:
    hdus = []
    for k, (name, psf) in enumerate((("DES_G", 49), ("VIS", 21), ("NIR_H", 33))):
        hdus += [
            image(sky(k), {**tan_wcs(0.1), "CDELT1": 1.0, "CDELT2": 1.0, "MAGZERO": 30.0}, f"{name}_BGSUB"),
            image(np.ones((psf, psf)), {}, f"{name}_PSF"),
            image(np.full((40, 40), 0.5, np.float32), {}, f"{name}_RMS"),
        ]
    found = read(*hdus)
    assert bands(found) == "g VIS H"
    assert found.pixel_scale_arcsec == pytest.approx(0.1)
    assert [plane.zeropoint.mag for plane in found.planes] == [30.0] * 3
    assert len(found.passed_over) == 6
    unnamed = [
        image(hdu.data, {k: v for k, v in hdu.header.items() if k in tan_wcs()}) for hdu in hdus if "PSF" in hdu.name
    ]
    assert [role.split(" ")[-1] for role in passed(image(sky(), tan_wcs()), *unnamed)] == ["(other)"] * 3


def test_ccds_of_one_exposure_are_refused_by_name_and_chosen_by_hdu() -> None:
    ccds = [image(sky(k), tan_wcs(crpix=20.5 + 500 * k), f"N{k}") for k in range(3)]
    with pytest.raises(BadImageError, match=r"planes of different parts of the sky \(N0 and N1\)") as caught:
        read(*ccds)
    assert "--hdu N0" in caught.value.fix
    assert labels(read(*ccds, hdus=("n1",))) == ["N1"]
    assert labels(read(*ccds, hdus=("3",))) == ["N2"]
    with pytest.raises(BadImageError, match=r"planes of different shape \(A \(40 x 40\), B \(30 x 30\)\)"):
        read(image(sky(), {}, "A"), image(sky(side=30), {}, "B"))


def test_hdu_chooses_any_plane_and_lists_them_where_none_or_several_are_meant() -> None:
    hdus = image(sky(), {}, "SCI"), image(flags(), {}, "DQ"), image(sky(2), {}, "MODEL")
    mask = read(*hdus, hdus=("dq",))
    assert labels(mask) == ["DQ"]
    np.testing.assert_array_equal(mask.planes[0].values[::-1], flags())
    assert labels(read(*hdus, hdus=("MODEL", "SCI"))) == ["MODEL", "SCI"]
    with pytest.raises(BadImageError, match=r"SCI \(40 x 40\) science, DQ .* mask, .* expected an image called 7"):
        read(*hdus, hdus=("7",))
    with pytest.raises(BadImageError, match="expected one image called sci"):
        read(*(image(sky(k), {}, "SCI", k) for k in (1, 2)), hdus=("sci",))


def test_files_of_masks_weights_and_psfs_alone_are_refused_by_role_unless_chosen() -> None:
    for product, called in (("dqmask", "mask"), ("wtmap", "weight")):
        with pytest.raises(BadImageError, match=rf"found N4 .* {called}, expected an image of the sky"):
            read(image(flags(), {}, "N4"), primary={"PRODTYPE": product})
    assert labels(read(image(sky(), {}, "N4"), primary={"PRODTYPE": "image"})) == ["N4"]
    with pytest.raises(BadImageError, match="found a weight by its name, expected an image of the sky"):
        read(sky(), file_role="weight")
    assert labels(read(sky(), file_role="weight", hdus=("0",))) == ["PRIMARY"]
    assert labels(read(image(sky(), {}, "WEIGHT"), hdus=("weight",))) == ["WEIGHT"]


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"BANDS": "grz"}, "g r z"),
        ({"BANDS": "zrg", "BAND0": "z", "BAND1": "r", "BAND2": "g"}, "z r g"),
        ({"BAND1": "i", "BAND2": "r", "BAND3": "g"}, "i r g"),
        ({"FILTER1": "HSC-G", "FILTER2": "HSC-R2", "FILTER3": "HSC-I2"}, "g r i"),
        ({}, "? ? ?"),
    ],
)
@pytest.mark.parametrize("lead", [(), (1,), (1, 1)])
def test_cubes_with_their_bands_in_the_header_and_any_axes_of_length_one(cards, expected, lead) -> None:
    cube = np.stack([sky(k) for k in range(3)])
    found = read(cube.reshape(*lead, *cube.shape), primary=cards)
    assert bands(found) == expected
    np.testing.assert_array_equal(np.stack([plane.values for plane in found.planes])[:, ::-1], cube)
    inner = read(cube[:, None], primary=cards)
    assert bands(inner) == expected


@pytest.mark.parametrize("case", [str.upper, str.lower, str.title])
def test_extensions_named_by_bands_in_any_case_go_from_red_to_blue(case) -> None:
    found = read(*(image(sky(k), {"EXTNAME": case(name)}) for k, name in enumerate(("g", "r", "i"))))
    chosen = choose_planes(found, 3, "x")
    assert [plane.label.lower() for plane in chosen.planes] == ["i", "r", "g"]
    stacked = fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(sky(k), name=name) for k, name in enumerate("gri"))])
    out = io.BytesIO()
    stacked.writeto(out)  # astropy writes EXTNAME in capitals
    assert [fold.lower() for fold in bands(read_fits(out.getvalue(), "x.fits")).split()] == ["g", "r", "i"]


def test_nir_bands_of_webb_without_a_telescope_card_keep_their_order() -> None:
    cube = np.stack([sky(k) for k in range(3)])
    found = read(cube, primary={"FILTER1": "F115W", "FILTER2": "F277W", "FILTER3": "F444W"})
    assert [str(plane.band) for plane in choose_planes(found, 3, "x").planes] == ["F444W", "F277W", "F115W"]


def test_a_cube_of_one_filter_is_a_stack_and_becomes_colours_only_when_told() -> None:
    cube = np.stack([sky(k) for k in range(3)])
    data = to_bytes(cube, primary={"FILTER": "r"})
    with pytest.raises(BadImageError, match="found the bands r, r, r, expected each once"):
        LENSES.decode(data, "x.fits")
    assert is_grey(LENSES.decode(data, "x.fits", ReadOptions(bands=("2",))))
    named = LENSES.decode(data, "x.fits", ReadOptions(bands=("i", "r", "g")))
    np.testing.assert_array_equal(named, LENSES.decode(to_bytes(cube), "x.fits"))
    np.testing.assert_array_equal(named, LENSES.decode(data, "x.fits", ReadOptions(bands=("1", "2", "3"))))


def is_grey(pixels: np.ndarray) -> bool:
    return bool((pixels == pixels[..., :1]).all())


def test_contradicting_cards_are_named_and_an_option_settles_them_as_the_error_tells() -> None:
    cube = np.stack([sky(k) for k in range(3)])
    data = to_bytes(cube, primary={"BANDS": "grz", "BAND0": "z", "BAND1": "r", "BAND2": "g", "MAGZERO": 30.0})
    with pytest.raises(BadImageError, match=r"x\.fits, plane 1: BANDS gives g, r, z, BAND0 gives z, r, g"):
        LENSES.decode(data, "x.fits")
    told = LENSES.decode(data, "x.fits", ReadOptions(bands=("z", "r", "g")))
    np.testing.assert_array_equal(told, LENSES.decode(to_bytes(cube, primary={"MAGZERO": 30.0}), "x.fits"))
    data = to_bytes(cube, primary={"BANDS": "irg", "MAGZERO": 30.0, "BUNIT": "nanomaggies"})
    with pytest.raises(BadImageError, match=r"MAGZERO = 30 and BUNIT = nanomaggies .* contradict each other"):
        LENSES.decode(data, "x.fits")
    assert LENSES.decode_measured(data, "x.fits", ReadOptions(zeropoint_mag=30.0))[1].unit == "known"
    assert Preprocess(size_px=40).decode_measured(data, "x.fits")[1].unit == "any"


def test_planes_of_which_only_some_have_a_band_are_refused_until_all_are_told() -> None:
    hdus = [image(sky(0), {"FILTER": "g"}), image(sky(1)), image(sky(2), {"FILTER": "i"})]
    data = to_bytes(*hdus)
    with pytest.raises(BadImageError, match=r"found the bands g, \?, i, expected the band of each plane"):
        LENSES.decode(data, "x.fits")
    told = LENSES.decode_measured(data, "x.fits", ReadOptions(bands=("g", "r", "i")))
    assert told[1].remarks[0] == ("bands", "shown as i, r, g (red to blue), from --bands")


def test_of_many_named_bands_i_r_g_are_shown_or_those_that_are_asked_for() -> None:
    names = "ugrizy"
    data = to_bytes(np.stack([sky(k) for k in range(6)]), primary={"BANDS": names})
    for reading, expected in ((None, "i, r, g"), (ReadOptions(bands=("u", "z", "r")), "z, r, u")):
        assert (
            f"shown as {expected} (red to blue), from BANDS"
            in LENSES.decode_measured(data, "x.fits", reading)[1].remarks[0]
        )
    without_i = to_bytes(np.stack([sky(k) for k in range(4)]), primary={"BANDS": "grzy"})
    with pytest.raises(BadImageError, match="found 4 bands, expected 3") as caught:
        LENSES.decode(without_i, "x.fits")
    assert "choose 3 of the 4, e.g. --bands z,r,g" in caught.value.fix
    with pytest.raises(BadImageError, match="found 2 bands, expected 3"):
        LENSES.decode(to_bytes(np.stack([sky(0), sky(1)]), primary={"BANDS": "gr"}), "x.fits")
    euclid = read(*(image(sky(k), {"FILTER": name}) for k, name in enumerate(("VIS", "NIR_Y", "NIR_J", "NIR_H"))))
    with pytest.raises(BadImageError, match=r"found 4 bands, expected 3 \(HDU 1: VIS, HDU 2: Y"):
        choose_planes(euclid, 3, "x", preferred=("i", "r", "g"))
    assert [str(p.band) for p in choose_planes(euclid, 3, "x", wanted=("VIS", "y", "H")).planes] == ["H", "Y", "VIS"]


def test_bands_of_one_letter_in_two_cases_are_told_apart_when_asked_for() -> None:
    found = read(*(image(sky(k), {"FILTER": name}) for k, name in enumerate(("Y", "y", "J"))))
    assert [p.label for p in choose_planes(found, 1, "x", wanted=("y",)).planes] == ["HDU 2"]
    assert [p.label for p in choose_planes(found, 1, "x", wanted=("Y",)).planes] == ["HDU 1"]
    with pytest.raises(BadImageError, match="expected a plane called r"):
        choose_planes(found, 1, "x", wanted=("r",))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((50, 60, 3), "the bands seem to be on the last axis"),
        ((50, 60, 1), "the bands seem to be on the last axis"),
        ((50, 60, 5), "the bands seem to be on the last axis"),
        ((46, 30, 30), "46 planes without names.* a stack of images"),
        ((16, 30, 30), "16 planes without names"),
        ((4, 30, 30), "found 4 bands, expected 3"),
        ((2, 3, 30, 30), "no image and no table"),
        ((30,), "no image and no table"),
    ],
)
def test_arrays_that_are_no_bands_first_are_refused_with_what_they_seem_to_be(shape, message) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with pytest.raises(BadImageError, match=message):
        LENSES.decode(to_bytes(values), "x.fits")


def test_the_first_row_is_the_bottom_unless_roworder_tells_otherwise() -> None:
    values = sky()
    assert read(values).rows_from_bottom
    np.testing.assert_array_equal(read(values).planes[0].values, values[::-1])
    for options in ({"primary": {"ROWORDER": "TOP-DOWN"}},):
        found = read(image(values, {}, "SCI"), **options)
        assert not found.rows_from_bottom
        np.testing.assert_array_equal(found.planes[0].values, values)
    np.testing.assert_array_equal(read(image(values, {"ROWORDER": "TOP-DOWN"})).planes[0].values, values)


def test_8_bits_are_a_picture_as_it_is_and_16_unsigned_bits_are_linear() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 40, 40)).astype(np.uint8)
    pixels, info = LENSES.decode_measured(to_bytes(rgb), "x.fits")
    np.testing.assert_array_equal(pixels, np.moveaxis(rgb, 0, -1)[::-1])
    assert info.unit == "picture"
    wide = np.random.default_rng(0).integers(30_000, 65_536, (40, 40)).astype(np.uint16)
    found = read(wide)
    assert not found.is_picture
    np.testing.assert_array_equal(found.planes[0].values[::-1], wide)


def test_blank_and_infinite_pixels_are_missing_and_doubles_beyond_float32_as_well() -> None:
    whole = np.random.default_rng(0).integers(90, 110, (40, 40)).astype(np.int16)
    whole[5, 6] = -32768
    found = read(whole, primary={"BLANK": -32768}).planes[0].values[::-1]
    assert np.argwhere(np.isnan(found)).tolist() == [[5, 6]]
    values = sky().astype(np.float64)
    values[2, 3], values[2, 4], values[2, 5], values[2, 6] = np.inf, -np.inf, 1e300, -1e30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read(values).planes[0].values[::-1]
    assert np.argwhere(np.isnan(found)).tolist() == [[2, k] for k in (3, 4, 5, 6)]


def packed(values: np.ndarray, **options) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(values, **options)]).writeto(out)
    return out.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {"compression_type": "RICE_1"},
        {"compression_type": "RICE_1", "tile_shape": (1, 20, 20)},
        {"compression_type": "RICE_1", "tile_shape": (3, 44, 60)},
        {"compression_type": "RICE_1", "tile_shape": (1, 17, 60)},
        {"compression_type": "RICE_1", "quantize_method": 1},
        {"compression_type": "RICE_1", "quantize_method": 2, "quantize_level": 8},
        {"compression_type": "RICE_1", "quantize_level": -0.01},
        {"compression_type": "GZIP_1"},
        {"compression_type": "GZIP_2"},
        {"compression_type": "GZIP_2", "quantize_level": 0.0},
        {"compression_type": "HCOMPRESS_1", "tile_shape": (1, 44, 60)},
    ],
)
@pytest.mark.parametrize("kind", ["float32", "float64", "NaN", "int16", "int32", "uint8", "uint16"])
def test_fpacked_images_are_those_of_astropy_pixel_for_pixel(options: dict, kind: str) -> None:
    cube = np.stack([sky(k, (44, 60), level=100) for k in range(3)])
    if kind == "NaN":
        cube[1, 4:9, 5] = np.nan
    else:
        cube = cube.astype(kind)
    if cube.dtype.kind != "f":  # whole numbers are not quantised
        options = {key: value for key, value in options.items() if key != "quantize_level"}
    data = packed(cube, **options)
    with fits.open(io.BytesIO(data)) as opened:
        expected = opened[1].data.astype(np.float32)
    found = read_fits(data, "x.fits.fz")
    np.testing.assert_array_equal(np.stack([plane.values for plane in found.planes])[:, ::-1], expected)
    assert labels(found) == ["plane 1", "plane 2", "plane 3"]


def test_fpacked_masks_of_any_name_are_flags_beside_the_image() -> None:
    out = io.BytesIO()
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(sky()), fits.CompImageHDU(flags(), compression_type="PLIO_1")]
    fits.HDUList(hdus).writeto(out)
    found = read_fits(out.getvalue(), "x.fz")
    assert len(found.planes) == 1
    assert found.passed_over[0].endswith("(mask)")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lambda data: gzip.compress(data, mtime=1)])
def test_files_packed_by_gzip_and_bzip2_are_read_whatever_their_name(pack) -> None:
    data = to_bytes(sky(), primary={"FILTER": "r"})
    found = read_fits(pack(data), "X.FITS.GZ")
    np.testing.assert_array_equal(found.planes[0].values, read_fits(data, "x.fits").planes[0].values)


@pytest.mark.parametrize("name", ["A.FITS", "a.Fit", "a.fts", "a.FITS.FZ", "a.fits.gz", "a.fit.BZ2", "a.fz"])
def test_endings_in_any_case_are_fits(tmp_path, name: str) -> None:
    path = save(tmp_path / name, image(sky(), {}, "SCI"))
    if name.lower().endswith("gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    if name.lower().endswith("bz2"):
        path.write_bytes(bz2.compress(path.read_bytes()))
    assert ImageFile(path).stem in ("A", "a")
    assert LENSES.decode_file(ImageFile(path))[0].shape == (40, 40, 3)


def test_files_without_an_image_are_told_by_what_they_hold() -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("id", "K", array=np.arange(3))])
    with pytest.raises(BadImageError, match="no image but 2 tables, expected a 2-D image"):
        read(table, table.copy())
    with pytest.raises(BadImageError, match="no image and no table"):
        read(primary={"OVERLAP": False})
    data = to_bytes(table, image(sky()))
    assert list_hdus(data, "x") == ("empty", "table", "image")
    assert len(read_fits(data, "x.fits").planes) == 1


DAMAGED = {
    "cube": to_bytes(np.stack([sky(k) for k in range(3)]), primary={**tan_wcs(), "BANDS": "gri", "MAGZERO": 30.0}),
    "extensions": to_bytes(
        image(sky(), tan_wcs(), "SCI"), image(flags(), {"MP_BAD": 0}, "MASK"), image(sky(), {}, "VAR")
    ),
    "rice": packed(np.stack([sky(k) for k in range(3)])),
    "gzip tiles": packed(sky(), compression_type="GZIP_1"),
    "hcompress": packed(sky(), compression_type="HCOMPRESS_1"),
    "gzip": gzip.compress(to_bytes(sky())),
    "bzip2": bz2.compress(to_bytes(sky())),
}


def try_reading(data: bytes, capfd: pytest.CaptureFixture[str]) -> bool:
    """Whether the bytes could be read; any other end than an image or a BadImageError fails the test."""
    message = ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            LENSES.decode(data, "x.fits")
        except BadImageError as error:
            message = error.message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
    return not message


@pytest.mark.parametrize("kind", sorted(DAMAGED))
def test_files_cut_short_anywhere_are_bad_images_and_nothing_else(kind: str, capfd) -> None:
    data = DAMAGED[kind]
    for length in np.linspace(0, len(data) - 1, 40).astype(int):
        try_reading(data[:length], capfd)
    assert not try_reading(data[: len(data) // 2], capfd)


@pytest.mark.parametrize("kind", sorted(DAMAGED))
def test_files_damaged_anywhere_are_images_or_bad_images_and_nothing_else(kind: str, capfd) -> None:
    rng = np.random.default_rng(0)
    data = DAMAGED[kind]
    for _ in range(150):
        damaged = bytearray(data)
        places = len(data) if rng.random() < 0.3 else min(len(data), 6 * 2880)  # headers are a small part
        for place in rng.integers(0, places, int(rng.integers(1, 12))):
            damaged[place] = rng.integers(32, 127) if rng.random() < 0.7 else rng.integers(256)
        try_reading(bytes(damaged), capfd)


def test_threads_read_alike_and_leave_the_filters_of_warnings_as_they_were() -> None:
    sources = [DAMAGED["cube"], DAMAGED["rice"], DAMAGED["extensions"][:5000], DAMAGED["extensions"]] * 8
    before = list(warnings.filters)

    def decode(data: bytes) -> bytes | str:
        try:
            return LENSES.decode(data, "x.fits").tobytes()
        except BadImageError as error:
            return error.message

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(decode, sources))
    assert found == [decode(data) for data in sources]
    assert warnings.filters == before
