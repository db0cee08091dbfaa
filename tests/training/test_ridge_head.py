"""Heads by ridge regression."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from small_sets import tiny

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.runs.weights import load_net
from convnet_galaxies.training.fit import fit
from convnet_galaxies.training.ridge_head import PARENT_SCALE, PARENT_SLOPE, PENALTIES, fit_ridge_head, solve_ridge


@pytest.fixture(scope="module")
def zoo(vote_set, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return fit(vote_set, tiny("train.epochs=1"), tmp_path_factory.mktemp("ridge") / "zoo", tasks=("votes",))


def draw(n: int, *, signal: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.4
    features = rng.normal(size=(n, 40)) * np.linspace(0.1, 10, 40) + 3
    features[:, 5] += signal * labels * np.linspace(0.1, 10, 40)[5]
    return features, labels.astype(float), np.arange(n) // 2


def test_a_head_separates_what_differs() -> None:
    features, labels, groups = draw(200, signal=3)
    head = fit_ridge_head(features, labels, groups)
    other, truth, _ = draw(1000, signal=3, seed=1)
    odds = (other @ head.weight + head.bias)[:, 0]
    assert ((odds > 0) == (truth == 1)).mean() > 0.85


def test_without_a_signal_the_penalty_is_large_and_the_odds_are_flat() -> None:
    features, labels, groups = draw(80, signal=0)
    head = fit_ridge_head(features, labels, groups)
    assert head.penalty >= PENALTIES[-3]
    assert np.std(features @ head.weight) < 0.7
    assert head.log_loss < 0.75  # that of the mean is 0.67


def test_classes_have_a_column_each_and_the_likeliest_is_right() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=150)
    features = rng.normal(size=(150, 10))
    features[np.arange(150), labels] += 4
    head = fit_ridge_head(features, labels, np.arange(150), classes=3)
    assert head.weight.shape == (10, 3)
    assert ((features @ head.weight + head.bias).argmax(axis=1) == labels).mean() > 0.95


def test_an_image_of_weight_two_counts_as_two() -> None:
    features, labels, groups = draw(60, signal=1)
    weights = np.where(np.arange(60) < 20, 2.0, 1.0)
    rows = np.repeat(np.arange(60), weights.astype(int))
    weighted = fit_ridge_head(features, labels, groups, weights=weights)
    repeated = fit_ridge_head(features[rows], labels[rows], groups[rows])
    assert weighted.penalty == repeated.penalty
    assert weighted.weight == pytest.approx(repeated.weight, abs=1e-6)


def test_images_of_one_group_are_never_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    # Each of 30 objects has 4 nearly equal images and a label of its own: only its twins tell its label.
    objects = rng.normal(size=(30, 100))
    features = np.repeat(objects, 4, axis=0) + 1e-3 * rng.normal(size=(120, 100))
    labels, groups = np.repeat(rng.integers(2, size=30), 4).astype(float), np.repeat(np.arange(30), 4)
    honest = fit_ridge_head(features, labels, groups)
    leaking = fit_ridge_head(features, labels, np.arange(120))
    assert honest.log_loss > 0.6 > leaking.log_loss


def test_the_backbone_stays_as_it_is_and_the_run_predicts(zoo, lens_set, tmp_path) -> None:
    path = tmp_path / "lens"
    fit(lens_set, tiny("train.head=ridge"), path, tasks=("lens", "flavor"), parent=zoo.path)
    old, new = load_net(zoo.path)[0], load_net(path)[0]
    fresh = new.backbone.state_dict()
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in old.backbone.state_dict().items())
    found = Predictor(path).predict(lens_set.images)
    lens = lens_set.table["lens"].to_numpy(float)
    known = ~np.isnan(lens)
    assert found["flavor"].shape == (len(lens_set), 4)
    assert roc_auc_score(lens[known], found["lens"][known]) > 0.6
    again = fit(lens_set, tiny("train.head=ridge"), tmp_path / "again", tasks=("lens", "flavor"), parent=zoo.path)
    assert (path / "weights.safetensors").read_bytes() == again.weights.read_bytes()


def test_votes_and_training_from_scratch_are_refused(zoo, vote_set, lens_set, tmp_path) -> None:
    for images, tasks, parent, found in (
        (lens_set, ("lens",), None, "found no parent"),
        (vote_set, ("votes",), zoo.path, "no linear head"),
    ):
        with pytest.raises(UsageError, match=found):
            fit(images, tiny("train.head=ridge"), tmp_path / "run", tasks=tasks, parent=parent)
        assert not (tmp_path / "run").exists()


def test_a_few_labels_correct_the_parents_head_and_do_not_replace_it() -> None:
    features, labels, _ = draw(2000, signal=1.5)
    wanted = fit_ridge_head(features, labels, np.arange(2000))
    parent = (0.1 * wanted.weight, wanted.bias + 5)  # the right direction, of a wrong scale and shift
    other, truth, _ = draw(1000, signal=1.5, seed=1)

    def auroc(head) -> float:
        return float(roc_auc_score(truth, (other @ head.weight + head.bias)[:, 0]))

    started, alone, middle = [], [], []
    for seed in range(8):
        few = np.random.default_rng(seed).choice(2000, 16, replace=False)
        head = fit_ridge_head(features[few], labels[few], np.arange(16), parent=parent)
        started.append(auroc(head))
        middle.append(np.median(other @ head.weight + head.bias))
        alone.append(auroc(fit_ridge_head(features[few], labels[few], np.arange(16))))
    assert np.mean(started) > 0.9 * auroc(wanted) > np.mean(alone) + 0.05
    assert np.abs(middle).mean() < 2  # the shift of 5 is gone


def draw_two_guides(n: int, *, looks: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of which 0 and 1 tell lenses, 0 slightly better, labels, and changes: another look changes feature 1."""
    rng = np.random.default_rng(0)
    labels = (rng.random(n) < 0.5).astype(float)
    features = rng.normal(size=(n, 6))
    features[:, :2] = (rng.normal(size=n) + 1.2 * labels)[:, None] + [0.05, 0.3] * features[:, :2]
    changes = np.zeros((n, looks, 6))
    changes[:, :, 1] = rng.normal(0, 10, size=(n, looks))
    return features, labels, changes


def test_what_another_look_changes_counts_less() -> None:
    features, labels, changes = draw_two_guides(100)
    groups = np.arange(100)
    loose = fit_ridge_head(features, labels, groups)
    steady = fit_ridge_head(features, labels, groups, changes=changes)
    assert (loose.steady, steady.steady) == (0.0, 1.0)
    assert loose.weight[1, 0] > 0.3 * loose.weight[0, 0]
    assert abs(steady.weight[1, 0]) < 0.2 * steady.weight[0, 0]


def test_a_look_that_tells_the_classes_apart_is_used_all_the_same() -> None:
    features, labels, changes = draw_two_guides(400)
    features[:, 0] = features[:, 2]  # only what looks change is left
    head = fit_ridge_head(features, labels, np.arange(400), changes=changes)
    assert head.steady == 0.0
    assert head.weight[1, 0] > 0.3


@pytest.mark.parametrize("leading", [0, 1])
def test_the_solution_is_that_of_a_regression_with_a_row_per_change(leading: int) -> None:
    """By sklearn, on rows for images and for changes, with the parent's column as the code documents it."""
    rng = np.random.default_rng(1)
    features, labels, changes = draw_two_guides(50, looks=3)
    weights, strengths = rng.random(50) + 0.5, rng.random(50)
    ((weight, bias),) = solve_ridge(
        features,
        labels[:, None],
        weights,
        [(20.0, 0.7)],
        changes=changes,
        strengths=strengths,
        leading=leading,
        shift=0.5,
    )
    mean, spread = np.average(features, axis=0, weights=weights), np.ones(6)
    spread = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    wanted, unwanted = labels.copy(), np.zeros(150)
    if leading:
        spread[5] /= PARENT_SCALE
        wanted = labels - features[:, 5] / PARENT_SLOPE - 0.5
        unwanted = -changes[:, :, 5].reshape(-1) / PARENT_SLOPE
    middle = np.average(wanted, weights=weights)
    ridge = Ridge(20.0, fit_intercept=False).fit(
        np.concatenate([(features - mean) / spread, changes.reshape(-1, 6) / spread]),
        np.concatenate([wanted - middle, unwanted]),
        sample_weight=np.concatenate([weights, np.repeat(strengths * 0.7 / 3, 3)]),
    )
    expected = (features - mean) / spread @ ridge.coef_ + middle
    if leading:
        expected += features[:, 5] / PARENT_SLOPE + 0.5
    np.testing.assert_allclose((features @ weight + bias)[:, 0], expected, atol=1e-9)


def test_labels_in_one_group_are_refused(zoo, lens_set, tmp_path) -> None:
    table = lens_set.table.copy()
    table["group"] = np.where(table["lens"].notna(), "one field", table["group"])
    parts = np.full(len(lens_set), "train", dtype=object)
    with pytest.raises(InputError, match="found one group of training images"):
        fit(
            replace(lens_set, table=table),
            tiny("train.head=ridge"),
            tmp_path / "run",
            tasks=("lens",),
            parent=zoo.path,
            parts=parts,
        )
