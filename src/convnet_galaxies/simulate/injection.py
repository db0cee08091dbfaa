"""Lenses painted round real red galaxies of existing fields, as Space Warps made its sims (More et al. 2016)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from PIL import Image

from convnet_galaxies.data.band_files import read_image
from convnet_galaxies.data.fits_image import is_fits
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_files import find_images
from convnet_galaxies.data.linear_image import LinearImage, Plane, above_sky, choose_planes
from convnet_galaxies.data.markers import read_field
from convnet_galaxies.data.missing import LARGEST_SHARE
from convnet_galaxies.data.output import new_folder
from convnet_galaxies.data.photometry import find_flux_scale
from convnet_galaxies.data.stretch import PREFERRED_BANDS
from convnet_galaxies.errors import BadImageError, InputError
from convnet_galaxies.paths import name_some
from convnet_galaxies.simulate.camera import (
    COMPOSITE,
    COMPOSITE_SCALES,
    PIXEL_SCALE_ARCSEC,
    SKY_SIGMA_COUNTS,
    Camera,
    composite_to_linear,
    linear_to_composite,
)
from convnet_galaxies.simulate.field import as_host
from convnet_galaxies.simulate.lens import LENS_FLAVORS, paint_lens
from convnet_galaxies.simulate.lens_population import draw_lens
from convnet_galaxies.simulate.libraries import require_libraries
from convnet_galaxies.simulate.red_galaxies import find_red_galaxies

TRUTH_NAME = "truth.csv"
PAINTED_FOLDER = "images"
MASKS_NAME = "truth_masks"
SMALLEST_FIELD_PX = 64
SCALE_TOLERANCE = 0.03
# In the published files painted pixels have alpha 255 and the rest a hair less.
PAINTED, NOT_PAINTED = 255, 254

Truth = dict[str, float | str | int]


_PLACE = re.compile(
    r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|PV)[12](_\d+)?|(CD|PC)[12]_[12]|PC00[12]00[12]|[AB]P?_\d_\d|[AB]P?_ORDER|"
    r"RADESYS|RADECSYS|EQUINOX|LONPOLE|LATPOLE|OBJECT|EXPTIME|GAIN|TELESCOP|INSTRUME"
)
"""Cards of a field that hold for its copy as well: above all where it is on the sky."""


@dataclass(frozen=True)
class Injection:
    """Result of an injection: truth table, fields used, remarks on other fields and on guesses."""

    table: pd.DataFrame
    fields: tuple[str, ...]
    remarks: tuple[str, ...] = ()


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
    """Return the same on a composite, uint8 [h, w, 3], as Space Warps made them.

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
    """Return the average camera with the sky noise that a composite, uint8 [h, w, 3], shows."""
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
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Injection:
    """Write number fields with a painted lens each, taken in turn from the pictures and gri FITS files of a folder.

    Pictures become RGBA PNG with an opaque mask on the features. FITS images become FITS of the same bands, order of
    rows, world coordinates and zero points, and a mask in a folder of its own, where no reader of the images meets it.
    Beside them stands truth.csv with the fields that were used; x_px and y_px index the file's own rows. The same
    seed gives the same bytes. Raises InputError when the number is not positive or the folder has no usable field.
    """
    require_libraries()
    if number < 1:
        raise InputError(f"number: found {number}, expected 1 or more", "give a number of at least 1")
    files, remarks = usable_fields(fields)
    rows: list[Truth] = []
    with new_folder(output, force=force, is_ours=lambda path: (path / TRUTH_NAME).is_file()) as folder:
        (folder / PAINTED_FOLDER).mkdir()
        barren: set[ImageFile] = set()
        attempt = 0
        while len(rows) < number:
            file = files[attempt % len(files)]
            flavor = LENS_FLAVORS[len(rows) % len(LENS_FLAVORS)]
            truth = None if file in barren else _inject_file(file, folder, len(rows), [seed, attempt], flavor)
            attempt += 1
            if truth is None:
                barren.add(file)
                if len(barren) == len(files):
                    raise InputError(
                        f"{fields}: found no red galaxy in any of {len(files)} fields, expected some to lens",
                        "give gri fields of the sky, composites or FITS in g, r, i with their zero point",
                    )
                continue
            rows.append(truth)
            if progress is not None:
                progress(len(rows), number)
        table = pd.DataFrame(rows)
        table.to_csv(folder / TRUTH_NAME, index=False, lineterminator="\n")
    if barren:
        remarks.append(f"{_count(len(barren))} without a red galaxy to lens: {name_some([f.name for f in barren])}")
    return Injection(table, tuple(dict.fromkeys(table["field"])), tuple(remarks))


def usable_fields(folder: Path) -> tuple[list[ImageFile], list[str]]:
    """Return pictures and FITS files of a folder that can hold a lens, by name, and a remark for each reason against
    others.

    Raises InputError when there is none.
    """
    if not folder.exists():
        raise InputError(f"{folder}: found no such folder, expected one with fields", "give the folder of your fields")
    try:
        listing = find_images(folder)
    except InputError as error:
        raise InputError(
            f"{folder}: found no usable field among 0 images ({error.message})",
            "give a folder of gri composites or FITS",
        ) from None
    usable: list[ImageFile] = []
    reasons: dict[str, list[str]] = {}
    guessed: Counter[str] = Counter()
    for file in listing.files:
        try:
            field = _read(file)
            h, w = (field if isinstance(field, np.ndarray) else field.gri[0]).shape[:2]
            if min(h, w) < SMALLEST_FIELD_PX:
                raise BadImageError(f"{file}: found {w} x {h} px, expected {SMALLEST_FIELD_PX} px or more", "")
        except BadImageError as error:
            reasons.setdefault(error.message.removeprefix(str(file)).lstrip(":, "), []).append(file.stem)
            continue
        usable.append(file)
        guessed.update(() if isinstance(field, np.ndarray) else field.guesses)
    remarks = [*listing.remarks, *listing.joined]
    remarks += [f"{_count(len(names))} not used: {name_some(names)} ({why})" for why, names in reasons.items()]
    remarks += [f"{_count(count)}: {text}" for text, count in guessed.items()]
    if not usable:
        raise InputError(
            f"{folder}: found no usable field among {len(listing.files)} images ({'; '.join(reasons)}), expected "
            f"images in three bands of {SMALLEST_FIELD_PX} px or more",
            "give a folder of gri composites (PNG) or of FITS images in g, r, i",
        )
    return usable, remarks


@dataclass(frozen=True, eq=False)
class _LinearField:
    """A FITS field in the rows of its file.

    gri: float32 [3, h, w] counts of AB zero point 30 above the sky, missing pixels 0. image: as read.
    planes: g, r, i of it. worth: counts that one unit of each is, float [3]. guesses: what was guessed, one text each.
    """

    gri: np.ndarray
    image: LinearImage
    planes: tuple[Plane, ...]
    worth: np.ndarray
    guesses: tuple[str, ...]


def _read(file: ImageFile) -> np.ndarray | _LinearField:
    """A picture as uint8 [h, w, 3], or a linear field. Raises BadImageError where it cannot hold a lens."""
    data = b"" if file.others else file.read()
    if not file.others and not is_fits(data, file.name):
        return read_field(file.path)[..., :3]
    image = read_image(file, data)
    if image.is_picture:
        raise BadImageError(f"{file}: found 8 bits, expected linear values", "")
    scale = image.pixel_scale_arcsec
    if scale is not None and abs(scale / PIXEL_SCALE_ARCSEC - 1) > SCALE_TOLERANCE:
        raise BadImageError(f'{file}: found {scale:.3g}"/px, expected {PIXEL_SCALE_ARCSEC:g}"/px', "")
    chosen = choose_planes(image, 3, str(file), blue_first=True, preferred=PREFERRED_BANDS)
    if len(chosen.planes) != 3:
        raise BadImageError(f"{file}: found {len(chosen.planes)} bands, expected g, r, i", "")
    planes = chosen.planes[::-1]  # from red to blue, as nets see them, to g, r, i
    guesses = [] if planes[0].band else ["planes without names of bands were taken as g, r, i"]
    whole = slice(None), slice(None)
    excess, noise, _ = above_sky(planes, whole, str(file), LARGEST_SHARE)
    worth, remarks = find_flux_scale(planes, noise, str(file), None)
    guesses += [f"{text}" for _, text in remarks]
    if worth is None:
        known = noise > 0
        logs = np.log(np.array(SKY_SIGMA_COUNTS)[known] / noise[known])
        worth = np.full(3, np.exp(logs.mean()) if known.any() else 1.0)
        guesses.append("without a zero point, so their brightness was guessed from their noise")
    turn = slice(None, None, -1 if image.rows_from_bottom else 1)
    gri = (excess * worth[:, None, None])[:, turn].astype(np.float32)
    return _LinearField(np.ascontiguousarray(gri), image, planes, worth, tuple(guesses))


def _inject_file(file: ImageFile, folder: Path, number: int, seed: list[int], flavor: str) -> Truth | None:
    rng = np.random.default_rng(seed)
    field = _read(file)
    name = f"{file.stem}_{number:05d}"
    if isinstance(field, np.ndarray):
        injected = inject_lens(field, rng, flavor)
        if injected is None:
            return None
        pixels, mask, truth = injected
        alpha = np.where(mask, PAINTED, NOT_PAINTED).astype(np.uint8)
        Image.fromarray(np.dstack([pixels, alpha])).save(folder / PAINTED_FOLDER / f"{name}.png")
        return {"id": name, "image": f"{name}.png", "field": file.name, **truth}
    sigma = 1.4826 * np.median(np.abs(field.gri), axis=(1, 2))
    camera = Camera(sky_sigma_counts=tuple(np.maximum(sigma, 1e-6).tolist()))
    found = inject_lens_gri(field.gri, camera, rng, flavor)
    if found is None:
        return None
    painted, mask, truth = found
    _write_fits(field, painted, folder / PAINTED_FOLDER / f"{name}.fits")
    (folder / MASKS_NAME).mkdir(exist_ok=True)
    fits.PrimaryHDU(mask.astype(np.uint8)).writeto(folder / MASKS_NAME / f"{name}.fits")
    return {"id": name, "image": f"{name}.fits", "field": file.name, **truth}


def _write_fits(field: _LinearField, painted: np.ndarray, path: Path) -> None:
    """The field with the light added: one image extension per band, with its name, zero point and place on the sky."""
    turn = slice(None, None, -1 if field.image.rows_from_bottom else 1)
    hdus = [fits.PrimaryHDU()]
    for k, plane in enumerate(field.planes):
        added = (painted[k] - field.gri[k]) / field.worth[k]
        header = fits.Header()
        for keyword, value in (field.image.header or {}).items():
            if _PLACE.fullmatch(keyword):
                header[keyword] = value
        band = plane.band.name if plane.band else "gri"[k]
        header["FILTER"] = band
        if plane.zeropoint is not None:
            header["MAGZERO"] = (plane.zeropoint.mag, "AB magnitude of one count")
        if not field.image.rows_from_bottom:
            header["ROWORDER"] = "TOP-DOWN"
        values = (plane.values[turn] + added).astype(np.float32)
        hdus.append(fits.ImageHDU(values, header, name=f"SCI_{band}"))
    fits.HDUList(hdus).writeto(path)


def _count(number: int) -> str:
    return f"{number:,} field{'s' if number > 1 else ''}"
