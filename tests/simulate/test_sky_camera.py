from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from convnet_galaxies.simulate.camera import (
    COMPOSITE,
    COMPOSITE_SCALES,
    Camera,
    add_photon_noise,
    composite_to_linear,
    convolve,
    draw_camera,
    draw_sky,
    linear_to_composite,
    psf_transform,
    to_counts,
    to_mag,
)
from convnet_galaxies.simulate.profiles import INDICES, SOFTENING_PX, add_profiles


def test_zero_point_is_thirty() -> None:
    assert to_counts(30.0) == 1.0
    np.testing.assert_allclose(to_mag(to_counts(np.array([18.0, 23.5]))), [18.0, 23.5])
    assert to_mag(0.0) == 99.0


@pytest.mark.parametrize("index", [*INDICES, 1.5, 3.0])
def test_profiles_keep_magnitude_and_half_light_radius_through_the_camera(index: float) -> None:
    canvas = np.zeros((3, 401, 401), np.float32)
    shape = np.array([[12.0, 1.0, 0.0, index]])
    add_profiles(canvas, np.array([[200.2, 199.7]]), shape, np.full((1, 3), to_counts(18.0)))
    light = convolve(canvas, Camera(psf_fwhm_arcsec=(0.5, 0.5, 0.5)), softening_px=SOFTENING_PX)
    assert abs(to_mag(light[1].sum()) - 18.0) < 0.02
    y, x = np.mgrid[:401, :401]
    inside = light[1][np.hypot(x - 200.2, y - 199.7) < 12].sum() / light[1].sum()
    assert inside == pytest.approx(0.5, abs=0.04)


def test_each_band_has_its_own_seeing() -> None:
    point = np.zeros((3, 101, 101), np.float32)
    point[:, 50, 50] = 1000
    light = convolve(point, Camera())
    np.testing.assert_allclose(light.sum(axis=(1, 2)), 1000, rtol=2e-3)
    half_px = [np.interp(-0.5, -band[50, 50:60] / band[50, 50], np.arange(10)) for band in light]
    np.testing.assert_allclose(2 * 0.186 * np.array(half_px), [0.85, 0.75, 0.65], atol=0.03)


@pytest.mark.parametrize(("shape", "oversampling"), [((160, 160), 1), ((135, 96), 2)])
def test_the_transform_of_the_psf_is_that_of_a_sampled_moffat(shape: tuple[int, int], oversampling: int) -> None:
    camera = Camera(psf_fwhm_arcsec=(0.8, 0.9, 1.0), moffat_beta=3.3)
    y, x = (np.fft.fftfreq(side, 1 / side) for side in shape)
    for band, fwhm in enumerate(camera.psf_fwhm_arcsec):
        core_px = fwhm / 0.186 * oversampling / (2 * np.sqrt(2 ** (1 / camera.moffat_beta) - 1))
        moffat = (1 + (y[:, None] ** 2 + x[None] ** 2) / core_px**2) ** -camera.moffat_beta
        expected = np.fft.rfft2(moffat / moffat.sum())
        np.testing.assert_allclose(psf_transform(camera, shape, oversampling)[band], expected.real, atol=3e-3)
        assert np.abs(expected.imag).max() < 1e-9


def test_photon_noise_has_the_variance_of_its_electrons() -> None:
    camera = Camera(electrons_per_count=(10.0, 50.0, 80.0))
    for level in (0.5, 200.0):
        noisy = add_photon_noise(np.full((3, 200, 200), level, np.float32), camera, np.random.default_rng(0))
        np.testing.assert_allclose(noisy.mean(axis=(1, 2)), level, rtol=0.02)
        np.testing.assert_allclose(noisy.var(axis=(1, 2)), level / np.array([10, 50, 80]), rtol=0.05)


def test_sky_has_its_width_and_its_correlation() -> None:
    sky = draw_sky(Camera(), (500, 500), np.random.default_rng(1))
    np.testing.assert_allclose(sky.std(axis=(1, 2)), Camera().sky_sigma_counts, rtol=0.02)
    neighbours = (sky[:, :, 1:] * sky[:, :, :-1]).mean(axis=(1, 2)) / sky.var(axis=(1, 2))
    np.testing.assert_allclose(neighbours, 0.08, atol=0.02)


def test_sky_is_gaussian() -> None:
    camera = Camera(sky_sigma_counts=(1.0, 1.0, 1.0))
    sky = draw_sky(camera, (600, 600), np.random.default_rng(2))[:, ::3, ::3]  # far apart, so that none tells another
    assert stats.kstest((sky / sky.std()).ravel(), "norm").pvalue > 0.01
    assert stats.kurtosis(sky.ravel()) == pytest.approx(0, abs=0.06)


def test_faint_light_is_stretched_linearly_and_bands_take_their_colours() -> None:
    gri = np.zeros((3, 2, 2), np.float32)
    gri[0, 0, 0], gri[2, 1, 1] = 0.5, 0.5
    rgb = linear_to_composite(gri)
    assert rgb[0, 0].tolist() == [0, 0, int(255 * 0.5 * COMPOSITE_SCALES["g"] * COMPOSITE.alpha)]
    assert rgb[1, 1].tolist() == [int(255 * 0.5 * COMPOSITE_SCALES["i"] * COMPOSITE.alpha), 0, 0]


def test_bright_light_saturates_to_white() -> None:
    assert (linear_to_composite(np.full((3, 2, 2), 5000, np.float32)) == 255).all()


def test_composite_and_its_inverse_are_a_round_trip_where_nothing_was_cut() -> None:
    gri = np.random.default_rng(2).uniform(0.5, 4, (3, 64, 64)).astype(np.float32)
    rgb = linear_to_composite(gri)
    uncut = ((rgb > 0) & (rgb < 255)).all(axis=2)
    back = composite_to_linear(rgb)
    np.testing.assert_allclose(back[:, uncut], gri[:, uncut], rtol=0.03, atol=0.08)
    assert uncut.mean() > 0.9


def test_inverse_with_noise_gives_the_same_composite_and_a_symmetric_sky() -> None:
    sky = draw_sky(Camera(), (300, 300), np.random.default_rng(3))
    rgb = linear_to_composite(sky)
    back = composite_to_linear(rgb, np.random.default_rng(4))
    assert np.abs(linear_to_composite(back).astype(int) - rgb).max() <= 1
    np.testing.assert_allclose(back.std(axis=(1, 2)), sky.std(axis=(1, 2)), rtol=0.1)


def test_a_missing_corner_stays_black() -> None:
    gri = draw_sky(Camera(), (120, 120), np.random.default_rng(5))
    gri[:, :40, :40] = 0
    back = composite_to_linear(linear_to_composite(gri), np.random.default_rng(6))
    assert not back[:, 2:38, 2:38].any()


def test_cameras_vary_but_little() -> None:
    cameras = [draw_camera(np.random.default_rng(seed)) for seed in range(50)]
    seeing = np.array([camera.psf_fwhm_arcsec for camera in cameras])
    np.testing.assert_allclose(seeing.mean(axis=0), [0.85, 0.75, 0.65], rtol=0.06)
    assert (seeing.std(axis=0) > 0.03).all()
    assert (seeing > 0.4).all()
