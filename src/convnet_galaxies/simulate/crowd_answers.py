"""What the simulated crowd says of many fields, with the truth about fields and volunteers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.simulate.crowd import STRAY_CLICKS_PER_LOOK, Crowd, Scene, draw_crowd, observe

FIELD_PX = 440
_MEAN_DECOYS, _EAGERNESS = 9.0, 2.5


@dataclass(frozen=True)
class CrowdAnswers:
    """What volunteers said of simulated subjects.

    volunteer, subject: int [answers]; said_lens: bool [answers]; in order of time. marks: (x, y) in pixels by answer.
    lens: int [subjects], 1 or 0. is_training: bool [subjects]. place_px: float64 [subjects, 2], of the lens, else NaN.
    pl, pd: float64 [volunteers], true chances to call a lens a lens, and another field none.
    """

    volunteer: np.ndarray
    subject: np.ndarray
    said_lens: np.ndarray
    marks: list[list[tuple[float, float]]]
    lens: np.ndarray
    is_training: np.ndarray
    place_px: np.ndarray
    pl: np.ndarray
    pd: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """int [subjects]: 1 and 0 of training subjects, -1 of others."""
        return np.where(self.is_training, self.lens, -1)


def draw_answers(
    seed: int,
    *,
    subjects: int,
    looks: int = 15,
    volunteers: int = 300,
    training_fraction: float = 0.2,
    training_looks: int | None = None,
    prevalence: float = 0.05,
) -> CrowdAnswers:
    """Draw subjects and let the simulated crowd (simulate/crowd.py) judge them.

    looks: per subject; training_looks: per training subject, by default four times as many. Half of the training
    subjects are lenses, of the others a fraction prevalence.
    """
    rng = np.random.default_rng([seed, 1 << 25])
    crowd = draw_crowd(rng, volunteers)
    training = round(training_fraction * subjects)
    is_training = np.arange(subjects) < training
    lens = np.where(is_training, np.arange(subjects) % 2, rng.random(subjects) < prevalence).astype(int)
    scenes = [_draw_scene(rng, bool(one)) for one in lens]
    per_training = 4 * looks if training_looks is None else training_looks
    parts, marks = [], []
    for number, scene in enumerate(scenes):
        wanted = min(per_training if is_training[number] else looks, volunteers)
        seen = observe(rng, crowd, scene, looks=wanted, eagerness=_EAGERNESS)
        for who in seen.lookers.tolist():
            own = seen.volunteer == who
            marks.append(list(zip(seen.x_px[own].tolist(), seen.y_px[own].tolist(), strict=True)))
        parts.append((seen.lookers, np.full(len(seen.lookers), number), seen.marked))
    order = rng.permutation(len(marks))
    volunteer, subject, said = (np.concatenate(part)[order] for part in zip(*parts, strict=True))
    place = np.array(
        [one.lens_points_px.mean(axis=0) if len(one.lens_points_px) else (np.nan, np.nan) for one in scenes]
    )
    chance = np.array([_chance_of_mark(crowd, scene) for scene in scenes])
    pl, pd_ = chance[lens == 1].mean(axis=0), 1 - chance[lens == 0].mean(axis=0)
    return CrowdAnswers(volunteer, subject, said, [marks[one] for one in order], lens, is_training, place, pl, pd_)


def _draw_scene(rng: np.random.Generator, has_lens: bool) -> Scene:
    """A field with things that may be mistaken for a lens, in numbers and appeal as those of simulate space-warps."""
    number = int(rng.poisson(_MEAN_DECOYS))
    appeal = rng.choice([0.016, 0.013, 0.008, 0.005, 0.001], number, p=[0.03, 0.03, 0.2, 0.1, 0.64])
    appeal = appeal * rng.random(number) * np.exp(1.2 * rng.normal(size=number))
    x_px, y_px = rng.uniform(20, FIELD_PX - 20, (2, number))
    points, visibility = np.empty((0, 2)), 0.0
    if has_lens:
        points = rng.uniform(40, FIELD_PX - 40, 2) + 8 * rng.normal(size=(48, 2))
        visibility = float(rng.beta(3, 1.2))
    return Scene(x_px, y_px, rng.uniform(3, 15, number), appeal, points, visibility, (FIELD_PX, FIELD_PX))


def _chance_of_mark(crowd: Crowd, scene: Scene) -> np.ndarray:
    """Return the chance of each volunteer to mark anything in a scene, float64 [volunteers]."""
    own = crowd.eagerness * _EAGERNESS
    misses = np.prod(1 - np.minimum(own[:, None] * scene.appeal, 0.9), axis=1) * np.exp(-STRAY_CLICKS_PER_LOOK * own)
    return 1 - misses * (1 - crowd.eye * scene.lens_visibility)
