"""Heads for several surveys: which images get a label, and that what another look changes is not taken for lenses."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler


@pytest.fixture(scope="module")
def few_labels() -> ModuleType:
    folder = str(Path(__file__).resolve().parents[2] / "weights")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("few_labels")
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def survey_heads(few_labels: ModuleType) -> ModuleType:
    return sys.modules["survey_heads"]  # which few_labels has imported


def test_labels_go_to_both_classes_by_their_share_and_to_allowed_images_only(few_labels: ModuleType) -> None:
    choose_labelled = few_labels.choose_labelled
    truth = np.arange(100) % 4 == 0
    allowed = np.arange(100) < 80
    rows = choose_labelled(truth, allowed, 20, seed=3)
    assert len(set(rows.tolist())) == 20
    assert truth[rows].sum() == 5
    assert allowed[rows].all()
    rare = np.arange(100) == 7
    rare[50] = True
    assert rare[choose_labelled(rare, allowed, 10, seed=0)].sum() == 2
    assert choose_labelled(truth, allowed, 1000, seed=0).tolist() == list(range(80))


@pytest.fixture
def sources(survey_heads: ModuleType) -> dict[str, Any]:
    """Two surveys. Features: 0 tells the surveys apart, 1 and 2 tell lenses; another look changes 2."""
    rng = np.random.default_rng(0)
    made = {}
    for number, (name, share) in enumerate((("CFHTLS", 0.3), ("DR10", 0.6))):
        lens = (np.arange(200) < 200 * share).astype(float)
        features = rng.normal(0, 0.3, (200, 3)) + np.column_stack([np.full(200, number), lens, lens])
        looked = tuple(features + np.column_stack([np.zeros((200, 2)), rng.normal(0, 2, 200)]) for _ in range(3))
        groups = np.array([f"{name} {row}" for row in range(200)])
        made[name] = survey_heads.Source(
            features, looked, features, features, lens, np.arange(200) < 5, groups, np.arange(200) % 5
        )
    return made


SHARES = {"CFHTLS": 1.0, "DR10": 1.0}


def weight_of(survey_heads: ModuleType, sources: dict[str, Any], **changes: Any) -> np.ndarray:
    rung = survey_heads.Rung(**{"shares": SHARES, "known": 1.0, "looks": 0, "steady": 0.0, **changes})
    return survey_heads.fit_head(sources, rung).weight[:, 0]


def test_what_another_look_changes_counts_less_where_copies_should_count_alike(
    survey_heads: ModuleType, sources: dict[str, Any]
) -> None:
    """Though the copies are not learned from, so that both features are as good a guide."""
    loose, steady = (weight_of(survey_heads, sources, looks=3, looked=0.0, steady=one) for one in (0.0, 5.0))
    assert loose[2] > 0.8 * loose[1]
    assert steady[2] < 0.3 * steady[1]
    assert steady[1] > loose[1]


def test_a_head_is_one_ridge_regression_of_labels_and_of_differences_that_should_be_none(
    survey_heads: ModuleType, sources: dict[str, Any]
) -> None:
    rung = survey_heads.Rung(SHARES, known=1.0, looks=2, looked=0.5, single=0.25, steady=0.5)
    head = survey_heads.fit_head(sources, rung, without=2)
    parts = [(one, one.fold != 2) for one in sources.values()]
    features = np.concatenate(
        [values[rows] for one, rows in parts for values in (one.features, one.single, *one.looked[:2])]
    )
    labels = np.concatenate([one.labels[rows] for one, rows in parts for _ in range(4)])
    weights = np.tile(np.repeat([1.0, 0.25, 0.25, 0.25], 160), 2)
    differences = np.concatenate([(copy - one.features)[rows] for one, rows in parts for copy in one.looked[:2]])
    scaler, mean = StandardScaler().fit(features, sample_weight=weights), np.average(labels, weights=weights)
    expected = Ridge(survey_heads.PENALTY, fit_intercept=False).fit(
        np.concatenate([scaler.transform(features), differences / scaler.scale_]),
        np.concatenate([labels - mean, np.zeros(len(differences))]),
        sample_weight=np.concatenate([weights, np.full(len(differences), 0.25)]),
    )
    regression = head.log_odds(features) / survey_heads.SLOPE + 0.5
    np.testing.assert_allclose(regression, expected.predict(scaler.transform(features)) + mean, rtol=1e-9)


def test_known_lenses_that_count_twice_are_as_good_as_there_twice(
    survey_heads: ModuleType, sources: dict[str, Any]
) -> None:
    one = sources["CFHTLS"]
    twice = np.concatenate([np.arange(200), np.flatnonzero(one.known)])
    there = survey_heads.Source(
        *(getattr(one, name)[twice] if name != "looked" else () for name in one.__dataclass_fields__)
    )
    counted = weight_of(survey_heads, sources, shares={"CFHTLS": 1.0}, known=2.0)
    repeated = weight_of(survey_heads, {"CFHTLS": there}, shares={"CFHTLS": 1.0})
    np.testing.assert_allclose(counted, repeated, rtol=1e-9)
    assert not np.allclose(counted, weight_of(survey_heads, sources, shares={"CFHTLS": 1.0}))


def test_a_held_out_fold_changes_nothing_of_the_head_that_scores_it(
    survey_heads: ModuleType, sources: dict[str, Any]
) -> None:
    rung = survey_heads.Rung(SHARES, looks=3)
    before = survey_heads.fit_head(sources, rung, without=2)
    for one in sources.values():
        one.labels[one.fold == 2] = 1 - one.labels[one.fold == 2]
        for values in (one.features, one.single, *one.looked):
            values[one.fold == 2] *= -3
    after = survey_heads.fit_head(sources, rung, without=2)
    np.testing.assert_allclose(before.weight, after.weight, rtol=1e-12)
    features = sources["DR10"].features[:4]
    odds = survey_heads.score_held_out([before] * 4 + [survey_heads.fit_head(sources, rung)], features, np.arange(4))
    np.testing.assert_allclose(odds, before.log_odds(features))
