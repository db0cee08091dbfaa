"""Rows planned in the published proportions, and the choice among those found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet_galaxies.errors import InputError
from convnet_galaxies.simulate.space_warps_plan import (
    FEWEST,
    choose_rows,
    count_lacking,
    padded_bounds,
    plan_rows,
    share_out,
)


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


@given(number=st.integers(FEWEST, 60000), prevalence=st.floats(0, 1))
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
    taken = choose_rows(rng, cells, padded, wanted)
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
    taken = choose_rows(np.random.default_rng(0), cells, padded, {(1, "dud", 0): 10, (2, "dud", 0): 10})
    assert taken.all()
