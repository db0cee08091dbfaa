"""One field of a simulated Space Warps: what it holds, a lens among it or not, what the crowd clicks, and its image.

People judge what a field holds, so it is shown before it is drawn; only fields of which a cutout is taken are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from convnet_galaxies.data.click_clusters import FAST_PNG, cluster_clicks, cut_stamp
from convnet_galaxies.data.default_pixels import STAMP_PX
from convnet_galaxies.simulate.camera import FIELD_SIZE_PX, linear_to_composite, to_counts
from convnet_galaxies.simulate.crowd import (
    RIM_PX,
    Crowd,
    Looks,
    Scene,
    draw_crowd,
    lens_spots,
    lens_visibility,
    observe,
)
from convnet_galaxies.simulate.field import Pointing, as_host, draw_field, draw_pointing
from convnet_galaxies.simulate.lens import LENS_FLAVORS, LensSystem, PaintedLight, draw_light
from convnet_galaxies.simulate.lens_population import draw_lens
from convnet_galaxies.simulate.sky_population import SkyObject

# A pool is a series of fields of one sort, numbered from 0.
POOLS = (*LENS_FLAVORS, "dud", "test", "test lens")
FIRST_STAGE = {**dict.fromkeys((*LENS_FLAVORS, "dud"), 1), "test": 2, "test lens": 2}

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
# What of a field has random numbers of its own, since it is drawn later than the rest.
LIGHT, PIXELS = 1, 2
# Chance that a typical volunteer marks a large bright object of each kind; smooth galaxies and stars fool few.
TEMPTATION = {"ring": 0.016, "merger": 0.013, "spiral": 0.008, "irregular": 0.005, "elliptical": 0.0013, "star": 0.0008}
OTHER_TEMPTATION = 0.001


@dataclass(frozen=True)
class Subject:
    """A field, and what the crowd did with it in one stage.

    pool, index, attempt: which; the field is drawn from them (draw_image). image: file name. scene: what it offers.
    looks: who looked and clicked. labels: int [clicks], the cluster of each click (data.click_clusters).
    clusters: float64 [k, 2], (x, y) of the clusters in the order of data.click_clusters.measure_clusters.
    shows_lens: int [k], 1 where the stamp round the cluster holds painted pixels.
    lens: the painted lens and its place (x_px, y_px), or None. truth: its row of the truth table, or None.
    """

    pool: str
    index: int
    attempt: int
    image: str
    scene: Scene
    looks: Looks
    labels: np.ndarray
    clusters: np.ndarray
    shows_lens: np.ndarray
    lens: tuple[LensSystem, float, float] | None
    truth: dict[str, float | str | int] | None


def kind_of(pool: str) -> str:
    """sim, dud or test."""
    return "sim" if pool in LENS_FLAVORS else pool.split()[0]


def draw_subject(seed: int, pool: str, index: int) -> Subject:
    """Draw what field number ``index`` of a pool holds, and show it to the crowd of its first stage.

    Depends on the arguments only.
    Stage 1 shows test fields to a few people; what hardly anyone marks is drawn again, up to three times.
    """
    kind, crowd = kind_of(pool), _crowd(seed)
    for attempt in range(TRIAGE_TRIES):
        rng = _generator(seed, pool, index, attempt)
        pointing = draw_pointing(rng)
        scene = _scene(rng, pointing)
        lens, light, truth = None, None, None
        if pool in LENS_FLAVORS or pool == "test lens":
            lens = _draw_lens(rng, pointing, pool)
            light = _light(seed, pool, index, attempt, pointing, lens)
            scene = _with_lens(rng, scene, pointing, lens[0], light)
            truth = {**lens[0].truth(*lens[1:]), "visibility": scene.lens_visibility}
        if kind != "test":
            break
        first = observe(rng, crowd, scene, looks=TRIAGE_LOOKS)
        if first.marked.sum() >= TRIAGE_MARKS:
            break
    image = hex_name(seed, pool, index, "image") + ".png"
    subject = Subject(pool, index, attempt, image, scene, *_NOTHING, lens, truth)
    return _shown(rng, crowd, light, FIRST_STAGE[pool], kind, subject)


def show_again(seed: int, subject: Subject, *, kind: str) -> Subject:
    """Return the same field before the crowd of stage 2, as a sim that returns or as a test field that became a dud."""
    rng = np.random.default_rng([seed, len(POOLS), POOLS.index(subject.pool), subject.index])
    which = (seed, subject.pool, subject.index, subject.attempt)
    light = None if subject.lens is None else _light(*which, draw_pointing(_generator(*which)), subject.lens)
    return _shown(rng, _crowd(seed), light, 2, kind, subject)


def draw_image(seed: int, subject: Subject) -> np.ndarray:
    """Draw the image of a field, uint8 [h, w, 4] with the alpha channel of training fields."""
    which = (seed, subject.pool, subject.index, subject.attempt)
    pointing = draw_pointing(_generator(*which))
    gri = draw_field(pointing, _generator(*which, PIXELS))
    mask = np.zeros((pointing.size_px, pointing.size_px), bool)
    if subject.lens is not None:
        light = _light(*which, pointing, subject.lens)
        light.add_to(gri)
        mask = light.whole_mask((pointing.size_px, pointing.size_px))
    return np.dstack([linear_to_composite(gri), np.where(mask, PAINTED, NOT_PAINTED).astype(np.uint8)])


def save_image(folder: Path, subject: Subject, pixels: np.ndarray) -> None:
    """Write the image of a field; test fields have no alpha channel."""
    saved = pixels[..., :3] if kind_of(subject.pool) == "test" else pixels
    Image.fromarray(np.ascontiguousarray(saved)).save(folder / subject.image, **FAST_PNG)


def leaves_field(centres_px: np.ndarray) -> np.ndarray:
    """Return bool [n]: the stamp round the centre (float [n, 2]) is padded with zeros."""
    start = np.floor(centres_px - STAMP_PX / 2)
    return np.any((start < 0) | (start + STAMP_PX > FIELD_SIZE_PX), axis=1)


def hex_name(seed: int, pool: str, index: int, what: str) -> str:
    """24 hexadecimal digits, as the project's identifiers are; they tell nothing about the field."""
    return hashlib.blake2b(f"{seed}/{pool}/{index}/{what}".encode(), digest_size=12).hexdigest()


def _crowd(seed: int) -> Crowd:
    return draw_crowd(np.random.default_rng([seed, 1 << 20]))


def _generator(seed: int, pool: str, index: int, attempt: int, part: int | None = None) -> np.random.Generator:
    """Return the generator for the content of a field and its crowd; part: for parts drawn later, in any order."""
    return np.random.default_rng([seed, POOLS.index(pool), index, attempt, *([] if part is None else [part])])


def _shown(
    rng: np.random.Generator, crowd: Crowd, light: PaintedLight | None, stage: int, kind: str, subject: Subject
) -> Subject:
    number = int(rng.poisson(LOOKS[stage, kind]))
    looks = observe(rng, crowd, subject.scene, looks=number, eagerness=EAGERNESS[stage, kind])
    labels = cluster_clicks(looks.x_px, looks.y_px, looks.volunteer)
    order = list(dict.fromkeys(labels[labels >= 0].tolist()))
    members = [labels == label for label in order]
    centres = np.array([(looks.x_px[m].mean(), looks.y_px[m].mean()) for m in members]).reshape(-1, 2)
    shows = np.zeros(len(centres), int)
    if light is not None:
        mask = light.whole_mask(subject.scene.shape)[..., None]
        shows = np.array([cut_stamp(mask, x, y).any() for x, y in centres], int)
    return replace(subject, looks=looks, labels=labels, clusters=centres, shows_lens=shows)


def _light(
    seed: int, pool: str, index: int, attempt: int, pointing: Pointing, lens: tuple[LensSystem, float, float]
) -> PaintedLight:
    """Return the light of a field's lens, the same whenever it is drawn."""
    shape = (pointing.size_px, pointing.size_px)
    return draw_light(*lens, shape, _generator(seed, pool, index, attempt, LIGHT), pointing.camera)


def _with_lens(
    rng: np.random.Generator, scene: Scene, pointing: Pointing, lens: LensSystem, light: PaintedLight
) -> Scene:
    """Return the scene with the lens in it."""
    light_sigma = light.counts / np.array(pointing.camera.sky_sigma_counts)[:, None, None]
    spots = lens_spots(rng, light_sigma) + np.array([light.left, light.top])
    visibility = lens_visibility(light_sigma, lens.einstein_radius_arcsec)
    return replace(scene, lens_points_px=spots, lens_visibility=visibility)


def _draw_lens(rng: np.random.Generator, pointing: Pointing, pool: str) -> tuple[LensSystem, float, float]:
    """A lens and where it is. Sims follow the project's simulations.

    Real lenses (pool "test lens") differ a little, as they do on the sky: fewer quasars, smaller
    Einstein radii, and sources fainter by 0.3 mag on average.
    """
    real = pool == "test lens"
    flavor = pool
    if pool == "test lens":
        flavor = str(rng.choice(LENS_FLAVORS, p=(0.55, 0.1, 0.35) if real else (1 / 3, 1 / 3, 1 / 3)))
    host = _choose_host(rng, pointing, flavor)
    if host is None:  # a field without a red galaxy: the lens galaxy is too faint or too far to be seen
        x_px, y_px = rng.uniform(RIM_PX, pointing.size_px - RIM_PX, 2)
        return draw_lens(rng, flavor), float(x_px), float(y_px)
    members = tuple(as_host(o) for o in pointing.members_of(host))
    lens = draw_lens(rng, flavor, host=as_host(host), members=members)
    if real:
        for _ in range(4):
            if rng.random() < 1.3 / lens.einstein_radius_arcsec:
                break
            lens = draw_lens(rng, flavor, host=as_host(host), members=members)
        lens = replace(lens, source=lens.source.brightened(lens.source.r_mag + float(rng.normal(0.3, 0.3))))
    return lens, host.x_px, host.y_px


def _choose_host(rng: np.random.Generator, pointing: Pointing, flavor: str) -> SkyObject | None:
    """A red galaxy, massive ones more often; for a cluster the brightest of a group when there is one."""
    hosts = pointing.hosts(margin_px=RIM_PX)
    if flavor == "lensing cluster":
        hosts = [o for o in hosts if o.group != -1] or hosts
    if not hosts:
        return None
    weight = np.array([max(o.einstein_radius_arcsec, 0.05) ** 2 for o in hosts])
    return hosts[int(rng.choice(len(hosts), p=weight / weight.sum()))]


def _scene(rng: np.random.Generator, pointing: Pointing) -> Scene:
    """Objects that may be mistaken for a lens, and the probability of each."""
    end = pointing.size_px - RIM_PX
    inside = [o for o in pointing.objects if o.r_mag < 24 and RIM_PX <= o.x_px < end and RIM_PX <= o.y_px < end]
    whim = np.exp(1.2 * rng.normal(size=len(inside)))
    appeal = [TEMPTATION.get(o.kind, OTHER_TEMPTATION) * _conspicuousness(o) for o in inside]
    x, y, size = np.array([(o.x_px, o.y_px, min(o.radius_px, 15.0)) for o in inside], float).reshape(-1, 3).T
    return Scene(x, y, size, np.array(appeal) * whim, np.empty((0, 2)), 0.0, (pointing.size_px,) * 2)


def _conspicuousness(o: SkyObject) -> float:
    """0..1: how well an object's form is seen, by its surface brightness in g (blue things catch the eye) and size."""
    counts = float(to_counts(o.r_mag + o.g_r))
    size_px = max(o.radius_px, 3.0)
    contrast = counts / (2 * np.pi * size_px**2 * max(o.axis_ratio, 0.2))
    return float(contrast / (contrast + 3.0) * min(1.0, size_px / 8.0))


_NOTHING = (
    Looks(np.empty(0, int), np.empty(0, bool), np.empty(0, int), np.empty(0), np.empty(0)),
    np.empty(0, int),
    np.empty((0, 2)),
    np.empty(0, int),
)
