"""Which fields stage 2 shows again, whatever is drawn: fields here are empty, and every look finds two clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convnet_galaxies.simulate import space_warps_gather
from convnet_galaxies.simulate.crowd import Looks, Scene
from convnet_galaxies.simulate.lens import FLAVORS
from convnet_galaxies.simulate.space_warps import _name_fields
from convnet_galaxies.simulate.space_warps_field import Subject
from convnet_galaxies.simulate.space_warps_gather import DUDS, NEW_SIMS, SIMS, Pools, gather

INSIDE, AT_EDGE = (220.0, 220.0), (5.0, 220.0)
NOTHING = Scene(*np.empty((4, 0)), np.empty((0, 2)), 0.0, (440, 440))


def draw_empty(seed: int, pool: str, index: int, *, population: str) -> Subject:
    """A field on which twenty people marked its lens, if it has one, and nothing else; one stamp leaves the field."""
    is_lens = pool in (*FLAVORS, "test lens")
    everyone, clicks = np.arange(20), np.arange(20 * is_lens)
    place = np.full(len(clicks), 220.0)
    looks = Looks(everyone, np.full(20, is_lens), clicks, place, place)
    clusters, shows = np.array([INSIDE, AT_EDGE]), np.full(2, int(is_lens))
    if is_lens:  # a sim has cutouts without its lens, too
        clusters, shows = np.concatenate([clusters, clusters]), np.array([1, 1, 0, 0])
    labels = np.zeros(len(clicks), int)
    return Subject(pool, index, 0, f"{pool} {index}.png", NOTHING, looks, labels, clusters, shows, None, None)


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Pools:
    monkeypatch.setattr(space_warps_gather, "draw_subject", draw_empty)
    monkeypatch.setattr(space_warps_gather, "show_again", lambda seed, subject, **options: replace(subject))
    return Pools(0, map, "real")


def test_duds_of_stage_two_are_mostly_images_of_test_fields_under_another_name(pools: Pools) -> None:
    tests = pools.first("test", 2)(40)
    duds = pools.recycled_duds(one.subject for one in tests)(2 * len(DUDS))
    shown = {one.subject.image for one in tests}
    seen = [one for one in duds if one.subject.image in shown]
    unseen = [one for one in duds if one.subject.pool == "test" and one.subject.image not in shown]
    assert (len(seen), len(unseen), len(duds)) == (2 * 16, 2, 2 * 18)
    names = _name_fields(0, [*tests, *duds])
    of_tests, of_duds = ({names[one.key] for one in showings} for showings in (tests, duds))
    assert (len(of_tests), len(of_duds)) == (40, 36)
    assert not of_tests & of_duds


def test_sims_of_stage_two_are_mostly_detected_ones_of_stage_one_under_the_same_name(pools: Pools) -> None:
    first = pools.first("lensed quasar", 1)(SIMS)
    second = pools.returning_sims("lensed quasar", (one.subject for one in first))(SIMS)
    shown = {one.subject.image for one in first}
    again = [one for one in second if one.subject.image in shown]
    assert len(again) == SIMS - NEW_SIMS
    names = _name_fields(0, [*first, *second])
    assert len(set(names.values())) == SIMS + NEW_SIMS
    assert all(one.stage == 2 and one.kind == "sim" for one in second)


def test_a_whole_survey_shows_both_again(pools: Pools) -> None:
    wanted = {(2, "test", 0): 60, (2, "test", 1): 4, (1, "dud", 0): 30, (2, "dud", 0): 30}
    wanted |= {(stage, flavor, shows): 12 // stage for stage in (1, 2) for flavor in FLAVORS for shows in (0, 1)}
    showings, verdicts = gather(pools, wanted)
    by_kind = {
        (stage, kind): {one.subject.image for one in showings if (one.stage, one.kind) == (stage, kind)}
        for stage in (1, 2)
        for kind in ("sim", "dud", "test")
    }
    assert by_kind[2, "sim"] & by_kind[1, "sim"]
    assert by_kind[2, "dud"] & by_kind[2, "test"]
    assert not by_kind[1, "test"] | (by_kind[1, "dud"] & by_kind[2, "dud"])
    for stage, one in verdicts.items():
        assert len(one.probability) == sum(showing.stage == stage for showing in showings)
    for cell, count in wanted.items():
        assert sum(found == cell for showing in showings for found in showing.cells) >= count
