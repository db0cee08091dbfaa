"""What about forty volunteers say of a galaxy, question by question, from what they can see of it.

A pattern of wavelength L under a Gaussian PSF of width sigma keeps exp(-2 (pi sigma / L)^2) of its contrast; what is
left is seen when it stands out from the noise. Volunteers answer independently with the probabilities of
answer_probabilities; their counts walk down the tree, so that the columns obey its sums exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convnet_galaxies.decision_tree import ASKING_ORDER, PARENT_INDEX, QUESTION_SLICES, VOTE_COLUMNS
from convnet_galaxies.simulate.morphology import RADII_PER_SCALE, Galaxy
from convnet_galaxies.simulate.sdss import Observation
from convnet_galaxies.simulate.surroundings import Surroundings

LEANINGS = (0.45, 0.3, 0.35, 0.35, 0.35, 0.45, 0.25, 1.0, 0.4, 0.4, 0.6)
"""For each question, how far galaxies that look alike to us still part in the logits of their answers."""


@dataclass(frozen=True)
class Visibility:
    """How well each structure can be seen, 0 to 1, and the apparent shape.

    surface_snr: signal to noise of one PSF area at 0.45 r90. apparent_ratio: axis ratio after the PSF.
    apparent_bulge: share of the light in a distinct bulge, as it looks.
    """

    surface_snr: float
    apparent_ratio: float
    apparent_bulge: float
    disk: float
    edge: float
    bar: float
    arms: float
    ring: float
    knots: float
    dust: float
    companion: float
    tails: float
    arcs: float


def measure_visibility(galaxy: Galaxy, observation: Observation) -> Visibility:
    """What can be seen of a galaxy under these conditions."""
    sigma = float(observation.psf_fwhm_arcsec[1]) / 2.355 / galaxy.r90_arcsec  # in r90, as all lengths of the galaxy
    snr = surface_signal_to_noise(galaxy, observation)
    ratio = float(np.sqrt((galaxy.axis_ratio**2 * 0.16 + sigma**2) / (0.16 + sigma**2)))
    inclined = galaxy.axis_ratio
    has_disk = galaxy.kind in ("spiral", "lenticular", "irregular", "edge_on", "merger") and galaxy.bulge_fraction < 1
    wavelength = 2 * np.pi * 0.9 * np.sin(galaxy.pitch_rad) / galaxy.arm_number * (0.35 + 0.65 * inclined)
    seen = 1.15 * galaxy.arm_contrast * (1 - 0.35 * galaxy.flocculence) * (1 - 0.6 * galaxy.bulge_fraction)
    arms = seen * _kept(wavelength, sigma)
    bar_across = 2 * 0.3 * galaxy.bar_length * (0.5 + 0.5 * inclined) * 2
    bar = 1.1 * galaxy.bar_strength * _kept(bar_across, sigma) * (0.3 + 0.7 * inclined)
    ring = galaxy.ring_strength * _kept(4 * 0.1 * (0.4 + 0.6 * inclined), sigma) * has_disk
    edge = _logistic((0.32 - ratio) / 0.035)
    return Visibility(
        surface_snr=snr,
        apparent_ratio=ratio,
        apparent_bulge=galaxy.bulge_fraction * (1 if has_disk else 0.6),
        disk=has_disk * float(np.clip(1.25 - galaxy.bulge_fraction, 0, 1)) * _from_noise(0.5, snr),
        edge=edge,
        bar=_notice(bar, snr),
        arms=_notice(arms, snr),
        ring=_notice(ring, snr),
        knots=_notice(galaxy.clumpiness * {"irregular": 1.0}.get(galaxy.kind, 0.45) * _kept(0.5, sigma), snr)
        * has_disk,
        dust=_notice(0.45 * galaxy.dust_depth * _kept(3 * galaxy.disk_thickness, sigma), snr)
        * (galaxy.kind == "edge_on"),
        companion=_notice(2 * galaxy.companion_flux**0.5 * _kept(2 * galaxy.companion_distance, sigma), snr),
        tails=_notice(0.8 * galaxy.tail_strength, 0.35 * snr),
        arcs=_notice(12 * galaxy.arc_flux * _kept(4 * galaxy.arc_radius_arcsec / galaxy.r90_arcsec, sigma), snr),
    )


def surface_signal_to_noise(galaxy: Galaxy, observation: Observation) -> float:
    """Signal to noise in r of one PSF area at 0.45 r90, where arms are."""
    scale = galaxy.r90_arcsec / RADII_PER_SCALE
    flux = 10 ** (-0.4 * (galaxy.mag_r - 22.5))
    brightness = flux / (2 * np.pi * scale**2 * max(galaxy.axis_ratio, 0.1)) * np.exp(-0.45 * RADII_PER_SCALE)
    area = 4 * np.pi * (float(observation.psf_fwhm_arcsec[1]) / 2.355) ** 2
    noise = observation.sky_noise[1] / observation.pixel_arcsec * np.sqrt(area)  # of the sum over a PSF area
    return float(brightness * area / noise)


def answer_probabilities(galaxy: Galaxy, seen: Visibility, around: Surroundings) -> list[np.ndarray]:
    """Probability of each answer to each of the 11 questions, for a volunteer who is asked it."""
    star = galaxy.kind == "star"
    noticed = (
        (0.97, seen.arms),
        (0.85, seen.edge),
        (0.75, seen.bar),
        (0.80, seen.ring),
        (0.75, seen.knots),
        (0.45, seen.tails),
        (0.25, seen.companion),
        (0.26, seen.disk),
        (0.5, seen.dust),
    )
    smooth = (0.89) * float(np.prod([1 - weight * value for weight, value in noticed]))
    artifact = (
        0.02 + 0.12 * around.glare + 0.05 * around.trail + 0.04 * around.bad_column + 0.02 * (galaxy.r90_arcsec < 4)
    )
    first = np.array([smooth, 1 - smooth, 0.0]) * (1 - artifact) + np.array([0, 0, artifact])
    if star:
        first = np.array([0.45, 0.03, 0.52])
    edge_on = 0.02 + 0.95 * _logistic((0.37 - seen.apparent_ratio) / 0.035) * (1 - 0.6 * seen.arms)
    bar = 0.05 + 0.10 * seen.disk * (1 - seen.arms) * (seen.apparent_ratio < 0.7) + 0.9 * seen.bar * (1 - 0.06)
    spiral = 0.10 + 0.89 * seen.arms
    spiral = min(spiral + 0.2 * seen.ring * (1 - seen.arms), 0.985)
    bulge = _ordered(np.log(seen.apparent_bulge + 0.01), np.log([0.03, 0.20, 0.85]), 0.5)
    if galaxy.kind == "elliptical":
        bulge = np.array([0.10, 0.36, 0.42, 0.12])
    odd_parts = np.array(
        [
            0.65 * seen.ring + 0.006 + 0.02 * seen.disk,
            0.55 * seen.arcs + 0.010,
            0.55 * seen.tails + 0.30 * around.bad_column + 0.010 + 0.1 * galaxy.lopsidedness,
            (0.65 if galaxy.kind == "irregular" else 0.15) * seen.knots + 0.010,
            0.035
            + 0.3 * min(galaxy.overlap * 2, 1)
            + 0.4 * around.glare
            + 0.4 * around.trail
            + 0.1 * min(around.crowding, 1),
            0.9 * seen.companion + 0.15 * min(around.crowding, 1) + 0.08 * min(galaxy.overlap * 2, 1) + 0.010,
            0.5 * seen.dust + 0.001,
        ]
    )
    odd = float(1 - np.prod(1 - np.clip(odd_parts, 0, 0.97)))
    rounded = _ordered(-seen.apparent_ratio, [-0.81, -0.42], 0.055)
    boxy = 0.08 + 0.55 * galaxy.bulge_boxiness * min(4 * galaxy.bulge_fraction, 1)
    no_bulge = _logistic((np.log(0.035) - np.log(galaxy.bulge_fraction + 0.012)) / 0.5)
    profile = np.array([(1 - boxy) * (1 - no_bulge), boxy * (1 - no_bulge), no_bulge])
    winding = _ordered(np.log(np.rad2deg(galaxy.pitch_rad)), np.log([13.5, 28.0]), 0.32)
    if seen.arms < 0.3:
        winding = 0.4 * winding + 0.6 * np.array([0.5, 0.33, 0.17])
    return [
        first,
        np.array([edge_on, 1 - edge_on]),
        np.array([bar, 1 - bar]),
        np.array([spiral, 1 - spiral]),
        bulge,
        np.array([odd, 1 - odd]),
        rounded,
        odd_parts / odd_parts.sum(),
        profile,
        winding,
        _arm_count(galaxy, seen),
    ]


def cast_votes(probabilities: Sequence[np.ndarray], volunteers: int, rng: np.random.Generator) -> np.ndarray:
    """The 37 cumulative fractions (float64 [37]) of this many volunteers.

    probabilities: one array for each question, adding to 1. Whoever gives an answer is asked the question below it.
    """
    counts = np.zeros(len(VOTE_COLUMNS), dtype=np.int64)
    fractions = np.zeros(len(VOTE_COLUMNS))
    for question in ASKING_ORDER:
        parent = PARENT_INDEX[question]
        asked, share = (volunteers, 1.0) if parent is None else (int(counts[parent]), float(fractions[parent]))
        if asked == 0:
            continue
        p = np.clip(np.asarray(probabilities[question], dtype=np.float64), 0, None)
        answers = QUESTION_SLICES[question]
        counts[answers] = rng.multinomial(asked, p / p.sum())
        fractions[answers] = share * counts[answers] / asked
    return fractions


def vote(
    galaxy: Galaxy, observation: Observation, around: Surroundings, rng: np.random.Generator
) -> tuple[np.ndarray, Visibility, int]:
    """The 37 fractions of one galaxy, what could be seen of it, and how many volunteers looked."""
    seen = measure_visibility(galaxy, observation)
    volunteers = int(np.clip(rng.normal(42, 7), 20, 75))
    asked = zip(answer_probabilities(galaxy, seen, around), LEANINGS, strict=True)
    probabilities = [sway(p, rng, strength) for p, strength in asked]
    return cast_votes(probabilities, volunteers, rng), seen, volunteers


def sway(probabilities: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """The same answers for one galaxy that people lean to for reasons of their own (normal shifts of the logits)."""
    leaning = probabilities * np.exp(rng.normal(0, strength, len(probabilities)))
    return leaning / leaning.sum()


def _kept(wavelength: float, sigma: float) -> float:
    """Share of a pattern's contrast that the PSF leaves (both lengths in one unit)."""
    return float(np.exp(-2 * (np.pi * sigma / max(wavelength, 1e-3)) ** 2))


def _from_noise(contrast: float, snr: float) -> float:
    signal = (contrast * snr) ** 2
    return float(signal / (signal + 25**2))


def _notice(contrast: float, snr: float) -> float:
    """Probability that a contrast (0 to 1) is noticed: half at 0.09 when the signal to noise is ample."""
    effective = contrast * _from_noise(1.0, snr)
    return float(effective**2 / (effective**2 + 0.09**2))


def _logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(x, -40, 40))))


def _ordered(value: float, cuts: Sequence[float] | np.ndarray, softness: float) -> np.ndarray:
    """Probabilities of ordered answers: volunteers put the cuts a little differently (logistic, width softness)."""
    above = [1.0, *(_logistic((value - cut) / softness) for cut in cuts), 0.0]
    return -np.diff(above)


def _arm_count(galaxy: Galaxy, seen: Visibility) -> np.ndarray:
    """Answers 1, 2, 3, 4, more than 4, can't tell."""
    numbers = np.arange(1, 6)
    target = min(galaxy.arm_number, 5)
    spread = 0.30 + 0.25 * galaxy.flocculence + 0.12 * (target - 1) * (target > 2)
    counted = np.exp(-0.5 * ((numbers - target) / spread) ** 2) + 0.02
    unsure = float(np.clip(0.75 - 0.75 * seen.arms + 0.45 * galaxy.flocculence + 0.06 * (target > 2), 0.03, 0.8))
    if galaxy.arm_contrast == 0:
        unsure = 0.6
    return np.append((1 - unsure) * counted / counted.sum(), unsure)
