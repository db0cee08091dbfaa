from __future__ import annotations

import numpy as np
import pytest
from astropy.io.fits import Header
from hypothesis import given
from hypothesis import strategies as st
from made_fits import image, read, sky, to_bytes
from scipy.ndimage import median_filter

from convnet_galaxies.data.missing import (
    _medians_at,
    apply_error,
    apply_mask,
    apply_weight,
    mark_missing,
    named_bits,
    sky_and_noise,
)
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.stretch import Composite
from convnet_galaxies.errors import BadImageError

LENSES = Preprocess(crop_px=40, size_px=40, stretch=Composite())
GALAXY = (24, 16)
"""Where the galaxy of made_fits.sky is brightest in 40 px."""


def missing(plane: np.ndarray) -> set[tuple[int, int]]:
    return {(int(y), int(x)) for y, x in np.argwhere(np.isnan(plane))}


def block(top: int, bottom: int, left: int, right: int) -> set[tuple[int, int]]:
    return {(y, x) for y in range(top, bottom) for x in range(left, right)}


def decode(cube: np.ndarray, share: float = 0.1, **cards):
    return LENSES.decode_measured(to_bytes(cube, primary=cards), "x.fits", ReadOptions(missing_share=share))


@pytest.mark.parametrize("value", [0.0, -1.0, 1e30, -1e30, np.inf, np.nan, -999.0])
@pytest.mark.parametrize(
    "rim", [(np.s_[:3], block(0, 3, 0, 40)), (np.s_[-2:], block(38, 40, 0, 40)), (np.s_[:, :4], block(0, 40, 0, 4))]
)
def test_borders_of_one_value_are_missing_whatever_it_is(value: float, rim) -> None:
    plane = sky()
    where, expected = rim
    plane[where] = value
    mark_missing(plane)
    assert missing(plane) == expected


def test_borders_are_found_beside_rows_that_are_nan_already() -> None:
    plane = sky()
    plane[:3], plane[:, -2:], plane[-1] = np.nan, 0, 0
    plane[:3] = np.nan
    mark_missing(plane)
    assert missing(plane) == block(0, 3, 0, 40) | block(0, 40, 38, 40) | block(39, 40, 0, 40)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.sampled_from([0.0, 7.25, -3.0]))
def test_padding_on_any_sides_is_exactly_what_is_marked(top, bottom, left, right, value) -> None:
    plane = np.full((40, 40), value, np.float32)
    inner = np.s_[top : 40 - bottom, left : 40 - right]
    plane[inner] = sky()[inner]
    mark_missing(plane)
    assert missing(plane) == block(0, 40, 0, 40) - block(top, 40 - bottom, left, 40 - right)


def test_sky_of_whole_counts_or_of_a_model_without_noise_is_no_padding() -> None:
    model = np.zeros((40, 40), np.float32)
    model[10:30, 10:20] = 5
    few = np.random.default_rng(0).poisson(0.02, (40, 40)).astype(np.float32)
    for plane in (model, few):
        before = plane.copy()
        mark_missing(plane)
        np.testing.assert_array_equal(plane, before)


def test_a_plane_of_one_value_or_of_nan_alone_is_left_for_the_error_that_names_it() -> None:
    for value in (0.0, 5.0, np.nan):
        plane = np.full((8, 8), value, np.float32)
        mark_missing(plane)
        assert np.array_equal(plane, np.full((8, 8), value, np.float32), equal_nan=True)


def test_named_bits_count_by_which_nothing_was_measured_of_rubin_and_pan_starrs() -> None:
    planes = {"BAD": 0, "SAT": 1, "INTRP": 2, "CR": 3, "EDGE": 4, "DETECTED": 5, "NO_DATA": 8}
    assert named_bits(Header({f"HIERARCH MP_{name}": bit for name, bit in planes.items()})) == 0b100000001
    names = ("DETECTOR", "FLAT", "DARK", "BLANK", "CTE", "SAT")
    pan_starrs = Header({f"MSKNAM{k:02d}": name for k, name in enumerate(names)})
    pan_starrs.update({f"MSKVAL{k:02d}": 1 << k for k in range(6)})
    assert named_bits(pan_starrs) == 0b1111
    assert named_bits(Header({"MP_SAT": 1})) == 0
    assert named_bits(Header({"EXTNAME": "MASK", "MSKNAM00": "BLANK"})) is None
    assert named_bits(Header({"MP_BAD": "x", "HIERARCH MP_NODATA": -1})) is None


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "int64", "float32"])
def test_pixels_are_missing_by_their_named_bits_whatever_lies_there(kind: str) -> None:
    plane, mask = sky(), np.zeros((40, 40), kind)
    mask[20:28, 12:20] = 32  # the galaxy is DETECTED
    mask[3, 4:6] = 1 + 32
    apply_mask(plane, mask, Header({"MP_BAD": 0, "HIERARCH MP_DETECTED": 5}))
    assert missing(plane) == {(3, 4), (3, 5)}


@pytest.mark.parametrize("kind", ["uint8", "bool", "int32", "float32"])
def test_of_masks_without_names_objects_stay_and_what_stands_out_goes(kind: str) -> None:
    plane, mask = sky(), np.zeros((40, 40), kind)
    mask[15:32, 8:26] = 1  # all of the galaxy
    before = plane.copy()
    apply_mask(plane, mask, Header())
    np.testing.assert_array_equal(plane, before)
    plane[5, 7], plane[6, 30], plane[35:37, :] = 4000, -200, 0
    mask[5, 7] = mask[6, 30] = mask[35:37] = 1
    apply_mask(plane, mask, Header())
    assert missing(plane) == {(5, 7), (6, 30)} | block(35, 37, 0, 40)


@pytest.mark.parametrize("value", [0.0, -999.0, -32768.0, -1e20])
def test_wide_marked_holes_of_any_value_below_the_sky_are_missing(value: float) -> None:
    plane, mask = sky(), np.zeros((40, 40), np.int16)
    plane[2:14, 25:39] = value
    mask[2:14, 25:39] = 4
    apply_mask(plane, mask, Header())
    assert missing(plane) == block(2, 14, 25, 39)


def test_a_mask_that_marks_all_or_nothing_changes_nothing() -> None:
    for value in (0, 1):
        plane = sky()
        apply_mask(plane, np.full((40, 40), value), Header())
        np.testing.assert_array_equal(plane, sky())


def test_no_weight_and_no_error_mark_missing_pixels_but_empty_planes_do_not() -> None:
    weight = np.ones((40, 40))
    weight[0, :4] = 0, -1, np.nan, 1e-30
    plane = sky()
    apply_weight(plane, weight)
    assert missing(plane) == {(0, 0), (0, 1), (0, 2)}
    error = np.ones((40, 40))
    error[1, :5] = np.nan, np.inf, 1e30, -1, 0
    plane = sky()
    apply_error(plane, error)
    assert missing(plane) == {(1, 0), (1, 1), (1, 2), (1, 3)}
    for apply, empty in ((apply_weight, 0.0), (apply_error, np.nan)):
        plane = sky()
        apply(plane, np.full((40, 40), empty))
        np.testing.assert_array_equal(plane, sky())


def test_masks_and_weights_of_another_shape_or_of_no_role_are_not_applied() -> None:
    hole = np.zeros((40, 40), np.float32)
    for extra in (image(np.zeros((30, 30)), {}, "WEIGHT"), image(hole, {}, "PSF"), image(hole, {}, "EXP")):
        assert missing(read(image(sky(), {}, "SCI"), extra).planes[0].values) == set()
    cube = np.stack([sky(k) for k in range(3)])
    weights = np.ones((3, 40, 40), np.float32)
    weights[1, 39, 3] = 0
    found = read(image(cube, {}, "SCI"), image(weights, {}, "IVAR"))
    assert [missing(plane.values) for plane in found.planes] == [set(), {(0, 3)}, set()]


def test_missing_pixels_are_filled_with_sky_and_shift_neither_sky_nor_noise() -> None:
    cube = np.stack([sky(k, level=100) for k in range(3)])
    whole = decode(cube, MAGZERO=30.0)[0]
    holed = cube.copy()
    holed[:, :, :3] = np.nan
    pixels, info = decode(holed, MAGZERO=30.0)
    assert info.masked_fraction == pytest.approx(3 / 40)
    assert pixels[:, :3].max() <= 1
    assert np.abs(pixels[:, 3:].astype(int) - whole[:, 3:]).max() <= 3
    once = cube.copy()
    once[1, 5:9, 5:10] = np.nan
    assert decode(once)[1].masked_fraction == pytest.approx(20 / cube.size)


def test_the_share_counts_within_what_is_shown_and_its_limit_is_included() -> None:
    cube = np.stack([sky(k) for k in range(3)])
    cube[2, :4] = np.nan
    assert decode(cube, 0.1)[1].masked_fraction == pytest.approx(0.1 / 3)
    cube[2, 4, 0] = np.nan
    with pytest.raises(
        BadImageError, match=r"x\.fits, plane 3: found 10\.1% of its pixels missing .* at most 10\.0%"
    ) as e:
        decode(cube, 0.1)
    assert "--missing 0.11" in e.value.fix
    assert decode(cube, 0.11)[1].masked_fraction > 0
    inner = Preprocess(crop_px=20, size_px=20, stretch=Composite())
    assert inner.decode_measured(to_bytes(cube), "x.fits")[1].masked_fraction == 0


@pytest.mark.parametrize(
    ("value", "found"), [(0.0, "the value 0 everywhere"), (7.5, "the value 7.5"), (np.nan, "100.0% of")]
)
def test_a_band_without_light_is_named(value: float, found: str) -> None:
    cube = np.stack([sky(k) for k in range(3)])
    cube[1] = value
    for cards, name in (({}, "plane 2"), ({"BANDS": "irg"}, "plane 2, band r")):
        with pytest.raises(BadImageError, match=rf"x\.fits, {name}: found {found}") as caught:
            decode(cube, 0.5, **cards)
        assert "leave the band out by --bands" in caught.value.fix
    cube[1, 0, 0] = 1e31
    with pytest.raises(BadImageError, match="plane 2: found"):
        decode(cube, 0.5)


def test_a_model_without_noise_is_shown_and_not_taken_for_empty() -> None:
    cube = np.zeros((3, 40, 40), np.float32)
    cube[:, 10:20, 10:20] = np.array([20, 10, 5])[:, None, None]
    pixels, info = decode(cube, MAGZERO=30.0)
    assert info.masked_fraction == 0
    assert pixels.max() > 100


@given(st.floats(-1e4, 1e4), st.floats(0.01, 100))
def test_sky_and_noise_are_those_of_a_normal_law(level: float, noise: float) -> None:
    plane = np.random.default_rng(0).normal(level, noise, (300, 400)).astype(np.float32)
    plane[:30] = np.nan
    found = sky_and_noise(plane)
    assert found[0] == pytest.approx(level, abs=0.02 * noise + 1e-3)
    assert found[1] == pytest.approx(noise, rel=0.03, abs=1e-3)
    assert sky_and_noise(np.full((3, 3), np.nan, np.float32)) == (0.0, 0.0)


@pytest.mark.parametrize("side", [3, 5])
def test_medians_round_marked_pixels_are_those_of_scipy(side: int) -> None:
    rng = np.random.default_rng(side)
    plane = rng.normal(10, 2, (31, 44)).astype(np.float32)
    places = rng.random(plane.shape) < 0.3
    places[0], places[:, -1] = True, True
    expected = median_filter(plane, side, mode="nearest")[places]
    np.testing.assert_array_equal(_medians_at(plane, places, side), expected)
