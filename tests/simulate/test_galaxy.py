"""Simulated galaxies: flux and magnitude laws, the PSF, the colour composite."""

from __future__ import annotations

from dataclasses import replace

import galsim
import numpy as np
import pytest

from convnet_galaxies.simulate.galaxy import Light, Spheroid, nanomaggies, render_galaxy
from convnet_galaxies.simulate.morphology import KIND_SHARES, Galaxy, draw_galaxy, magnitude_of
from convnet_galaxies.simulate.sdss import SKY_NOISE, compose, double_gaussian, draw_observation, expose_sdss
from convnet_galaxies.simulate.surroundings import add_star

GALAXY = Galaxy(kind="elliptical", r90_arcsec=6.0, mag_r=16.0, g_r=0.8, r_i=0.35, axis_ratio=0.7, angle_rad=0.5)
STEADY = replace(
    draw_observation(6.0, np.random.default_rng(0)), band_shift_arcsec=np.zeros((3, 2)), sky=np.zeros(3), noise=1.0
)


def rendered_flux(light: Light) -> np.ndarray:
    return light.array.sum(axis=(1, 2), dtype=np.float64) + sum((flux for _, flux in light.profiles), np.zeros(3))


def test_magnitude_22_5_is_one_nanomaggy_and_colours_are_flux_ratios() -> None:
    assert nanomaggies(22.5, 0, 0) == pytest.approx([1, 1, 1])
    g, r, i = nanomaggies(17.0, 0.75, 0.25)
    assert (-2.5 * np.log10(g / r), -2.5 * np.log10(r / i)) == pytest.approx((0.75, 0.25))


def test_magnitude_of_a_mean_surface_brightness_holds_half_the_light_in_its_circle() -> None:
    mag_r = magnitude_of(6.0, 21.0, 2.0)
    half_flux = 10 ** (-0.4 * mag_r) / 2
    assert -2.5 * np.log10(half_flux / (np.pi * 3.0**2)) == pytest.approx(21.0)


@pytest.mark.parametrize("seed", range(30))
def test_total_r_flux_of_any_galaxy_is_that_of_its_magnitude(seed: int) -> None:
    rng = np.random.default_rng(seed)
    galaxy = draw_galaxy(rng)
    observation = draw_observation(galaxy.r90_arcsec, rng)
    found = rendered_flux(render_galaxy(galaxy, observation.scene_px, observation.pixel_arcsec, rng))
    wanted = nanomaggies(galaxy.mag_r, galaxy.g_r, galaxy.r_i)
    assert -2.5 * np.log10(found[1] / wanted[1]) == pytest.approx(0, abs=0.02)


def test_exposure_keeps_the_flux_of_profiles_and_arrays() -> None:
    n = STEADY.scene_px
    array = np.zeros((3, n, n), np.float32)
    add_star(array, np.array([1.0, 2.0, 3.0]), n // 2 + 0.3, n // 2 - 0.4)
    light = Light(array, ((Spheroid(0.5, 1.2), np.array([4.0, 5.0, 6.0])),))
    flux = expose_sdss(light, STEADY, None).sum(axis=(1, 2))
    assert flux == pytest.approx([5, 7, 9], rel=2e-3)


def test_exposed_profile_equals_what_galsim_draws_itself() -> None:
    n = STEADY.scene_px
    profile = galsim.Sersic(2.0, half_light_radius=2.0).shear(q=0.6, beta=0.7 * galsim.radians)
    ours = expose_sdss(
        Light(np.zeros((3, n, n), np.float32), ((Spheroid(2.0, 2.0, 0.6, 0.7), np.ones(3)),)), STEADY, None
    )[1]
    drawn = galsim.Convolve(profile, double_gaussian(float(STEADY.psf_fwhm_arcsec[1]))).drawImage(
        nx=n, ny=n, scale=STEADY.pixel_arcsec, method="no_pixel"
    )
    # GalSim centres an even image between pixels, ours is centred on pixel n // 2: compare moments, not pixels
    assert ours.max() == pytest.approx(float(drawn.array.max()), rel=0.05)
    rows, columns = np.indices(ours.shape) - STEADY.side_px // 2
    assert (ours * rows).sum() / ours.sum() == pytest.approx(0, abs=0.02)
    assert (ours * columns).sum() / ours.sum() == pytest.approx(0, abs=0.02)


def test_psf_has_the_width_it_names() -> None:
    image = double_gaussian(1.3).drawImage(nx=201, ny=201, scale=0.02, method="no_pixel").array
    profile = image[100] / image.max()
    assert 0.02 * (profile >= 0.5).sum() == pytest.approx(1.3, rel=0.04)


def test_noise_of_an_empty_sky_has_its_standard_deviation() -> None:
    n = STEADY.scene_px
    image = expose_sdss(Light(np.zeros((3, n, n), np.float32)), STEADY, np.random.default_rng(5))
    wanted = SKY_NOISE * STEADY.pixel_arcsec / 0.396
    assert image.std(axis=(1, 2)) == pytest.approx(wanted, rel=0.03)


def test_composite_shows_red_light_red_and_never_wraps() -> None:
    n = 8
    red = compose(np.broadcast_to(np.array([0.1, 0.3, 0.8])[:, None, None], (3, n, n)).astype(np.float32), 0.396)
    assert red[0, 0, 0] > red[0, 0, 1] > red[0, 0, 2]
    bright = compose(np.full((3, n, n), 1e4, np.float32), 0.396)
    assert bright.min() > 150
    assert compose(np.full((3, n, n), -1.0, np.float32), 0.396).max() == 0


def test_spiral_has_arms_and_its_twin_without_contrast_has_none() -> None:
    spiral = replace(GALAXY, kind="spiral", axis_ratio=1.0, arm_contrast=0.9, arm_number=2, r90_arcsec=12.0)
    rng = np.random.default_rng
    n, pixel = 300, 0.396
    rows, columns = np.indices((n, n)) - n // 2
    ring = np.abs(np.hypot(rows, columns) * pixel / 12.0 - 0.6) < 0.03
    azimuth = np.arctan2(rows, columns)[ring]

    def second_harmonic(galaxy: Galaxy) -> float:
        light = render_galaxy(galaxy, n, pixel, rng(2)).array[1][ring]
        return float(abs((light * np.exp(2j * azimuth)).sum()) / light.sum())

    assert second_harmonic(spiral) > 0.2
    assert second_harmonic(replace(spiral, arm_contrast=0.0)) < 0.02


def test_every_kind_is_drawn_about_as_often_as_its_share() -> None:
    rng = np.random.default_rng(8)
    kinds = [draw_galaxy(rng).kind for _ in range(3000)]
    total = sum(KIND_SHARES.values())
    for kind, weight in KIND_SHARES.items():
        assert kinds.count(kind) / 3000 == pytest.approx(weight / total, abs=0.03)
