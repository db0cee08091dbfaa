from __future__ import annotations

import numpy as np
import pytest

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure import similarity
from convnet_galaxies.measure.similarity import find_directions, find_similar, measure_isolation, project_features


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(3).exponential(size=(60, 12))


def test_similarity_is_the_bhattacharyya_coefficient_of_features_as_shares(features) -> None:
    order, found = find_similar(find_directions(features), find_directions(features)[7])
    shares = features / features.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.sqrt(shares[order] * shares[7]).sum(axis=1), rtol=1e-5)
    assert order[0] == 7
    assert (np.diff(found) <= 0).all()


def test_a_scale_of_all_features_of_an_image_changes_no_similarity(features) -> None:
    scaled = features * np.random.default_rng(0).uniform(0.1, 10, (len(features), 1))
    np.testing.assert_allclose(find_directions(scaled), find_directions(features), atol=1e-6)


def test_images_without_features_have_the_direction_zero() -> None:
    assert not find_directions(np.zeros((2, 5))).any()


@pytest.mark.parametrize("at_once", [7, 60, 1000])
def test_isolation_equals_the_mean_distance_to_the_nearest_computed_one_by_one(features, monkeypatch, at_once) -> None:
    monkeypatch.setattr(similarity, "AT_ONCE", at_once)
    directions = find_directions(features)
    found = measure_isolation(directions, neighbours=4)
    for row in range(len(directions)):
        others = np.delete(directions, row, axis=0).astype(float) @ directions[row].astype(float)
        assert found[row] == pytest.approx(1 - np.sort(others)[-4:].mean(), abs=1e-5)


def test_a_stranger_is_the_most_isolated(features) -> None:
    features[20] = 0
    features[20, 3] = 1
    assert measure_isolation(find_directions(features)).argmax() == 20


def test_a_single_image_is_not_isolated() -> None:
    assert measure_isolation(find_directions(np.ones((1, 3)))).tolist() == [0.0]


def test_the_map_keeps_two_kinds_apart_and_repeats_by_its_seed() -> None:
    rng = np.random.default_rng(1)
    kinds = np.repeat([[5.0, 1, 1, 0.1], [0.1, 1, 5, 1]], 20, axis=0)
    features = kinds * rng.uniform(0.8, 1.2, kinds.shape)
    places = project_features(features, seed=0)
    np.testing.assert_array_equal(places, project_features(features, seed=0))
    middle = places.reshape(2, 20, 2).mean(axis=1)
    within = np.linalg.norm(places.reshape(2, 20, 2) - middle[:, None], axis=2).max()
    assert np.linalg.norm(middle[0] - middle[1]) > within


def test_equal_images_lie_at_one_place_of_the_map() -> None:
    assert not np.ptp(project_features(np.ones((6, 3)), seed=0), axis=0).any()


def test_a_map_of_four_images_is_refused() -> None:
    with pytest.raises(InputError, match="found 4 images, expected at least 5"):
        project_features(np.ones((4, 3)), seed=0)
