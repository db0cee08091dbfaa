"""Heads for several surveys: which images get a label, and that the look of a survey is not taken for lenses."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def few_labels() -> ModuleType:
    folder = str(Path(__file__).resolve().parents[2] / "weights")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("few_labels")
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def survey_ladder(few_labels: ModuleType) -> ModuleType:
    return sys.modules["survey_ladder"]  # which few_labels has imported


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
def sources(survey_ladder: ModuleType) -> dict[str, Any]:
    """Two surveys: the first feature tells them apart, the second tells lenses; one survey has mostly lenses."""
    rng = np.random.default_rng(0)
    made = {}
    for number, (name, share) in enumerate((("CFHTLS", 0.1), ("DR10", 0.8))):
        lens = (np.arange(200) < 200 * share).astype(float)
        features = rng.normal(0, 0.3, (200, 2)) + np.column_stack([np.full(200, number), lens])
        groups = np.array([f"{name} {row}" for row in range(200)])
        made[name] = survey_ladder.Source(features, (), features, lens, groups, np.arange(200) % 5)
    return made


def test_surveys_that_are_moved_do_not_teach_their_look(survey_ladder: ModuleType, sources: dict[str, Any]) -> None:
    shares = {"CFHTLS": 1.0, "DR10": 1.0}
    plain, half, whole = (
        survey_ladder.fit_head(sources, shares, 0.0, moved=part).weight[:, 0] for part in (0.0, 0.5, 1.0)
    )
    assert plain[0] > 2 * abs(whole[0])
    assert abs(whole[0]) < half[0] < plain[0]
    assert min(plain[1], half[1], whole[1]) > 1


def test_a_head_of_one_survey_is_the_same_however_far_it_is_moved(
    survey_ladder: ModuleType, sources: dict[str, Any]
) -> None:
    heads = [survey_ladder.fit_head(sources, {"CFHTLS": 1.0}, 0.0, without=2, moved=part) for part in (0.0, 1.0)]
    np.testing.assert_allclose(heads[0].weight, heads[1].weight, rtol=1e-9)
