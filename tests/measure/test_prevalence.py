from __future__ import annotations

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from given_posteriors import GivenPosteriors
from quapy.method.aggregative import EMQ, PACC
from scipy import stats
from scipy.special import expit, logit

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure import prevalence
from convnet_galaxies.measure.calibration import FLOOR, fit_temperature
from convnet_galaxies.measure.prevalence import (
    METHODS,
    ScoredImages,
    count_as_lenses,
    draw_mixture,
    join_scores,
    quantify,
)


def draw(rng: np.random.Generator, n: int, prevalence: float, *, known: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Truth and a lens probability that is calibrated for the prevalence `known`."""
    truth = rng.random(n) < prevalence
    return truth, expit(3.0 * (rng.normal(size=n) + 3.0 * truth - 1.5) + logit(known))


def make(seed: int, prevalence: float, *, n: int = 1000, n_unknown: int = 1000) -> tuple[ScoredImages, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth, probability = draw(rng, n, 0.2)
    unknown, unknown_probability = draw(rng, n_unknown, prevalence)
    return join_scores(truth, probability, np.arange(n), unknown_probability, np.arange(n_unknown)), unknown


@pytest.mark.trials
@pytest.mark.parametrize("prevalence", [0.01, 0.1, 0.6])
def test_every_method_recovers_a_known_prevalence_that_differs_from_the_labelled_one(prevalence: float):
    images, unknown = make(1, prevalence, n=3000, n_unknown=4000)
    answer = quantify(images, seed=0, n_resamples=30)
    for method, figures in answer.by_method.items():
        assert figures["lens"].value == pytest.approx(prevalence, rel=0.08, abs=0.006), method
        assert figures["lens"].value + figures["non-lens"].value == pytest.approx(1, abs=0.01)
    assert answer.count["lens"].low <= unknown.sum() <= answer.count["lens"].high
    assert json.loads(json.dumps(asdict(answer)))["method"] == "mixture"


@pytest.mark.trials
@pytest.mark.parametrize("prevalence", [0.005, 0.1])
def test_interval_of_the_prevalence_holds_the_truth_as_often_as_it_says(prevalence: float):
    held, held_number = 0, 0
    for seed in range(60):
        images, unknown = make(seed, prevalence, n=800, n_unknown=600)
        answer = quantify(images, seed=seed, methods=("mixture",))
        held += answer.fraction["lens"].low <= prevalence <= answer.fraction["lens"].high
        held_number += answer.count["lens"].low <= unknown.sum() <= answer.count["lens"].high
    assert held / 60 >= 0.83
    assert held_number / 60 >= 0.83


@pytest.mark.trials
def test_without_lenses_the_interval_touches_zero():
    touches = dict.fromkeys(METHODS, 0)
    for seed in range(12):
        images, _ = make(seed, 0.0, n=600, n_unknown=400)
        answer = quantify(images, seed=seed, n_resamples=40)
        assert answer.count["lens"].low == 0
        for method, figures in answer.by_method.items():
            touches[method] += figures["lens"].low < 5e-4
            assert 0 <= figures["lens"].low <= figures["lens"].value <= figures["lens"].high < 0.1
    assert min(touches.values()) >= 10


@pytest.mark.parametrize("n_classes", [2, 4])
def test_emq_and_pacc_are_quapys_on_the_whole_sample(n_classes: int):
    rng = np.random.default_rng(3)

    def posteriors(truth: np.ndarray) -> np.ndarray:
        raw = np.exp(rng.normal(size=(len(truth), n_classes)) + 2.5 * np.eye(n_classes)[truth])
        return raw / raw.sum(axis=1, keepdims=True)

    truth, unknown = rng.integers(0, n_classes, 600), rng.binomial(n_classes - 1, 0.05, 500)
    images = join_scores(truth, posteriors(truth), np.arange(600), posteriors(unknown), np.arange(500))
    names = [f"class {k}" for k in range(n_classes)]
    answer = quantify(images, classes=names, seed=0, methods=("pacc", "emq"), n_resamples=3)
    ours = {method: [figures[name].value for name in names] for method, figures in answer.by_method.items()}
    pacc = PACC(GivenPosteriors(n_classes), fit_classifier=False, val_split=None)
    theirs = pacc.fit(images.posteriors, truth).predict(images.unknown_posteriors)
    assert ours["pacc"] == pytest.approx(theirs, abs=1e-9)
    recalibrated = fit_temperature(images.posteriors, truth, bias=True).apply(images.unknown_posteriors)
    labelled = np.bincount(truth, minlength=n_classes) / len(truth)
    theirs, _ = EMQ.EM(labelled, np.clip(recalibrated, FLOOR, 1), epsilon=1e-6)
    assert ours["emq"] == pytest.approx(theirs, abs=1e-9)


def test_expectation_maximization_that_has_not_settled_is_told_beside_its_figures():
    rng = np.random.default_rng(0)
    truth, unknown = np.arange(4000) % 2, np.ones(4000, int)  # hardly to be told apart, and all of one class
    known_score, unknown_score = (expit(rng.normal(0.05 * sort, 1)) for sort in (2 * truth - 1, 2 * unknown - 1))
    images = join_scores(truth, known_score, np.arange(4000), unknown_score, np.arange(4000))
    answer = quantify(images, seed=0, methods=("emq",), n_resamples=2)
    assert answer.fraction["lens"].warning == "expectation maximization had not settled after 1,000 steps"


@pytest.mark.trials
def test_prevalence_by_flavor_adds_up_and_holds_the_mix():
    rng = np.random.default_rng(0)

    def posteriors(truth: np.ndarray) -> np.ndarray:
        raw = np.exp(rng.normal(size=(len(truth), 4)) + 3.5 * np.eye(4)[truth])
        return raw / raw.sum(axis=1, keepdims=True)

    names, shares = ("dud", "galaxy", "quasar", "cluster"), (0.88, 0.08, 0.03, 0.01)
    held: dict[str, list[bool]] = {method: [] for method in METHODS}
    for seed in range(5):
        truth, unknown = rng.choice(4, 1000, p=[0.7, 0.1, 0.1, 0.1]), rng.choice(4, 800, p=shares)
        images = join_scores(truth, posteriors(truth), np.arange(1000), posteriors(unknown), np.arange(800))
        answer = quantify(images, classes=names, seed=seed, n_resamples=40)
        for method, figures in answer.by_method.items():
            held[method] += [
                figures[name].low <= share <= figures[name].high for name, share in zip(names, shares, strict=True)
            ]
            assert figures["any lens"].value == pytest.approx(sum(figures[name].value for name in names[1:]))
    assert min(np.mean(one) for one in held.values()) >= 0.8


def make_certain(n_labelled: int, n_lenses: int) -> ScoredImages:
    """As many labelled images of each class, and 200 unknown ones, all told apart without doubt."""
    truth, unknown = np.arange(2 * n_labelled) < n_labelled, np.arange(200) < n_lenses
    return join_scores(
        truth, np.where(truth, 0.99, 0.01), np.arange(len(truth)), np.where(unknown, 0.99, 0.01), np.arange(200)
    )


def test_certain_images_are_counted_and_their_fraction_is_that_of_jeffreys():
    answer = quantify(make_certain(40_000, 20), seed=0, level=0.8, methods=("mixture",))
    assert answer.method == "mixture"
    assert answer.n_unknown == 200
    count, fraction = answer.count["lens"], answer.fraction["lens"]
    assert (count.low, count.value, count.high) == pytest.approx((20, 20.4, 20), abs=0.8)
    expected = stats.beta(20.5, 180.5).ppf([0.1, 0.5, 0.9])
    assert (fraction.low, fraction.value, fraction.high) == pytest.approx(expected, rel=0.03)
    assert {figure.level for figure in (count, fraction)} == {0.8}
    assert answer.fraction["non-lens"].value == pytest.approx(1 - fraction.value)
    assert (answer.remarks, count.warning, fraction.warning) == ((), None, None)


def test_without_a_certain_lens_the_fraction_may_be_exactly_none():
    answer = quantify(make_certain(4000, 0), seed=0, methods=("mixture", "pacc"), n_resamples=5)
    assert (answer.count["lens"].low, answer.fraction["lens"].low) == (0, 0)
    assert answer.fraction["lens"].high == pytest.approx(stats.beta(0.5, 200.5).ppf(0.95), rel=0.1)
    assert answer.by_method["mixture"] == answer.fraction
    assert answer.by_method["pacc"]["lens"].value == pytest.approx(0, abs=1e-6)


def test_equal_seeds_give_equal_figures_and_other_seeds_others():
    images, _ = make(2, 0.2, n=300, n_unknown=200)
    first, again, other = (quantify(images, seed=seed, n_resamples=6).by_method for seed in (1, 1, 2))
    assert first == again
    for method in METHODS:
        assert first[method]["lens"] != other[method]["lens"]


def test_all_classes_but_the_first_count_as_lenses():
    posteriors = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]])
    images = ScoredImages(posteriors, np.array([0, 2]), np.array(["a", "b"]), posteriors[::-1], np.array(["c", "d"]))
    binary = count_as_lenses(images)
    np.testing.assert_allclose(binary.posteriors, [[0.7, 0.3], [0.1, 0.9]])
    np.testing.assert_allclose(binary.unknown_posteriors, [[0.1, 0.9], [0.7, 0.3]])
    assert binary.truth.tolist() == [0, 1]
    assert (binary.groups.tolist(), binary.unknown_groups.tolist()) == (["a", "b"], ["c", "d"])
    assert count_as_lenses(binary) is binary


def test_adjusted_counts_solve_for_the_mean_posterior():
    # Means are 0.1 and 0.7: 0.1 + 0.6 x is 0.25 for a quarter of lenses, in every resample.
    truth = np.arange(40) < 20
    images = join_scores(truth, np.where(truth, 0.7, 0.1), np.arange(40), np.full(30, 0.25), np.arange(30))
    answer = quantify(images, seed=0, methods=("pacc",), n_resamples=8)
    figure = answer.fraction["lens"]
    assert (figure.low, figure.value, figure.high) == pytest.approx((0.25, 0.25, 0.25), abs=1e-4)
    assert (answer.count["lens"].low, answer.count["lens"].high) == pytest.approx((7.5, 7.5), abs=3e-3)


def test_any_lens_is_all_but_the_first_class():
    truth = np.arange(90) % 3
    known = np.eye(3)[truth] * 0.9 + 0.1 / 3
    images = join_scores(truth, known, np.arange(90), known[:60], np.arange(60))
    answer = quantify(images, classes=("dud", "arc", "ring"), seed=0, methods=("pacc",), n_resamples=6)
    assert list(answer.fraction) == list(answer.count) == ["dud", "arc", "ring", "any lens"]
    assert answer.fraction["any lens"].value == pytest.approx(2 / 3, abs=1e-4)
    assert answer.count["any lens"].value == pytest.approx(40, abs=1e-2)
    assert answer.fraction["any lens"].low <= 2 / 3 + 1e-4 <= answer.fraction["any lens"].high + 2e-4
    assert answer.fraction["any lens"].high - answer.fraction["any lens"].low > 0.05  # unknown groups are drawn too


def test_every_reason_for_caution_is_told(monkeypatch: pytest.MonkeyPatch):
    truth = np.arange(400) < 10  # ten lenses of one field among forty fields: a third of the resamples has none
    images = join_scores(truth, np.where(truth, 0.9, 0.2), np.arange(400) // 10, np.full(20, 0.5), np.arange(20))
    answer = quantify(images, seed=0, methods=("pacc",), n_resamples=40)
    few = "only 1 labelled group of class lens: the interval is rough"
    assert re.fullmatch(few + r"; \d+ of 40 resamples lack a class", str(answer.fraction["lens"].warning))
    assert answer.count["lens"].warning == answer.fraction["lens"].warning
    assert answer.remarks == ("only 1 labelled group of class lens",)
    many = make_certain(20, 10)
    settled, cells = draw_mixture(many, seed=0)
    for rhat, warning in ((1.1, None), (1.25, "the draws have not settled (R-hat 1.25)")):
        drawn = replace(settled, rhat=rhat), cells
        monkeypatch.setattr(prevalence, "draw_mixture", lambda images, *, seed, drawn=drawn: drawn)
        assert quantify(many, seed=0, methods=("mixture",)).fraction["lens"].warning == warning


def test_few_labelled_lenses_widen_the_interval_and_are_warned_of():
    rng = np.random.default_rng(4)
    truth = np.arange(400) < 6
    probability = expit(rng.normal(size=400) + 4.0 * truth - 3)
    unknown = expit(rng.normal(size=300) + 4.0 * (np.arange(300) < 30) - 3)
    few = quantify(
        join_scores(truth, probability, np.arange(400), unknown, np.arange(300)), seed=0, methods=("mixture",)
    )
    assert "only 6 labelled groups of class lens" in str(few.fraction["lens"].warning)
    many = quantify(
        join_scores(*(np.repeat(x, 20) for x in (truth, probability)), np.arange(8000), unknown, np.arange(300)),
        seed=0,
        methods=("mixture",),
    )
    width = [answer.fraction["lens"].high - answer.fraction["lens"].low for answer in (few, many)]
    assert width[0] > 1.2 * width[1]


def test_repeating_every_image_within_its_group_does_not_narrow_the_interval():
    images, _ = make(5, 0.1, n=500, n_unknown=300)
    five = ScoredImages(*(np.repeat(part, 5, axis=0) for part in vars(images).values()))
    once, repeated = (quantify(one, seed=0, methods=("mixture",)).fraction["lens"] for one in (images, five))
    assert repeated.high - repeated.low == pytest.approx(once.high - once.low, rel=0.25)


def test_mixture_draws_settle_and_repeat():
    first, again = (draw_mixture(make(6, 0.03)[0], seed=1)[0] for _ in range(2))
    assert first is not again
    assert first.rhat < 1.05
    np.testing.assert_array_equal(first.fractions, again.fractions)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unknown_probability": np.empty(0), "unknown_groups": np.empty(0)}, "found no unlabelled images"),
        ({"truth": np.zeros(4)}, "found no labelled image of class 1"),
        ({"probability": np.array([0.1, np.nan, 0.2, 0.3])}, "found 1 rows among the labelled images"),
        ({"unknown_probability": np.array([0.1, 1.4])}, "found 1 rows among the unlabelled images"),
        ({"groups": np.arange(3)}, "expected one truth and one group per image"),
    ],
)
def test_unfit_images_are_refused(change: dict, message: str):
    given = {
        "truth": np.array([0, 0, 1, 1]),
        "probability": np.full(4, 0.5),
        "groups": np.arange(4),
        "unknown_probability": np.full(2, 0.5),
        "unknown_groups": np.arange(2),
    }
    with pytest.raises(InputError, match=message):
        join_scores(**(given | change))


def test_unknown_methods_levels_and_names_are_refused():
    images, _ = make(0, 0.1, n=60, n_unknown=20)
    with pytest.raises(UsageError, match="found method 'magic', expected one of mixture, emq, pacc"):
        quantify(images, seed=0, methods=("magic",))
    with pytest.raises(UsageError, match="found level 90"):
        quantify(images, seed=0, level=90)
    with pytest.raises(UsageError, match="found 3 class names for 2 classes"):
        quantify(images, seed=0, classes=("a", "b", "c"))
