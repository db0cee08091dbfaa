"""Ranges of purity and completeness of the k best if lenses score lower than the known ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from convnet_galaxies.errors import UsageError
from convnet_galaxies.measure.prevalence import ScoredImages, join_scores
from convnet_galaxies.measure.shifted_lenses import profile_shifts
from convnet_galaxies.measure.shifted_top import bound_top_by_shift
from convnet_galaxies.measure.top_ranked import expect_top


def draw(
    prevalence: float, *, shift: float = 0.0, seed: int = 0, lenses: int = 150, m: int = 2000
) -> tuple[ScoredImages, np.ndarray]:
    """Images whose log odds are normal; those of unknown lenses are lower by shift."""
    rng = np.random.default_rng(seed)
    truth, unknown = np.arange(12 * lenses) < lenses, rng.random(m) < prevalence
    odds = [rng.normal(side * (4.2 - lower) - 2.2, 1.5) for side, lower in ((truth, 0.0), (unknown, shift))]
    return join_scores(truth, expit(odds[0]), np.arange(12 * lenses), expit(odds[1]), np.arange(m)), unknown


@pytest.mark.trials
def test_ranges_hold_harder_lenses_that_the_intervals_miss() -> None:
    """Of 12 sets with a shift of 1.5; k = 300, where the interval without a shift is too low."""
    held, plain = {"purity": 0, "completeness": 0}, {"purity": 0, "completeness": 0}
    k = 300
    for seed in range(12):
        images, unknown = draw(0.2, shift=1.5, seed=seed)
        top = expect_top(images, seed=seed)
        found = np.cumsum(unknown[top.order])
        shifted = bound_top_by_shift(images, top, seed=seed)
        for name, value in (("purity", found[k - 1] / k), ("completeness", found[k - 1] / found[-1])):
            low, high = (getattr(shifted, f"{name}_{end}")[k - 1] for end in ("low", "high"))
            held[name] += low <= value <= high
            plain[name] += getattr(top, f"{name}_low")[k - 1] <= value <= getattr(top, f"{name}_high")[k - 1]
    assert min(held.values()) >= 10
    assert max(plain.values()) <= 2


def test_intervals_without_a_shift_lie_within_the_ranges_unless_the_scores_reject_them() -> None:
    images, _ = draw(0.02)
    top = expect_top(images, seed=0)
    shifted = bound_top_by_shift(images, top, seed=0)
    assert not profile_shifts(images, 0.5).rejects_none
    for name in ("purity", "completeness"):
        assert (getattr(shifted, f"{name}_low") <= getattr(top, f"{name}_low")).all()
        assert (getattr(shifted, f"{name}_high") >= getattr(top, f"{name}_high")).all()
    moved, _ = draw(0.2, shift=1.5)
    top = expect_top(moved, seed=0)
    assert profile_shifts(moved, 0.5).rejects_none
    assert bound_top_by_shift(moved, top, seed=0).purity_low[399] > top.purity_low[399]


def test_ranges_are_ordered_shares_and_repeat() -> None:
    images, _ = draw(0.05, m=333, lenses=40)
    top = expect_top(images, seed=1)
    first, again = (bound_top_by_shift(images, top, seed=1) for _ in range(2))
    for name, values in vars(first).items():
        assert values.shape == (333,)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all(), name
        np.testing.assert_array_equal(values, getattr(again, name))
    assert (first.purity_low <= first.purity_high).all()
    assert (np.diff(first.completeness_low) >= -1e-12).all()
    assert (np.diff(first.completeness_high) >= -1e-12).all()
    assert first.completeness_low[-1] == pytest.approx(1)


def test_shifts_to_a_lower_completeness_widen_the_ranges() -> None:
    """At 2 % lenses the scores allow shifts up to a limit that a ratio of 0.9 does not reach."""
    images, _ = draw(0.02, seed=1)
    top = expect_top(images, seed=0)
    widths = [
        (found.completeness_high - found.completeness_low)[99]
        for found in (bound_top_by_shift(images, top, seed=0, completeness_ratio=ratio) for ratio in (0.9, 0.3))
    ]
    assert widths[1] > widths[0] + 0.05


@pytest.mark.parametrize("ratio", [0.0, 1.5])
def test_a_completeness_ratio_outside_0_to_1_is_refused(ratio: float) -> None:
    images, _ = draw(0.2, lenses=20, m=100)
    with pytest.raises(UsageError, match=f"found the completeness ratio {ratio:g}"):
        bound_top_by_shift(images, expect_top(images, seed=0), seed=0, completeness_ratio=ratio)
