"""MegaCam as the Legacy Survey used it: the PSF of each band, noise, and the gri composite that volunteers saw.

Linear images are float32 [3, h, w] in the order g, r, i, sky subtracted, in counts with AB zero point ZEROPOINT_MAG:
``mag = ZEROPOINT_MAG - 2.5 log10(counts)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft, special

from convnet_galaxies.data.stretch import ZEROPOINT_MAG, Composite

BANDS = ("g", "r", "i")
PIXEL_SCALE_ARCSEC = 0.186
FIELD_SIZE_PX = 440

# Median seeing of the wide survey's stacks (Gwyn 2012, AJ 143, 38; Erben et al. 2013, MNRAS 433, 2545).
SEEING_FWHM_ARCSEC = (0.85, 0.75, 0.65)
# Electrons that stand behind one count at ZEROPOINT_MAG: MegaCam zero points 26.46, 26.24, 25.72 (electrons per second)
# times the exposure of a stack, 2500, 2000, 4305 s.
ELECTRONS_PER_COUNT = (96.0, 63.0, 83.0)
FULL_WELL_COUNTS = (6000.0, 6000.0, 6000.0)
# Measured on the published composites: the upper half of the pixel distribution of blank sky, band by band.
SKY_SIGMA_COUNTS = (0.66, 1.12, 1.62)
# Stacks are resampled with a Lanczos kernel, which correlates neighbouring pixels by about 0.08 (measured as well).
NEIGHBOUR_CORRELATION = 0.08

# Of a pixel grid, in cycles per pixel, along its diagonal; and how finely the PSF's transform is tabulated up to it.
HIGHEST_FREQUENCY, FREQUENCIES = 0.5**0.5, 1 << 13

COMPOSITE = Composite(sky_sigma=SKY_SIGMA_COUNTS[::-1])
COMPOSITE_SCALES = dict(zip("irg", COMPOSITE.scales, strict=True))


@dataclass(frozen=True)
class Camera:
    """Conditions of one field; three numbers each, in the order g, r, i.

    psf_fwhm_arcsec: full width at half maximum of a star of the field, the pixels included. Lensed light is up to 4 %
        wider (see render_light).
    moffat_beta: its slope; about 3 for MegaCam.
    sky_sigma_counts: standard deviation of the blank sky in one pixel.
    electrons_per_count: gain for the Poisson noise of the objects.
    full_well_counts: level at which cores are cut.
    """

    psf_fwhm_arcsec: tuple[float, float, float] = SEEING_FWHM_ARCSEC
    moffat_beta: float = 3.2
    sky_sigma_counts: tuple[float, float, float] = SKY_SIGMA_COUNTS
    electrons_per_count: tuple[float, float, float] = ELECTRONS_PER_COUNT
    full_well_counts: tuple[float, float, float] = FULL_WELL_COUNTS


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draw conditions that vary from pointing to pointing: seeing by 12 %, sky by 15 %, all bands partly together."""
    shared = rng.normal()
    seeing = np.array(SEEING_FWHM_ARCSEC) * np.exp(0.07 * shared + 0.07 * rng.normal(size=3))
    sky = np.array(SKY_SIGMA_COUNTS) * np.exp(0.1 * rng.normal() + np.array([0.12, 0.1, 0.16]) * rng.normal(size=3))
    full_well = np.array(FULL_WELL_COUNTS) * np.exp(0.3 * rng.normal(size=3))
    return Camera(_three(seeing), float(rng.uniform(2.8, 3.6)), _three(sky), full_well_counts=_three(full_well))


def to_counts(mag: np.ndarray | float) -> np.ndarray:
    """Convert AB magnitudes to counts at ZEROPOINT_MAG."""
    return 10 ** (0.4 * (ZEROPOINT_MAG - np.asarray(mag, float)))


def to_mag(counts: np.ndarray | float) -> np.ndarray:
    """Convert counts to AB magnitudes; fluxes of zero or less give 99."""
    counts = np.asarray(counts, float)
    return np.where(counts > 0, ZEROPOINT_MAG - 2.5 * np.log10(np.where(counts > 0, counts, 1)), 99.0)


@lru_cache(maxsize=32)
def psf_transform(
    camera: Camera, shape: tuple[int, int], oversampling: int = 1, softening_px: float = 0.0
) -> np.ndarray:
    """Return the transform of the PSF, float32 [3, h, w // 2 + 1] at the frequencies of rfft2; 1 at frequency 0.

    The transform of a Moffat profile of core a is 2 (t / 2)^(beta - 1) K_(beta - 1)(t) / Gamma(beta - 1) with
    t = 2 pi a k (Bessel's K; Trujillo et al. 2001, MNRAS 328, 977). It is round, so a table over k is enough.
    softening_px: standard deviation of the Gaussian by which the image is already blurred, which is divided out.
    """
    order = camera.moffat_beta - 1
    core_px = np.array(camera.psf_fwhm_arcsec) / PIXEL_SCALE_ARCSEC * oversampling
    core_px /= 2 * np.sqrt(2 ** (1 / camera.moffat_beta) - 1)
    reach = 2 * np.pi * core_px.max() * HIGHEST_FREQUENCY
    t = np.linspace(0, reach, 2048)
    values = np.ones_like(t)
    values[1:] = 2 * (t[1:] / 2) ** order * special.kv(order, t[1:]) / special.gamma(order)
    frequency = np.linspace(0, HIGHEST_FREQUENCY, FREQUENCIES)
    # Beyond the resolution of the PSF nothing is left to divide by.
    sharpened = np.exp(np.minimum(2 * np.pi**2 * softening_px**2 * frequency**2, 8.0))
    cell, part, rows = _frequency_cells(shape)
    out = np.empty((3, *cell.shape), np.float32)
    for band, core in enumerate(core_px):
        table = (np.interp(2 * np.pi * core * frequency, t, values) * sharpened).astype(np.float32)
        np.multiply(part, np.diff(table, append=table[-1])[cell], out=out[band])
        out[band] += table[cell]
    return out[:, rows]


@lru_cache(maxsize=32)
def _frequency_cells(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Locate the frequencies of rfft2 in the table, for those that are not negative: the place (int
    [h // 2 + 1, w // 2 + 1]) and the part of a step beyond it (float32); and which row each of the h rows equals."""
    k = np.hypot(fft.rfftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None])
    place = k * ((FREQUENCIES - 1) / HIGHEST_FREQUENCY)
    cell = np.minimum(place.astype(np.intp), FREQUENCIES - 1)
    rows = np.rint(np.abs(fft.fftfreq(shape[0])) * shape[0]).astype(np.intp)
    return cell, (place - cell).astype(np.float32), rows


def convolve(gri: np.ndarray, camera: Camera, *, oversampling: int = 1, softening_px: float = 0.0) -> np.ndarray:
    """Blur float [3, h, w] by the PSF of each band; flux is conserved (edges are padded with zeros).

    oversampling: image pixels to a camera pixel. softening_px: see psf_transform.
    """
    h, w = gri.shape[1:]
    pad = 24 * oversampling
    shape = (fft.next_fast_len(h + pad, real=True), fft.next_fast_len(w + pad, real=True))
    transform = fft.rfft2(gri.astype(np.float32, copy=False), s=shape)
    transform *= psf_transform(camera, shape, oversampling, softening_px)
    return fft.irfft2(transform, s=shape)[:, :h, :w]


def add_photon_noise(gri: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Return Poisson noise of the light itself, float [3, h, w] counts; the sky's is in draw_sky."""
    gain = np.array(camera.electrons_per_count, np.float32)[:, None, None]
    electrons = np.maximum(gri, 0) * gain
    # Above some hundred electrons a Gaussian is the same and much faster.
    out = np.where(electrons > 200, electrons, 0).astype(np.float32)
    out += np.sqrt(out) * rng.standard_normal(out.shape, dtype=np.float32)
    faint = (electrons > 0) & (electrons <= 200)
    out[faint] = rng.poisson(electrons[faint])
    return out / gain


def draw_sky(camera: Camera, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw noise of the blank sky, float32 [3, h, w] counts, correlated between neighbours as in a resampled stack."""
    # One of 65,536 equally likely values is five times as fast as a Gaussian draw; none exceeds 4.3 sigma.
    noise = _quantiles()[rng.integers(1 << 16, size=(3, shape[0] + 2, shape[1] + 2), dtype=np.uint16)]
    side = np.float32(NEIGHBOUR_CORRELATION / 2)
    for middle, before, after in (
        (np.s_[:, 1:-1], np.s_[:, :-2], np.s_[:, 2:]),
        (np.s_[..., 1:-1], np.s_[..., :-2], np.s_[..., 2:]),
    ):
        beside = noise[before] + noise[after]
        beside *= side
        beside += noise[middle]
        noise = beside
    noise *= (np.array(camera.sky_sigma_counts, np.float32) / np.float32(1 + 2 * side**2))[:, None, None]
    return noise


@lru_cache(maxsize=1)
def _quantiles() -> np.ndarray:
    """65,536 equally likely values of a Gaussian of unit variance, float32."""
    values = special.ndtri((np.arange(1 << 16) + 0.5) / (1 << 16))
    return (values / values.std()).astype(np.float32)


def linear_to_composite(gri: np.ndarray) -> np.ndarray:
    """Convert linear float [3 (g, r, i), h, w] to the uint8 [h, w, 3] (red is i, green r, blue g) that volunteers
    saw."""
    return COMPOSITE.compose(gri[::-1])


def composite_to_linear(rgb: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
    """Convert uint8 [h, w, 3] back to linear float32 [3 (g, r, i), h, w]: exact to the rounding where nothing was cut.

    Values that were cut at 255 come out as lower limits. Those cut at 0, half of the sky, come out as 0 without an
    rng, and with it as the negative half of a noise of the same width as the positive half.
    """
    stretched = (rgb.astype(np.float32) + 0.5) / 255
    black = rgb == 0
    if rng is None:
        stretched[black] = 0
    else:
        stretched[rgb > 0] -= np.float32(0.5 / 255) - rng.uniform(0, 1 / 255, int((rgb > 0).sum())).astype(np.float32)
        # Three quarters of the sky lie below 0.674 sigma; objects are few.
        sigma = np.maximum(np.quantile(stretched, 0.75, axis=(0, 1)) / 0.674, 1 / 255).astype(np.float32)
        noise = -np.abs(rng.standard_normal(rgb.shape, dtype=np.float32)) * sigma
        dark = black.all(axis=2) & (_black_neighbours(black.all(axis=2)))
        stretched = np.where(black, np.where(dark[..., None], 0, noise), stretched)
    total = stretched.sum(axis=2)
    faint = np.abs(total) < 1e-4
    safe = np.where(faint, 1.0, total)
    slope = COMPOSITE.alpha * COMPOSITE.softening * safe
    ratio = np.where(faint, 1 / COMPOSITE.alpha, np.sinh(total * COMPOSITE.softening) / slope)
    scale = np.array([COMPOSITE_SCALES[band] for band in "gri"], np.float32)[:, None, None]
    return (np.moveaxis(stretched[..., ::-1], -1, 0) * ratio / scale).astype(np.float32)


def _black_neighbours(black: np.ndarray) -> np.ndarray:
    """True where the whole 3 x 3 neighbourhood is black: a missing corner, not noise (by chance 1 in 10^8)."""
    padded = np.pad(black, 1, mode="edge")
    out = np.ones_like(black)
    for dy in range(3):
        for dx in range(3):
            out &= padded[dy : dy + black.shape[0], dx : dx + black.shape[1]]
    return out


def _three(values: np.ndarray) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
