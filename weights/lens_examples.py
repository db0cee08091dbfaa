"""Make training examples for a lens finder: painted lenses and look-alikes, on real and on simulated sky.

Each maker is a pure function of its random numbers and returns one uint8 [STAMP_PX, STAMP_PX, 3] gri composite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.simulate.camera import (
    Camera,
    composite_to_linear,
    draw_camera,
    linear_to_composite,
)
from convnet_galaxies.simulate.field import expose, render_objects
from convnet_galaxies.simulate.injection import camera_of, inject_lens_gri
from convnet_galaxies.simulate.lens import LENS_FLAVORS
from convnet_galaxies.simulate.sky_population import SkyObject, draw_sky_objects, red_galaxy
from convnet_galaxies.workers import worker_pool

STAMP_PX = 128
CUT_PX = 200
"""Side of the piece of sky that a lens is painted into: its light reaches this far."""

FLAVOR_SHARES = (0.6, 0.15, 0.25)
"""Of lensed galaxies, quasars and clusters: the real candidates are mostly arcs and rings of galaxies."""

FAINTEST_GLOW = 0.3
"""The painted light is dimmed to between this and all of it; volunteers' sims are brighter than most real arcs."""


@dataclass(frozen=True)
class Example:
    """A stamp, whether it shows a lens, and of what kind; group: images of one group show the same sky."""

    stamp: np.ndarray
    lens: float
    flavor: str
    kind: str
    group: str


def cut_stamp(pixels: np.ndarray, x_px: float, y_px: float, side: int = STAMP_PX) -> np.ndarray:
    """uint8 [side, side, 3] round a position of [h, w, 3], zero beyond the edge."""
    half = side // 2
    x_px, y_px = (float(np.clip(at, 0, size - 1)) for at, size in ((x_px, pixels.shape[1]), (y_px, pixels.shape[0])))
    padded = np.pad(pixels, ((half, half), (half, half), (0, 0)))
    column, row = round(x_px), round(y_px)
    return np.ascontiguousarray(padded[row : row + side, column : column + side])


def paint(
    gri: np.ndarray, camera: Camera, rng: np.random.Generator, rgb: np.ndarray | None
) -> tuple[np.ndarray, float, float, str] | None:
    """A composite with a lens painted round a red galaxy, its position and flavor; None where no lens shows."""
    flavor = str(rng.choice(LENS_FLAVORS, p=FLAVOR_SHARES))
    cut_bands = None if rgb is None else (rgb == 255).sum(axis=2)
    found = inject_lens_gri(gri, camera, rng, flavor, cut_bands=cut_bands)
    if found is None:
        return None
    painted, mask, truth = found
    glow = float(np.exp(rng.uniform(np.log(FAINTEST_GLOW), 0)))
    light = (painted - gri) * glow
    sigma = np.array(camera.sky_sigma_counts)[:, None, None]
    if (np.sqrt(((light / sigma) ** 2).sum(axis=0)) > 2.0)[mask].sum() < 25:  # nobody could see it
        return None
    composite = linear_to_composite(gri + light)
    if rgb is not None:  # what was cut at white is known only from below
        composite = np.where((rgb == 255).any(axis=2)[..., None], np.maximum(composite, rgb), composite)
        composite = np.where(((np.abs(light) / sigma).max(axis=0) > 0.02)[..., None], composite, rgb)
    return composite, float(truth["x_px"]), float(truth["y_px"]), flavor


def painted_on_real(rgb: np.ndarray, rng: np.random.Generator, *, name: str) -> list[Example]:
    """A lens painted into a random piece of a real image, and the same galaxy without it."""
    h, w = rgb.shape[:2]
    top, left = (int(rng.integers(0, max(1, side - CUT_PX + 1))) for side in (h, w))
    piece = rgb[top : top + CUT_PX, left : left + CUT_PX]
    found = paint(composite_to_linear(piece, rng), camera_of(piece), rng, piece)
    if found is None:
        return []
    composite, x, y, flavor = found
    x, y = x + rng.normal(0, 1.5), y + rng.normal(0, 1.5)
    return [
        Example(cut_stamp(composite, x, y), 1.0, flavor, "painted on real sky", name),
        Example(cut_stamp(piece, x, y), 0.0, "dud", "red galaxy of real sky", name),
    ]


def painted_on_simulated(rng: np.random.Generator, *, name: str) -> list[Example]:
    """A lens painted round a massive galaxy of a simulated piece of sky, and the same galaxy without it."""
    redshift = float(np.clip(rng.normal(0.5, 0.17), 0.15, 0.9))
    host = red_galaxy(rng, float(np.clip(17.2 + 5.2 * redshift + rng.normal(0, 0.5), 16.8, 22.3)), redshift, 100, 100)
    gri, camera = expose_sky(rng, [host])
    found = paint(gri, camera, rng, None)
    if found is None:
        return []
    composite, x, y, flavor = found
    x, y = x + rng.normal(0, 1.5), y + rng.normal(0, 1.5)
    return [
        Example(cut_stamp(composite, x, y), 1.0, flavor, "painted on simulated sky", name),
        Example(cut_stamp(linear_to_composite(gri), x, y), 0.0, "dud", "red galaxy of simulated sky", name),
    ]


def expose_sky(rng: np.random.Generator, objects: Sequence[SkyObject]) -> tuple[np.ndarray, Camera]:
    """A simulated piece of sky, float32 [3, CUT_PX, CUT_PX], with the given objects among others."""
    camera = draw_camera(rng)
    others = draw_sky_objects(rng, (CUT_PX, CUT_PX), density=float(np.exp(0.3 * rng.normal())))
    everything = sorted([*others, *objects], key=lambda o: -o.r_mag)
    return expose(render_objects(everything, (CUT_PX, CUT_PX), camera), everything, camera, rng), camera


def lookalike(rng: np.random.Generator, *, name: str) -> list[Example]:
    """A spiral, ring, merger or irregular, or a red galaxy with chance neighbours, in the middle of simulated sky."""
    kind = str(
        rng.choice(["spiral", "ring", "merger", "irregular", "blend", "star"], p=[0.25, 0.2, 0.15, 0.08, 0.27, 0.05])
    )
    middle = CUT_PX / 2
    if kind in ("blend", "star"):
        redshift = float(rng.uniform(0.15, 0.8))
        host = red_galaxy(
            rng, float(np.clip(17.4 + 5.0 * redshift + rng.normal(0, 0.6), 17, 22.3)), redshift, middle, middle
        )
        objects = [host]
        for _ in range(int(rng.integers(1, 5)) if kind == "blend" else 1):
            distance, turn = rng.uniform(3, 30), rng.uniform(0, 2 * np.pi)
            x, y = middle + distance * np.cos(turn), middle + distance * np.sin(turn)
            if kind == "star":
                objects.append(SkyObject(x, y, float(rng.uniform(18, 22)), float(rng.uniform(0.1, 1.4)), 0.3, "star"))
            elif rng.random() < 0.3:
                objects.append(red_galaxy(rng, host.r_mag + float(rng.exponential(1.0)), redshift, x, y))
            else:
                objects.append(
                    draw_blue(rng, "irregular" if rng.random() < 0.3 else "spiral", x, y, (20.5, 24.0), (1.5, 5))
                )
    else:
        objects = [draw_blue(rng, kind, middle, middle, (17.5, 21.8), (3, 16))]
    gri, _ = expose_sky(rng, objects)
    at = middle + rng.normal(0, 3, 2)
    return [Example(cut_stamp(linear_to_composite(gri), *at), 0.0, "dud", f"simulated {kind}", name)]


def draw_blue(
    rng: np.random.Generator, kind: str, x: float, y: float, r_mag: tuple[float, float], radius_px: tuple[float, float]
) -> SkyObject:
    """A star-forming galaxy of the kind, g - r 0.2 to 1.2."""
    size = float(np.exp(rng.uniform(*np.log(radius_px))))
    colour = float(rng.uniform(0.2, 1.2))
    return SkyObject(
        x,
        y,
        float(rng.uniform(*r_mag)),
        colour,
        0.15 + 0.3 * colour + float(rng.normal(0, 0.08)),
        kind,
        redshift=0.2,
        radius_px=size,
        axis_ratio=float(rng.uniform(0.25, 1)),
        angle_rad=float(rng.uniform(0, np.pi)),
        detail_seed=int(rng.integers(1 << 62)),
    )


def shrunken_galaxy(pixels: np.ndarray, rng: np.random.Generator, *, name: str) -> list[Example]:
    """A galaxy of Galaxy Zoo as it would look farther away, put on simulated sky: real spirals, rings and mergers.

    pixels: uint8 [108, 108, 3], 288 of the 424 px. The nearby galaxy is shrunk 3.5 to 11 times; its composite is of
    another survey, so that brightness and colours are only alike.
    """
    side = round(108 / np.exp(rng.uniform(np.log(1.3), np.log(4.0))))
    small = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)).astype(float)
    edge = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    small = np.maximum(small - np.median(edge, axis=0) - 4, 0)
    axis = (np.arange(side) - (side - 1) / 2) / (side / 2)
    window = np.clip((1 - np.hypot(axis[None], axis[:, None])) * 4, 0, 1)[..., None]  # no square edge
    blur = float(rng.uniform(0.6, 1.6))
    gain = np.exp(rng.normal(0.25, 0.35)) * np.exp(rng.normal([-0.1, 0.0, 0.2], [0.12, 0.08, 0.15]))
    small = ndimage.gaussian_filter(small * window, (blur, blur, 0)) * gain
    gri, _ = expose_sky(rng, [])
    sky = linear_to_composite(gri).astype(float)
    x, y = (int(v) for v in CUT_PX // 2 + rng.normal(0, 3, 2))
    top, left = y - side // 2, x - side // 2
    sky[top : top + side, left : left + side] += small * rng.normal(1, 0.04, small.shape)
    stamp = cut_stamp(np.clip(sky, 0, 255).astype(np.uint8), x, y)
    return [Example(stamp, 0.0, "dud", "galaxy of Galaxy Zoo", name)]


def anywhere(rgb: np.ndarray, rng: np.random.Generator, *, name: str) -> list[Example]:
    """An object, or now and then nothing, of a real field without a lens."""
    smooth = ndimage.gaussian_filter(rgb.sum(axis=2).astype(float), 2)
    peaks = np.argwhere((smooth == ndimage.maximum_filter(smooth, 15)) & (smooth > 60))
    if rng.random() < 0.15 or not len(peaks):
        row, column = rng.integers(0, rgb.shape[0]), rng.integers(0, rgb.shape[1])
    else:
        weight = np.sqrt(smooth[peaks[:, 0], peaks[:, 1]])
        row, column = peaks[rng.choice(len(peaks), p=weight / weight.sum())] + rng.normal(0, 2, 2)
    return [Example(cut_stamp(rgb, float(column), float(row)), 0.0, "dud", "real sky", name)]


Task = tuple[Callable[..., list[Example]], tuple, int, int, str]


def _make(task: Task) -> list[Example]:
    function, arguments, seed, number, name = task
    return function(*arguments, np.random.default_rng((seed, number)), name=name)


def make_examples(tasks: Sequence[Task], *, workers: int = 2) -> list[Example]:
    """All examples of the tasks (function, its first arguments, seed, number, group), in order."""
    examples: list[Example] = []
    with worker_pool(workers) as run:
        for made in run(_make, tasks):
            examples += made
    return examples


def clean_fields(folder: Path) -> dict[str, np.ndarray]:
    """The guide's fields of CFHTLS without a lens, uint8 [440, 440, 3] by file name."""
    guide = pd.read_csv(folder / "guide" / "guide.csv")
    names = [Path(file).name for file in guide.loc[guide["truth"] == "NOT", "file"]]
    chosen = [name for name in names if not name.startswith("VICS82")]
    return {name: np.asarray(Image.open(folder / "guide" / "fields" / name).convert("RGB")) for name in chosen}


def pretraining_tasks(data: Path, *, number: int, seed: int) -> list[Task]:
    """Return the tasks of the first training set, which holds no candidate and no gallery lens."""
    fields = clean_fields(data / "space-warps")
    names = sorted(fields)
    records = read_galaxy_zoo(data / "galaxy-zoo")
    votes = records.table
    # Smooth round galaxies look like nothing; take those with arms, rings, mergers or other oddities.
    shape = votes["Class1.2"] + votes["Class6.1"] + votes["Class8.1"]
    order = np.argsort(-shape.to_numpy() - np.random.default_rng(seed).random(len(votes)), kind="stable")
    pixels = Preprocess(crop_px=288, size_px=108)
    tasks: list[Task] = []
    for k in range(number):
        field = names[k % len(names)]
        galaxy = int(order[k % (len(order) // 2)])
        tasks.append((painted_on_real, (fields[field],), seed, len(tasks), f"field={field}"))
        tasks.append((painted_on_simulated, (), seed, len(tasks), f"simulated={k}"))
        tasks.append((lookalike, (), seed, len(tasks), f"lookalike={k}"))
        file = records.files[galaxy]
        tasks.append(
            (
                shrunken_galaxy,
                (pixels.decode(file.read(), file.name),),
                seed,
                len(tasks),
                f"GalaxyID={votes['id'][galaxy]}",
            )
        )
        tasks.append((anywhere, (fields[field],), seed, len(tasks), f"field={field}"))
    return tasks
