from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.familiarity import fit_distances, fit_distribution, take_root


def draw(n: int, seed: int, features: int = 12) -> np.ndarray:
    """Features whose roots are Gaussian with correlations, float [n, features]."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(features) + np.random.default_rng(99).normal(size=(features, features)) * 0.15
    return (rng.normal(size=(n, features)) @ mixing + 10) ** 2


def test_with_all_directions_the_distance_is_mahalanobis_in_the_roots() -> None:
    known, others = draw(2000, 0), draw(100, 1)
    expected = EmpiricalCovariance().fit(np.sqrt(known)).mahalanobis(np.sqrt(others)) ** 0.5
    np.testing.assert_allclose(fit_distribution(known).distance(others), expected, rtol=0.03)


def test_familiarity_is_uniform_for_other_known_images_and_small_for_what_lies_outside() -> None:
    distribution = fit_distribution(draw(2000, 0))
    distances = fit_distances(distribution.distance(draw(1000, 1)))
    found = distances.familiarity(distribution.distance(draw(20_000, 2)))
    for share in (0.9, 0.5, 0.1, 0.02):
        assert (found < share).mean() == pytest.approx(share, rel=0.2)
    assert (found < 0.001).mean() < 0.003
    shifted = draw(100, 3)
    shifted[:, -1] *= 9
    assert distances.familiarity(distribution.distance(shifted)).max() < 0.001


def test_familiarity_falls_with_distance_without_a_step_at_the_edge_of_the_tail() -> None:
    distribution = fit_distribution(draw(500, 0))
    distances = fit_distances(distribution.distance(draw(500, 1)))
    edge = distances.quantiles[-1]
    found = distances.familiarity(np.array([0, edge * 0.999, edge, edge * 1.001, 10 * edge, 1e6]))
    assert (np.diff(found) < 0).all()
    assert found[0] == 1
    assert found[2] == pytest.approx(0.1)
    assert found[3] == pytest.approx(0.1, rel=0.05)
    assert found[-1] > 0


def test_the_tail_finds_the_exponent_of_a_power_law() -> None:
    distance = np.random.default_rng(0).random(20_000) ** (-1 / 3)  # P(distance > d) = d^-3
    distances = fit_distances(distance)
    assert distances.exponent == pytest.approx(3, rel=0.06)
    assert distances.familiarity(np.array([20.0]))[0] == pytest.approx(20.0**-3, rel=0.3)


def test_an_image_in_which_a_feature_moves_that_never_moved_is_unlike_all_others() -> None:
    known, others = (draw(1000, seed) for seed in (0, 1))
    known[:, :3] = others[:, :3] = 7
    distribution = fit_distribution(known[:500])
    distances = fit_distances(distribution.distance(known[500:]))
    found = distances.familiarity(distribution.distance(others))
    for share in (0.9, 0.5, 0.1):
        assert (found < share).mean() == pytest.approx(share, rel=0.25)
    others[:, 0] = 8
    assert distances.familiarity(distribution.distance(others)).max() < 0.001


def test_among_equal_images_an_equal_one_is_familiar_and_any_other_is_not() -> None:
    same = fit_distribution(np.ones((60, 5)))
    distances = fit_distances(same.distance(np.ones((60, 5))))
    assert distances.exponent == 1000  # none lies beyond the farthest tenth
    new = np.ones((3, 5))
    new[1], new[2, 0] = 1.1, 4.0
    assert distances.familiarity(same.distance(new)) == pytest.approx([1, 0, 0], abs=1e-12)


def test_no_feature_counts_in_less_than_a_hundredth_of_the_scatter_of_all() -> None:
    known = np.zeros((50, 2))
    known[:, 0] = np.tile([4.0, 36.0], 25)  # roots 2 and 6: scatter 2
    known[:, 1] = np.tile([1.0, 1.000001], 25)
    distribution = fit_distribution(known)
    assert distribution.mean == pytest.approx([4, 1], abs=1e-6)
    assert distribution.scale == pytest.approx([2, 0.01 * np.sqrt(2)], rel=1e-6)
    assert fit_distribution(np.ones((50, 2))).scale == pytest.approx([1e-8, 1e-8])


def test_directions_of_least_scatter_share_one_variance() -> None:
    # 60 images allow 6 directions of 8; the roots are uncorrelated, of scatter 1 once they are standardised.
    signs = np.array([[(row >> (k // 2) & 1) * 2 - 1 for k in range(8)] for row in range(8)]).repeat(8, axis=0)
    known = (signs[:60] * [3, 3, 2, 2, 1, 1, 4, 4] + 10.0) ** 2
    distribution = fit_distribution(known)
    assert distribution.axes.shape == (8, 6)
    np.testing.assert_allclose(distribution.axes.T @ distribution.axes, np.eye(6), atol=2e-3)
    z = (np.sqrt(known) - distribution.mean) / distribution.scale
    powers = np.linalg.eigvalsh(np.cov(z.T, bias=True))[::-1]
    assert distribution.variances == pytest.approx(np.maximum(powers[:6], distribution.residual_variance), rel=1e-3)
    assert distribution.residual_variance == pytest.approx(max(powers[6:].mean(), 1e-3))


def test_many_images_of_many_features_have_64_directions() -> None:
    assert fit_distribution(draw(700, 0, features=70)).axes.shape == (70, 64)


def test_familiarity_does_not_depend_on_the_unit_of_the_distance() -> None:
    distance, new = np.random.default_rng(0).gamma(4, size=(2, 500))
    for unit in (1e-4, 1e4):
        found = fit_distances(unit * distance).familiarity(unit * new)
        np.testing.assert_allclose(found, fit_distances(distance).familiarity(new))


def test_roots_keep_the_sign_and_the_digits() -> None:
    roots = take_root(np.array([[-4.0, 0.0, 2.0]], np.float32))
    assert roots.dtype == np.float64
    assert roots.tolist() == [[-2.0, 0.0, np.sqrt(2.0)]]


def test_fifty_images_are_enough() -> None:
    distribution = fit_distribution(draw(50, 0))
    assert distribution.axes.shape == (12, 5)
    assert len(fit_distances(distribution.distance(draw(50, 1))).quantiles) == 46


def test_too_few_images_are_one_message() -> None:
    with pytest.raises(InputError, match="found 49 images, expected at least 50"):
        fit_distribution(draw(49, 0))
    with pytest.raises(InputError, match="found 49 images besides those that were fitted, expected at least 50"):
        fit_distances(np.ones(49))
