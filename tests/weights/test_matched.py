from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score


@pytest.fixture(scope="module")
def matched() -> ModuleType:
    folder = Path(__file__).resolve().parents[2] / "weights"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("matched", folder / "matched.py")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules["matched"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(folder))


def make(matched: ModuleType, n: int, moved: float, seed: int):
    """Images whose score is their brightness, and lenses brighter by moved."""
    rng = np.random.default_rng(seed)
    brightness = 300 + 100 * rng.normal(size=n) + moved
    return matched.Side(
        rng.normal(size=n), brightness, brightness, rng.normal(size=n), np.array([f"{seed}-{k}" for k in range(n)])
    )


def test_without_limits_it_is_the_auroc(matched: ModuleType) -> None:
    lenses, others = make(matched, 40, 80.0, 0), make(matched, 150, 0.0, 1)
    for score in ("net", "baseline"):
        both = np.concatenate([getattr(lenses, score), getattr(others, score)])
        expected = roc_auc_score(np.arange(190) < 40, both)
        found = matched.compare_alike(lenses, others, score, (np.inf, np.inf))
        assert found.value == pytest.approx(expected)
        assert found.low < found.value < found.high


def test_what_is_matched_no_longer_tells_the_classes_apart(matched: ModuleType) -> None:
    lenses, others = make(matched, 300, 80.0, 2), make(matched, 900, 0.0, 3)
    assert matched.compare_alike(lenses, others, "baseline", (np.inf, np.inf)).value > 0.65
    within = matched.compare_alike(lenses, others, "baseline", (10.0, np.inf))
    assert within.value == pytest.approx(0.5, abs=0.06)
    n, m = matched.count_alike(lenses, others, (10.0, np.inf))
    assert n < 300 < m < 900


def test_a_centre_is_described_by_its_own_pixels(matched: ModuleType) -> None:
    images = np.zeros((2, 40, 40, 3), np.uint8)
    images[0, 16:24, 16:24] = (100, 50, 25)
    images[1] = 200
    images[1, 16:24, 16:24] = (10, 10, 10)
    found = matched.describe_centre(images)
    assert found[:, 0].tolist() == [175, 30]
    np.testing.assert_allclose(found[0, 1:], [np.log(105 / 30), np.log(105 / 55), 1])
    np.testing.assert_allclose(found[1, 1:], [0, 0, 1])
