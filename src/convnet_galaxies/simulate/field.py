"""A field as the survey sees it: galaxies, stars and artifacts through the camera, 82 arcsec square."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from convnet_galaxies.simulate.camera import (
    FIELD_SIZE_PX,
    PIXEL_SCALE_ARCSEC,
    Camera,
    add_photon_noise,
    convolve,
    draw_camera,
    draw_sky,
    linear_to_composite,
)
from convnet_galaxies.simulate.lens_population import Host
from convnet_galaxies.simulate.profiles import SOFTENING_PX, add_profiles, add_stamp
from convnet_galaxies.simulate.sky_population import SkyObject, draw_sky_objects

# Objects this far beyond the edge still shine into the field.
MARGIN_PX = 24
STRUCTURED_R_MAG = 21.3


@dataclass(frozen=True)
class Field:
    """One simulated field.

    gri: float32 [3, h, w] in g, r, i: counts with AB zero point 30 (camera.ZEROPOINT_MAG), sky subtracted, with noise.
    objects: what is in it; positions may lie a little outside.
    camera: the conditions.
    """

    gri: np.ndarray
    objects: tuple[SkyObject, ...]
    camera: Camera

    def hosts(self, *, faintest_r_mag: float = 22.0, margin_px: int = 20) -> list[SkyObject]:
        """Red galaxies that could lens, strongest first."""
        h, w = self.gri.shape[1:]
        found = [
            o
            for o in self.objects
            if o.kind == "elliptical"
            and o.r_mag < faintest_r_mag
            and o.redshift > 0.15
            and margin_px <= o.x_px < w - margin_px
            and margin_px <= o.y_px < h - margin_px
        ]
        return sorted(found, key=lambda o: -o.einstein_radius_arcsec)

    def members_of(self, host: SkyObject) -> list[SkyObject]:
        """Other galaxies of the host's group; none without a group."""
        return [o for o in self.objects if o.group == host.group != -1 and o is not host]


def as_host(galaxy: SkyObject) -> Host:
    """The galaxy in the words of draw_lens."""
    return Host(galaxy.x_px, galaxy.y_px, galaxy.r_mag, galaxy.redshift, galaxy.axis_ratio, galaxy.angle_rad)


def to_rgb(field: Field) -> np.ndarray:
    """The composite that volunteers see, uint8 [h, w, 3]."""
    return linear_to_composite(field.gri)


def draw_field(rng: np.random.Generator, *, size_px: int = FIELD_SIZE_PX) -> Field:
    """A square field without a painted lens. The same generator state gives the same bytes."""
    camera = draw_camera(rng)
    density = float(np.exp(0.2 * rng.normal()))
    side = size_px + 2 * MARGIN_PX
    objects = draw_sky_objects(rng, (side, side), density=density)
    gri = render_objects(objects, (side, side), camera, rng)
    gri = add_photon_noise(gri, camera, rng) + draw_sky(camera, (side, side), rng)
    inner = gri[:, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    moved = tuple(replace(o, x_px=o.x_px - MARGIN_PX, y_px=o.y_px - MARGIN_PX) for o in objects)
    return Field(np.ascontiguousarray(inner), moved, camera)


def render_objects(objects: list[SkyObject], shape: tuple[int, int], camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Noiseless light through the PSF, float32 [3, h, w] counts."""
    canvas = np.zeros((3, *shape), np.float32)
    smooth = [o for o in objects]
    columns = np.array([(o.x_px, o.y_px, o.radius_px, o.axis_ratio, o.angle_rad, _index(o)) for o in smooth]).reshape(-1, 6)
    counts = np.array([o.counts for o in smooth]).reshape(-1, 3)
    add_profiles(canvas, *columns.T, counts)
    return np.maximum(convolve(canvas, camera, softening_px=SOFTENING_PX), 0)


def _index(o: SkyObject) -> float:
    return 0.5 if o.kind == "star" else 4.0 if o.kind == "elliptical" else 1.0
