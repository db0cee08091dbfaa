"""SDSS as Galaxy Zoo saw it: PSF, sky noise, the colour composite, and the cutout magnified to 424 px.

The composite is that of Lupton et al. 2004 (PASP 116, 133) with i, r, g as red, green, blue. Cutouts have
0.02 Petrosian radii per pixel, so that small galaxies are interpolated far beyond the camera's 0.396 arcsec.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from PIL import Image

from convnet_galaxies.simulate.galaxy import Light, Spheroid
from convnet_galaxies.simulate.libraries import load_galsim

CUTOUT_PX = 424
CAMERA_PIXEL_ARCSEC = 0.396
SKY_NOISE = np.array([0.0165, 0.0235, 0.034])
"""Standard deviation of the sky in g, r, i, nanomaggies a camera pixel."""
ELECTRONS_PER_NANOMAGGY = np.array([850.0, 950.0, 800.0])
SDSS_COMPOSITE_SCALES = np.array([1.44, 1.0, 0.89])
"""Weights of g, r, i in the composite, so that a galaxy of mean colour is nearly grey."""
SLOPE, SOFTENING = 1.75, 6.0
SDSS_MARGIN_PX = 12


@dataclass(frozen=True)
class Observation:
    """Observing conditions of one galaxy.

    side_px: camera pixels across the cutout; pixel_arcsec: their size. psf_fwhm_arcsec: in g, r, i.
    band_shift_arcsec: [3, 2] misregistration (x, y). noise: factor on the sky noise. sky: [3] residual, nanomaggies.
    """

    side_px: int
    pixel_arcsec: float
    psf_fwhm_arcsec: np.ndarray
    band_shift_arcsec: np.ndarray
    noise: float
    sky: np.ndarray

    @property
    def scene_px(self) -> int:
        """Side of the scene that is rendered: the cutout and a margin, so that light may come from outside."""
        return scipy.fft.next_fast_len(self.side_px + 2 * SDSS_MARGIN_PX, real=True)

    @property
    def sky_noise(self) -> np.ndarray:
        """Standard deviation in g, r, i, nanomaggies per pixel of this cutout, which may join several camera pixels."""
        return SKY_NOISE * self.noise * (self.pixel_arcsec / CAMERA_PIXEL_ARCSEC)


def draw_observation(r90_arcsec: float, rng: np.random.Generator) -> Observation:
    """Draw the seeing, registration and sky of one cutout that shows 8.48 radii of 90 % of the light."""
    width_arcsec = 0.02 * r90_arcsec * CUTOUT_PX
    side_px = int(np.clip(round(width_arcsec / CAMERA_PIXEL_ARCSEC), 40, CUTOUT_PX))
    seeing = float(np.clip(np.exp(rng.normal(np.log(1.28), 0.11)), 0.9, 1.9))
    return Observation(
        side_px=side_px,
        pixel_arcsec=width_arcsec / side_px,
        psf_fwhm_arcsec=seeing * np.array([1.07, 1.0, 0.95]) * np.exp(rng.normal(0, 0.03, 3)),
        band_shift_arcsec=rng.normal(0, 0.05, (3, 2)),
        noise=float(np.exp(rng.normal(0, 0.2))),
        sky=np.abs(rng.normal(0.0, 0.003, 3)) * [0.6, 1, 1.3] + rng.uniform(-0.004, 0.004) - [0.004, 0.003, 0.003],
    )


def expose_sdss(light: Light, observation: Observation, rng: np.random.Generator | None) -> np.ndarray:
    """Draw a scene, float32 [3, side_px, side_px] in nanomaggies per pixel, sky subtracted.

    The scene is multiplied by the PSF in Fourier space. rng None leaves the noise out.
    """
    n, pixel = observation.scene_px, observation.pixel_arcsec
    spectrum = scipy.fft.rfft2(light.array)
    step = 2 * np.pi / (n * pixel)
    for profile, flux in light.profiles:
        values = _half_plane(_in_galsim(profile), n, step) * _centre_phase(n)
        spectrum += flux[:, None, None].astype(np.float32) * values
    for band in range(3):
        psf = double_gaussian(float(observation.psf_fwhm_arcsec[band])).shift(*observation.band_shift_arcsec[band])
        spectrum[band] *= _half_plane(psf, n, step)
    image = scipy.fft.irfft2(spectrum, s=(n, n))
    start = n // 2 - observation.side_px // 2
    image = image[:, start : start + observation.side_px, start : start + observation.side_px]
    if rng is None:
        return image
    shot = np.maximum(image, 0) / ELECTRONS_PER_NANOMAGGY[:, None, None].astype(np.float32)
    deviation = np.sqrt(shot + (observation.sky_noise**2)[:, None, None].astype(np.float32))
    image = image + deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return image + observation.sky[:, None, None].astype(np.float32) * np.float32((pixel / CAMERA_PIXEL_ARCSEC) ** 2)


def double_gaussian(fwhm_arcsec: float) -> Any:
    """Return the SDSS PSF as a galsim.GSObject: a core, and a wing 2.6 times as wide with a twentieth of its peak.

    After Stoughton et al. 2002 (AJ 123, 485).
    """
    galsim = load_galsim()
    sigma = fwhm_arcsec / 2.40  # the wing widens the core's 2.355 sigma a little
    wing = 0.05 * 2.6**2 / (1 + 0.05 * 2.6**2)
    return galsim.Gaussian(sigma=sigma, flux=1 - wing) + galsim.Gaussian(sigma=2.6 * sigma, flux=wing)


def _in_galsim(spheroid: Spheroid) -> Any:
    galsim = load_galsim()
    profile = galsim.Sersic(spheroid.sersic_index, half_light_radius=spheroid.half_light_arcsec)
    profile = profile.shear(q=spheroid.axis_ratio, beta=spheroid.angle_rad * galsim.radians)
    return profile.shift(spheroid.x_arcsec, spheroid.y_arcsec)


def compose(image: np.ndarray, pixel_arcsec: float) -> np.ndarray:
    """Convert nanomaggies per pixel, [3, n, n] in g, r, i, to uint8 [n, n, 3] with i, r, g as red, green, blue."""
    camera = np.float32((CAMERA_PIXEL_ARCSEC / pixel_arcsec) ** 2)
    bands = image * (SDSS_COMPOSITE_SCALES.astype(np.float32)[:, None, None] * camera)
    mean = np.maximum(bands.mean(axis=0), 1e-4)
    factor = np.arcsinh(SOFTENING * SLOPE * mean) / (SOFTENING * mean)
    rgb = np.moveaxis(bands[::-1] * factor, 0, -1)
    rgb /= np.sqrt(np.maximum(rgb.max(axis=-1, keepdims=True), 1))  # bright cores whiten, but not at once
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def encode_cutout(pixels: np.ndarray) -> bytes:
    """Convert uint8 [n, n, 3] at the camera's sampling to the bytes of a 424 px JPEG, compressed as Kaggle's are."""
    camera = Image.fromarray(pixels)
    store = io.BytesIO()
    camera.save(store, "JPEG", quality=85)  # the survey's image server cuts from frames that are JPEGs already
    frame: Image.Image = Image.open(store)
    if frame.size[0] != CUTOUT_PX:
        frame = frame.resize((CUTOUT_PX, CUTOUT_PX), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    frame.save(out, "JPEG", quality=75, dpi=(96, 96))
    return out.getvalue()


def _half_plane(profile: Any, n: int, step: float) -> np.ndarray:
    """Fourier values of a profile at the frequencies of scipy's rfft2, complex64 [n, n // 2 + 1]."""
    galsim = load_galsim()
    half = n // 2 + 1
    # GalSim's k images have their origin where the bounds say; kx from 0 suffices for a real image.
    bounds = galsim.BoundsI(0, half - 1, -(n // 2), n - n // 2 - 1)
    full = galsim.ImageCF(galsim.BoundsI(-half, half, -(n // 2 + 1), n // 2 + 1), scale=step)
    profile.drawKImage(image=full)
    return scipy.fft.ifftshift(full[bounds].array, axes=0)


def _centre_phase(n: int) -> np.ndarray:
    """Moves the origin from pixel (0, 0) to pixel (n // 2, n // 2)."""
    sign = np.exp(-2j * np.pi * (n // 2) * scipy.fft.fftfreq(n)).astype(np.complex64)
    return sign[:, None] * np.exp(-2j * np.pi * (n // 2) * scipy.fft.rfftfreq(n)).astype(np.complex64)[None, :]
