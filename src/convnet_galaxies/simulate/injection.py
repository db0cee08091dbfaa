"""Lenses painted round real red galaxies of existing fields, as Space Warps made its sims (More et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from PIL import Image

from convnet_galaxies.data.fits_image import FITS_ENDINGS, read_fits
from convnet_galaxies.data.markers import read_field
from convnet_galaxies.data.output import new_folder
from convnet_galaxies.errors import BadImageError, InputError
from convnet_galaxies.simulate.camera import (
    COMPOSITE,
    COMPOSITE_SCALES,
    ZEROPOINT_MAG,
    Camera,
    composite_to_linear,
    linear_to_composite,
)
from convnet_galaxies.simulate.field import as_host
from convnet_galaxies.simulate.lens import FLAVORS, paint_lens
from convnet_galaxies.simulate.lens_population import draw_lens
from convnet_galaxies.simulate.red_galaxies import find_red_galaxies

TRUTH_NAME = "truth.csv"
IMAGES_NAME = "images"
SMALLEST_FIELD_PX = 64
# In the published files painted pixels have alpha 255 and the rest a hair less.
PAINTED, NOT_PAINTED = 255, 254

Truth = dict[str, float | str | int]


def inject_lens_gri(
    gri: np.ndarray,
    camera: Camera,
    rng: np.random.Generator,
    flavor: str,
    *,
    cut_bands: np.ndarray | None = None,
    margin_px: int = 16,
) -> tuple[np.ndarray, np.ndarray, Truth] | None:
    """Paint a lens of the flavor round a red galaxy of float32 [3, h, w] counts (g, r, i, AB zero point 30).

    Massive galaxies are taken more often; clusters prefer galaxies with companions of their colour. Returns the image
    with the light added, the mask bool [h, w] of what shows, and the row of the truth table; None when the image has
    no red galaxy.
    """
    hosts = find_red_galaxies(gri, np.array(camera.sky_sigma_counts), cut_bands=cut_bands, margin_px=margin_px)
    if flavor == "lensing cluster":
        sizes = pd.Series([host.group for host in hosts]).value_counts()
        hosts = [host for host in hosts if sizes[host.group] > 2] or hosts
    if not hosts:
        return None
    weight = np.array([max(host.einstein_radius_arcsec, 0.1) ** 2 for host in hosts])
    host = hosts[int(rng.choice(len(hosts), p=weight / weight.sum()))]
    members = tuple(as_host(o) for o in hosts if o.group == host.group and o is not host)
    system = draw_lens(rng, flavor, host=as_host(host), members=members)
    painted, mask = paint_lens(gri, system, host.x_px, host.y_px, rng, camera)
    return painted, mask, system.truth(host.x_px, host.y_px)


def inject_lens(
    rgb: np.ndarray, rng: np.random.Generator, flavor: str, *, margin_px: int = 16
) -> tuple[np.ndarray, np.ndarray, Truth] | None:
    """The same on a composite, uint8 [h, w, 3], as Space Warps made them.

    The composite is taken apart into g, r, i (see camera.composite_to_linear), painted, and put together again;
    pixels that the light does not reach keep their values. Returns (uint8 [h, w, 3], mask bool [h, w], truth), or
    None without a red galaxy.
    """
    gri = composite_to_linear(rgb, rng)
    camera = camera_of(rgb)
    full = rgb == 255
    injected = inject_lens_gri(gri, camera, rng, flavor, cut_bands=full.sum(axis=2), margin_px=margin_px)
    if injected is None:
        return None
    painted, mask, truth = injected
    light = (np.abs(painted - gri) / np.array(camera.sky_sigma_counts)[:, None, None]).max(axis=0)
    # What was cut at white is known only from below: light cannot make it darker.
    composite = np.where(
        full.any(axis=2)[..., None], np.maximum(linear_to_composite(painted), rgb), linear_to_composite(painted)
    )
    return np.where((light > 0.02)[..., None], composite, rgb), mask & (composite != rgb).any(axis=2), truth


def camera_of(rgb: np.ndarray) -> Camera:
    """The average camera with the sky noise that a composite, uint8 [h, w, 3], shows."""
    # Three quarters of the sky lie beneath 0.674 sigma, and faint levels are stretched linearly.
    level = np.maximum(np.quantile(rgb.reshape(-1, 3), 0.75, axis=0), 1.0) / 255 / 0.674
    sigma = [float(level[2 - k]) / (COMPOSITE_SCALES[band] * COMPOSITE.alpha) for k, band in enumerate("gri")]
    return Camera(sky_sigma_counts=(sigma[0], sigma[1], sigma[2]))


def inject(
    fields: Path,
    output: Path,
    number: int,
    seed: int,
    *,
    flavors: tuple[str, ...] = FLAVORS,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Write number fields with a painted lens each, taken in turn from the PNG and gri FITS files of a folder.

    PNG fields become RGBA with an opaque mask on the features; FITS cubes [3, h, w] (g, r, i) become FITS with the
    image and a MASK extension. Beside them stands truth.csv, which is returned. The same seed gives the same bytes.
    Raises InputError when the number is not positive or the folder has no usable field.
    """
    if number < 1:
        raise InputError(f"number: found {number}, expected 1 or more", "ask for at least one field")
    names = usable_fields(fields)
    rows: list[Truth] = []
    with new_folder(output, force=force, is_ours=lambda path: (path / TRUTH_NAME).is_file()) as folder:
        (folder / IMAGES_NAME).mkdir()
        barren: set[Path] = set()
        attempt = 0
        while len(rows) < number:
            path = names[attempt % len(names)]
            flavor = flavors[len(rows) % len(flavors)]
            truth = (
                None if path in barren else _inject_file(path, folder / IMAGES_NAME, len(rows), [seed, attempt], flavor)
            )
            attempt += 1
            if truth is None:
                barren.add(path)
                if len(barren) == len(names):
                    raise InputError(
                        f"{fields}: found no red galaxy in any of {len(names)} fields, expected some to lens",
                        "give gri fields of the sky, composites or FITS in g, r, i with their zero point",
                    )
                continue
            rows.append(truth)
            if progress is not None:
                progress(len(rows), number)
        table = pd.DataFrame(rows)
        table.to_csv(folder / TRUTH_NAME, index=False, lineterminator="\n")
    return table


def usable_fields(folder: Path) -> list[Path]:
    """PNG and FITS files of a folder that can hold a lens, by name. Raises InputError when there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: found no such folder, expected one with fields", "give the folder of your fields")
    names = sorted(p for p in folder.iterdir() if p.name.lower().endswith((".png", *FITS_ENDINGS)))
    usable = []
    for path in names:
        try:
            shape = _read(path)[0].shape[1:]
        except BadImageError:
            continue
        if min(shape) >= SMALLEST_FIELD_PX:
            usable.append(path)
    if not usable:
        raise InputError(
            f"{folder}: found no usable field among {len(names)} PNG and FITS files, expected images in three bands of "
            f"{SMALLEST_FIELD_PX} px or more",
            "give a folder of gri composites (PNG) or of FITS cubes in g, r, i",
        )
    return usable


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Of FITS float32 [3, h, w] as stored, None, and factors [3, 1, 1] to ZEROPOINT_MAG; of PNG uint8 [h, w, 3]."""
    if path.name.lower().endswith(".png"):
        rgb = read_field(path)[..., :3]
        return np.moveaxis(rgb, -1, 0), rgb, np.ones((3, 1, 1))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadImageError(f"{path}: cannot be read ({error})", "restore the file") from None
    image = read_fits(data, str(path))
    if image.planes.shape[2] != 3:
        raise BadImageError(
            f"{path}: found {image.planes.shape[2]} bands, expected g, r, i", "join three bands in one cube"
        )
    zeropoints = np.array([ZEROPOINT_MAG if one is None else one for one in image.zeropoint_mag])
    return np.moveaxis(image.planes, -1, 0), None, 10 ** (0.4 * (ZEROPOINT_MAG - zeropoints[:, None, None]))


def _inject_file(path: Path, folder: Path, number: int, seed: list[int], flavor: str) -> Truth | None:
    rng = np.random.default_rng(seed)
    planes, rgb, factor = _read(path)
    stem = path.name.split(".")[0]
    if rgb is not None:
        injected = inject_lens(rgb, rng, flavor)
        if injected is None:
            return None
        pixels, mask, truth = injected
        name = f"{stem}_{number:05d}.png"
        Image.fromarray(np.dstack([pixels, np.where(mask, PAINTED, NOT_PAINTED).astype(np.uint8)])).save(folder / name)
    else:
        median = np.median(planes, axis=(1, 2), keepdims=True)
        gri = ((planes - median) * factor).astype(np.float32)
        sigma = 1.4826 * np.median(np.abs(gri), axis=(1, 2))
        camera = Camera(sky_sigma_counts=tuple(np.maximum(sigma, 1e-6).tolist()))
        found = inject_lens_gri(gri, camera, rng, flavor)
        if found is None:
            return None
        painted, mask, truth = found
        name = f"{stem}_{number:05d}.fits"
        header = fits.getheader(path)
        image = fits.PrimaryHDU((painted / factor + median).astype(np.float32), header)
        fits.HDUList([image, fits.ImageHDU(mask.astype(np.uint8), name="MASK")]).writeto(folder / name)
    return {"id": f"{stem}_{number:05d}", "image": name, "field": path.name, **truth}
