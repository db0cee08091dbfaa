"""Lensed light by ray tracing: deflections, images of a point, and what a lens adds to an image.

Positions in the sky are (x, y) in arcsec from the centre of the lens, x along columns, y along rows; angles are
counter-clockwise from x towards y.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convnet_galaxies.simulate.camera import PIXEL_SCALE_ARCSEC, Camera, add_photon_noise, convolve
from convnet_galaxies.simulate.distances import angular_distance_mpc, critical_density_msun_mpc3, distance_ratio
from convnet_galaxies.simulate.lens_source import LensedSource
from convnet_galaxies.simulate.libraries import load_caustics
from convnet_galaxies.simulate.profiles import add_point

if TYPE_CHECKING:
    import torch

LENS_FLAVORS = ("lensed galaxy", "lensed quasar", "lensing cluster")
SUPERSAMPLING = 2
GRID_RAYS = 128
# A pixel shows a painted feature when the light, in all bands together, is this many sigma of the sky.
MASK_SIGMA = 1.2
# Images this strongly demagnified (the one at the centre of a singular lens) cannot be seen.
FAINTEST_MAGNIFICATION = 0.02


@dataclass(frozen=True)
class Isothermal:
    """Singular isothermal ellipsoid (Kormann et al. 1994, A&A 284, 285).

    x_arcsec, y_arcsec: position. einstein_radius_arcsec: of the circle with the same mass (intermediate axis).
    axis_ratio: of the mass, 0..1. angle_rad: of the long axis.
    """

    x_arcsec: float
    y_arcsec: float
    einstein_radius_arcsec: float
    axis_ratio: float
    angle_rad: float


@dataclass(frozen=True)
class DarkHalo:
    """Halo of Navarro, Frenk & White (1997, ApJ 490, 493); deflection of Wright & Brainerd (2000, ApJ 534, 34).

    mass_msun: within the radius of 200 times the critical density. concentration: that radius over the scale radius.
    """

    x_arcsec: float
    y_arcsec: float
    mass_msun: float
    concentration: float


@dataclass(frozen=True)
class LensSystem:
    """One lens and what stands behind it; positions in arcsec from the centre of the lens.

    galaxies: the central galaxy first, then members of its group. dark_halo: of a group, else None.
    shear: (gamma_1, gamma_2), external.
    source: the light behind. images: (x_arcsec, y_arcsec, magnification) of the source's centre, brightest first,
    magnifications signed. magnification: total of a point (quasar) or of the extended light.
    einstein_radius_arcsec: of the whole lens.
    """

    flavor: str
    galaxies: tuple[Isothermal, ...]
    dark_halo: DarkHalo | None
    shear: tuple[float, float]
    source: LensedSource
    images: tuple[tuple[float, float, float], ...]
    magnification: float
    einstein_radius_arcsec: float
    lens_redshift: float
    lens_r_mag: float

    def truth(self, x_px: float, y_px: float) -> dict[str, float | str | int]:
        """Return the row of the truth table for this lens at (x_px, y_px) of its field."""
        return {
            "flavor": self.flavor,
            "x_px": x_px,
            "y_px": y_px,
            "einstein_radius_arcsec": self.einstein_radius_arcsec,
            "lens_redshift": self.lens_redshift,
            "lens_r_mag": self.lens_r_mag,
            "source_redshift": self.source.redshift,
            "source_r_mag": self.source.r_mag,
            "magnification": self.magnification,
            "images": len(self.images),
        }


def deflect(system: LensSystem, x_arcsec: np.ndarray, y_arcsec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the reduced deflection in arcsec at the given positions (any shape, float32 or float64, which is kept)."""
    import torch

    x, y = torch.from_numpy(np.ascontiguousarray(x_arcsec)), torch.from_numpy(np.ascontiguousarray(y_arcsec))
    with torch.no_grad():
        ax, ay = _deflect(system, x.reshape(-1), y.reshape(-1))
    return ax.reshape(x.shape).numpy(), ay.reshape(x.shape).numpy()


def _deflect(system: LensSystem, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    func = load_caustics()
    columns = [(g.x_arcsec, g.y_arcsec, g.axis_ratio, g.angle_rad, g.einstein_radius_arcsec) for g in system.galaxies]
    x0, y0, q, phi, radius = torch.tensor(columns, dtype=x.dtype).T[..., None]
    # All galaxies of the lens as one batch; the formula has no limit at the exact centre and at exact roundness.
    off_centre = x[None] + 1e-9
    roundest = 1 - (1e-9 if x.dtype == torch.float64 else 1e-5)
    ax, ay = func.reduced_deflection_angle_sie(x0, y0, torch.clamp(q, max=roundest), phi, radius, off_centre, y[None])
    ax, ay = ax.sum(0), ay.sum(0)
    bx, by = func.reduced_deflection_angle_external_shear(0.0, 0.0, *system.shear, x, y)
    ax, ay = ax + bx, ay + by
    if system.dark_halo is not None:
        halo = system.dark_halo
        numbers = (halo.mass_msun, halo.concentration, critical_density_msun_mpc3(system.lens_redshift))
        bx, by = func.physical_deflection_angle_nfw(
            halo.x_arcsec,
            halo.y_arcsec,
            *(torch.tensor(number, dtype=torch.float64) for number in numbers),
            angular_distance_mpc(system.lens_redshift),
            x + 1e-6,
            y,
        )
        ratio = distance_ratio(system.lens_redshift, system.source.redshift)
        ax, ay = ax + ratio * bx.to(x.dtype), ay + ratio * by.to(x.dtype)
    return ax, ay


def trace(system: LensSystem, half_width_arcsec: float, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rays on a grid: axis float32 [size] in arcsec, and where they meet the source plane, x and y [size,
    size]."""
    axis = ((np.arange(size) + 0.5) / size * 2 - 1) * half_width_arcsec
    axis = axis.astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    ax, ay = deflect(system, x, y)
    return axis, x - ax, y - ay


def solve_images(system: LensSystem, x_arcsec: float, y_arcsec: float) -> np.ndarray:
    """Return images of a point of the source plane: float64 [n, 3] of x, y in arcsec and the signed magnification.

    The triangles of a grid (GRID_RAYS a side, and a fine one round each member) that contain the point are found, then
    Newton's method makes the positions exact to 1e-8 arcsec. Brightest first; the demagnified image at a singular
    centre is left out.
    """
    half = 3.0 * system.einstein_radius_arcsec + 2.0
    grids = [(0.0, 0.0, half, GRID_RAYS)]
    # A member's own images hide between the rays of the coarse grid.
    grids += [(m.x_arcsec, m.y_arcsec, 2 * m.einstein_radius_arcsec + 0.3, 32) for m in system.galaxies[1:]]
    starts = [_find_triangles(system, x_arcsec, y_arcsec, *grid) for grid in grids]
    position = np.concatenate([place for place, _ in starts])
    steps = np.concatenate([np.full((len(place), 1), step) for place, step in starts])
    if not len(position):
        return np.empty((0, 3))
    target = np.array([x_arcsec, y_arcsec])
    for _ in range(12):
        source, jacobian = _map_points(system, position)
        off = target - source
        determinant = np.linalg.det(jacobian)
        good = np.abs(determinant) > 1e-6
        move = np.zeros_like(position)
        move[good] = np.linalg.solve(jacobian[good], off[good][..., None])[..., 0]
        # Near a critical curve full Newton steps overshoot.
        length = np.linalg.norm(move, axis=1, keepdims=True)
        position = position + move * np.minimum(1, 2 * steps / np.maximum(length, 1e-12))
        if length.max() < 1e-9:
            break
    source, jacobian = _map_points(system, position)
    magnification = 1 / np.linalg.det(jacobian)
    keep = (np.linalg.norm(source - target, axis=1) < 1e-6) & (np.abs(magnification) > FAINTEST_MAGNIFICATION)
    found = np.column_stack([position, magnification])[keep]
    found = found[np.argsort(-np.abs(found[:, 2]), kind="stable")]
    unique = [i for i in range(len(found)) if not (np.linalg.norm(found[:i, :2] - found[i, :2], axis=1) < 1e-5).any()]
    return found[unique]


def _find_triangles(
    system: LensSystem, x_arcsec: float, y_arcsec: float, x0: float, y0: float, half: float, size: int
) -> tuple[np.ndarray, float]:
    """Centres, float64 [n, 2], of a grid's triangles that hold the point once in the source plane, and the step."""
    axis = np.linspace(-half, half, size)
    x, y = np.meshgrid(axis + x0, axis + y0)
    ax, ay = deflect(system, x.astype(np.float32), y.astype(np.float32))
    bx, by = x - ax - x_arcsec, y - ay - y_arcsec
    step = float(axis[1] - axis[0])
    found = []
    for corners in (((0, 0), (0, 1), (1, 0)), ((1, 1), (1, 0), (0, 1))):
        tx, ty = (np.stack([b[j : size - 1 + j, i : size - 1 + i] for j, i in corners]) for b in (bx, by))
        area = [tx[a] * ty[b] - tx[b] * ty[a] for a, b in ((0, 1), (1, 2), (2, 0))]
        inside = (np.minimum(np.minimum(*area[:2]), area[2]) >= 0) | (np.maximum(np.maximum(*area[:2]), area[2]) <= 0)
        rows, columns = np.nonzero(inside)
        third = step / 3 if corners[0] == (0, 0) else 2 * step / 3
        found.append(np.stack([axis[columns] + x0 + third, axis[rows] + y0 + third], axis=1))
    return np.concatenate(found), step


def _map_points(system: LensSystem, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Source positions [n, 2] and Jacobians [n, 2, 2] of image positions [n, 2], by central differences."""
    h = 1e-5
    offsets = np.array([(0, 0), (h, 0), (-h, 0), (0, h), (0, -h)])
    points = position[None] + offsets[:, None]
    ax, ay = deflect(system, points[..., 0], points[..., 1])
    beta = points - np.stack([ax, ay], axis=-1)
    jacobian = np.stack([(beta[1] - beta[2]) / (2 * h), (beta[3] - beta[4]) / (2 * h)], axis=-1)
    return beta[0], jacobian


def render_light(system: LensSystem, camera: Camera, *, shift_px: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Render lensed light through the PSF, noiseless float32 [3, size, size] counts.

    The centre of the lens is at pixel size // 2 of both axes, plus shift_px (x, y).
    Sums over fine pixels, and points shared by four of them, blur the light a little: an image of a quasar has an FWHM
    of 0.867, 0.769 and 0.672 arcsec in g, r, i on average where a star of the field has 0.85, 0.75 and 0.65.
    """
    half_px = int(
        np.ceil((2.6 * system.einstein_radius_arcsec + 2.5 + system.source.extent_arcsec) / PIXEL_SCALE_ARCSEC)
    )
    size, over = 2 * half_px + 1, SUPERSAMPLING
    fine = np.zeros((3, size * over, size * over), np.float32)
    if system.source.blobs:
        pixel = ((np.arange(size * over) + 0.5) / over - 0.5 - half_px) * PIXEL_SCALE_ARCSEC
        x, y = np.meshgrid(pixel - shift_px[0] * PIXEL_SCALE_ARCSEC, pixel - shift_px[1] * PIXEL_SCALE_ARCSEC)
        x, y = x.astype(np.float32), y.astype(np.float32)
        ax, ay = deflect(system, x, y)
        fine += system.source.surface_brightness(x - ax, y - ay) * (PIXEL_SCALE_ARCSEC / over) ** 2
    if system.source.point_counts is not None:
        for x_image, y_image, magnification in system.images:
            centre = [
                (v / PIXEL_SCALE_ARCSEC + s + half_px + 0.5) * over - 0.5
                for v, s in zip((x_image, y_image), shift_px, strict=True)
            ]
            add_point(fine, centre[0], centre[1], np.abs(magnification) * np.array(system.source.point_counts))
    blurred = convolve(fine, camera, oversampling=over)
    return np.maximum(blurred.reshape(3, size, over, size, over).sum(axis=(2, 4)), 0)


@dataclass(frozen=True)
class PaintedLight:
    """Light that a lens adds to an image.

    top, left: first row and column that it reaches. counts: float32 [3, h, w], with the Poisson noise of the light
    itself. mask: bool [h, w], where the features stand out of the noise of the sky.
    """

    top: int
    left: int
    counts: np.ndarray
    mask: np.ndarray

    def add_to(self, gri: np.ndarray) -> None:
        """Add the light to float32 [3, h, w] counts, in place."""
        h, w = self.mask.shape
        gri[:, self.top : self.top + h, self.left : self.left + w] += self.counts

    def whole_mask(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the mask of an image of shape (h, w), bool [h, w]."""
        out = np.zeros(shape, bool)
        h, w = self.mask.shape
        out[self.top : self.top + h, self.left : self.left + w] = self.mask
        return out


def draw_light(
    system: LensSystem, x_px: float, y_px: float, shape: tuple[int, int], rng: np.random.Generator, camera: Camera
) -> PaintedLight:
    """Draw the light of a lens round (x_px, y_px), as far as it falls into an image of shape (h, w)."""
    column, row = round(x_px), round(y_px)
    light = render_light(system, camera, shift_px=(x_px - column, y_px - row))
    half = light.shape[1] // 2
    h, w = shape
    top, left = max(row - half, 0), max(column - half, 0)
    bottom, right = max(min(row + half + 1, h), top), max(min(column + half + 1, w), left)
    inside = light[:, top - row + half : bottom - row + half, left - column + half : right - column + half]
    sigma = np.array(camera.sky_sigma_counts)[:, None, None]
    mask = np.sqrt(((inside / sigma) ** 2).sum(axis=0)) > MASK_SIGMA
    return PaintedLight(top, left, add_photon_noise(inside, camera, rng), mask)


def paint_lens(
    gri: np.ndarray, system: LensSystem, x_px: float, y_px: float, rng: np.random.Generator, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with the lensed light added round (x_px, y_px), and where it shows.

    gri: float32 [3, h, w] counts, unchanged. Returns a copy with the light, through the PSF and with its Poisson
    noise, and a mask, bool [h, w], of the pixels in which the features stand out of the noise of the sky.
    """
    shape = (gri.shape[1], gri.shape[2])
    light = draw_light(system, x_px, y_px, shape, rng, camera)
    out = gri.copy()
    light.add_to(out)
    return out, light.whole_mask(shape)


def with_images(system: LensSystem) -> LensSystem:
    """Return the system with the images of its source's centre solved, and the magnification of a point."""
    images = solve_images(system, system.source.x_arcsec, system.source.y_arcsec)
    return replace(system, images=tuple(map(tuple, images.tolist())), magnification=float(np.abs(images[:, 2]).sum()))
