from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from convnet_galaxies.errors import UsageError
from convnet_galaxies.measure.prevalence import ScoredImages, join_scores
from convnet_galaxies.measure.top_ranked import expect_top, expect_top_at


def make(
    seed: int, prevalence: float, *, look_alikes: float = 0.0, n: int = 1000, n_unknown: int = 1000
) -> tuple[ScoredImages, np.ndarray]:
    """A fifth of the labelled images are lenses; a share of the non-lenses have the scores of lenses."""
    rng = np.random.default_rng(seed)
    truth, unknown = np.arange(n) < n // 5, rng.random(n_unknown) < prevalence
    scores = [
        expit(1.5 * rng.normal(size=len(side)) + 4.5 * (side | (rng.random(len(side)) < look_alikes)) - 2.5)
        for side in (truth, unknown)
    ]
    return join_scores(truth, scores[0], np.arange(n), scores[1], np.arange(n_unknown)), unknown


@pytest.mark.trials
@pytest.mark.parametrize("look_alikes", [0.0, 0.03])
def test_intervals_of_purity_and_completeness_hold_what_is_found(look_alikes: float):
    held = []
    for seed in range(12):
        images, unknown = make(seed, 0.05, look_alikes=look_alikes, n_unknown=800)
        top = expect_top(images, seed=seed)
        found = np.cumsum(unknown[top.order])
        for k in (10, 40, 200):
            held.append(top.purity_low[k - 1] <= found[k - 1] / k <= top.purity_high[k - 1])
            held.append(top.completeness_low[k - 1] <= found[k - 1] / found[-1] <= top.completeness_high[k - 1])
    assert np.mean(held) >= 0.85


def test_look_alikes_are_not_taken_for_lenses_at_any_rank():
    """The best images are lenses and look-alikes with the same scores, so that their purity is that of the mix."""
    images, _ = make(0, 0.04, look_alikes=0.04, n=40_000, n_unknown=40_000)
    top = expect_top(images, seed=0)
    for k in (300, 1000):
        assert top.purity[k - 1] == pytest.approx(0.04 / (0.04 + 0.96 * 0.04), abs=0.06)


def test_classes_that_do_not_overlap_give_purity_one_and_then_completeness_one():
    truth = np.arange(2000) < 500
    unknown = np.arange(1000) < 100
    rng = np.random.default_rng(0)
    scores = [np.where(side, 0.9, 0.1) + rng.random(len(side)) / 20 for side in (truth, unknown)]
    images = join_scores(truth, scores[0], np.arange(2000), scores[1], np.arange(1000))
    top = expect_top(images, seed=0)
    assert top.purity[:50].min() > 0.97
    assert top.purity_low[99] > 0.9
    assert top.completeness[99] == pytest.approx(1, abs=0.05)
    assert top.purity[-1] == pytest.approx(0.1, abs=0.01)


def test_curves_are_whole_ordered_and_repeat():
    images, unknown = make(3, 0.1, n=500, n_unknown=333)
    top, again = (expect_top(images, seed=1) for _ in range(2))
    for name in ("probability", "purity", "purity_low", "completeness_high"):
        assert getattr(top, name).shape == (333,)
        np.testing.assert_array_equal(getattr(top, name), getattr(again, name))
    assert (np.diff(top.probability) <= 0).all()
    assert (np.diff(top.completeness) >= 0).all()
    assert (np.diff(top.completeness_low) >= -1e-12).all()
    assert top.completeness[-1] == pytest.approx(1)
    assert (top.purity_low <= top.purity).all()
    assert (top.purity <= top.purity_high).all()
    np.testing.assert_array_equal(np.sort(top.order), np.arange(333))
    assert unknown[top.order][:10].mean() > unknown.mean()


def test_a_higher_level_gives_a_wider_interval_at_both_ends():
    images, _ = make(6, 0.2, look_alikes=0.1, n=400, n_unknown=400)
    wide, narrow = (expect_top(images, seed=0, level=level) for level in (0.95, 0.5))
    at = 59
    assert wide.purity_low[at] < narrow.purity_low[at] - 0.03
    assert narrow.purity_low[at] < wide.purity[at] < narrow.purity_high[at]
    assert narrow.purity_high[at] + 0.03 < wide.purity_high[at]
    assert wide.completeness_low[at] < narrow.completeness_low[at] - 0.03
    assert narrow.completeness_low[at] < wide.completeness[at] < narrow.completeness_high[at]
    assert narrow.completeness_high[at] + 0.03 < wide.completeness_high[at]


def test_nothing_is_missed_where_there_may_be_no_lens():
    truth = np.arange(600) < 200
    rng = np.random.default_rng(0)
    scores = [np.where(side, 0.9, 0.1) + rng.random(len(side)) / 20 for side in (truth, np.zeros(300, bool))]
    top = expect_top(join_scores(truth, scores[0], np.arange(600), scores[1], np.arange(300)), seed=0)
    assert (top.completeness_high == 1).all()
    assert top.purity_low.max() == 0


def test_flavors_count_as_lenses_together():
    images, _ = make(4, 0.1, n_unknown=300)

    def split(posteriors: np.ndarray) -> np.ndarray:
        return np.column_stack([posteriors[:, 0], posteriors[:, 1] * 0.3, posteriors[:, 1] * 0.7])

    three = ScoredImages(
        split(images.posteriors),
        np.where(images.truth > 0, 1 + np.arange(1000) % 2, 0),
        images.groups,
        split(images.unknown_posteriors),
        images.unknown_groups,
    )
    np.testing.assert_allclose(expect_top(three, seed=0).purity, expect_top(images, seed=0).purity, atol=1e-9)


@pytest.mark.parametrize("m", [1, 2, 11])
def test_few_unknown_images_have_a_figure_each(m: int):
    images, _ = make(5, 0.5, n_unknown=m)
    assert expect_top(images, seed=0).purity.shape == (m,)


def test_a_level_outside_0_to_1_is_refused():
    with pytest.raises(UsageError, match="found level 90"):
        expect_top(make(0, 0.1, n=60, n_unknown=20)[0], seed=0, level=90)


def calibrated(seed: int, m: int, prevalence: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are calibrated at a prevalence of a half, of m images with another one; which are lenses."""
    rng = np.random.default_rng(seed)
    unknown = rng.random(m) < prevalence
    return expit(2 * (rng.normal(size=m) + np.where(unknown, 1, -1))), unknown  # the log odds of two normals


def test_at_a_given_prevalence_expected_lenses_are_those_there():
    probability, unknown = calibrated(0, 200_000, 0.02)
    top = expect_top_at(probability, 0.02, calibrated_for=0.5, n_lenses=10**6, n_others=10**6, seed=0)
    found = np.cumsum(unknown[top.order])
    for k in (300, 3000, 30_000, 200_000):
        expected = top.purity[k - 1] * k
        assert abs(expected - found[k - 1]) < 4 * np.sqrt(expected)
        assert top.purity_low[k - 1] <= top.purity[k - 1] <= top.purity_high[k - 1]
    assert (np.diff(top.probability) <= 0).all()
    assert top.completeness[-1] == 1


@pytest.mark.trials
def test_the_interval_at_a_given_prevalence_holds_the_number_found():
    held = []
    for seed in range(60):
        probability, unknown = calibrated(seed, 4000, 0.05)
        top = expect_top_at(probability, 0.05, calibrated_for=0.5, n_lenses=10**6, n_others=10**6, seed=seed)
        found = np.cumsum(unknown[top.order])
        for k in (20, 100, 1000):
            held.append(top.purity_low[k - 1] <= found[k - 1] / k <= top.purity_high[k - 1])
    assert 0.86 <= np.mean(held) <= 0.97


def test_few_images_of_calibration_widen_the_interval_and_the_prevalence_moves_it():
    probability, _ = calibrated(1, 5000, 0.02)
    options = {"calibrated_for": 0.5, "seed": 0}
    many = expect_top_at(probability, 0.02, n_lenses=10**6, n_others=10**6, **options)
    few = expect_top_at(probability, 0.02, n_lenses=20, n_others=20, **options)
    rarer = expect_top_at(probability, 0.001, n_lenses=10**6, n_others=10**6, **options)
    np.testing.assert_array_equal(few.purity, many.purity)
    at = 99
    assert few.purity_high[at] - few.purity_low[at] > 1.3 * (many.purity_high[at] - many.purity_low[at])
    assert rarer.purity[at] < many.purity[at] / 3
