from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from convnet_galaxies.errors import UsageError
from convnet_galaxies.simulate.camera import Camera, to_counts
from convnet_galaxies.simulate.field import render_objects
from convnet_galaxies.simulate.lens import (
    LENS_FLAVORS,
    Isothermal,
    LensSystem,
    deflect,
    paint_lens,
    render_light,
    solve_images,
    with_images,
)
from convnet_galaxies.simulate.lens_population import FAINTEST_SECOND_IMAGE_MAG, Host, draw_lens
from convnet_galaxies.simulate.lens_source import Blob, LensedSource, draw_source
from convnet_galaxies.simulate.sky_population import SkyObject


def isothermal_sphere(radius: float, source: LensedSource) -> LensSystem:
    sphere = Isothermal(0.0, 0.0, radius, 1.0, 0.0)
    return LensSystem("lensed galaxy", (sphere,), None, (0.0, 0.0), source, (), 0.0, radius, 0.5, 20.0)


def round_source(x_arcsec: float, radius_arcsec: float, r_mag: float = 22.0) -> LensedSource:
    counts = tuple(float(to_counts(r_mag + colour)) for colour in (0.3, 0.0, -0.2))
    return LensedSource(x_arcsec, 0.0, 2.0, r_mag, (Blob(x_arcsec, 0.0, radius_arcsec, 1.0, 0.0, 0.5, counts),))


def test_a_sphere_deflects_by_its_einstein_radius_everywhere() -> None:
    x, y = np.random.default_rng(0).uniform(-6, 6, (2, 500))
    ax, ay = deflect(isothermal_sphere(1.7, round_source(0, 0.1)), x, y)
    np.testing.assert_allclose(np.hypot(ax, ay), 1.7, rtol=1e-4)


@pytest.mark.parametrize("radius", [1.2, 2.0, 3.5])
def test_a_centred_source_becomes_a_ring_of_the_einstein_radius(radius: float) -> None:
    light = render_light(isothermal_sphere(radius, round_source(0.0, 0.06)), Camera())[1]
    half = light.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1] * 0.186
    distance = np.hypot(x, y)
    near_ring = np.abs(distance - radius) < 0.5
    # Half of the light of a thin ring lies inside its radius, but for the curvature of the blur.
    mean = (light * distance)[near_ring].sum() / light[near_ring].sum()
    assert mean == pytest.approx(radius, abs=0.06)
    assert light[half, half] < 0.2 * light.max()


@pytest.mark.parametrize("offset", [0.1, 0.4, 0.9])
def test_images_of_a_sphere_are_where_the_lens_equation_puts_them(offset: float) -> None:
    images = solve_images(isothermal_sphere(1.5, round_source(0, 0.1)), offset, 0.0)
    np.testing.assert_allclose(np.sort(images[:, 0]), [offset - 1.5, offset + 1.5], atol=1e-4)
    expected = [1 + 1.5 / offset, 1 - 1.5 / offset]
    np.testing.assert_allclose(images[:, 2], expected, rtol=1e-3)


def test_lensed_flux_is_source_flux_times_magnification() -> None:
    # A sphere magnifies a small source at beta by 2 theta_E / beta.
    system = isothermal_sphere(1.5, round_source(0.8, 0.05, r_mag=22.0))
    light = render_light(system, Camera())
    expected = to_counts(22.0) * 2 * 1.5 / 0.8
    assert abs(2.5 * math.log10(light[1].sum() / expected)) < 0.02


def test_quasar_images_have_the_magnitudes_of_the_model() -> None:
    counts = tuple(float(to_counts(m)) for m in (22.2, 22.0, 21.9))
    system = with_images(isothermal_sphere(1.5, LensedSource(0.7, 0.0, 2.0, 22.0, (), counts)))
    light = render_light(system, Camera())
    for band, mag in enumerate((22.2, 22.0, 21.9)):
        expected = to_counts(mag) * system.magnification
        assert abs(2.5 * math.log10(light[band].sum() / expected)) < 0.02
    alone = [render_light(replace(system, images=(image,)), Camera()) for image in system.images]
    np.testing.assert_allclose(sum(alone), light, atol=1e-3 * light.max())
    assert alone[0].sum() / alone[1].sum() == pytest.approx(system.images[0][2] / -system.images[1][2], rel=0.02)


def fit_fwhm_arcsec(light: np.ndarray) -> float:
    """FWHM of the Moffat profile that fits a point in float [h, w] best."""
    y, x = np.mgrid[: light.shape[0], : light.shape[1]].astype(float)
    row, column = np.unravel_index(light.argmax(), light.shape)

    def miss(p: np.ndarray) -> np.ndarray:
        return (p[0] * (1 + ((x - p[1]) ** 2 + (y - p[2]) ** 2) / p[3] ** 2) ** -p[4] - light).ravel()

    found = least_squares(miss, [light.max(), column, row, 2.5, 3.2]).x
    return float(2 * abs(found[3]) * np.sqrt(2 ** (1 / found[4]) - 1) * 0.186)


def test_stars_have_the_stated_seeing_and_images_of_quasars_are_a_little_wider() -> None:
    stars, quasars = [], []
    for shift in (0.0, 0.3, 0.5):
        star = SkyObject(50 + shift, 50 - shift / 2, 18.0, 0.7, 0.3, "star")
        stars.append([fit_fwhm_arcsec(band) for band in render_objects([star], (101, 101), Camera())])
        counts = (1e4, 1e4, 1e4)
        system = isothermal_sphere(4.0, LensedSource(0.0, 0.0, 2.0, 20.0, (), counts))
        alone = replace(system, images=((0.0, 0.0, 1.0),))
        light = render_light(alone, Camera(), shift_px=(shift, -shift / 2))
        quasars.append([fit_fwhm_arcsec(band) for band in light])
    np.testing.assert_allclose(stars, np.tile([0.85, 0.75, 0.65], (3, 1)), atol=0.003)
    np.testing.assert_allclose(np.mean(quasars, axis=0), [0.867, 0.769, 0.672], atol=0.003)


def test_unlensed_source_keeps_its_magnitude_through_structure_and_camera() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        source = draw_source(rng)
        weak = replace(isothermal_sphere(1e-6, source), einstein_radius_arcsec=1.5)
        light = render_light(weak, Camera())
        assert abs(2.5 * math.log10(light[1].sum() / to_counts(source.r_mag))) < 0.04


@pytest.mark.parametrize("flavor", LENS_FLAVORS)
def test_drawn_lenses_keep_to_the_population(flavor: str) -> None:
    rng = np.random.default_rng(7)
    members = (Host(20.0, 5.0, 21.5, 0.5), Host(-12.0, 30.0, 22.0, 0.5))
    for _ in range(6):
        system = draw_lens(rng, flavor, host=Host(0.0, 0.0, 19.8, 0.5), members=members)
        low, high = (2.0, 9.0) if flavor == "lensing cluster" else (1.2, 5.0)
        assert low <= system.einstein_radius_arcsec <= high
        assert 1 <= system.source.redshift <= (5.9 if flavor == "lensed quasar" else 4.0)
        second = system.source.r_mag - 2.5 * math.log10(abs(system.images[1][2]))
        assert second < FAINTEST_SECOND_IMAGE_MAG
        assert (system.dark_halo is not None) == (flavor == "lensing cluster")
        assert len(system.galaxies) == (3 if flavor == "lensing cluster" else 1)
        row = system.truth(10.0, 12.0)
        assert row["flavor"] == flavor
        assert row["magnification"] > 1


def test_a_group_bends_light_by_its_einstein_radius_there() -> None:
    system = draw_lens(np.random.default_rng(5), "lensing cluster", host=Host(0.0, 0.0, 19.8, 0.5))
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = system.einstein_radius_arcsec
    x, y = radius * np.cos(turn), radius * np.sin(turn)
    ax, ay = deflect(system, x, y)
    assert np.mean(ax * np.cos(turn) + ay * np.sin(turn)) == pytest.approx(radius, rel=0.02)


def test_unknown_flavor_is_refused() -> None:
    with pytest.raises(UsageError, match="found 'lensed star'"):
        draw_lens(np.random.default_rng(0), "lensed star")


@pytest.mark.parametrize("flavor", LENS_FLAVORS)
def test_mask_covers_the_painted_light(flavor: str) -> None:
    rng = np.random.default_rng(11)
    system = draw_lens(rng, flavor)
    empty = np.zeros((3, 160, 160), np.float32)
    painted, mask = paint_lens(empty, system, 80.3, 79.6, rng, Camera())
    assert painted[:, mask].sum() > 0.85 * painted.sum()
    assert not empty.any()
    assert 0 < mask.mean() < 0.5


def test_light_beyond_the_edge_is_cut_not_wrapped() -> None:
    rng = np.random.default_rng(2)
    system = draw_lens(rng, "lensed galaxy")
    painted, _ = paint_lens(np.zeros((3, 96, 96), np.float32), system, 2.0, 94.0, rng, Camera())
    assert painted[:, :40, 60:].sum() == 0
    assert painted.sum() > 0


def test_subpixel_place_moves_the_light_by_that_much() -> None:
    system = draw_lens(np.random.default_rng(4), "lensed quasar")
    still, moved = render_light(system, Camera()), render_light(system, Camera(), shift_px=(0.4, -0.3))
    axis = np.arange(still.shape[1])

    def centre(light: np.ndarray) -> np.ndarray:
        return np.array([(light[1].sum(axis=k) * axis).sum() for k in (0, 1)]) / light[1].sum()

    np.testing.assert_allclose(centre(moved) - centre(still), [0.4, -0.3], atol=0.03)
