"""The crowd: who looks, what is marked how often, and where."""

from __future__ import annotations

import numpy as np
import pytest

from convnet_galaxies.simulate.crowd import Crowd, Scene, draw_crowd, lens_spots, lens_visibility, observe


def same_volunteers(number: int, eye: float = 0.9) -> Crowd:
    return Crowd(np.full(number, eye), np.ones(number), np.zeros(number))


def scene(appeal: list[float], visibility: float = 0.0) -> Scene:
    n = len(appeal)
    spots = np.array([[100.0, 300.0]]) if visibility else np.empty((0, 2))
    return Scene(np.full(n, 220.0), np.full(n, 220.0), np.full(n, 2.0), np.array(appeal), spots, visibility, (440, 440))


def test_every_volunteer_looks_once_and_the_active_ones_more_often() -> None:
    crowd = Crowd(np.ones(100), np.ones(100), np.repeat([0.0, 3.0], 50))
    looks = [observe(np.random.default_rng(i), crowd, scene([]), looks=20) for i in range(50)]
    assert all(len(np.unique(one.lookers)) == 20 for one in looks)
    assert np.mean(np.concatenate([one.lookers for one in looks]) >= 50) > 0.8


def test_lenses_are_marked_as_often_as_eye_and_visibility_say() -> None:
    looks = observe(np.random.default_rng(0), same_volunteers(20000, eye=0.8), scene([], visibility=0.5), looks=20000)
    assert looks.saw_lens.mean() == pytest.approx(0.4, abs=0.015)
    near = np.hypot(looks.x_px - 100, looks.y_px - 300) < 15
    assert set(looks.lookers[looks.saw_lens]) == set(looks.volunteer[near])


def test_other_things_are_marked_by_their_appeal_and_the_eagerness_of_all() -> None:
    for eagerness in (1.0, 3.0):
        looks = observe(
            np.random.default_rng(1), same_volunteers(20000), scene([0.1]), looks=20000, eagerness=eagerness
        )
        near = np.hypot(looks.x_px - 220, looks.y_px - 220) < 30
        assert near.mean() > 0.8
        assert len(np.unique(looks.volunteer[near])) / 20000 == pytest.approx(0.1 * eagerness, abs=0.01)
        assert not looks.saw_lens.any()


def test_whoever_marks_a_lens_marks_nothing_near_it_besides() -> None:
    """At (140, 300) a thing stands 40 px from the lens, at (220, 220) one that is far from it."""
    two = Scene(
        np.array([140.0, 220.0]), np.array([300.0, 220.0]), np.full(2, 1.0), np.full(2, 0.2),
        np.array([[100.0, 300.0]]), 0.5, (440, 440),
    )  # fmt: skip
    looks = observe(np.random.default_rng(0), same_volunteers(20000, eye=1.0), two, looks=20000)
    saw = set(looks.lookers[looks.saw_lens])
    for x, y, share in ((140, 300, 0.0), (220, 220, 0.2)):
        there = np.hypot(looks.x_px - x, looks.y_px - y) < 15
        marked = set(looks.volunteer[there])
        assert len(marked & saw) / len(saw) == pytest.approx(share, abs=0.012)
        assert len(marked - saw) / (20000 - len(saw)) == pytest.approx(0.2, abs=0.012)


def test_clicks_lie_in_the_field_and_survive_a_table_of_two_decimals() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 440, (2, 60))
    many = Scene(x, y, np.full(60, 9.0), np.full(60, 0.5), np.empty((0, 2)), 0.0, (440, 440))
    looks = observe(rng, draw_crowd(rng), many, looks=200)
    xy = np.column_stack([looks.x_px, looks.y_px])
    assert ((xy >= 0) & (xy <= 439)).all()
    assert (xy == [[float(f"{v:.2f}") for v in row] for row in xy]).all()


def test_visibility_grows_with_brightness_and_einstein_radius() -> None:
    light = np.zeros((3, 40, 40))
    light[:, 15:25, 15:25] = 3.0
    by_brightness = [lens_visibility(light * factor, 2.0) for factor in (0.5, 1, 2, 8)]
    by_radius = [lens_visibility(light * 4, radius) for radius in (0.3, 0.8, 1.5, 3.0)]
    assert np.all(np.diff(by_brightness) > 0)
    assert np.all(np.diff(by_radius) > 0)
    assert min(by_brightness) >= 0
    assert max(by_radius) < 1
    assert lens_visibility(np.zeros((3, 40, 40)), 2.0) == 0


def test_people_click_on_the_light_of_the_lens() -> None:
    light = np.zeros((3, 60, 80))
    light[:, 10:14, 70:74] = 5.0
    spots = lens_spots(np.random.default_rng(3), light)
    assert ((spots >= [70, 10]) & (spots <= [73, 13])).all()
    assert lens_spots(np.random.default_rng(3), np.zeros((3, 9, 9))).shape == (0, 2)


def test_a_drawn_crowd_is_varied_and_mostly_skilled() -> None:
    crowd = draw_crowd(np.random.default_rng(4), 5000)
    assert 0.8 < np.median(crowd.eye) < 0.95
    assert np.quantile(crowd.eye, 0.02) < 0.6
    assert crowd.eagerness.mean() == pytest.approx(1, abs=0.05)
    assert crowd.eagerness.std() > 0.5
