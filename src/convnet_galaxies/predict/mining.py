"""Hard negative mining: windows without a lens that a run scores highest, as a pack for training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, maximum_filter

from convnet_galaxies.data.image_files import find_images, index_images
from convnet_galaxies.data.input_notes import InputNotes, require_scale
from convnet_galaxies.data.pack import write_set
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import BadImageError, InputError, OutputExistsError, UsageError
from convnet_galaxies.measure.confusion import NO_LENS
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.predictor import Predictor

PICTURE_FRAME, FITS_FRAME = "0-based from the top left", "0-based from the bottom left"
"""Origin of x_px and y_px of a stamp: array[y, x] of the rows in the file is the centre."""

SMOOTHING_PX, DETECTION_SIGMA = 2.0, 5.0


@dataclass(frozen=True)
class MiningSummary:
    """The pack; how many stamps it holds, of how many windows in how many images were scored; skipped, one text each.

    highest, lowest: lens probabilities of the stamps. remarks: warnings about unsuitable images.
    """

    pack: Path
    stamps: int
    windows: int
    images: int
    highest: float
    lowest: float
    skipped: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stamp:
    """One find: field and file it is from, centre in pixels of that file (0-based), how its rows run, lens probability,
    pixels.
    """

    field: str
    image_file: str
    x_px: float
    y_px: float
    frame: str
    probability: float
    pixels: np.ndarray


def mine(
    predictor: Predictor,
    source: Path,
    output: StrPath,
    *,
    number: int = 200,
    above: float = 0.5,
    on: Literal["grid", "objects"] = "grid",
    stride_px: int | None = None,
    context_px: int = 0,
    reading: ReadOptions | None = None,
    skip_bad: bool = False,
    limit: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> MiningSummary:
    """Score windows of images without lenses and write the highest-scored ones as a pack of negatives.

    source: fields of any size, or cutouts (one window each, padded with zeros where they are smaller).
    on: windows on a grid of stride_px (None: half of the network input; a stamp may be several times as
        wide), or on each peak of brightness.
    number, above: at most so many stamps, of at least this lens probability; stamps of one image overlap nowhere.
    context_px: image pixels added at each side of the stamps, for rotation without black corners; the packs that are
        trained on beside this one must be as large.
    Raises InputError if the run does not predict lenses or nothing is found, BadImageError for a bad image unless
    skip_bad.
    """
    output = Path(output)
    if "lens" not in predictor.classes:
        raise InputError(
            f"{predictor.run}: predicts {', '.join(predictor.classes)}, expected lens",
            "give a run that was trained on lenses",
        )
    if not 0 <= above < 1:
        raise UsageError(
            f"--min-probability: found {above:g}, expected a probability from 0 to below 1", "give e.g. 0.5"
        )
    if output.exists() and not force:
        raise OutputExistsError(output)
    reading = reading or ReadOptions()
    require_scale(reading.pixel_scale_arcsec, predictor.preprocess)
    listing = find_images(source)
    files = index_images(listing.files[:limit])
    notes = InputNotes(predictor.window_px, earlier=listing.remarks, joined=listing.joined)
    made: Preprocess | None = None
    finds: list[Stamp] = []
    skipped: list[str] = []
    windows, best, linear = 0, 0.0, False
    for done, (name, file) in enumerate(files.items(), 1):
        try:
            field, info = predictor.preprocess.decode_whole(file, reading)
        except BadImageError as error:
            if not skip_bad:
                raise
            skipped.append(error.message)
            continue
        linear |= info.unit != "picture"
        notes.add([name], field[None], [info])
        scale = info.pixel_scale_arcsec
        made = made or widen(predictor.preprocess, context_px, scale)
        centres, probability = _score(predictor, field, scale, on, stride_px)
        windows += len(centres)
        best = max(best, float(probability.max()))
        window_px = predictor.preprocess.crop_of(scale) or min(field.shape[:2])
        for k in suppress(centres, probability, window_px):
            if probability[k] >= above:
                y, x = (float(value) for value in centres[k])
                pixels = cut(field, centres[k], made, made.crop_of(scale))
                y, frame = (len(field) - 1 - y, FITS_FRAME) if info.rows_from_bottom else (y, PICTURE_FRAME)
                finds.append(Stamp(name, file.name, x, y, frame, float(probability[k]), pixels))
        finds = sorted(finds, key=lambda find: -find.probability)[:number]
        if progress is not None:
            progress(done, len(files))
    if not finds or made is None:
        raise InputError(
            f"{source}: found no window with a lens probability of {above:g} or more among {windows:,} in "
            f"{len(files) - len(skipped):,} images, the highest is {best:.3g}",
            f"pass --min-probability {best * 0.9:.2g}, or give more images",
        )
    mined = replace(_to_set(finds, made, predictor), linear=linear, warnings=tuple(notes.warnings()))
    write_set(mined, output, force=force, skipped=skipped)
    highest, lowest = finds[0].probability, finds[-1].probability
    remarks = (*notes.warnings(), *notes.facts())
    return MiningSummary(
        output, len(finds), windows, len(files) - len(skipped), highest, lowest, tuple(skipped), remarks
    )


def widen(preprocess: Preprocess, context_px: int, pixel_scale_arcsec: float | None) -> Preprocess:
    """Return the same pixels with so many image pixels more at each side. Raises InputError where the crop is not
    settled."""
    if not context_px:
        return preprocess
    crop_px, size_px = preprocess.crop_px, preprocess.size_px
    own_crop_px = preprocess.crop_of(pixel_scale_arcsec)
    if crop_px is None or own_crop_px is None:
        raise InputError(
            "--margin-px: the network input is the whole image, which has no margin", "leave out --margin-px"
        )
    wide_px = crop_px + 2 * round(context_px * crop_px / own_crop_px)
    return preprocess.model_copy(update={"crop_px": wide_px, "size_px": round(wide_px * size_px / crop_px)})


def place_grid(height: int, width: int, window_px: int, stride_px: int) -> np.ndarray:
    """Return centres (y, x) of windows that cover an image, float [n, 2]; the last ones end at its edge."""

    def along(length: int) -> np.ndarray:
        starts = np.arange(0, max(length - window_px, 0) + 1, stride_px)
        if length > window_px and starts[-1] != length - window_px:
            starts = np.append(starts, length - window_px)
        return starts + (min(length, window_px) - 1) / 2

    y, x = np.meshgrid(along(height), along(width), indexing="ij")
    return np.stack([y.ravel(), x.ravel()], axis=1)


def find_objects(field: np.ndarray, window_px: int) -> np.ndarray:
    """Find peaks (y, x) of the smoothed brightness, float [n, 2], a quarter of a window apart and half of one from the
    edge.

    field: uint8 [h, w, bands]. A peak stands DETECTION_SIGMA above the median, in units of the median deviation.
    """
    light = gaussian_filter(field.mean(axis=2), SMOOTHING_PX)
    sky = float(np.median(light))
    noise = 1.4826 * float(np.median(np.abs(light - sky))) or 1.0
    is_peak = (light == maximum_filter(light, max(3, window_px // 4))) & (light > sky + DETECTION_SIGMA * noise)
    edge = window_px // 2
    is_peak[:edge], is_peak[:, :edge] = False, False
    is_peak[field.shape[0] - edge :], is_peak[:, field.shape[1] - edge :] = False, False
    return np.argwhere(is_peak).astype(float)


def suppress(centres: np.ndarray, probability: np.ndarray, window_px: int) -> list[int]:
    """Return numbers of the windows that are kept, best first: each lies beside all better ones that are kept."""
    kept: list[int] = []
    for k in np.argsort(-probability, kind="stable"):
        if all(np.abs(centres[k] - centres[other]).max() >= window_px for other in kept):
            kept.append(int(k))
    return kept


def cut(field: np.ndarray, centre: np.ndarray, preprocess: Preprocess, crop_px: int | None) -> np.ndarray:
    """Return the stamp round a centre (y, x) as the preprocess makes it, uint8 [size_px, size_px, bands]; zeros
    outside."""
    side = crop_px or min(field.shape[:2])
    top, left = (int(np.floor(value - (side - 1) / 2)) for value in centre)
    square = np.zeros((side, side, field.shape[2]), field.dtype)
    y, x = max(top, 0), max(left, 0)
    part = field[y : max(top + side, 0), x : max(left + side, 0)]
    square[y - top : y - top + part.shape[0], x - left : x - left + part.shape[1]] = part
    return preprocess.fit(square, crop_px=side)


def _score(
    predictor: Predictor, field: np.ndarray, scale: float | None, on: str, stride_px: int | None
) -> tuple[np.ndarray, np.ndarray]:
    crop_px = predictor.preprocess.crop_of(scale)
    height, width = field.shape[:2]
    seen_px = predictor.window_px(scale)
    window_px = min(height, width) if seen_px is None else max(1, round(seen_px))
    centres = np.empty((0, 2))
    if on == "objects":
        centres = find_objects(field, window_px)
    if not len(centres):
        centres = place_grid(height, width, window_px, stride_px or max(1, window_px // 2))
    probability = []
    for start in range(0, len(centres), predictor.batch):
        block = [cut(field, one, predictor.preprocess, crop_px) for one in centres[start : start + predictor.batch]]
        probability.append(predictor.predict(np.stack(block))["lens"])
    return centres, np.concatenate(probability).astype(float)


def _to_set(finds: Sequence[Stamp], preprocess: Preprocess, predictor: Predictor) -> ImageSet:
    table = pd.DataFrame(
        {
            "id": [f"{find.field}_{find.x_px:.0f}_{find.y_px:.0f}" for find in finds],
            "group": [f"image_file={find.image_file}" for find in finds],
            "lens": 0.0,
            "field": [find.field for find in finds],
            "image_file": [find.image_file for find in finds],
            "x_px": [find.x_px for find in finds],
            "y_px": [find.y_px for find in finds],
            "frame": [find.frame for find in finds],
            "lens_probability": [find.probability for find in finds],
            "mined_by": Path(predictor.run).name,
        }
    )
    if NO_LENS in predictor.classes.get("flavor", ()):
        table["flavor_label"] = NO_LENS
    return ImageSet(np.stack([find.pixels for find in finds]), table, preprocess, "images", ("image_file",))
