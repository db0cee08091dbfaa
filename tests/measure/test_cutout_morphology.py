"""Made-up cutouts: a round galaxy, and one thing beside it whose place, colour and shape are known."""

from __future__ import annotations

import numpy as np
import pytest

from convnet_galaxies.measure.cutout_morphology import ARC, CLOSE, GLARE, NOTHING, PATCH, RED, measure_morphology

SCALE = 0.186
SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
RED_LIGHT, BLUE_LIGHT = np.array([1.0, 0.7, 0.4]), np.array([0.3, 0.5, 1.0])


def galaxy(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(8, 3, (SIDE, SIDE, 3))
    return noise + 180 * np.exp(-np.hypot(X, Y) / 5)[..., None] * RED_LIGHT


def blob(arcsec: float, turn: float, *, along: float = 1.5, across: float = 1.5) -> np.ndarray:
    """Light [h, w] that peaks at 100 at a distance and an angle, sizes in px along the circle and the radius."""
    radius, angle = np.hypot(X, Y), np.arctan2(Y, X) - turn
    along_px = radius * ((angle + np.pi) % (2 * np.pi) - np.pi)
    return 100 * np.exp(-(((radius - arcsec / SCALE) / across) ** 2 + (along_px / along) ** 2) / 2)


def as_image(light: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("arcsec", [1.8, 3.0, 4.5])
@pytest.mark.parametrize("turn", [0.3, 2.0, 4.0])
def test_a_blue_arc_is_found_where_it_is(arcsec: float, turn: float) -> None:
    look = measure_morphology(as_image(galaxy() + blob(arcsec, turn, along=5)[..., None] * BLUE_LIGHT), SCALE)
    assert look.distance_arcsec == pytest.approx(arcsec, abs=1.5 * SCALE)
    assert look.bluer_dex > 0.3
    assert look.elongation > 1.8
    assert look.kind == ARC


def test_kinds_are_told_by_place_colour_and_shape() -> None:
    def kind(light: np.ndarray, colour: np.ndarray) -> str:
        return measure_morphology(as_image(galaxy() + light[..., None] * colour), SCALE).kind

    assert kind(blob(3.0, 1.0), BLUE_LIGHT) == PATCH
    assert kind(blob(3.0, 1.0, along=1.2, across=5), BLUE_LIGHT) == PATCH  # a spoke is no arc
    assert kind(blob(1.2, 1.0), BLUE_LIGHT) == CLOSE
    assert kind(blob(3.0, 1.0, along=5), RED_LIGHT) == RED
    assert kind(0 * X, BLUE_LIGHT) == NOTHING
    assert kind(4 * blob(7.5, 1.0, along=4, across=4), np.ones(3)) == GLARE


def test_peaks_are_counted_in_the_noise_of_the_sky_and_without_noise_in_a_thousandth() -> None:
    blob_light = blob(3.0, 1.0)[..., None] * np.ones(3)
    noiseless = measure_morphology(as_image(blob_light), SCALE)
    assert noiseless.sigma == pytest.approx(measure_morphology(as_image(0.5 * blob_light), SCALE).sigma * 2, rel=0.05)
    assert noiseless.sigma > 3 * 50 / 1e-3
    noisy = [
        measure_morphology(as_image(8 + spread * (galaxy() - 8) / 3 + blob_light), SCALE).sigma for spread in (3, 6)
    ]
    assert noisy[1] == pytest.approx(noisy[0] / 2, rel=0.3)


def test_the_scale_turns_pixels_into_arcsec() -> None:
    image = as_image(galaxy() + blob(3.0, 1.0)[..., None] * BLUE_LIGHT)
    assert measure_morphology(image, 0.15).distance_arcsec == pytest.approx(3.0 * 0.15 / SCALE, abs=0.3)


def test_an_image_of_one_value_shows_nothing_and_a_white_one_is_glare() -> None:
    black, white = (measure_morphology(np.full((40, 50, 3), value, np.uint8), SCALE) for value in (0, 255))
    for look in (black, white):
        assert (look.bluer_dex, look.sigma, look.elongation) == (0, 0, 1)
    y, x = np.mgrid[:40, :50]
    beyond = np.hypot(y - 19.5, x - 24.5) * SCALE > 5  # arcsec from the centre
    assert (black.glare, white.glare) == (0, beyond.mean())
    assert (black.kind, white.kind) == (NOTHING, GLARE)


def test_a_single_band_has_no_colour() -> None:
    assert measure_morphology(as_image(galaxy())[..., :1], SCALE).bluer_dex == 0
