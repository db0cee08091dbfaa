from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import make_cutouts, make_study
from sklearn.metrics import roc_auc_score

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.study.results import (
    StudyResults,
    read_predictions,
    read_results,
    summarize_study,
)
from convnet_galaxies.study.strategies import list_questions, list_strategies
from convnet_galaxies.study.strategy_comparisons import Comparison, conclude
from convnet_galaxies.study.strategy_scores import add_seeds, average_splits, subtract_unpaired
from convnet_galaxies.study.study_plan import StudyPlan
from convnet_galaxies.study.study_remarks import remark_on_grid_ends
from convnet_galaxies.study.study_report import study_report, write_results

STRATEGIES = list_strategies(("zoo",), has_stages=True)
QUESTIONS = list_questions(("zoo",), has_stages=True)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyResults]:
    cutouts = make_cutouts(200, np.random.default_rng(5))
    folder = make_study(tmp_path_factory.mktemp("made-up") / "study", cutouts)
    return folder, summarize_study(folder, n_resamples=200)


def test_every_question_is_answered_at_every_share_of_the_labels(study: tuple[Path, StudyResults]) -> None:
    _, results = study
    assert {(one.question, one.fraction) for one in results.comparisons} == {
        (question.text, fraction) for question in QUESTIONS for fraction in (0.2, 1.0)
    }
    assert {(one.strategy, one.stage) for one in results.strategies} == {
        (strategy.name, stage) for strategy in STRATEGIES for stage in strategy.scored_on
    }


def test_differences_are_the_means_over_repetitions_of_those_of_scikit_learn(study: tuple[Path, StudyResults]) -> None:
    folder, results = study
    table = read_predictions(folder)
    comparison = next(one for one in results.comparisons if one.question == QUESTIONS[0].text and one.fraction == 1.0)

    def auroc(strategy: str, repetition: int) -> float:
        rows = table[
            (table["strategy"] == strategy)
            & (table["repetition"] == repetition)
            & (table["fraction"] == 1)
            & (table["stage"] == 1)
        ]
        return float(roc_auc_score(rows["lens"], rows["lens_probability"]))

    wanted = np.mean([auroc("zoo, stage 1", one) - auroc("scratch, stage 1", one) for one in range(3)])
    assert comparison.differences["auroc"].value == pytest.approx(wanted, abs=1e-9)


def test_the_first_line_answers_the_question_at_every_share(study: tuple[Path, StudyResults]) -> None:
    _, results = study
    first = study_report(results).text().splitlines()[0]
    assert first == results.sentence
    assert first.startswith("On stage 1, transfer from zoo changes the log loss by -")
    leading = [one for one in results.comparisons if one.is_leading]
    assert len(leading) == 4  # two questions at two fractions
    for comparison in leading:
        answer, own = comparison.answer, comparison.differences["log_loss"]
        assert f"{answer.value:+.3f} ({answer.low:.3f} to {answer.high:.3f})" in first
        assert answer.level == pytest.approx(1 - 0.05 / 4)
        assert answer.low < own.low < own.value == answer.value < own.high < answer.high
    assert "intervals that hold together in 95 %" in first


def make_answer(fraction: float, value: float, half: float, warning: str | None = None) -> Comparison:
    one = QUESTIONS[0]
    answer = Estimate("log_loss", value, value - half, value + half, 0.95, warning)
    return Comparison(
        one.text, one.strategy, one.other, one.stage, fraction, True, 5, {"log_loss": answer}, answer, 0.031, ""
    )


def test_the_conclusion_calls_better_only_what_the_interval_does() -> None:
    comparisons = [
        make_answer(1.0, -0.01, 0.02),
        make_answer(0.2, -0.05, 0.02),
        make_answer(0.05, -0.06, 0.01, "few lenses"),
        make_answer(0.01, 0.05, 0.02),
    ]
    assert conclude(comparisons) == (
        "On stage 1, transfer from zoo changes the log loss by -0.010 (-0.030 to 0.010) at 100 % of the labels: no "
        "difference shown (a difference of 0.031 would have been seen in 80 % of such studies); -0.050 (-0.070 to "
        "-0.030) at 20 % of the labels: better; -0.060 (-0.070 to -0.050) at 5 % of the labels: not settled (few "
        "lenses); +0.050 (0.030 to 0.070) at 1 % of the labels: worse (a lower log loss is better; intervals that hold "
        "together in 80 %, 5 repetitions)."
    )
    assert conclude([]) == ""


def test_a_real_gain_is_found_and_equal_arms_differ_by_nothing(study: tuple[Path, StudyResults]) -> None:
    _, results = study
    by_question = {one.question: one for one in results.comparisons if one.fraction == 1.0}
    transfer = by_question["Does transfer from zoo help on stage 1?"]
    # Logits 1.5 and 3 apart with unit scatter: AUROC Phi(1.5 / sqrt 2) = 0.856 and Phi(3 / sqrt 2) = 0.983.
    assert transfer.differences["auroc"].low < 0.983 - 0.856 < transfer.differences["auroc"].high
    assert transfer.verdict == "better"
    assert transfer.sentence.endswith("at 100 % of the labels: better.")
    alone = by_question["Does transfer from zoo help on stage 2 alone?"]
    assert alone.differences["auroc"].low < 0 < alone.differences["auroc"].high
    assert alone.verdict == "no difference shown"
    assert alone.detectable is not None
    assert alone.detectable > alone.answer.high - alone.answer.value
    assert f"a difference of {alone.detectable:.3f} would have been seen in 80 % of such studies" in alone.sentence


def test_the_number_of_differences_and_those_expected_by_chance_are_printed(study: tuple[Path, StudyResults]) -> None:
    _, results = study
    shown = len(results.comparisons) * len(scores_of("lens", baselines=False))
    text = study_report(results).text()
    assert f"The tables hold {shown} differences with 95 % intervals of their own" in text
    assert f"about {round(shown / 20)} of them would exclude 0" in text


def test_the_rates_and_epochs_that_were_chosen_are_counted(study: tuple[Path, StudyResults]) -> None:
    _, results = study
    assert all(one.choices == {"1, 8": 2, "1, 9": 1} for one in results.strategies)
    lines = study_report(results).text().splitlines()
    start = lines.index("Repetitions by chosen rate and epochs")
    rows = lines[start + 2 : start + 2 + 2 * len(STRATEGIES)]
    assert all(row.split()[-2:] == ["2", "1"] for row in rows)


def test_an_end_of_the_grid_that_is_chosen_is_named(study: tuple[Path, StudyResults]) -> None:
    _, results = study
    plan = StudyPlan(rates=(0.3, 1.0), lens_epochs=(4, 9), fine_epochs=(8,))
    told = remark_on_grid_ends(results.strategies, plan)
    networks = 2 * len([one for one in STRATEGIES if not one.is_longer])
    # Every network chose the rate 1, and 9 epochs in one repetition of three.
    assert [text.partition(",")[0] for text in told] == ["--rates: the highest value"]
    assert f"was chosen in {3 * networks} of {3 * networks} trainings" in told[0]
    assert remark_on_grid_ends(results.strategies, replace(plan, rates=(1.0,))) == []


def test_one_repetition_has_the_interval_over_groups_and_a_warning(tmp_path: Path) -> None:
    cutouts = make_cutouts(200, np.random.default_rng(5))
    folder = make_study(tmp_path / "study", cutouts, repetitions=1, fractions=(1.0,))
    results = summarize_study(folder, n_resamples=100)
    one = results.comparisons[0]
    assert one.detectable is None
    assert one.answer.low < one.answer.value < one.answer.high
    assert one.sentence.endswith("not settled (one seed: others may differ).")


def test_flavors_and_the_leaking_split_are_measured(study: tuple[Path, StudyResults]) -> None:
    folder, results = study
    table = read_predictions(folder)
    rows = table[(table["strategy"] == "flavors") & (table["stage"] == 1)]
    assert results.flavors is not None
    assert results.flavors.names[0] == "dud"
    assert results.flavors.accuracy.value == pytest.approx((rows["flavor_label"] == rows["predicted_flavor"]).mean())
    assert sum(map(sum, results.flavors.counts)) == len(rows)
    assert results.leakage is not None
    assert results.leakage.difference["auroc"].low > 0
    assert results.leakage.difference["log_loss"].high < 0


def test_results_survive_their_file_and_hold_no_null(study: tuple[Path, StudyResults]) -> None:
    folder, results = study
    write_results(folder, results)
    assert read_results(folder) == results
    strategies = json.loads((folder / "results.json").read_text())["strategies"]
    assert all(
        figure["low"] <= figure["value"] <= figure["high"]
        for strategy in strategies
        for figure in strategy["figures"].values()
    )
    assert "Transfer from zoo changes the log loss on stage 1 by -" in (folder / "results.txt").read_text()


def test_an_unfinished_study_is_refused_and_unequal_images_are_named(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", make_cutouts(30, np.random.default_rng(1)), repetitions=2, fractions=(1.0,))
    table = pd.read_parquet(folder / "predictions.parquet")
    one = (table["strategy"] == "zoo, stage 1") & (table["repetition"] == 1)
    table[~one | (np.arange(len(table)) % 2 == 0)].to_parquet(folder / "predictions.parquet")
    results = summarize_study(folder, n_resamples=50)
    assert "Does transfer from zoo help on stage 1?" not in {comparison.question for comparison in results.comparisons}
    assert any("the strategies predicted different images or repetitions" in remark for remark in results.remarks)
    (folder / "predictions.parquet").unlink()
    with pytest.raises(InputError, match=r"found no predictions.parquet, expected that of a finished study"):
        summarize_study(folder)


def test_few_lenses_leave_a_wide_interval_and_nothing_settled(tmp_path: Path) -> None:
    cutouts = make_cutouts(60, np.random.default_rng(4), lens_share=0.0)
    cutouts.loc[[0, 2], ["lens", "flavor", "flavor_label"]] = [[1.0, "lensed quasar", "lensed quasar"]] * 2
    both = [*cutouts.index[cutouts["stage"] == 1][:3], *cutouts.index[cutouts["stage"] == 2][:3]]
    cutouts.loc[both, "lens"] = 1.0
    results = summarize_study(make_study(tmp_path / "study", cutouts, fractions=(1.0,)), n_resamples=100)
    assert len(results.comparisons) == len(QUESTIONS)
    for comparison in results.comparisons:
        difference = comparison.differences["auroc"]
        assert -1 <= difference.low < -0.2
        assert 0.2 < difference.high <= 1
        assert "not settled (only 2 groups of the rarer class" in comparison.sentence


def test_seeds_that_scatter_widen_the_interval() -> None:
    figure = Estimate("auroc", 0.9, 0.87, 0.92)
    # Student's t for 2 degrees of freedom is 4.3027; the standard deviation 0.01, over sqrt 3.
    widened = add_seeds(figure, [0.89, 0.90, 0.91])
    reach = 4.30265 * 0.01 / np.sqrt(3)
    assert widened.low == pytest.approx(0.9 - np.hypot(0.03, reach), abs=1e-5)
    assert widened.high == pytest.approx(0.9 + np.hypot(0.02, reach), abs=1e-5)
    assert add_seeds(Estimate("auroc", 0.99, 0.98, 1.0), [0.95, 1.0, 1.0]).high == 1.0


def test_unpaired_differences_add_their_variances() -> None:
    a, b = Estimate("x", 0.9, 0.87, 0.92), Estimate("x", 0.8, 0.76, 0.83)
    difference = subtract_unpaired("x", a, b)
    assert difference.value == pytest.approx(0.1)
    assert difference.low == pytest.approx(0.1 - np.hypot(0.03, 0.03))
    assert difference.high == pytest.approx(0.1 + np.hypot(0.02, 0.04))
    same = average_splits("x", [a, a, a])
    assert (same.value, same.low, same.high) == pytest.approx((a.value, a.low, a.high))


def test_a_study_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", make_cutouts(30, np.random.default_rng(1)), fractions=(1.0,))
    facts = json.loads((folder / "study.json").read_text())
    del facts["plan"]["rates"]
    (folder / "study.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="found a study of an earlier version"):
        summarize_study(folder)
