"""A field as the survey sees it: galaxies, stars and artifacts through the camera, 82 arcsec square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.simulate.artifacts import TRAIL, add_artifacts, draw_trails, vary_noise
from convnet_galaxies.simulate.bright_stars import add_glare, saturate
from convnet_galaxies.simulate.camera import (
    FIELD_SIZE_PX,
    Camera,
    convolve,
    draw_camera,
    draw_sky,
    to_counts,
)
from convnet_galaxies.simulate.lens_population import Host
from convnet_galaxies.simulate.profiles import SOFTENING_PX, add_profiles
from convnet_galaxies.simulate.sky_population import SkyObject, draw_sky_objects
from convnet_galaxies.simulate.structured import add_structured, is_structured

# Objects this far beyond the edge still shine into the field.
FIELD_MARGIN_PX = 24
FAINTEST_HOST_R_MAG = 22.0
SKY_OFFSET_MEAN, SKY_OFFSET_SIGMA = -0.08, 0.035  # in units of the sky noise
SERSIC_INDEX = {"elliptical": 4.0, "spiral": 1.0, "ring": 1.0, "merger": 1.0, "irregular": 1.0, "star": 0.5}


@dataclass(frozen=True)
class Pointing:
    """Content of a field and properties of the camera, before any pixel is drawn.

    objects: what is in the field; positions may lie a little outside. camera: the conditions. size_px: of the field,
    which is square.
    """

    objects: tuple[SkyObject, ...]
    camera: Camera
    size_px: int = FIELD_SIZE_PX

    def hosts(self, *, margin_px: int = 20) -> list[SkyObject]:
        """Return red galaxies that could lens, strongest first."""
        end = self.size_px - margin_px
        found = [
            o
            for o in self.objects
            if o.kind == "elliptical"
            and o.r_mag < FAINTEST_HOST_R_MAG
            and o.redshift > 0.15
            and margin_px <= o.x_px < end
            and margin_px <= o.y_px < end
        ]
        return sorted(found, key=lambda o: -o.einstein_radius_arcsec)

    def members_of(self, host: SkyObject) -> list[SkyObject]:
        """Return other galaxies of the host's group; none without a group."""
        return [o for o in self.objects if o.group == host.group != -1 and o is not host]


def as_host(galaxy: SkyObject) -> Host:
    """Return the galaxy in the words of draw_lens."""
    return Host(galaxy.x_px, galaxy.y_px, galaxy.r_mag, galaxy.redshift, galaxy.axis_ratio, galaxy.angle_rad)


def draw_pointing(rng: np.random.Generator, *, size_px: int = FIELD_SIZE_PX) -> Pointing:
    """Draw a field without a painted lens. The same generator state gives the same field."""
    camera = draw_camera(rng)
    density = float(np.exp(0.2 * rng.normal()))
    side = size_px + 2 * FIELD_MARGIN_PX
    objects = draw_sky_objects(rng, (side, side), density=density)
    trails = draw_trails((size_px, size_px), rng)
    return Pointing((*(o.moved(-FIELD_MARGIN_PX, -FIELD_MARGIN_PX) for o in objects), *trails), camera, size_px)


def draw_field(pointing: Pointing, rng: np.random.Generator) -> np.ndarray:
    """Draw the recorded image, float32 [3, h, w] in g, r, i: counts with AB zero point 30 (camera.ZEROPOINT_MAG), sky
    subtracted, with noise and artifacts. The same arguments give the same bytes."""
    trails = [o for o in pointing.objects if o.kind == TRAIL]
    objects = [o for o in pointing.objects if o.kind != TRAIL]
    side = pointing.size_px + 2 * FIELD_MARGIN_PX
    light = render_objects([o.moved(FIELD_MARGIN_PX, FIELD_MARGIN_PX) for o in objects], (side, side), pointing.camera)
    inner = np.ascontiguousarray(light[:, FIELD_MARGIN_PX:-FIELD_MARGIN_PX, FIELD_MARGIN_PX:-FIELD_MARGIN_PX])
    gri = expose(inner, objects, pointing.camera, rng)
    add_artifacts(gri, pointing.camera, trails, rng)
    return gri


def expose(light: np.ndarray, objects: list[SkyObject], camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Return light as the stacked exposures show it: Poisson noise, sky noise, saturation. float32 [3, h, w] counts."""
    shape = light.shape[1:]
    sigma, gain = (
        np.array(three, np.float32)[:, None, None] for three in (camera.sky_sigma_counts, camera.electrons_per_count)
    )
    gri = draw_sky(camera, shape, rng)
    vary_noise(gri, rng)
    # Photons of objects and of the sky add in variance; where objects count, both are many and Gaussian.
    scatter = light * (1 / (gain * sigma**2))
    scatter += 1
    gri *= np.sqrt(scatter, out=scatter)
    # The pipeline takes faint galaxies and wide halos for sky, and subtracts them, but never quite.
    level = (
        np.median(light[:, ::4, ::4], axis=(1, 2)) - rng.normal(SKY_OFFSET_MEAN, SKY_OFFSET_SIGMA, 3) * sigma[:, 0, 0]
    )
    gri += light
    gri -= level[:, None, None].astype(np.float32)
    saturate(gri, [o for o in objects if o.kind == "star"], camera.full_well_counts)
    return gri


def render_objects(objects: list[SkyObject], shape: tuple[int, int], camera: Camera) -> np.ndarray:
    """Render noiseless light through the PSF, float32 [3, h, w] counts."""
    canvas = np.zeros((3, *shape), np.float32)
    structured = [o for o in objects if is_structured(o)]
    smooth = [o for o in objects if not is_structured(o)]
    if smooth:
        places = np.array([(o.x_px, o.y_px) for o in smooth])
        shapes = np.array([(o.radius_px, o.axis_ratio, o.angle_rad, SERSIC_INDEX[o.kind]) for o in smooth])
        mags = np.array([(o.r_mag + o.g_r, o.r_mag, o.r_mag - o.r_i) for o in smooth])
        add_profiles(canvas, places, shapes, to_counts(mags))
    for galaxy in structured:
        add_structured(canvas, galaxy)
    light = np.maximum(convolve(canvas, camera, softening_px=SOFTENING_PX), 0)
    add_glare(light, [o for o in objects if o.kind == "star"])
    return light
