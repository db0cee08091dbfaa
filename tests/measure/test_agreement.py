from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.agreement import (
    Subjects,
    _judge,
    combine_held_out,
    compare_eyes,
    gather_subjects,
    list_missed,
)
from convnet_galaxies.measure.intervals import resample_statistic, summarize


def make(seed: int, *, n: int = 150, skill: float = 1.0) -> Subjects:
    rng = np.random.default_rng(seed)
    grade = np.round(rng.uniform(0, 3, n) ** 2 / 3, 1)
    net, crowd = (1 / (1 + np.exp(-(skill * (grade - 1) + rng.normal(size=n)))) for _ in range(2))
    ids = np.array([f"ASW{k:05d}" for k in range(n)])
    return Subjects(ids, net, crowd, grade, ids)


def test_a_subject_has_the_score_of_its_best_cutout_and_only_graded_ones_count():
    subjects = gather_subjects(
        np.array(["b", "a", "a", "c"]),
        np.array([0.3, 0.2, 0.7, 0.9]),
        np.array(["a", "b", "x", "c"]),
        np.array([2.0, 0.5, 3.0, np.nan]),
        crowd=np.array([0.4, np.nan, 0.1, 0.2]),
    )
    assert list(subjects.ids) == ["a", "b"]
    assert list(subjects.net) == [0.7, 0.3]
    assert list(subjects.grade) == [2.0, 0.5]
    assert subjects.crowd[0] == 0.4
    assert np.isnan(subjects.crowd[1])


@pytest.mark.parametrize("score", [1.2, -0.1, np.nan])
def test_scores_that_are_no_probabilities_are_refused(score: float):
    with pytest.raises(InputError, match="found a score of the network that is NaN or outside 0 to 1"):
        gather_subjects(np.array(["a", "b"]), np.array([0.5, score]), np.array(["a", "b"]), np.array([1.0, 2.0]))


def test_a_net_that_gives_all_subjects_one_score_has_no_rank_correlation():
    ids = np.array([f"s{k:02d}" for k in range(40)])
    subjects = Subjects(ids, np.full(40, 0.5), np.full(40, np.nan), np.tile([0.0, 3.0], 20), ids)
    with pytest.raises(InputError, match="spearman: undefined for these images"):
        compare_eyes(subjects, seed=0, n_resamples=10)


def test_a_subject_graded_twice_has_the_mean_grade():
    subjects = gather_subjects(np.array(["a"]), np.array([0.5]), np.array(["a", "a"]), np.array([1.0, 2.0]))
    assert subjects.grade[0] == 1.5


def test_grades_that_match_no_image_are_refused_with_examples_of_both():
    with pytest.raises(InputError, match=r"graded: ASW1, \.\.\.; images: field_7"):
        gather_subjects(np.array(["field_7"]), np.array([0.5]), np.array(["ASW1"]), np.array([1.0]))


def test_figures_are_those_of_scikit_learn_and_scipy():
    subjects = make(0)
    result = compare_eyes(subjects, top=(10,), seed=0, n_resamples=60)
    decided = (subjects.grade >= 2) | (subjects.grade < 1)
    truth = subjects.grade[decided] >= 2
    for judge, score in (("net", subjects.net), ("crowd", subjects.crowd)):
        figures = result.judges[judge]
        assert figures["auroc"].value == pytest.approx(roc_auc_score(truth, score[decided]))
        assert figures["average_precision"].value == pytest.approx(average_precision_score(truth, score[decided]))
        assert figures["spearman"].value == pytest.approx(spearmanr(score, subjects.grade).statistic)
        best = np.argsort(-score[decided])[:10]
        assert figures["precision in top 10"].value == pytest.approx(truth[best].mean())
    assert result.n_lenses == truth.sum()


def test_lower_end_of_the_auroc_against_experts_allows_for_half_a_lens_ranked_at_chance():
    subjects = make(8, n=100)
    lens, other = subjects.grade >= 2, subjects.grade < 1
    figure = compare_eyes(subjects, top=(), seed=0).judges["net"]["auroc"]
    draws = resample_statistic(
        _judge(subjects, subjects.net, lens, other, ()), subjects.groups, n_resamples=1000, seed=0
    )[1][:, 0]
    n = min(lens.sum(), other.sum())
    value = figure.value - 0.5 * (figure.value - 0.5) / (n + 0.5)
    assert figure.low == pytest.approx(summarize("auroc", value, draws, n_effective=n, proportion=True).low)
    assert figure.high == summarize("auroc", figure.value, draws, n_effective=n, proportion=True).high


def test_a_score_in_the_order_of_the_grades_has_rank_correlation_one_in_every_resample():
    ids = np.array([f"s{k:02d}" for k in range(40)])
    grade = np.tile([0.0, 0.5, 1.5, 2.0, 3.0], 8)
    subjects = Subjects(ids, grade / 4 + 0.1, 0.9 - grade / 4, grade, ids)
    result = compare_eyes(subjects, seed=0, n_resamples=30)
    for judge, value in (("net", 1), ("crowd", -1)):
        figure = result.judges[judge]["spearman"]
        assert (figure.value, figure.low, figure.high) == pytest.approx((value,) * 3)
    assert result.judges["net"]["auroc"].value == 1
    assert result.judges["crowd"]["auroc"].value == 0


def test_the_same_eyes_differ_by_exactly_nothing():
    subjects = make(1)
    same = Subjects(subjects.ids, subjects.net, subjects.net, subjects.grade, subjects.groups)
    for figure in compare_eyes(same, seed=0, n_resamples=50).differences["net - crowd"].values():
        assert (figure.value, figure.low, figure.high) == (0, 0, 0)


def test_a_difference_allows_for_images_that_no_resample_shows():
    rng = np.random.default_rng(0)
    grade, ids = np.repeat([3.0, 0.0], [20, 80]), np.array([f"s{k:03d}" for k in range(100)])
    net, crowd = (np.where(grade > 2, 0.5, 0.0) + rng.uniform(0, 0.4, 100) for _ in range(2))
    found = compare_eyes(Subjects(ids, net, crowd, grade, ids), seed=0, n_resamples=50, level=0.9)
    others = grade < 1
    apart = np.sqrt(2 - 2 * max(0.0, spearmanr(net[others], crowd[others]).statistic))
    for name, error in (("auroc", 0.2 / 20), ("average_precision", 0.2 / 20), ("precision in top 10", 0.5 / 10)):
        difference = found.differences["net - crowd"][name]
        assert difference.value == 0, "both separate lenses and others perfectly"
        assert difference.high == pytest.approx(norm.ppf(0.95) * error * apart)
        assert difference.low == -difference.high


def test_figures_do_not_change_under_a_rising_transform_of_the_score():
    subjects = make(2)
    bent = Subjects(subjects.ids, subjects.net**3, subjects.crowd, subjects.grade, subjects.groups)
    plain, other = (compare_eyes(one, seed=0, n_resamples=50).judges["net"] for one in (subjects, bent))
    assert {name: figure.value for name, figure in plain.items()} == pytest.approx(
        {name: figure.value for name, figure in other.items()}
    )


def test_net_and_crowd_together_do_not_change_when_one_of_them_saturates():
    subjects = make(2)
    bent = Subjects(subjects.ids, subjects.net, subjects.crowd**9, subjects.grade, subjects.groups)
    np.testing.assert_allclose(combine_held_out(subjects, seed=0), combine_held_out(bent, seed=0))


def test_lenses_and_others_are_dealt_to_the_folds_each_for_themselves_however_many_lie_between():
    # Two of each: dealt as one kind with the sixty between, both others would sooner or later be held out together.
    rng = np.random.default_rng(0)
    grade = np.concatenate([[2.5, 3.0, 0.0, 0.9], np.full(60, 1.5)])
    ids = np.array([f"s{k:02d}" for k in range(64)])
    subjects = Subjects(ids, rng.random(64), rng.random(64), grade, ids)
    for seed in range(12):
        combined = combine_held_out(subjects, seed=seed)
        assert ((combined > 0) & (combined < 1)).all()


def test_grade_two_is_a_lens_and_grade_one_is_neither_lens_nor_other():
    grade = np.array([2.0, 1.99, 1.0, 0.99] * 12)
    ids = np.array([f"s{k:02d}" for k in range(48)])
    subjects = Subjects(ids, np.linspace(0.1, 0.9, 48), np.full(48, np.nan), grade, ids)
    result = compare_eyes(subjects, seed=0, n_resamples=20)
    assert (result.n_subjects, result.n_lenses, result.n_others) == (48, 12, 12)
    missed = list_missed(subjects, number=48)
    assert set(missed.high_grade_low_score) == set(range(0, 48, 4))
    assert set(missed.low_grade_high_score) == set(range(3, 48, 4))


@pytest.mark.trials
def test_two_independent_eyes_together_see_more():
    gains = []
    for seed in range(5):
        differences = compare_eyes(make(seed, n=400), seed=0, n_resamples=20).differences
        gains.append(differences["both - net"]["auroc"].value)
    assert np.mean(gains) > 0.02


@pytest.mark.trials
def test_combining_noise_with_noise_does_not_flatter():
    areas = []
    for seed in range(30):
        subjects = make(seed, n=90, skill=0.0)
        decided = (subjects.grade >= 2) | (subjects.grade < 1)
        areas.append(roc_auc_score(subjects.grade[decided] >= 2, combine_held_out(subjects, seed=seed)[decided]))
    assert np.mean(areas) < 0.54


def test_missed_lists_begin_with_the_worst_disagreement():
    subjects = make(3)
    net, grade = subjects.net.copy(), subjects.grade.copy()
    net[[4, 9]], grade[[4, 9]] = (1e-6, 1 - 1e-6), (3.0, 0.0)
    missed = list_missed(Subjects(subjects.ids, net, subjects.crowd, grade, subjects.groups), number=5)
    assert missed.high_grade_low_score[0] == 4
    assert missed.low_grade_high_score[0] == 9
    assert len(missed.high_grade_low_score) == 5


def test_grades_of_one_kind_only_are_refused():
    subjects = make(4)
    only_low = Subjects(subjects.ids, subjects.net, subjects.crowd, np.minimum(subjects.grade, 1.5), subjects.groups)
    with pytest.raises(InputError, match=r"found 0 subjects of grade >= 2 and"):
        compare_eyes(only_low, seed=0)


def test_subjects_without_a_crowd_probability_are_left_out_of_all_and_counted():
    subjects = make(5)
    crowd = np.where(np.arange(150) < 10, np.nan, subjects.crowd)
    result = compare_eyes(
        Subjects(subjects.ids, subjects.net, crowd, subjects.grade, subjects.groups), seed=0, n_resamples=20
    )
    assert result.n_subjects == 140
    assert result.remarks == ("10 graded subjects without a crowd probability are left out of all figures",)
    alone = compare_eyes(
        Subjects(subjects.ids, subjects.net, np.full(150, np.nan), subjects.grade, subjects.groups),
        seed=0,
        n_resamples=20,
    )
    assert set(alone.judges) == {"net"}


@pytest.mark.shared_data
def test_the_crowds_auroc_on_the_real_candidates_is_the_published_one(shared_data: Path):
    table = pd.read_csv(shared_data / "space-warps" / "candidates.csv")
    decided = table[(table.expert_grade >= 2) | (table.expert_grade < 1)]
    assert len(decided) == 43 + 129
    subjects = Subjects(
        table.file.to_numpy(str),
        table.crowd_probability.to_numpy(),
        table.crowd_probability.to_numpy(),
        table.expert_grade.to_numpy(),
        table.zooid.to_numpy(str),
    )
    crowd = compare_eyes(subjects, seed=0).judges["crowd"]
    assert crowd["auroc"].value == pytest.approx(0.833, abs=0.001)
    assert crowd["auroc"].low < 0.8 < 0.87 < crowd["auroc"].high
