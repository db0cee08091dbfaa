"""A field as the survey sees it: galaxies, stars and artifacts through the camera, 82 arcsec square."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from convnet_galaxies.simulate.artifacts import add_artifacts, draw_noise_map
from convnet_galaxies.simulate.bright_stars import add_glare, saturate
from convnet_galaxies.simulate.camera import (
    FIELD_SIZE_PX,
    Camera,
    convolve,
    draw_camera,
    draw_sky,
    linear_to_composite,
)
from convnet_galaxies.simulate.lens_population import Host
from convnet_galaxies.simulate.profiles import SOFTENING_PX, add_profiles
from convnet_galaxies.simulate.sky_population import SkyObject, draw_sky_objects
from convnet_galaxies.simulate.structured import add_structured, is_structured

# Objects this far beyond the edge still shine into the field.
MARGIN_PX = 24
SKY_OFFSET_MEAN, SKY_OFFSET_SIGMA = -0.08, 0.035  # in units of the sky noise
SERSIC_INDEX = {"elliptical": 4.0, "spiral": 1.0, "ring": 1.0, "merger": 1.0, "irregular": 1.0, "star": 0.5}


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
    gri = expose(render_objects(objects, (side, side), camera), objects, camera, rng)
    gri = np.ascontiguousarray(gri[:, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX])
    trails = add_artifacts(gri, camera, rng)
    moved = [replace(o, x_px=o.x_px - MARGIN_PX, y_px=o.y_px - MARGIN_PX) for o in objects]
    return Field(gri, tuple(moved + trails), camera)


def expose(light: np.ndarray, objects: list[SkyObject], camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Light as the stacked exposures show it: Poisson noise, sky noise, saturation. float32 [3, h, w] counts."""
    shape = light.shape[1:]
    sigma, gain = (
        np.array(three, np.float32)[:, None, None] for three in (camera.sky_sigma_counts, camera.electrons_per_count)
    )
    noise = draw_sky(camera, shape, rng) * draw_noise_map(camera, shape, rng)
    # Photons of objects and of the sky add in variance; where objects count, both are many and Gaussian.
    noise *= np.sqrt(1 + light / (gain * sigma**2))
    # The pipeline takes faint galaxies and wide halos for sky, and subtracts them, but never quite.
    level = (
        np.median(light[:, ::4, ::4], axis=(1, 2)) - rng.normal(SKY_OFFSET_MEAN, SKY_OFFSET_SIGMA, 3) * sigma[:, 0, 0]
    )
    gri = light + noise - level[:, None, None].astype(np.float32)
    saturate(gri, [o for o in objects if o.kind == "star"], camera.full_well_counts)
    return gri


def render_objects(objects: list[SkyObject], shape: tuple[int, int], camera: Camera) -> np.ndarray:
    """Noiseless light through the PSF, float32 [3, h, w] counts."""
    canvas = np.zeros((3, *shape), np.float32)
    structured = [o for o in objects if is_structured(o)]
    smooth = [o for o in objects if not is_structured(o)]
    if smooth:
        places = np.array([(o.x_px, o.y_px) for o in smooth])
        shapes = np.array([(o.radius_px, o.axis_ratio, o.angle_rad, SERSIC_INDEX[o.kind]) for o in smooth])
        add_profiles(canvas, places, shapes, np.array([o.counts for o in smooth]))
    for galaxy in structured:
        add_structured(canvas, galaxy)
    light = np.maximum(convolve(canvas, camera, softening_px=SOFTENING_PX), 0)
    add_glare(light, [o for o in objects if o.kind == "star"])
    return light
