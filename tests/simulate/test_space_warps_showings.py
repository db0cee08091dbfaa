"""Rows per sort of cutout; which fields stage 2 shows again: here all are empty, and every look finds two clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet_galaxies.errors import InputError
from convnet_galaxies.simulate import space_warps_showings
from convnet_galaxies.simulate.crowd import Looks, Scene
from convnet_galaxies.simulate.lens import LENS_FLAVORS
from convnet_galaxies.simulate.space_warps import _name_fields
from convnet_galaxies.simulate.space_warps_field import Subject
from convnet_galaxies.simulate.space_warps_showings import (
    DUDS,
    FEWEST_ROWS,
    NEW_SIMS,
    SIMS,
    Pools,
    choose_showings,
    count_lacking,
    gather,
    padded_bounds,
    plan_rows,
    share_out,
)

INSIDE, AT_EDGE = (220.0, 220.0), (5.0, 220.0)
NOTHING = Scene(*np.empty((4, 0)), np.empty((0, 2)), 0.0, (440, 440))


def draw_empty(seed: int, pool: str, index: int) -> Subject:
    """A field on which twenty people marked its lens, if it has one, and nothing else; one stamp leaves the field."""
    is_lens = pool in (*LENS_FLAVORS, "test lens")
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
    monkeypatch.setattr(space_warps_showings, "draw_subject", draw_empty)
    monkeypatch.setattr(space_warps_showings, "show_again", lambda seed, subject, **options: replace(subject))
    return Pools(0, map)


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
    wanted |= {(stage, flavor, shows): 12 // stage for stage in (1, 2) for flavor in LENS_FLAVORS for shows in (0, 1)}
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


def test_the_published_number_gives_the_published_counts() -> None:
    rows = plan_rows(35083, unknown_prevalence=0.03)

    def total(**wanted: object) -> int:
        keys = ("stage", "flavor", "shows")
        return sum(n for cell, n in rows.items() if all(cell[keys.index(k)] == v for k, v in wanted.items()))

    assert total() == 35083
    assert total(stage=1) == 24177
    assert total(stage=2) == 10906
    assert (total(flavor="dud"), total(flavor="test")) == (9491, 9030)
    assert total(flavor="lensed galaxy") == 5983
    assert total(flavor="lensing cluster") == 5308
    assert total(flavor="lensed quasar") == 5271
    assert total(flavor="dud", stage=1) == 8362
    assert total(stage=1, shows=1) == 5159
    assert rows[2, "test", 1] == 271
    assert total(stage=2, shows=1) - rows[2, "test", 1] == 151


@given(number=st.integers(FEWEST_ROWS, 60000), prevalence=st.floats(0, 1))
def test_rows_add_to_the_number_and_every_sort_is_there(number: int, prevalence: float) -> None:
    rows = plan_rows(number, unknown_prevalence=prevalence)
    assert sum(rows.values()) == number
    assert min(rows.values()) >= 0
    for stage, shows in ((1, 0), (1, 1), (2, 0), (2, 1)):
        assert (
            sum(n for (s, flavor, a), n in rows.items() if (s, a) == (stage, shows) and flavor.startswith("lens")) >= 1
        )
    assert rows[1, "dud", 0] >= 1
    assert rows[2, "dud", 0] >= 1


@given(total=st.integers(0, 1000), weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=8))
def test_shares_add_up_and_differ_from_exact_ones_by_less_than_one(total: int, weights: list[float]) -> None:
    shares = share_out(total, weights)
    assert sum(shares) == total
    assert np.abs(np.array(shares) - np.array(weights) * total / sum(weights)).max() < 1 + 1e-6


@pytest.mark.parametrize(
    ("number", "prevalence", "message"), [(0, 0.03, "found number 0"), (100, 1.5, "lenses of 1.5")]
)
def test_numbers_that_cannot_be_met_are_refused(number: int, prevalence: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_rows(number, unknown_prevalence=prevalence)


def test_padding_tells_nothing_about_the_label_once_no_cell_lacks_any() -> None:
    rng = np.random.default_rng(0)
    wanted = {(1, "dud", 0): 300, (1, "lensed quasar", 1): 200, (2, "lensed quasar", 1): 4}
    odds = dict(zip(wanted, (0.45, 0.15, 0.3), strict=True))
    cells: list[tuple[int, str, int]] = []
    padded = np.empty(0, bool)
    for cell, count in wanted.items():
        own = np.empty(0, bool)
        while any(count_lacking(count, own)):
            own = np.append(own, rng.random() < odds[cell])
        cells, padded = cells + [cell] * len(own), np.append(padded, own)
    taken = choose_showings(rng, cells, padded, wanted)
    for cell, count in wanted.items():
        rows = taken & np.array([one == cell for one in cells])
        fewest, most = padded_bounds(count)
        assert rows.sum() == count
        assert fewest <= padded[rows].sum() <= most


@given(count=st.integers(0, 5000))
def test_bounds_of_padded_stamps_lie_within_half_of_chance_scatter_of_a_quarter(count: int) -> None:
    fewest, most = padded_bounds(count)
    assert 0 <= fewest <= 0.25 * count + 0.5
    assert 0.25 * count - 0.5 <= most <= count
    assert most - fewest <= 2 * (0.5 * np.sqrt(0.1875 * count) + 1)


def test_what_is_lacking_is_counted_by_hand() -> None:
    # Of 100 cutouts 22 to 28 may be padded: 25 and half of sqrt(100 * 0.25 * 0.75) = 4.33, rounded up.
    assert padded_bounds(100) == (22, 28)
    assert count_lacking(100, np.array([True] * 10 + [False] * 70)) == (20, 12, 2)
    assert count_lacking(100, np.array([True] * 22 + [False] * 78)) == (0, 0, 0)


def test_the_wanted_number_comes_first_when_padded_ones_are_few() -> None:
    padded = np.array([True] * 9 + [False] * 11)
    cells = [(1, "dud", 0)] * 10 + [(2, "dud", 0)] * 10
    taken = choose_showings(np.random.default_rng(0), cells, padded, {(1, "dud", 0): 10, (2, "dud", 0): 10})
    assert taken.all()
