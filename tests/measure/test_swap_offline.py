"""Offline SWAP: data of its own model, the published form on the same clicks, coverage of skills, limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.scores import score_lenses
from convnet_galaxies.measure.swap import LENS, NOT, UNKNOWN
from convnet_galaxies.measure.swap_offline import fit_beta, measure_dependence, solve_offline
from convnet_galaxies.simulate.crowd_answers import CrowdAnswers, draw_answers

Answers = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def draw_independent(seed: int, volunteers: int = 60, subjects: int = 400, looks: int = 12) -> Answers:
    """Answers of the very model, without dependence: volunteer, subject, said, truth, lens, pl, pd."""
    rng = np.random.default_rng(seed)
    pl, pd_ = rng.beta(12, 4, volunteers), rng.beta(18, 2, volunteers)
    lens = (rng.random(subjects) < 0.3).astype(int)
    truth = np.where(np.arange(subjects) < subjects // 2, lens, UNKNOWN)
    volunteer = np.concatenate([rng.choice(volunteers, looks, replace=False) for _ in range(subjects)])
    subject = np.repeat(np.arange(subjects), looks)
    said = rng.random(len(subject)) < np.where(lens[subject] == 1, pl[volunteer], 1 - pd_[volunteer])
    return volunteer, subject, said, truth, lens, pl, pd_


def solve_as_published(drawn: CrowdAnswers, prior: float) -> np.ndarray:
    """The offline analysis as the project's program had it: the mean over a subject's answers of the posterior that
    each gives alone to the last round's probability; skills from training truth and those probabilities."""
    people, fields = len(drawn.pl), len(drawn.lens)
    tau = np.full(fields, prior)
    skill = {one: np.full(people, 0.75) for one in ("pl", "pd")}
    for _ in range(50):
        total, number = np.zeros(fields), np.zeros(fields)
        for who, what, said in zip(drawn.volunteer, drawn.subject, drawn.said_lens, strict=True):
            if_lens = skill["pl"][who] if said else 1 - skill["pl"][who]
            if_not = 1 - skill["pd"][who] if said else skill["pd"][who]
            both = if_lens * tau[what] + if_not * (1 - tau[what])
            total[what] += if_lens * tau[what] / both if both > 0 else tau[what]
            number[what] += 1
        tau = total / number
        weight = np.where(drawn.is_training, drawn.lens, tau)[drawn.subject]
        for name, share, right in (("pl", weight, drawn.said_lens), ("pd", 1 - weight, ~drawn.said_lens)):
            seen = np.bincount(drawn.volunteer, share, minlength=people)
            good = np.bincount(drawn.volunteer, share * right, minlength=people)
            skill[name] = np.divide(good, seen, out=np.zeros(people), where=seen > 0)
    return tau


def log_loss(probability: np.ndarray, lens: np.ndarray) -> float:
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(lens == 1, np.log(p), np.log(1 - p))))


def test_probabilities_are_those_of_bayes_theorem_where_answers_are_independent() -> None:
    volunteer, subject, said, truth, lens, pl, pd_ = draw_independent(0)
    found = solve_offline(volunteer, subject, said, truth, prior=0.3)
    ratio = np.where(said, np.log(pl / (1 - pd_))[volunteer], np.log((1 - pl) / pd_)[volunteer])
    exact = expit(logit(0.3) + np.bincount(subject, ratio))
    unknown = truth == UNKNOWN
    assert found.dependence < 0.02
    assert np.abs(found.probability - exact)[unknown].mean() < 0.02
    assert log_loss(found.probability[unknown], lens[unknown]) < log_loss(exact[unknown], lens[unknown]) + 0.01
    assert found.answers.tolist() == [12] * 400


def test_a_prior_that_is_not_given_is_estimated() -> None:
    volunteer, subject, said, truth, lens, _, _ = draw_independent(1, subjects=1000)
    found = solve_offline(volunteer, subject, said, truth)
    assert found.prior == pytest.approx(lens[truth == UNKNOWN].mean(), abs=0.02)


def test_the_order_and_the_names_of_volunteers_and_answers_do_not_matter() -> None:
    volunteer, subject, said, truth, *_ = draw_independent(2)
    rng = np.random.default_rng(0)
    order, names = rng.permutation(len(said)), rng.permutation(60)
    first = solve_offline(volunteer, subject, said, truth, prior=0.3)
    second = solve_offline(names[volunteer][order], subject[order], said[order], truth, prior=0.3)
    assert first.probability == pytest.approx(second.probability, abs=1e-6)
    assert first.skills.pl == pytest.approx(second.skills.pl[names], abs=1e-6)


def test_turning_lenses_and_others_round_turns_everything_round() -> None:
    volunteer, subject, said, truth, *_ = draw_independent(3)
    first = solve_offline(volunteer, subject, said, truth, prior=0.3)
    other = np.where(truth == UNKNOWN, UNKNOWN, 1 - truth)
    second = solve_offline(volunteer, subject, ~said, other, prior=0.7)
    assert first.probability == pytest.approx(1 - second.probability, abs=1e-6)
    assert first.skills.pl == pytest.approx(second.skills.pd, abs=1e-6)


def test_dependence_of_answers_about_one_subject_is_measured() -> None:
    # Beta-binomial answers: each subject has a chance of its own, with an intraclass correlation of 1 / (a + b + 1).
    rng = np.random.default_rng(4)
    fields, looks, a, b = 4000, 20, 6.0, 3.0
    kind = np.tile([LENS, NOT], fields // 2)
    chance = np.where(kind == LENS, rng.beta(a, b, fields), rng.beta(1.0, 9.0, fields))
    subject = np.repeat(np.arange(fields), looks)
    said = rng.random(len(subject)) < chance[subject]
    volunteer = np.tile(np.arange(looks), fields)
    skills = np.full(looks, a / (a + b)), np.full(looks, 0.9)
    found = measure_dependence(volunteer, subject, said, kind, *skills)
    assert found == pytest.approx(1 / (a + b + 1), rel=0.06)  # the larger of 1 / 10 and 1 / 11
    independent = rng.random(len(subject)) < np.where(kind == LENS, a / (a + b), 0.1)[subject]
    assert measure_dependence(volunteer, subject, independent, kind, *skills) < 0.005


def test_the_spread_of_skills_over_the_crowd_is_found() -> None:
    rng = np.random.default_rng(5)
    seen = rng.integers(1, 60, 5000).astype(float)
    right = rng.binomial(seen.astype(int), rng.beta(8, 2, 5000)).astype(float)
    assert fit_beta(right, seen, np.array([1.0, 1.0])) == pytest.approx([8, 2], rel=0.1)
    assert fit_beta(right, seen, np.array([300.0, 300.0])) == pytest.approx([8, 2], rel=0.1)


def test_the_interval_of_a_skill_is_that_of_its_beta_distribution() -> None:
    # One volunteer who was right about 8 of 10 lenses and 9 of 10 others; all subjects are known.
    truth = np.repeat([LENS, NOT], 10)
    said = np.r_[np.ones(8, bool), np.zeros(2, bool), np.ones(1, bool), np.zeros(9, bool)]
    found = solve_offline(np.zeros(20, int), np.arange(20), said, truth, prior=0.5, level=0.8)
    skills = found.skills
    assert (skills.lenses[0], skills.others[0]) == (10, 10)
    beta = fit_beta(np.array([8.0]), np.array([10.0]), np.array([1.0, 1.0]))
    assert skills.pl[0] == pytest.approx((8 + beta[0]) / (10 + beta.sum()), rel=1e-3)
    exact = stats.beta(beta[0] + 8, beta[1] + 2)
    assert (skills.pl_low[0], skills.pl_high[0]) == pytest.approx(exact.ppf([0.1, 0.9]), rel=1e-3)


@pytest.mark.trials
def test_nine_of_ten_intervals_hold_the_true_skill() -> None:
    held = []
    for seed in range(5):
        drawn = draw_answers(seed, subjects=600)
        skills = solve_offline(drawn.volunteer, drawn.subject, drawn.said_lens, drawn.truth).skills
        held.append((skills.pl_low <= drawn.pl) & (drawn.pl <= skills.pl_high))
        held.append((skills.pd_low <= drawn.pd) & (drawn.pd <= skills.pd_high))
    assert 0.85 <= np.mean(held[::2]) <= 0.95
    assert 0.85 <= np.mean(held[1::2]) <= 0.95


@pytest.mark.trials
def test_posterior_ranks_as_well_as_the_published_form_and_is_far_better_calibrated() -> None:
    ours, published, losses = [], [], []
    for seed in range(4):
        drawn = draw_answers(seed, subjects=500, volunteers=200, prevalence=0.1)
        found = solve_offline(drawn.volunteer, drawn.subject, drawn.said_lens, drawn.truth)
        theirs = solve_as_published(drawn, found.prior)
        test = np.flatnonzero(~drawn.is_training)
        lens = drawn.lens[test] == 1
        for scores, probability in ((ours, found.probability), (published, theirs)):
            scores.append(score_lenses(lens, probability[test], test, seed=0, n_resamples=50)["auroc"].value)
        losses.append((log_loss(found.probability[test], lens), log_loss(theirs[test], lens)))
        expected = found.probability[test].sum()
        assert 0.5 * lens.sum() < expected < 2 * lens.sum()
    assert np.mean(ours) > np.mean(published) - 0.002
    assert all(mine < other for mine, other in losses)


def test_a_crowd_without_training_subjects_of_both_kinds_is_refused() -> None:
    volunteer, subject, said, truth, *_ = draw_independent(6)
    with pytest.raises(InputError, match="no answers about training subjects that are others, expected both kinds"):
        solve_offline(volunteer, subject, said, np.where(truth == NOT, UNKNOWN, truth))
    with pytest.raises(InputError, match="that are lenses or others"):
        solve_offline(volunteer[:0], subject[:0], said[:0], truth)


def test_subjects_without_answers_keep_the_prior_and_unanimous_ones_stay_within_zero_and_one() -> None:
    volunteer, subject, said, truth, *_ = draw_independent(7)
    more = np.r_[truth, UNKNOWN, UNKNOWN]
    subject, volunteer = np.r_[subject, np.full(60, 401)], np.r_[volunteer, np.arange(60)]
    found = solve_offline(volunteer, subject, np.r_[said, np.ones(60, bool)], more, prior=0.3)
    assert found.probability[400] == pytest.approx(0.3)
    assert 0.999999 < found.probability[401] < 1
