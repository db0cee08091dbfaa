"""Volunteers of varied skill who look at fields and click on what seems lensed, sometimes rightly.

A volunteer is two numbers, as in the confusion matrices of Marshall et al. (2016, arXiv:1504.06148): an eye for
lenses (the chance to mark a plain one, PL) and eagerness to mark other things (from which follows PD).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# The project had 37,000; fewer who look more often let SWAP's agents learn from data sets of every size.
VOLUNTEERS = 600
SPOTS = 48
STRAY_CLICKS_PER_LOOK = 0.012
MOST_LIKELY_MARK = 0.9
SCATTER_PX = 4.0
# People look less at the rim. Lenses are painted no nearer to it either, so that the zeros round a stamp that leaves
# the field tell nothing about what the stamp shows.
RIM_PX = 20
# Lensed light of this signal to noise is overlooked by half of those who would see a plain lens.
HALF_SEEN_SIGMA = 60.0
# What stands so near to lensed light that someone marked is part of the lens to them, and gets no mark of its own
# (11 arcsec, a little more than the largest Einstein radius). Without this, 7 % of the stamps that count as lenses
# had no painted light within 30 px of their centre, and a sim had 1.15 stamps that count; with it, 3 % and 1.12. The
# published catalogue has 0.90 of them (5,159 in 5,712 sims), which leaves little room for stamps beside the lens.
PART_OF_LENS_PX = 60.0
# Clicks are kept to a hundredth of a pixel, so that their table gives the same clusters when it is read back.
DECIMALS = 2


@dataclass(frozen=True)
class Crowd:
    """The volunteers.

    eye: float64 [v], chance to mark a lens that is plainly visible.
    eagerness: float64 [v], by which their chance to mark another thing exceeds the typical one.
    activity: float64 [v], logarithm of how often they look, relative to others.
    """

    eye: np.ndarray
    eagerness: np.ndarray
    activity: np.ndarray

    def __len__(self) -> int:
        return len(self.eye)


@dataclass(frozen=True)
class Scene:
    """Objects of a field that a volunteer may notice.

    x_px, y_px: float64 [n], centres of things that are no lens; size_px: float64 [n], how far clicks on them spread.
    appeal: float64 [n], chance that a typical volunteer marks it.
    lens_points_px: float64 [m, 2], (x, y) of spots of the lensed light, the bright ones more often; m = 0 without.
    lens_visibility: 0..1, chance that a perfect eye marks the lens.
    shape: height and width of the field in pixels.
    """

    x_px: np.ndarray
    y_px: np.ndarray
    size_px: np.ndarray
    appeal: np.ndarray
    lens_points_px: np.ndarray
    lens_visibility: float
    shape: tuple[int, int]


@dataclass(frozen=True)
class Looks:
    """Volunteers of a field, and their clicks.

    lookers: int [looks], volunteers, each once. saw_lens: bool [looks], they marked the lensed light.
    volunteer: int [clicks]; x_px, y_px: float64 [clicks], 0-based from the top left.
    """

    lookers: np.ndarray
    saw_lens: np.ndarray
    volunteer: np.ndarray
    x_px: np.ndarray
    y_px: np.ndarray

    @property
    def marked(self) -> np.ndarray:
        """bool [looks]: they marked anything."""
        return np.isin(self.lookers, self.volunteer)


def draw_crowd(rng: np.random.Generator, number: int = VOLUNTEERS) -> Crowd:
    """Draw volunteers: most see nine plain lenses of ten, some few; eagerness varies by a factor of two either way."""
    eye = np.where(rng.random(number) < 0.93, rng.beta(14, 1.6, number), rng.beta(2, 2, number))
    eagerness = np.exp(0.7 * rng.normal(size=number) - 0.245)
    return Crowd(eye, eagerness, 1.2 * rng.normal(size=number))


def lens_visibility(light_sigma: np.ndarray, einstein_radius_arcsec: float) -> float:
    """Return the chance that a perfect eye marks lensed light.

    light_sigma: float [3, h, w], the light in sigmas of the sky, band by band. What counts is the signal to noise
    over the pixels that stand out, and that the images part from the lens galaxy (a PSF is 0.7 arcsec wide).
    """
    strength = np.sqrt((np.maximum(light_sigma, 0) ** 2).sum(axis=0))
    signal = float(np.sqrt((strength[strength > 1] ** 2).sum()))
    bright = signal**2 / (signal**2 + HALF_SEEN_SIGMA**2)
    parted = 1 - np.exp(-((einstein_radius_arcsec / 0.8) ** 2))
    return float(bright * parted)


def lens_spots(rng: np.random.Generator, light_sigma: np.ndarray) -> np.ndarray:
    """Draw clicks on lensed light: float64 [SPOTS, 2] of x, y; brighter pixels more often.

    light_sigma: see lens_visibility. Empty when no pixel stands out of the noise.
    """
    strength = np.sqrt((np.maximum(light_sigma, 0) ** 2).sum(axis=0))
    rows, columns = np.nonzero(strength > 1)
    if not len(rows):
        return np.empty((0, 2))
    weight = np.minimum(strength[rows, columns], 10.0)
    chosen = rng.choice(len(rows), SPOTS, p=weight / weight.sum())
    return np.column_stack([columns[chosen], rows[chosen]]).astype(float)


def observe(rng: np.random.Generator, crowd: Crowd, scene: Scene, *, looks: int, eagerness: float = 1.0) -> Looks:
    """Show a field to ``looks`` different volunteers, the active ones more often, and collect their clicks.

    eagerness: of all of them together, for stages in which people mark more.
    """
    # The largest of log-weights with Gumbel noise are a weighted draw without replacement.
    keys = crowd.activity + rng.gumbel(size=len(crowd))
    lookers = np.argsort(-keys, kind="stable")[:looks]
    own = crowd.eagerness[lookers] * eagerness
    saw = rng.random(len(lookers)) < crowd.eye[lookers] * scene.lens_visibility
    saw &= len(scene.lens_points_px) > 0
    chance = np.minimum(own[:, None] * scene.appeal[None], MOST_LIKELY_MARK)
    who_decoy, which = np.nonzero(rng.random(chance.shape) < chance)
    decoy = np.column_stack([scene.x_px[which], scene.y_px[which]])
    decoy += rng.normal(size=decoy.shape) * (SCATTER_PX + 0.4 * scene.size_px[which])[:, None]
    apart = ~saw[who_decoy] | ~_near(scene, scene.lens_points_px)[which]
    who_decoy, decoy = who_decoy[apart], decoy[apart]
    # One in six who see a lens mark a second of its images.
    who_lens = np.repeat(np.flatnonzero(saw), 1 + (rng.random(int(saw.sum())) < 1 / 6))
    spots = scene.lens_points_px[rng.integers(0, max(len(scene.lens_points_px), 1), len(who_lens))]
    lens = spots.reshape(-1, 2) + rng.normal(size=(len(who_lens), 2)) * SCATTER_PX / 2
    who_stray = np.repeat(np.arange(len(lookers)), rng.poisson(STRAY_CLICKS_PER_LOOK * own))
    height, width = scene.shape
    stray = RIM_PX + rng.random((len(who_stray), 2)) * (width - 2 * RIM_PX, height - 2 * RIM_PX)
    who = np.concatenate([who_decoy, who_lens, who_stray])
    xy = np.clip(np.concatenate([decoy, lens, stray]), 0, (width - 1, height - 1)).round(DECIMALS)
    # In the order of the looks, as a database has them.
    order = np.argsort(who, kind="stable")
    return Looks(lookers, saw, lookers[who[order]], xy[order, 0], xy[order, 1])


def _near(scene: Scene, points_px: np.ndarray) -> np.ndarray:
    """bool [n]: which of a scene's things lie within PART_OF_LENS_PX of any of the points, float64 [m, 2]."""
    dx, dy = scene.x_px[:, None] - points_px[:, 0], scene.y_px[:, None] - points_px[:, 1]
    return (np.hypot(dx, dy) < PART_OF_LENS_PX).any(axis=1)
