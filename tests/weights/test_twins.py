from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np

group_twins = runpy.run_path(str(Path(__file__).resolve().parents[2] / "weights" / "twins.py"))["group_twins"]


def field(seed: int) -> np.ndarray:
    """Noise with a round galaxy in the middle, as alike from field to field as galaxies are."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:200, :200] - 100
    light = 200 * np.exp(-np.hypot(x, y) / 6)[..., None] + rng.normal(12, 6, (200, 200, 3))
    return np.clip(light, 0, 255).astype(np.uint8)


def cut(pixels: np.ndarray, dx: int, dy: int, side: int = 161) -> np.ndarray:
    top, left = 20 + dy, 20 + dx
    return pixels[top : top + side, left : left + side]


def test_cutouts_of_one_field_are_twins_wherever_they_are_centred_and_others_are_not() -> None:
    shifts = [(0, 0), (9, -12), (0, 0), (0, 0), (-15, 4), (0, 0)]
    fields = [1, 1, 2, 3, 3, 4]
    images = np.stack([cut(field(seed), *shift) for seed, shift in zip(fields, shifts, strict=True)])
    groups = group_twins(images)
    same = groups[:, None] == groups[None]
    assert np.array_equal(same, np.equal.outer(fields, fields))


def test_images_smaller_than_the_window_are_compared_as_well() -> None:
    images = np.stack([cut(field(1), 0, 0, 100), cut(field(1), 4, 4, 100), cut(field(2), 0, 0, 100)])
    groups = group_twins(images)
    assert groups[0] == groups[1] != groups[2]
