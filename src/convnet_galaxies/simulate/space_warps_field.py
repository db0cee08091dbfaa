"""One field of a simulated Space Warps: drawn, painted if it is to hold a lens, shown to the crowd, and saved."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from convnet_galaxies.data.click_clusters import STAMP_PX, cluster_clicks, cut_stamp, shows_painted
from convnet_galaxies.data.markers import read_field
from convnet_galaxies.simulate.camera import FIELD_SIZE_PX, linear_to_composite, to_counts
from convnet_galaxies.simulate.crowd import RIM_PX, Crowd, Looks, Scene, draw_crowd, lens_spots, lens_visibility, look
from convnet_galaxies.simulate.field import Field, as_host, draw_field
from convnet_galaxies.simulate.lens import FLAVORS, LensSystem, paint_lens
from convnet_galaxies.simulate.lens_population import draw_lens
from convnet_galaxies.simulate.sky_population import SkyObject

# A pool is a series of fields of one sort, numbered from 0.
POOLS = (*FLAVORS, "dud", "test", "test lens")
FIRST_STAGE = {**dict.fromkeys((*FLAVORS, "dud"), 1), "test": 2, "test lens": 2}

# Mean number of looks at a field, and how eager all are, chosen so that the clusters per field come near those of the
# real project: 2.8 per sim and 1.9 per dud in stage 1; 4.9, 5.6 and 2.5 per sim, dud and test field in stage 2 (the
# catalogue's rows over the 5,712, 4,500, 152, 201 and 3,679 fields of its reports). Stage 2 took about 150, 215 and 46
# looks; stage 1 showed training fields several hundred times, for which 150 looks of a livelier crowd stand here.
LOOKS = {(1, "sim"): 150, (1, "dud"): 150, (2, "sim"): 150, (2, "dud"): 215, (2, "test"): 46}
# On sims people mark more things besides: whoever marks the lens too weighs half on each.
EAGERNESS = {(1, "sim"): 3.2, (1, "dud"): 1.0, (2, "sim"): 10.0, (2, "dud"): 2.8, (2, "test"): 6.0}
# Stage 1 passes on what so many of so many marked; what it does not is drawn again, at most so often in all.
TRIAGE_LOOKS, TRIAGE_MARKS, TRIAGE_TRIES = 30, 4, 3

# In the published files the painted features are opaque (255) and the rest is a hair less.
PAINTED, NOT_PAINTED = 255, 254
# Chance that a typical volunteer marks a large bright object of each kind; smooth galaxies and stars fool few.
TEMPTATION = {"ring": 0.016, "merger": 0.013, "spiral": 0.008, "irregular": 0.005, "elliptical": 0.0013, "star": 0.0008}
OTHER_TEMPTATION = 0.001


@dataclass(frozen=True)
class Subject:
    """A field that is saved, and what the crowd did with it in one stage.

    pool, index: which. image: file name. scene: what it offers. looks: who looked and clicked.
    clusters: float64 [k, 2], (x, y) of the clusters in the order of data.click_clusters.measure_clusters.
    shows_lens: int [k], 1 where the stamp round the cluster holds painted pixels.
    truth: the lens (LensSystem.truth), or None.
    """

    pool: str
    index: int
    image: str
    scene: Scene
    looks: Looks
    clusters: np.ndarray
    shows_lens: np.ndarray
    truth: dict[str, float | str | int] | None


def kind_of(pool: str) -> str:
    """sim, dud or test."""
    return "sim" if pool in FLAVORS else pool.split()[0]


def draw_subject(seed: int, pool: str, index: int, *, folder: Path, population: str) -> Subject:
    """Draw field number ``index`` of a pool, save it in folder, and show it to the crowd of its first stage.

    population: of the lenses in test fields, "real" or "sims" (see _draw_lens). Depends on the arguments only.
    Stage 1 shows test fields to a few people; what hardly anyone marks is drawn again, up to three times.
    """
    kind, crowd = kind_of(pool), _crowd(seed)
    for attempt in range(TRIAGE_TRIES):
        rng = np.random.default_rng([seed, POOLS.index(pool), index, attempt])
        field = draw_field(rng)
        scene, pixels, truth = _paint(rng, field, pool, population)
        if kind != "test":
            break
        first = look(rng, crowd, scene, looks=TRIAGE_LOOKS)
        if first.marked.sum() >= TRIAGE_MARKS:
            break
    image = hex_name(seed, pool, index, "image") + ".png"
    # The fastest compression that zlib has: files grow by a tenth, and writing them takes a third of the time.
    saved = pixels[..., :3] if kind == "test" else pixels
    Image.fromarray(np.ascontiguousarray(saved)).save(folder / image, compress_level=1)
    return _shown(rng, crowd, pixels, FIRST_STAGE[pool], kind, Subject(pool, index, image, scene, *_NOTHING, truth))


def show_again(seed: int, subject: Subject, *, folder: Path, kind: str) -> Subject:
    """The same field before the crowd of stage 2, as a sim that returns or as a test field that became a dud."""
    rng = np.random.default_rng([seed, len(POOLS), POOLS.index(subject.pool), subject.index])
    return _shown(rng, _crowd(seed), read_field(folder / subject.image), 2, kind, subject)


def leaves_field(centres_px: np.ndarray, size_px: int = FIELD_SIZE_PX) -> np.ndarray:
    """bool [n]: the stamp round the centre (float [n, 2]) is padded with zeros."""
    start = np.floor(centres_px - STAMP_PX / 2)
    return np.any((start < 0) | (start + STAMP_PX > size_px), axis=1)


def hex_name(seed: int, pool: str, index: int, what: str) -> str:
    """24 hexadecimal digits, as the project's identifiers are; they tell nothing about the field."""
    return hashlib.blake2b(f"{seed}/{pool}/{index}/{what}".encode(), digest_size=12).hexdigest()


def _crowd(seed: int) -> Crowd:
    return draw_crowd(np.random.default_rng([seed, 1 << 20]))


def _shown(
    rng: np.random.Generator, crowd: Crowd, pixels: np.ndarray, stage: int, kind: str, subject: Subject
) -> Subject:
    number = int(rng.poisson(LOOKS[stage, kind]))
    looks = look(rng, crowd, subject.scene, looks=number, eagerness=EAGERNESS[stage, kind])
    labels = cluster_clicks(looks.x_px, looks.y_px, looks.volunteer)
    order = list(dict.fromkeys(labels[labels >= 0].tolist()))
    members = [labels == label for label in order]
    centres = np.array([(looks.x_px[m].mean(), looks.y_px[m].mean()) for m in members]).reshape(-1, 2)
    shows = np.array([shows_painted(cut_stamp(pixels, x, y)) for x, y in centres], int)
    return replace(subject, looks=looks, clusters=centres, shows_lens=shows)


def _paint(
    rng: np.random.Generator, field: Field, pool: str, population: str
) -> tuple[Scene, np.ndarray, dict[str, float | str | int] | None]:
    """The scene, uint8 [h, w, 4] with the alpha channel of a training field, and the truth of the lens if any."""
    gri, shape = field.gri, field.gri.shape[1:]
    mask, spots, visibility, truth = np.zeros(shape, bool), np.empty((0, 2)), 0.0, None
    if pool in FLAVORS or pool == "test lens":
        lens, x_px, y_px = _draw_lens(rng, field, pool, population)
        gri, mask = paint_lens(field.gri, lens, x_px, y_px, rng, field.camera)
        light_sigma = (gri - field.gri) / np.array(field.camera.sky_sigma_counts)[:, None, None]
        visibility = lens_visibility(light_sigma, lens.einstein_radius_arcsec)
        spots, truth = lens_spots(rng, light_sigma), lens.truth(x_px, y_px)
        truth["visibility"] = visibility
    scene = replace(_scene(rng, field.objects, shape), lens_points_px=spots, lens_visibility=visibility)
    alpha = np.where(mask, PAINTED, NOT_PAINTED).astype(np.uint8)
    return scene, np.dstack([linear_to_composite(gri), alpha]), truth


def _draw_lens(rng: np.random.Generator, field: Field, pool: str, population: str) -> tuple[LensSystem, float, float]:
    """A lens and where it is. Sims follow the project's simulations.

    Real lenses (pool "test lens", population "real") differ a little, as they do on the sky: fewer quasars, smaller
    Einstein radii, and sources fainter by 0.3 mag on average.
    """
    real = pool == "test lens" and population == "real"
    flavor = pool
    if pool == "test lens":
        flavor = str(rng.choice(FLAVORS, p=(0.55, 0.1, 0.35) if real else (1 / 3, 1 / 3, 1 / 3)))
    host = _choose_host(rng, field, flavor)
    if host is None:  # a field without a red galaxy: the lens galaxy is too faint or too far to be seen
        h, w = field.gri.shape[1:]
        return draw_lens(rng, flavor), float(rng.uniform(RIM_PX, w - RIM_PX)), float(rng.uniform(RIM_PX, h - RIM_PX))
    members = tuple(as_host(o) for o in field.members_of(host))
    lens = draw_lens(rng, flavor, host=as_host(host), members=members)
    if real:
        for _ in range(4):
            if rng.random() < 1.3 / lens.einstein_radius_arcsec:
                break
            lens = draw_lens(rng, flavor, host=as_host(host), members=members)
        lens = replace(lens, source=lens.source.brightened(lens.source.r_mag + float(rng.normal(0.3, 0.3))))
    return lens, host.x_px, host.y_px


def _choose_host(rng: np.random.Generator, field: Field, flavor: str) -> SkyObject | None:
    """A red galaxy, massive ones more often; for a cluster the brightest of a group when there is one."""
    hosts = field.hosts(margin_px=RIM_PX)
    if flavor == "lensing cluster":
        hosts = [o for o in hosts if o.group != -1] or hosts
    if not hosts:
        return None
    weight = np.array([max(o.einstein_radius_arcsec, 0.05) ** 2 for o in hosts])
    return hosts[int(rng.choice(len(hosts), p=weight / weight.sum()))]


def _scene(rng: np.random.Generator, objects: tuple[SkyObject, ...], shape: tuple[int, int]) -> Scene:
    """What may be mistaken for a lens, and how much each tempts, which people judge differently from any formula."""
    height, width = shape
    right, bottom = width - RIM_PX, height - RIM_PX
    inside = [o for o in objects if o.r_mag < 24 and RIM_PX <= o.x_px < right and RIM_PX <= o.y_px < bottom]
    whim = np.exp(1.2 * rng.normal(size=len(inside)))
    appeal = [TEMPTATION.get(o.kind, OTHER_TEMPTATION) * _conspicuousness(o) for o in inside]
    x, y, size = np.array([(o.x_px, o.y_px, min(o.radius_px, 15.0)) for o in inside], float).reshape(-1, 3).T
    return Scene(x, y, size, np.array(appeal) * whim, np.empty((0, 2)), 0.0, (height, width))


def _conspicuousness(o: SkyObject) -> float:
    """0..1: how well an object's form is seen, by its surface brightness in g (blue things catch the eye) and size."""
    counts = float(to_counts(o.r_mag + o.g_r))
    size_px = max(o.radius_px, 3.0)
    contrast = counts / (2 * np.pi * size_px**2 * max(o.axis_ratio, 0.2))
    return float(contrast / (contrast + 3.0) * min(1.0, size_px / 8.0))


_NOTHING = (
    Looks(np.empty(0, int), np.empty(0, bool), np.empty(0, int), np.empty(0), np.empty(0)),
    np.empty((0, 2)),
    np.empty(0, int),
)
