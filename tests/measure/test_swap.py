"""SWAP: Bayes' theorem by hand, agents that learn, and what the figures mean."""

from __future__ import annotations

import numpy as np
import pytest

from convnet_galaxies.measure.swap import (
    LENS,
    NOT,
    PRIOR,
    UNKNOWN,
    crowd_average,
    expected_information_bits,
    state_of,
    status_of,
    update,
    update_beliefs,
)


def test_one_answer_of_an_untrained_agent_changes_nothing() -> None:
    verdicts = update_beliefs(np.array([0]), np.array([0]), np.array([True]), np.array([UNKNOWN]))
    assert verdicts.probability[0] == pytest.approx(PRIOR, rel=1e-12)


def test_answers_move_the_probability_as_bayes_theorem_does_by_hand() -> None:
    # Volunteer 0 is right about one lens and one dud, so PL = PD = 2/3, and then calls field 2 a lens:
    # odds = 2e-4 / (1 - 2e-4) * (2/3) / (1/3).
    verdicts = update_beliefs(
        np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([True, False, True]), np.array([LENS, NOT, UNKNOWN])
    )
    odds = 2e-4 / (1 - 2e-4) * 2
    assert verdicts.pl.tolist() == pytest.approx([1 / 2, 2 / 3, 2 / 3])
    assert verdicts.pd.tolist() == pytest.approx([1 / 2, 1 / 2, 2 / 3])
    assert verdicts.probability[2] == pytest.approx(odds / (1 + odds), rel=1e-12)


def test_a_sequence_equals_repeated_updates() -> None:
    rng = np.random.default_rng(0)
    volunteer, field, said = rng.integers(0, 5, 200), rng.integers(0, 6, 200), rng.random(200) < 0.5
    truth = np.array([LENS, NOT, UNKNOWN, LENS, NOT, UNKNOWN])
    verdicts = update_beliefs(volunteer, field, said, truth)
    for which in range(6):
        probability = PRIOR
        for answer in np.flatnonzero(field == which):
            pl, pd = float(verdicts.pl[answer]), float(verdicts.pd[answer])
            probability = update(probability, pl, pd, said_lens=bool(said[answer]))
        assert verdicts.probability[which] == pytest.approx(max(probability, 1e-15), rel=1e-9)


def test_agents_learn_nothing_from_fields_of_unknown_truth() -> None:
    verdicts = update_beliefs(np.zeros(50, int), np.zeros(50, int), np.ones(50, bool), np.array([UNKNOWN]))
    assert set(verdicts.pl) == set(verdicts.pd) == {0.5}


def test_estimates_converge_to_the_volunteers_true_skill() -> None:
    rng = np.random.default_rng(1)
    truth = np.tile([LENS, NOT], 3000)
    said = np.where(truth == LENS, rng.random(6000) < 0.9, rng.random(6000) < 0.2)
    verdicts = update_beliefs(np.zeros(6000, int), np.arange(6000), said, truth)
    assert verdicts.pl[-1] == pytest.approx(0.9, abs=0.02)
    assert verdicts.pd[-1] == pytest.approx(0.8, abs=0.03)
    average = crowd_average(np.arange(6000), said, truth)
    assert average == pytest.approx((0.9, 0.8), abs=0.03)


def test_a_start_other_than_a_guess_is_where_agents_begin() -> None:
    verdicts = update_beliefs(np.array([0]), np.array([0]), np.array([True]), np.array([UNKNOWN]), start=(0.8, 0.9))
    odds = 2e-4 / (1 - 2e-4) * 0.8 / 0.1
    assert verdicts.probability[0] == pytest.approx(odds / (1 + odds), rel=1e-12)


def test_probabilities_stay_between_zero_and_one_however_many_agree() -> None:
    fields, said = np.repeat([0, 1], 4000), np.repeat([True, False], 4000)
    verdicts = update_beliefs(np.zeros(8000, int), fields, said, np.array([LENS, NOT]), start=(0.9, 0.9))
    assert 0 < verdicts.probability[1] < 1e-12
    assert 1 - 1e-12 < verdicts.probability[0] < 1


def test_only_rejected_test_fields_retire() -> None:
    assert [status_of(p) for p in (1e-8, 1e-3, 0.96)] == ["rejected", "undecided", "detected"]
    assert [state_of(1e-8, kind) for kind in ("test", "dud", "sim")] == ["inactive", "active", "active"]
    assert state_of(0.99, "test") == "active"


def test_skill_is_one_bit_for_perfection_and_none_for_guessing() -> None:
    bits = expected_information_bits(np.array([1.0, 0.5, 0.3, 0.9]), np.array([1.0, 0.5, 0.7, 0.9]))
    # PL = PD = 0.9 is a symmetric channel of capacity 1 - H(0.1) bits.
    assert bits == pytest.approx([1, 0, 0, 1 + 0.1 * np.log2(0.1) + 0.9 * np.log2(0.9)], abs=1e-12)
