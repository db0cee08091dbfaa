"""Rows planned in the published proportions, and the choice among those found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convnet_galaxies.errors import InputError
from convnet_galaxies.simulate.space_warps_plan import FEWEST, choose_rows, plan_rows, share_out


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


def test_padding_tells_nothing_about_the_label_after_the_choice() -> None:
    rng = np.random.default_rng(0)
    cells = [(1, "dud", 0)] * 600 + [(1, "lensed quasar", 1)] * 600
    padded = np.concatenate([rng.random(600) < 0.5, rng.random(600) < 0.3])
    wanted = {(1, "dud", 0): 300, (1, "lensed quasar", 1): 400}
    taken = choose_rows(rng, cells, padded, wanted)
    assert taken[:600].sum() == 300
    assert taken[600:].sum() == 400
    assert padded[:600][taken[:600]].mean() == pytest.approx(padded.mean(), abs=0.005)
    assert padded[600:][taken[600:]].mean() == pytest.approx(padded.mean(), abs=0.005)


def test_the_wanted_number_comes_first_when_padded_ones_are_few() -> None:
    padded = np.array([True] * 9 + [False] * 11)
    cells = [(1, "dud", 0)] * 10 + [(2, "dud", 0)] * 10
    taken = choose_rows(np.random.default_rng(0), cells, padded, {(1, "dud", 0): 10, (2, "dud", 0): 10})
    assert taken.all()
